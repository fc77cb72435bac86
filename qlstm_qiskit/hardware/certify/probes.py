"""Small circuits whose values tell one mistake of a device from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import Program, lower

Values = NDArray[np.float64]

#: How far noise may move a value of a probe whose values are -1, 0 or 1.
TOLERANCE = 0.5
#: Angles of `turned`, radians, for three qubits: two basis states, none of which is the other one read in another way, and
#: two states whose shots vary.
_TURNS = np.array([[np.pi, 0.0, 0.0], [np.pi, np.pi, 0.0], [1.2, 1.7, 0.9], [2.0, 0.8, 1.4]])
#: Angles of `phases`, radians: <X> is their cosine and <Y> their sine.
PHASES = np.array([[0.0], [np.pi / 2], [np.pi], [-np.pi / 2]])
#: Angles of `idle`.
PAIRS = np.array([[np.pi, 0.0], [0.0, np.pi]])
#: Inputs and weights of `entangled`.
INPUTS, WEIGHTS = np.array([[0.5], [-1.1]]), np.array([0.7, -0.4, 1.3])


@dataclass(frozen=True, eq=False)
class Probe:
    """A candidate as backends take them; see `contract.backend.CandidateLike`."""

    name: str
    circuit: QuantumCircuit
    inputs: tuple[Parameter, ...]
    weights: tuple[Parameter, ...]
    measured: tuple[SparsePauliOp, ...]

    @cached_property
    def program(self) -> Program:
        return lower(self.circuit, self.inputs, self.weights)

    def observables(self, k: int | None = None) -> list[SparsePauliOp]:
        return list(self.measured[:k])


@cache
def turned(n_qubits: int) -> Probe:
    """R_Y on each qubit, <Z> of each."""
    angles = ParameterVector("x", n_qubits)
    circuit = QuantumCircuit(n_qubits, name="turned")
    for qubit, angle in enumerate(angles):
        circuit.ry(angle, qubit)
    return Probe("turned", circuit, tuple(angles), (), _letters(n_qubits, [("Z", [qubit]) for qubit in range(n_qubits)]))


def turns(n_qubits: int) -> Values:
    """Angles of `turned`, (rows, qubits), radians: the first two rows are basis states, and shots of the others vary."""
    if n_qubits == 1:  # as many values as with three qubits, so that equal shots are no accident
        return np.concatenate([[[np.pi], [0.0]], _TURNS[2:].reshape(-1, 1)])
    return _TURNS[:, :n_qubits]


@cache
def phases() -> Probe:
    """A qubit on the equator: <X> = cos x, <Y> = sin x."""
    angle = Parameter("x")
    circuit = QuantumCircuit(1, name="phases")
    circuit.h(0)
    circuit.rz(angle, 0)
    return Probe("phases", circuit, (angle,), (), _letters(1, [("X", [0]), ("Y", [0])]))


@cache
def idle() -> Probe:
    """Three qubits of which the middle one has nothing to do and is not measured."""
    angles = ParameterVector("x", 2)
    circuit = QuantumCircuit(3, name="idle")
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 2)
    return Probe("idle", circuit, tuple(angles), (), _letters(3, [("Z", [0]), ("Z", [2])]))


@cache
def entangled(n_qubits: int) -> Probe:
    """Two qubits as a candidate has them, one where there is no other; three weights."""
    x, w = Parameter("x"), ParameterVector("w", 3)
    circuit = QuantumCircuit(min(n_qubits, 2), name="entangled")
    last = circuit.num_qubits - 1
    circuit.ry(x, 0)
    circuit.rx(w[0], last)
    if last:
        circuit.cx(0, 1)
    circuit.ry(w[1], last)
    circuit.rx(w[2], 0)
    return Probe("entangled", circuit, (x,), tuple(w), _letters(last + 1, [("Z", [last]), ("Y", [0])]))


def _letters(n_qubits: int, terms: Sequence[tuple[str, list[int]]]) -> tuple[SparsePauliOp, ...]:
    return tuple(SparsePauliOp.from_sparse_list([(letter, qubits, 1.0)], n_qubits) for letter, qubits in terms)


def order_fault(values: Values) -> str | None:
    """What is wrong with the <Z> of `turned` in its first two rows, (2, qubits), in words; None where nothing is."""
    wanted = np.cos(turns(values.shape[1])[:2])
    if _near(values, wanted):
        return None
    if np.all(values == 1):
        return "zero for every bit"
    if values.shape[1] > 1 and _near(values[:, ::-1], wanted):
        return "bits in reverse order"
    if _near(-values, wanted):
        return "0 and 1 in each other's place"
    if _near(values[:1], wanted[:1]) or _near(values[1:], wanted[1:]) or _near(values[::-1], wanted):
        return None  # each of them is right somewhere: a matter of parameter sets
    return f"<Z> of the qubits is {_said(values)} in place of {_said(wanted)}"


def sets_fault(values: Values) -> str | None:
    """What is wrong with two parameter sets of `turned`, as in `order_fault`."""
    wanted = np.cos(turns(values.shape[1])[:2])
    if _near(values, wanted) or np.all(values == 1):
        return None
    if _near(values[:1], wanted[:1]) and np.abs(values[1] - values[0]).max() < TOLERANCE:
        return "all parameter sets give the values of the first"
    if _near(values[::-1], wanted) and values.shape[1] > 1:
        return "parameter sets in another order"
    return None if order_fault(values) is not None else "values of one parameter set are wrong"


def value_fault(values: Values, wanted: Values) -> str | None:
    """Whether values that should be -1, 0 or 1 are, up to noise."""
    return None if _near(values, wanted) else f"values are {_said(values)} in place of {_said(wanted)}"


def _near(values: Values, wanted: Values) -> bool:
    return bool(np.abs(values - wanted).max() < TOLERANCE)


def _said(values: Values) -> str:
    return ", ".join(f"{value + 0.0:.2g}" for value in np.round(values, 2).ravel())
