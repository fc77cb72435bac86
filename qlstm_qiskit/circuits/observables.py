"""The meaning of a user's observable, settled once: a Hermitian sum of Pauli strings on the qubits of its circuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression
from qiskit.exceptions import QiskitError
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp

from qlstm_qiskit.circuits.checked import Checked, checked
from qlstm_qiskit.errors import CircuitError

#: What is taken for an observable; see `checked_observable`.
ObservableLike: TypeAlias = SparsePauliOp | SparseObservable | Pauli | str | Mapping[str, float]

#: Imaginary parts below it, relative to the real part where that is larger than 1, are rounding errors.
_IMAGINARY = 1e-12

#: Projectors in one term of an observable; each doubles the Pauli strings that it is written in.
_MOST_PROJECTORS = 16


def checked_observable(given: Any, n_qubits: int) -> SparsePauliOp:
    """One observable as a new `SparsePauliOp` with real coefficients.

    Args:
        given: A `SparsePauliOp`, `SparseObservable` (its projectors are written out), `Pauli` or its letters, or a mapping of
            letters to coefficients; qubit 0 is the last letter. A sum without terms is 0.
        n_qubits: Of the circuit.

    Raises:
        CircuitError: It is something else, acts on another number of qubits, or has a coefficient that is not a real, finite
            number.
    """
    operator = _as_sum(given)
    if operator.num_qubits != n_qubits:
        raise CircuitError(f"an observable acts on {operator.num_qubits} qubits, its circuit on {n_qubits}.")
    if not len(operator):
        return SparsePauliOp("I" * n_qubits, [0.0])
    if operator.coeffs.dtype == object:
        operator = SparsePauliOp(operator.paulis, np.array([_number(value) for value in operator.coeffs]))
    if not np.isfinite(operator.coeffs).all():
        raise CircuitError(f"the observable {operator.to_list()[0][0]}, ... has a coefficient that is not a finite number.")
    if not operator.coeffs.imag.any():
        return operator
    operator = operator.simplify()
    for pauli, number in operator.to_list():
        if abs(number.imag) > _IMAGINARY * max(1.0, abs(number.real)):
            raise CircuitError(f"the observable has the coefficient {number} at {pauli}; only real ones are Hermitian.")
    return SparsePauliOp(operator.paulis, operator.coeffs.real)


def checked_observables(given: Any, n_qubits: int) -> tuple[SparsePauliOp, ...]:
    """Observables of the outputs of a circuit; a single one, a sum too, is one output.

    Args:
        given: One observable, or a list of them, in any form that `checked_observable` takes.
        n_qubits: Of the circuit.

    Raises:
        CircuitError: As `checked_observable`, or there is none.
    """
    found = observable_array(given, n_qubits)
    if found.ndim > 1:
        raise CircuitError("observables is a list of lists; give one list, with an observable for each output.")
    return tuple(found.ravel())


def observable_array(given: Any, n_qubits: int) -> NDArray[Any]:
    """An array of observables, nested lists of them or a single one, as an array of `SparsePauliOp`; errors as there.

    Args:
        given: In any form that `checked_observable` takes.
        n_qubits: Of the circuit.
    """
    leaves = _leaves(given)
    return filled([checked_observable(item, n_qubits) for item in leaves.ravel()], leaves.shape)


def filled(items: Sequence[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of objects, which numpy does not look into."""
    result = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        result[index] = item
    return result.reshape(shape)


def measured_circuit(circuit: QuantumCircuit, observables: Any = None) -> tuple[Checked, tuple[SparsePauliOp, ...] | None]:
    """A user's circuit, checked, and its observables on the qubits that it has then; None for those stays None.

    Args:
        circuit: Of a user.
        observables: As in `checked_observables`, on the qubits of the circuit as it is.

    Raises:
        CircuitError: As `checked` and `checked_observables`.
    """
    if observables is None:
        return checked(circuit), None
    n_qubits = getattr(circuit, "num_qubits", 0)  # `checked` refuses what is not a circuit
    given = checked_observables(observables, n_qubits) if n_qubits else ()
    found = checked(circuit, support(given))
    return found, tuple(rewired(item, found.wires, found.circuit.num_qubits) for item in given)


def support(observables: Sequence[SparsePauliOp]) -> set[int]:
    """The qubits that observables act on.

    Args:
        observables: All on equally many qubits.
    """
    return {int(qubit) for item in observables for qubit in np.flatnonzero((item.paulis.x | item.paulis.z).any(axis=0))}


def rewired(observable: SparsePauliOp, wires: Sequence[int | None], n_qubits: int) -> SparsePauliOp:
    """The observable with qubit q as ``wires[q]`` of `n_qubits`; it acts on none that is None there.

    Args:
        observable: On ``len(wires)`` qubits.
        wires: For each of them its new place; None where it is dropped.
        n_qubits: Of the result.
    """
    if list(wires) == list(range(n_qubits)):
        return observable
    order = np.array([-1 if wire is None else wire for wire in wires])
    kept = order >= 0
    x, z = (np.zeros((len(observable), n_qubits), dtype=bool) for _ in range(2))
    x[:, order[kept]], z[:, order[kept]] = observable.paulis.x[:, kept], observable.paulis.z[:, kept]
    return SparsePauliOp(PauliList.from_symplectic(z, x), observable.coeffs)


def _leaves(given: Any) -> NDArray[Any]:
    if isinstance(given, ObservablesArray):
        return filled([given[index] for index in np.ndindex(given.shape)], given.shape)
    if isinstance(given, str | Mapping | SparsePauliOp) or not isinstance(given, Sequence | np.ndarray | PauliList):
        return filled([given], ())
    parts = [_leaves(item) for item in given]
    if not parts:
        raise CircuitError("the list of observables is empty; give at least one.")
    if len({part.shape for part in parts}) != 1:
        raise CircuitError("the observables are lists of different lengths; give an array of observables.")
    return np.stack(parts)


def _number(value: Any) -> complex:
    if isinstance(value, ParameterExpression):
        if value.parameters:
            raise CircuitError(f"the observable has the coefficient {value}, which is not a number; bind its parameters.")
        value = value.numeric()
    try:
        return complex(value)
    except (TypeError, ValueError):
        raise CircuitError(f"the observable has the coefficient {value!r}, which is not a number.") from None


def _as_sum(given: Any) -> SparsePauliOp:
    try:
        if isinstance(given, SparsePauliOp):
            return given.copy()
        if isinstance(given, str | Pauli):
            return SparsePauliOp(given)
        if isinstance(given, Mapping):
            return _as_sum(SparseObservable.from_list(list(given.items())))
        if isinstance(given, SparseObservable):
            return _written_out(given)
    except (QiskitError, ValueError, TypeError) as error:
        reason = " ".join(str(getattr(error, "message", error)).split())
        raise CircuitError(f"the observable {given!r} cannot be read ({reason}); give SparsePauliOp objects.") from error
    raise CircuitError(f"an observable is a {type(given).__name__}; give SparsePauliOp objects.")


def _written_out(given: SparseObservable) -> SparsePauliOp:
    for term in given:
        projectors = sum(int(letter) > 3 for letter in term.bit_terms)  # 1 to 3 are Z, X, Y
        if projectors > _MOST_PROJECTORS:
            raise CircuitError(
                f"a term of an observable has {projectors} projectors; at most {_MOST_PROJECTORS} can be written out."
            )
    return SparsePauliOp.from_sparse_observable(given.as_paulis())
