"""A candidate: a parameterised `QuantumCircuit` that says which parameters carry data and which are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import Program, check_parameters, check_weights, lower, measured_circuit
from qlstm_qiskit.errors import CircuitError

if TYPE_CHECKING:
    import torch
    from qiskit_machine_learning.connectors import TorchConnector
    from qiskit_machine_learning.neural_networks import EstimatorQNN

    from qlstm_qiskit.hardware import Backend


@dataclass(frozen=True, eq=False)
class Candidate:
    """One circuit of a search space.

    What is handed out (`circuit`, observables) is a copy: changing it in place changes nothing here.

    Attributes:
        name: A readable name, such as "H-RY|linear-RX".
        circuit: Unitary circuit on ``|0...0>``. Measurements at its end are left out. A transpiled one gets its qubits back in
            the order that they had before, by its layout; qubits that the transpiler has put to use come last.
        inputs: Its data parameters, in the order of the columns of the data (radians).
        weights: Its trained parameters, in the order of the columns of the angles: layer by layer, qubit by qubit.
        measured: Observables of its outputs, or a single one: `SparsePauliOp` or what can be made one (`SparseObservable`,
            `Pauli`, letters), on the qubits of the circuit as it was given (the wires of a transpiled one, as in Qiskit's
            primitives). By default Pauli Z on qubit 0, 1, 2, ... before it was transpiled.

    Raises:
        CircuitError: An instruction is not unitary (it is named); an observable does not fit; a parameter of the circuit is in
            neither list or in both; or a listed weight is not in the circuit.
    """

    name: str
    circuit: QuantumCircuit
    inputs: tuple[Parameter, ...]
    weights: tuple[Parameter, ...]
    measured: tuple[SparsePauliOp, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "weights", tuple(self.weights))
        try:
            found, measured = measured_circuit(vars(self)["circuit"], vars(self)["measured"])
            check_parameters(found.circuit, self.inputs, self.weights)
            check_weights(found.circuit, self.weights)
        except CircuitError as error:
            raise CircuitError(f"candidate {self.name!r}: {error}") from error
        n_qubits = found.circuit.num_qubits
        if measured is None and found.n_outputs < n_qubits:
            measured = tuple(_z(qubit, n_qubits) for qubit in range(found.n_outputs))
        object.__setattr__(self, "circuit", found.circuit)
        object.__setattr__(self, "measured", measured)

    @property
    def n_qubits(self) -> int:
        kept: QuantumCircuit = vars(self)["circuit"]
        return kept.num_qubits

    @cached_property
    def program(self) -> Program:
        """The circuit, lowered once for the exact interpreter."""
        try:
            return lower(self.circuit, self.inputs, self.weights)
        except CircuitError as error:
            raise CircuitError(f"candidate {self.name!r}: {error}") from error

    def observables(self, k: int | None = None) -> list[SparsePauliOp]:
        """The observables of the first `k` outputs (all of them by default); Z on qubit 0, ..., k - 1 unless given.

        Raises:
            CircuitError: The candidate has fewer than `k` outputs.
        """
        measured = self.measured
        limit = self.n_qubits if measured is None else len(measured)
        if k is None:
            k = limit
        if not 1 <= k <= limit:
            raise CircuitError(f"candidate {self.name!r} has {limit} outputs; {k} were asked for.")
        if measured is not None:
            return list(measured[:k])
        return [_z(qubit, self.n_qubits) for qubit in range(k)]

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the circuit; arguments as in `QuantumCircuit.draw`."""
        return self.circuit.draw(*args, **kwargs)

    def to_qnn(self, backend: Backend | str = "statevector", *, n_outputs: int | None = None) -> EstimatorQNN:
        """Wrap the circuit as a qiskit-machine-learning `EstimatorQNN` that sends one PUB per pass, with input gradients on.

        Args:
            backend: A backend or its name (see `load_backend`).
            n_outputs: How many observables to measure; all by default.
        """
        from qlstm_qiskit.hardware import OnePubEstimatorQNN, load_backend

        resolved = load_backend(backend) if isinstance(backend, str) else backend
        return OnePubEstimatorQNN(
            circuit=self.circuit,
            estimator=resolved.estimator(),
            observables=self.observables(n_outputs),
            input_params=self.inputs,
            weight_params=self.weights,
        )

    def to_torch(
        self,
        backend: Backend | str = "statevector",
        *,
        n_outputs: int | None = None,
        initial_weights: torch.Tensor | None = None,
    ) -> TorchConnector:
        """Wrap the circuit as a `TorchConnector` in float64, a torch module of (batch, inputs) -> (batch, outputs).

        Args:
            backend, n_outputs: As in `to_qnn`.
            initial_weights: Angles to start from, shape (weights,); random by default, as in `TorchConnector`.
        """
        from qlstm_qiskit.hardware import DtypeTorchConnector

        return DtypeTorchConnector(self.to_qnn(backend, n_outputs=n_outputs), initial_weights)


def _z(qubit: int, n_qubits: int) -> SparsePauliOp:
    return SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], n_qubits)


class _CopiedField:
    """A field that hands out copies of what it keeps."""

    def __init__(self, name: str, copied: Callable[[Any], Any]) -> None:
        self._name, self._copied = name, copied

    def __get__(self, item: Any, owner: type) -> Any:
        return self if item is None else self._copied(vars(item)[self._name])

    def __set__(self, item: Any, value: Any) -> None:
        vars(item)[self._name] = value


def _copies(observables: tuple[SparsePauliOp, ...] | None) -> tuple[SparsePauliOp, ...] | None:
    return None if observables is None else tuple(item.copy() for item in observables)


for _name, _copied in (("circuit", QuantumCircuit.copy), ("measured", _copies)):
    setattr(Candidate, _name, _CopiedField(_name, _copied))  # not in the class, where they would be defaults of the fields
