"""PUBs of a V2 estimator as users give them, checked: circuits and observables mean the same as in candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.exceptions import QiskitError
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import checked, rewired, support
from qlstm_qiskit.circuits.gates import library_name
from qlstm_qiskit.circuits.observables import filled, observable_array
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.hardware.contract.executor import circuit_bytes

#: Circuits whose check is remembered.
_MOST_KNOWN = 256

#: Letters of terms that are Pauli strings.
_LETTERS = frozenset("IXYZ")


@dataclass(frozen=True, eq=False)
class CheckedPub:
    """A PUB whose circuit and observables were checked.

    Attributes:
        pub: With a unitary circuit without a layout, and Pauli strings on its qubits.
        factors: What its values are to be multiplied by, in the shape of its observables: 0 where an observable is 0, which
            Qiskit does not take and for which 1 stands, else 1.
        content: What the circuit does, as bytes.
    """

    pub: EstimatorPub
    factors: NDArray[np.float64]
    content: bytes


class PubReader:
    """Checks PUBs; a circuit that comes again unchanged is not looked through again."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def read(self, given: Any, precision: float | None = None) -> CheckedPub:
        """Check a PUB.

        Args:
            given: Whatever a V2 estimator takes. Observables act on the qubits of the circuit as it is: those of a transpiled
                circuit on its wires, as in Qiskit's primitives (``observable.apply_layout(circuit.layout)``).
            precision: For a PUB that asks for none.

        Raises:
            CircuitError: The circuit, an observable or the parameter values cannot be used.
        """
        circuit, observables, *rest = _fields(given)
        if not isinstance(circuit, QuantumCircuit):
            raise CircuitError(f"the circuit of a PUB is a {type(circuit).__name__}; give QuantumCircuit objects.")
        operators = None if _is_ready(observables, circuit.num_qubits) else observable_array(observables, circuit.num_qubits)
        known = self._known.get(id(circuit))
        if known is None or not known.is_unchanged():
            if operators is None and circuit.layout is not None:
                operators = observable_array(observables, circuit.num_qubits)
            known = self._check(circuit, set() if operators is None else support(operators.ravel().tolist()))
        if known.wires != tuple(range(circuit.num_qubits)):
            operators = observable_array(observables, circuit.num_qubits) if operators is None else operators
            moved = [rewired(item, known.wires, known.circuit.num_qubits) for item in operators.ravel()]
            operators = filled(moved, operators.shape)
        factors = np.ones(np.shape(observables) if operators is None else operators.shape)
        if operators is not None:
            taken, flat = nonzero(operators.ravel().tolist())
            factors = flat.reshape(operators.shape)
            observables = ObservablesArray(filled(taken, operators.shape).tolist())
        try:
            pub = EstimatorPub.coerce((known.circuit, observables, *rest), precision)
        except (QiskitError, ValueError, TypeError) as error:
            raise CircuitError(f"a PUB of the circuit {circuit.name!r} cannot be used: {error}") from error
        return CheckedPub(pub, factors, known.content)

    def _check(self, circuit: QuantumCircuit, read: set[int]) -> _Known:
        self._known.pop(id(circuit), None)
        own = checked(circuit, read)
        known = _Known(circuit, own.circuit, own.wires, circuit_bytes(own.circuit))
        plain = circuit.layout is None and not circuit.num_clbits
        if plain and all(library_name(item.operation) for item in circuit.data):  # nothing in them can be changed in place
            while len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[id(circuit)] = known
        return known


@dataclass(frozen=True, eq=False)
class _Known:
    """A circuit as it was given, which is kept so that its id stays its own, and what was made of it."""

    given: QuantumCircuit
    circuit: QuantumCircuit
    wires: tuple[int | None, ...]
    content: bytes

    def is_unchanged(self) -> bool:
        """Whether the circuit has not been changed in place since."""
        given, before = self.given, self.circuit
        return (
            given.layout is None
            and given.num_clbits == 0
            and given.num_qubits == before.num_qubits
            and bool(given.global_phase == before.global_phase)
            and bool(given.data == before.data)
        )


def nonzero(observables: Sequence[SparsePauliOp]) -> tuple[list[SparsePauliOp], NDArray[np.float64]]:
    """Observables that Qiskit's estimators take, and factors of their values: they refuse 0, which becomes 0 times 1."""
    factors = np.array([float(np.any(item.simplify().coeffs)) for item in observables])
    taken = [
        item if factor else SparsePauliOp("I" * item.num_qubits) for item, factor in zip(observables, factors, strict=True)
    ]
    return taken, factors


def _fields(pub: Any) -> tuple[Any, ...]:
    if isinstance(pub, EstimatorPub):
        return pub.circuit, pub.observables, pub.parameter_values, pub.precision
    if not isinstance(pub, tuple | list) or not 2 <= len(pub) <= 4:
        what = f"a {type(pub).__name__} of {len(pub)}" if isinstance(pub, tuple | list) else f"a {type(pub).__name__}"
        raise CircuitError(f"a PUB is {what}; give (circuit, observables), then parameter values and a precision if needed.")
    return tuple(pub)


def _is_ready(observables: Any, n_qubits: int) -> bool:
    """Whether these are Pauli strings on this many qubits that Qiskit has checked."""
    if not isinstance(observables, ObservablesArray):
        return False
    letters = [text for index in np.ndindex(observables.shape) for text in observables[index]]
    return all(len(text) == n_qubits and _LETTERS.issuperset(text) for text in letters)
