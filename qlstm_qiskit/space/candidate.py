"""A candidate: a parameterised `QuantumCircuit` that says which parameters carry data and which are trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import Program, lower
from qlstm_qiskit.errors import CircuitError

if TYPE_CHECKING:
    import torch
    from qiskit_machine_learning.connectors import TorchConnector
    from qiskit_machine_learning.neural_networks import EstimatorQNN

    from qlstm_qiskit.hardware import Backend


@dataclass(frozen=True, eq=False)
class Candidate:
    """One circuit of a search space.

    Attributes:
        name: A name that reads, such as "H-RY|linear-RX".
        circuit: Unitary circuit on ``|0...0>``; a copy of it is kept.
        inputs: Its data parameters, in the order of the columns of the data (radians).
        weights: Its trained parameters, in the order of the columns of the angles: layer by layer, qubit by qubit.
        measured: Observables of its outputs; by default Pauli Z on qubit 0, 1, 2, ...

    Raises:
        CircuitError: A parameter of the circuit is in neither list or in both, or a listed weight is not in the circuit.
    """

    name: str
    circuit: QuantumCircuit
    inputs: tuple[Parameter, ...]
    weights: tuple[Parameter, ...]
    measured: tuple[SparsePauliOp, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "circuit", self.circuit.copy())  # later changes by the caller must not reach us
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "weights", tuple(self.weights))
        if self.measured is not None:
            object.__setattr__(self, "measured", tuple(self.measured))
        listed = [*self.inputs, *self.weights]
        for parameter in listed:
            if not isinstance(parameter, Parameter):
                raise CircuitError(f"candidate {self.name!r} lists {parameter!r}; list Parameter objects, not names.")
        twice = sorted({parameter.name for parameter in listed if listed.count(parameter) > 1})
        if twice:
            raise CircuitError(f"candidate {self.name!r} lists {_names(twice)} more than once; list each parameter once.")
        stray = sorted(parameter.name for parameter in self.circuit.parameters if parameter not in set(listed))
        if stray:
            raise CircuitError(
                f"candidate {self.name!r} has the parameters {_names(stray)}, which are neither inputs nor weights; "
                f"list each in one of them."
            )
        absent = sorted(p.name for p in self.weights if p not in self.circuit.parameters)
        if absent:
            raise CircuitError(
                f"candidate {self.name!r} lists the weights {_names(absent)}, which its circuit does not use; drop them."
            )

    @property
    def n_qubits(self) -> int:
        return self.circuit.num_qubits

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
        limit = self.n_qubits if self.measured is None else len(self.measured)
        if k is None:
            k = limit
        if not 1 <= k <= limit:
            raise CircuitError(f"candidate {self.name!r} has {limit} outputs; {k} were asked for.")
        if self.measured is not None:
            return list(self.measured[:k])
        return [SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], self.n_qubits) for qubit in range(k)]

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the circuit; arguments as in `QuantumCircuit.draw`."""
        return self.circuit.draw(*args, **kwargs)

    def to_qnn(self, backend: Backend | str = "statevector", *, n_outputs: int | None = None) -> EstimatorQNN:
        """Wrap the circuit as a qiskit-machine-learning `EstimatorQNN` that sends one PUB a pass, with input gradients on.

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


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
