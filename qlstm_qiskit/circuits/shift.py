"""Parameter shift for any circuit: each gate has an angle of its own, shifted by the rule of that gate.

Repeated, scaled and non-linear parameters are left to the chain rule: the expectation value is differentiated by the angles
of gates, and the angles by inputs and weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qlstm_qiskit.circuits.checked import definition_of, is_parameterised, meaning
from qlstm_qiskit.circuits.expressions import Angle, to_angle
from qlstm_qiskit.circuits.gates import DECOMPOSITIONS, GENERATORS, LIBRARY, Generator, library_name
from qlstm_qiskit.circuits.place import place_of, placed
from qlstm_qiskit.circuits.program import Columns, check_parameters

#: ``df/da = sum_i c_i (f(a + s_i) - f(a - s_i))`` for pairs (s_i, c_i), shifts in radians.
ShiftRule = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class SplitCircuit:
    """A circuit whose parameterised gates have one parameter each, used nowhere else.

    Attributes:
        circuit: Equal to the original where each of `parameters` has the value of its angle, up to a global phase.
        parameters: One per gate, in the order of time.
        angles: What each stands for, in inputs and weights.
        rules: How to differentiate by each.
    """

    circuit: QuantumCircuit
    parameters: tuple[Parameter, ...]
    angles: tuple[Angle, ...]
    rules: tuple[ShiftRule, ...]


def split(circuit: QuantumCircuit, inputs: Sequence[Parameter], weights: Sequence[Parameter]) -> SplitCircuit:
    """Give every parameterised gate a parameter of its own; gates without a shift rule are opened by their definitions.

    Args:
        circuit, inputs, weights: As in `lower`.

    Raises:
        CircuitError: A gate has neither a rule nor a definition, or a parameter is in neither list.
    """
    columns = check_parameters(circuit, inputs, weights)
    steps = list(_steps(circuit, tuple(range(circuit.num_qubits)), columns))
    # the same parameters for the same circuit, in every process: what is made of it can be kept
    n_angles = sum(angle is not None for _, _, angle in steps)
    parameters = tuple(Parameter(f"p{k}", uuid=uuid5(NAMESPACE_OID, f"qlstm_qiskit angle {k}")) for k in range(n_angles))
    result = placed(QuantumCircuit(circuit.num_qubits, name=circuit.name), place_of(circuit))
    unused = iter(parameters)
    angles, rules = [], []
    for gate, qubits, angle in steps:
        if angle is None:
            result.append(gate, qubits)
            continue
        result.append(LIBRARY[gate](next(unused)), qubits)
        angles.append(angle)
        rules.append(shift_rule(GENERATORS[gate]))
    return SplitCircuit(result, parameters, tuple(angles), tuple(rules))


def shift_rule(generator: Generator) -> ShiftRule:
    """The rule for a gate ``exp(-i scale a G)``.

    Expectation values are trigonometric sums of the differences W of eigenvalues of ``scale G``. With shifts at equal
    distances, one for each W, the coefficients solve ``sum_i 2 c_i sin(W s_i) = W`` (Wierichs et al. 2022, arXiv 2107.12390).
    """
    values = generator.scale * np.linalg.eigvalsh(generator.matrix)
    differences = np.unique(np.round(np.abs(values[:, None] - values), 12))
    frequencies = differences[differences > 0]
    n = len(frequencies)
    shifts = (2 * np.arange(1, n + 1) - 1) * np.pi / (2 * n * frequencies[0])
    coefficients = np.linalg.solve(2 * np.sin(frequencies[:, None] * shifts), frequencies)
    return tuple((float(shift), float(coefficient)) for shift, coefficient in zip(shifts, coefficients, strict=True))


def _steps(
    circuit: QuantumCircuit, wires: tuple[int, ...], columns: Columns
) -> Iterator[tuple[Any, tuple[int, ...], Angle | None]]:
    """Gates in the order of time: the gate itself where it has numbers only, else its name in the table and its angle."""
    for item in circuit.data:
        qubits = tuple(wires[circuit.find_bit(qubit).index] for qubit in item.qubits)
        gate = meaning(item.operation, qubits, item.clbits)
        name = library_name(gate)
        if not is_parameterised(gate):
            yield gate, qubits, None
        elif name == "global_phase":
            continue
        elif name in GENERATORS:
            yield name, qubits, to_angle(gate.params[0], columns)
        elif name in DECOMPOSITIONS:
            for part, index in DECOMPOSITIONS[name]:
                yield part, qubits, to_angle(gate.params[index], columns)
        else:
            yield from _steps(definition_of(gate, qubits), qubits, columns)
