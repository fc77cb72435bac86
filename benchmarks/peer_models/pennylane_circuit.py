"""The candidate circuits in PennyLane, for its torch and its JAX interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pennylane as qml

from benchmarks.peer_models.common import GATES, Problem

#: A rotation by t as Rot(a + b t, c t, d), which is RZ(d) RY(c t) RZ(a + b t).
_ROTATIONS = {"X": (math.pi / 2, 0.0, 1.0, -math.pi / 2), "Y": (0.0, 0.0, 1.0, 0.0), "Z": (0.0, 1.0, 0.0, 0.0)}

Circuit = Callable[[Any, Any], list[Any]]


def circuits(problem: Problem, interface: str, tensor: Callable[[np.ndarray], Any]) -> Iterator[tuple[list[int], Circuit]]:
    """The candidates with one entangler, and one circuit on default.qubit for all of them.

    Axes and Hadamards are data, so that PennyLane's parameter broadcasting serves candidates, gates and samples in one
    execution. With torch at S, batch 10: 160 ms, against 1,200 ms with an execution for each candidate.

    Args:
        problem: The problem.
        interface: PennyLane's name of the library that differentiates.
        tensor: Makes a constant of that library.

    Returns:
        Pairs: which candidates, and a function of inputs (qubits, rows) and weights (weights, rows) that returns <Z_k>
        for all k, each (rows,). The rows are (candidates, gates, samples), flattened.
    """
    for members in problem.groups():
        yield members, _circuit(problem, members, interface, tensor)


def single_circuits(problem: Problem, interface: str) -> Iterator[tuple[list[int], Circuit]]:
    """As `circuits`, but a circuit of its own for each candidate: less arithmetic, but many more executions."""
    for index in range(len(problem.names)):
        yield [index], _single_circuit(problem, index, interface)


def _single_circuit(problem: Problem, index: int, interface: str) -> Circuit:
    n_qubits, candidate = problem.n_qubits, problem.candidates[index]
    gates = {"X": qml.RX, "Y": qml.RY, "Z": qml.RZ}
    cnots = candidate.cnots(n_qubits)

    @qml.qnode(qml.device("default.qubit", wires=n_qubits), interface=interface, diff_method="backprop")
    def circuit(inputs: Any, weights: Any) -> list[Any]:
        for qubit in range(n_qubits):
            if candidate.hadamard:
                qml.Hadamard(qubit)
            gates[candidate.encoding](inputs[qubit], qubit)
        for layer in range(problem.depth):
            for pair in cnots:
                qml.CNOT(pair)
            for qubit in range(n_qubits):
                gates[candidate.rotation](weights[layer * n_qubits + qubit], qubit)
        return [qml.expval(qml.PauliZ(qubit)) for qubit in range(problem.hidden)]

    return circuit


def _circuit(problem: Problem, members: list[int], interface: str, tensor: Callable[[np.ndarray], Any]) -> Circuit:
    n_qubits = problem.n_qubits
    own = [problem.candidates[index] for index in members]
    cnots = own[0].cnots(n_qubits)

    def rows(values: list[Any]) -> list[Any]:
        return [tensor(column) for column in np.repeat(np.array(values, float), len(GATES) * problem.batch, axis=0).T]

    turns = rows([(math.pi, math.pi / 2) if candidate.hadamard else (0.0, 0.0) for candidate in own])
    encoding = rows([_ROTATIONS[candidate.encoding] for candidate in own])
    rotation = rows([_ROTATIONS[candidate.rotation] for candidate in own])

    def rotate(form: list[Any], angle: Any, qubit: int) -> None:
        qml.Rot(form[0] + form[1] * angle, form[2] * angle, form[3], wires=qubit)

    @qml.qnode(qml.device("default.qubit", wires=n_qubits), interface=interface, diff_method="backprop")
    def circuit(inputs: Any, weights: Any) -> list[Any]:
        for qubit in range(n_qubits):
            qml.Rot(turns[0], turns[1], 0.0, wires=qubit)  # RY(pi / 2) RZ(pi) is the Hadamard, up to a phase
            rotate(encoding, inputs[qubit], qubit)
        for layer in range(problem.depth):
            for pair in cnots:
                qml.CNOT(pair)
            for qubit in range(n_qubits):
                rotate(rotation, weights[layer * n_qubits + qubit], qubit)
        return [qml.expval(qml.PauliZ(qubit)) for qubit in range(problem.hidden)]

    return circuit
