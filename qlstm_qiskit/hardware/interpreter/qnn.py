"""`EstimatorQNN` with one PUB for all observables, samples and shifts, and a `TorchConnector` that keeps the dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BaseEstimatorV2
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import EstimatorQNN
from torch import Tensor, nn

from qlstm_qiskit.circuits import ObservableLike, check_weights, measured_circuit, split
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Values
from qlstm_qiskit.hardware.interpreter.modules import Circuits, last_derivative, require_unwatched, whole
from qlstm_qiskit.hardware.interpreter.pubs import nonzero
from qlstm_qiskit.hardware.interpreter.shifts import AngleMap, Shifts


class OnePubEstimatorQNN(EstimatorQNN):
    """An `EstimatorQNN` that sends one PUB where the stock one sends a PUB for each observable, sample and shift.

    Values and gradients are the same, in float64, and both passes ask for the same precision. Gradients by inputs are on. An
    input that the circuit does not use is allowed; its gradient is zero.

    Circuits mean what they mean in candidates: measurements at the end are left out, and those of a transpiled one are read
    where its layout says.

    Args:
        circuit: A circuit on ``|0...0>``, as for `EstimatorQNN`.
        estimator: Any V2 estimator.
        observables: One for each output, or a single one, on the qubits of the circuit as it is (the wires of a transpiled
            one, as in Qiskit's primitives: ``observable.apply_layout(circuit.layout)``). Z on all qubits where None: those of
            the circuit before it was transpiled.
        gradient: Only None; the shifts are part of the one PUB.
        input_params, weight_params: Parameters, in the order of the columns of the data and of the weights.
        default_precision: Standard error to ask of the estimator, in both passes; its own default where None.
        input_gradients: Whether `backward` computes gradients by the inputs.
        pass_manager: Transpiles the circuit, once; the observables follow its layout.

    Raises:
        OptionError: A gradient is given.
        CircuitError: The circuit is not unitary, an observable does not fit it, or parameters are listed twice or are missing.
    """

    def __init__(
        self,
        *,
        circuit: QuantumCircuit,
        estimator: BaseEstimatorV2,
        observables: Sequence[ObservableLike] | ObservableLike | None = None,
        input_params: Sequence[Parameter] | None = None,
        weight_params: Sequence[Parameter] | None = None,
        gradient: None = None,
        default_precision: float | None = None,
        input_gradients: bool = True,
        pass_manager: Any = None,
    ) -> None:
        if gradient is not None:
            raise OptionError(f"{type(self).__name__} has parameter shift of its own; leave out gradient, or use EstimatorQNN.")
        given, operators = measured_circuit(circuit, observables)
        if operators is None:
            operators = (SparsePauliOp("I" * (given.circuit.num_qubits - given.n_outputs) + "Z" * given.n_outputs),)
        input_params, weight_params = list(input_params or ()), list(weight_params or ())
        item = split(given.circuit, input_params, weight_params)
        check_weights(given.circuit, weight_params)
        self._angles = AngleMap([item], len(input_params), [len(weight_params)])
        self._shifts = Shifts(item)
        super().__init__(
            circuit=_with_all(given.circuit, input_params),
            estimator=estimator,
            observables=list(operators),
            input_params=list(input_params),
            weight_params=list(weight_params),
            input_gradients=input_gradients,
            default_precision=default_precision,
        )
        split_circuit = item.circuit if pass_manager is None else pass_manager.run(item.circuit)
        laid_out = [observable.apply_layout(split_circuit.layout) for observable in operators]
        self._isa = ISACircuit(circuit.name, split_circuit, item.parameters, tuple(laid_out))
        taken, self._factors = nonzero(laid_out)
        self._column = ObservablesArray([[observable] for observable in taken])  # against bindings (1, sets)

    def _forward(self, input_data: Values | None, weights: Values | None) -> Values:
        return self._evaluate(self._angles_of(input_data, weights)[2].detach().numpy())

    def _backward(self, input_data: Values | None, weights: Values | None) -> tuple[Values | None, Values]:
        x, w, angles = self._angles_of(input_data, weights)
        wanted = self._angles.wanted(weights=True, inputs=range(self._num_inputs if self._input_gradients else 0))
        values = self._evaluate(self._shifts.sets(angles.detach().numpy(), wanted))
        jacobian = torch.from_numpy(self._shifts.jacobian(values, len(angles), wanted))
        by_x, by_w = [torch.zeros_like(x)] * self.output_shape[0], [torch.zeros_like(w)] * self.output_shape[0]
        if angles.requires_grad:
            for output, by_angle in enumerate(jacobian.unbind(1)):
                by_x[output], by_w[output] = torch.autograd.grad(
                    angles, (x, w), by_angle, retain_graph=True, allow_unused=True, materialize_grads=True
                )
        by_inputs = torch.stack(by_x, dim=1).numpy() if self._input_gradients else None
        return by_inputs, torch.stack(by_w, dim=1).numpy()

    def _angles_of(self, input_data: Values | None, weights: Values | None) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs (n, inputs), weights for each sample (n, weights) and the angles of the gates (n, angles)."""
        n = 1 if input_data is None else len(input_data)
        own = np.zeros(0) if weights is None else np.asarray(weights, dtype=np.float64)
        x = torch.tensor(np.zeros((n, 0)) if input_data is None else input_data, dtype=torch.float64, requires_grad=True)
        w = torch.tensor(own, dtype=torch.float64).expand(n, -1).clone().requires_grad_()
        with torch.enable_grad():
            angles = self._angles(x, w)
        return x, w, angles

    def _evaluate(self, sets: Values) -> Values:
        """Expectation values (sets, observables) in one PUB."""
        if not len(sets):
            return np.zeros((0, *self.output_shape))
        observables = self._column
        values = self._isa.order(sets)[None]
        pub = (self._isa.circuit, observables, values) if values.size else (self._isa.circuit, observables)
        job = self.estimator.run([pub], precision=self._default_precision)
        result = np.asarray(job.result()[0].data.evs)
        values = np.broadcast_to(result, (*self.output_shape, len(sets))).T.astype(np.float64)
        return values if self._factors.all() else values * self._factors


def _with_all(circuit: QuantumCircuit, inputs: Sequence[Parameter]) -> QuantumCircuit:
    """The circuit with its unused inputs, as `EstimatorQNN` wants it: a rotation about Z does nothing to |0...0>."""
    unused = [parameter for parameter in inputs if parameter not in circuit.parameters]
    if not unused:
        return circuit
    start = circuit.copy_empty_like()
    start.global_phase = 0
    for parameter in unused:
        start.rz(parameter, 0)
    return start.compose(circuit)


#: What has only first derivatives.
_WHAT = "a connected network"


class DtypeTorchConnector(Circuits, TorchConnector):
    """A `TorchConnector` that computes in the dtype of its weights; the stock one rounds to float32.

    Args:
        neural_network: Any qiskit-machine-learning network with dense output.
        initial_weights: Weights to start from, (weights,); uniform in [-1, 1] where None.
        dtype: Of the weights.
    """

    def __init__(self, neural_network: Any, initial_weights: Any = None, *, dtype: torch.dtype = torch.float64) -> None:
        nn.Module.__init__(self)  # the stock one would register its float32 weights under two names
        self._neural_network, self._sparse = neural_network, False
        if initial_weights is None:
            start = torch.empty(neural_network.num_weights, dtype=dtype).uniform_(-1, 1)
        else:
            start = torch.as_tensor(initial_weights).detach().to(dtype).clone()
        self.register_parameter("weight", nn.Parameter(start))

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__("weight" if name == "_weights" else name)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        state_dict.pop(f"{prefix}_weights", None)  # what a stock connector saves beside `weight`
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @whole
    def forward(self, input_data: Tensor | None = None) -> Tensor:
        """Inputs (..., inputs) to outputs (..., outputs)."""
        require_unwatched(_WHAT)
        inputs = self.weight.new_zeros(0) if input_data is None else input_data
        result: Tensor = _Network.apply(inputs, self.weight, self.neural_network)  # type: ignore[no-untyped-call]
        return result


class _Network(torch.autograd.Function):
    """A network's values and gradients, in the dtype of the weights."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, network: Any) -> Tensor:
        ctx.network, ctx.shape = network, inputs.shape
        ctx.save_for_backward(inputs, weights)
        values = network.forward(_rows(inputs), weights.detach().cpu().numpy())
        return torch.as_tensor(values).reshape(*inputs.shape[:-1], *network.output_shape).to(weights)

    @staticmethod
    def backward(ctx: Any, by_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weights = ctx.saved_tensors
        by_inputs, by_weights = ctx.network.backward(_rows(inputs), weights.detach().cpu().numpy())
        with torch.no_grad(), torch.autocast(weights.device.type, enabled=False):
            rows = by_outputs.reshape(-1, *ctx.network.output_shape).flatten(1)

            def product(jacobian: Values | None, size: int) -> Tensor | None:
                if jacobian is None:
                    return None
                return torch.einsum("bo,boi->bi", rows, torch.as_tensor(jacobian).to(rows).reshape(*rows.shape, size))

            by_x, by_w = product(by_inputs, inputs.shape[-1]), product(by_weights, len(weights))
            results = (
                None if by_x is None else by_x.reshape(inputs.shape).to(inputs),
                None if by_w is None else by_w.sum(0).to(weights),
            )
        return (*last_derivative(_WHAT, results, (by_outputs, inputs, weights)), None)


def _rows(inputs: Tensor) -> Values:
    values: Values = inputs.detach().cpu().numpy()
    return values.reshape(-1, values.shape[-1])
