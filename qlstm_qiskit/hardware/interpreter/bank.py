"""A bank of candidates on an executor: differentiable by parameter shift, all time steps of a backward pass in one job.

The autograd graph is the tape: each call leaves a node in it, and the first node that a backward pass reaches evaluates the
shifted circuits of all the others before it. Their angles are known by then, so T time steps cost T + 1 jobs.

What is proven dead or equal (`reduction`) is not submitted, and equal parameter sets of one circuit are evaluated once in a
call (`sets`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.circuits import lower_observable, split
from qlstm_qiskit.errors import CircuitError, ShapeError, TrainingError
from qlstm_qiskit.exact import CallShots, FourierSeries, check_bank_parameters
from qlstm_qiskit.hardware.contract.backend import CandidateLike, Pairs
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Prepare, Values
from qlstm_qiskit.hardware.interpreter.modules import last_derivative, require_unwatched
from qlstm_qiskit.hardware.interpreter.reduction import reduced, unreduced
from qlstm_qiskit.hardware.interpreter.sets import ParameterSets, alike, expect, rows_of
from qlstm_qiskit.hardware.interpreter.shifts import AngleMap, Shifts
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend

#: What has only first derivatives.
_WHAT = "circuits that a backend evaluates by jobs"


class PrimitiveBank:
    """Candidates evaluated by an executor; the contract is that of `ExactBank`.

    Derivatives are of first order. By the angles of gates they are parameter shifts, by structural weights exact, and the
    rest is the chain rule in torch.

    Args:
        candidates: All take the same number of inputs.
        n_outputs: Observables read from each; all where None.
        executor: What evaluates the circuits; one call of the bank is one call of it.
        prepare: Makes a circuit ready for the executor: transpiles it for its device, or leaves it as it is.
        pairs: Which gates sum over which candidates, (gates, candidates); all over all where None. Nothing is asked of the
            executor for other pairs; their values are 0.
        reduce: Leave out circuits and shifts of angles that are proven dead, and all but one of equal circuits.

    Raises:
        CircuitError: The candidates disagree in inputs or outputs, or a gate has no shift rule.
    """

    def __init__(
        self,
        candidates: Sequence[CandidateLike],
        n_outputs: int | None,
        executor: Executor,
        prepare: Prepare,
        pairs: Pairs | None = None,
        *,
        reduce: bool = True,
    ) -> None:
        self._pairs = pairs
        self._candidates, self._n_outputs, self.executor = tuple(candidates), n_outputs, executor
        observables = [candidate.observables(n_outputs) for candidate in candidates]
        for name, sizes in (
            ("inputs", {len(candidate.inputs) for candidate in candidates}),
            ("outputs", {len(outputs) for outputs in observables}),
        ):
            if len(sizes) != 1:
                raise CircuitError(f"all candidates of a bank need the same number of {name}; got {sorted(sizes)}.")
        self.n_inputs = len(candidates[0].inputs)
        self.n_outputs = len(observables[0])
        self.n_weights = tuple(len(candidate.weights) for candidate in candidates)
        # One parameter per gate, because a shift rule holds for a gate and not for an angle that several gates share; how the
        # angles of gates follow from inputs and weights is left to torch (`AngleMap`).
        splits = [split(item.circuit, item.inputs, item.weights) for item in candidates]
        if reduce:
            terms = [
                [lower_observable(observable, candidate.circuit.num_qubits) for observable in outputs]
                for candidate, outputs in zip(candidates, observables, strict=True)
            ]
            self._evaluations = reduced(candidates, splits, terms)
        else:
            self._evaluations = unreduced(splits)
        items = [evaluation.item for evaluation in self._evaluations]
        self._angles = AngleMap(items, self.n_inputs, self.n_weights)
        self._shifts = [Shifts(item) for item in items]
        self._columns = self._angles.columns
        # Only what runs is transpiled.
        self._circuits: dict[int, ISACircuit] = {
            index: prepare(candidates[index].name, splits[index].circuit, splits[index].parameters, observables[index])
            for index, evaluation in enumerate(self._evaluations)
            if evaluation.source == index
        }

    def __deepcopy__(self, memo: dict[int, Any]) -> PrimitiveBank:
        return self  # it has no state of its own, and copies of a model share the executor: its seeds, budget and record

    @property
    def n_candidates(self) -> int:
        return len(self._evaluations)

    @property
    def circuits(self) -> tuple[ISACircuit, ...]:
        """What the executor runs, by candidate; those that are zero or equal to another one are not among them."""
        return tuple(self._circuits.values())

    def bind(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
        shots: NDArray[np.int64] | None = None,
    ) -> BoundPrimitives:
        """Fix angles and structural weights; arguments and errors as in `SampledBank.bind`.

        Shifted circuits of a backward pass have the executor's own shots.
        """
        check_bank_parameters(self.n_weights, weights, mixing)
        pairs = np.ones((len(weights), self.n_candidates), dtype=np.bool_) if self._pairs is None else self._pairs
        own = pairs if self._pairs is None or gates is None else pairs[list(gates)]
        return BoundPrimitives(self, weights, mixing, own, CallShots(shots))

    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str:
        return "primitives"

    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries:
        """As `ExactBank.fourier`, from the circuits alone."""
        return StatevectorBackend().bank(self._candidates, self._n_outputs).fourier(weights, mixing)

    def _evaluate(self, angles: Tensor, pairs: Pairs, shots: NDArray[np.int64] | None) -> Tensor:
        """Expectation values (gates, candidates, batch, outputs) at angles of gates (gates, batch, all of them): one job."""
        values = _finite(angles)
        gates, batch, _ = values.shape
        owners = [
            (index, own, number) for index, column in enumerate(pairs.T) for own, number in alike(np.flatnonzero(column), shots)
        ]
        asked = [self.sets(index, rows_of(values[own], self._columns[index]), number) for index, own, number in owners]
        results = np.zeros((gates, self.n_candidates, batch, self.n_outputs))
        for (index, own, _), found in zip(owners, expect(self.executor, asked), strict=True):
            results[own, index] = found.reshape(len(own), batch, self.n_outputs)
        return torch.from_numpy(results)

    def sets(self, index: int, rows: Values, shots: int | None = None) -> ParameterSets:
        """A candidate at parameter sets (sets, angles of its own)."""
        source, sign = self._evaluations[index].source, self._evaluations[index].sign
        return ParameterSets(None if source is None else self._circuits[source], sign, self.n_outputs, rows, shots)


class BoundPrimitives:
    """A bank with fixed angles and structural weights; a call with the inputs of one time step is one job."""

    is_native = False

    def __init__(self, bank: PrimitiveBank, weights: Tensor, mixing: Tensor | None, pairs: Pairs, shots: CallShots) -> None:
        self._bank, self._weights, self._mixing, self._pairs, self._shots = bank, weights, mixing, pairs, shots

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        """Mixed outputs ``sum_j w_j f_j(inputs)``, (batch, gates, outputs); `inputs` is (batch, n_inputs), in radians.

        Args:
            inputs: Data angles.
            constant: The number of leading columns that get no gradient, which saves their shifts.
        """
        values = self._expectations(inputs, constant, self._shots.take())
        if self._mixing is None:
            return values[:, 0].transpose(0, 1)
        return torch.einsum("gcbk,gc->bgk", values, self._mixing)

    def candidates(self, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate before mixing, (batch, gates, candidates, outputs)."""
        return self._expectations(inputs, 0, self._shots.here()).permute(2, 0, 1, 3)

    def _expectations(self, inputs: Tensor, constant: int, shots: NDArray[np.int64] | None) -> Tensor:
        require_unwatched(_WHAT)
        bank, weights = self._bank, self._weights
        if inputs.dim() != 2 or inputs.shape[1] != bank.n_inputs:
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (batch, {bank.n_inputs}).")
        angles = bank._angles(inputs, weights[:, None]).to("cpu", torch.float64)
        if not len(inputs):  # no job; the sum keeps the result in the graph, so that gradients are zero and not missing
            values = angles.new_zeros(len(weights), bank.n_candidates, 0, bank.n_outputs) + 0 * angles.sum()
        else:
            wanted = bank._angles.wanted(
                weights=weights.requires_grad, inputs=range(constant if inputs.requires_grad else bank.n_inputs, bank.n_inputs)
            )
            values = _Expectation.apply(angles, bank, wanted, self._pairs, shots)  # type: ignore[no-untyped-call]
        return values.to(weights.device, weights.dtype)


class _Expectation(torch.autograd.Function):
    """Expectation values of a bank; see the module's docstring for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        angles: Tensor,
        bank: PrimitiveBank,
        wanted: NDArray[np.bool_],
        pairs: Pairs,
        shots: NDArray[np.int64] | None,
    ) -> Tensor:
        ctx.bank, ctx.wanted, ctx.pairs, ctx.jacobian = bank, wanted, pairs, None
        ctx.save_for_backward(angles)
        return bank._evaluate(angles, pairs, shots)

    @staticmethod
    def backward(ctx: Any, by_values: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.jacobian is None:  # the Jacobian stays with the node: a second pass over a retained graph costs no job
            _differentiate(_unresolved(ctx))
        with torch.no_grad():
            parts = [torch.einsum("gbk,gbkp->gbp", by, own) for by, own in zip(by_values.unbind(1), ctx.jacobian, strict=True)]
            by_angles = torch.cat(parts, dim=-1)
        # Saved tensors are asked for only then: checkpointing gives them once.
        depends_on = (by_values, *ctx.saved_tensors) if torch.is_grad_enabled() else ()
        return last_derivative(_WHAT, (by_angles,), depends_on)[0], None, None, None, None


def _unresolved(node: Any) -> list[Any]:
    """The nodes of this kind whose Jacobian is not known yet: this one, and all before it in the autograd graph."""
    # A backward pass goes from the loss to the inputs, so what lies before a node is what the pass will ask for next: earlier
    # time steps and lower layers. The angles of all of them are known since the forward pass.
    found, seen, stack = [], {node}, [node]
    while stack:
        item = stack.pop()
        if isinstance(item, _NODE) and item.jacobian is None:
            found.append(item)
        for before, _ in item.next_functions:
            if before is not None and before not in seen:
                seen.add(before)
                stack.append(before)
    return found


#: What autograd calls the nodes that `_Expectation` leaves in its graph.
_NODE: Any = _Expectation._backward_cls


@dataclass(eq=False)
class _Tape:
    """What one node asks for, and its Jacobians as they come in: one for each candidate, (gates, batch, outputs, angles)."""

    node: Any
    shape: tuple[int, int]
    sets: list[Values]
    jacobian: list[Tensor]

    @classmethod
    def of(cls, node: Any) -> _Tape:
        (angles,) = node.saved_tensors
        gates, batch, _ = angles.shape
        values, sets = angles.detach().numpy(), []
        for index, (columns, shifts) in enumerate(zip(node.bank._columns, node.bank._shifts, strict=True)):
            rows = rows_of(values[np.flatnonzero(node.pairs[:, index])], columns)
            sets.append(shifts.sets(rows, node.wanted[columns]))
        return cls(node, (gates, batch), sets, [])

    def take(self, values: Values) -> None:
        """Store what the sets of the next candidate gave."""
        bank, index = self.node.bank, len(self.jacobian)
        own, (gates, batch) = np.flatnonzero(self.node.pairs[:, index]), self.shape
        found = bank._shifts[index].jacobian(values, len(own) * batch, self.node.wanted[bank._columns[index]])
        jacobian = np.zeros((gates, batch, *found.shape[1:]))
        jacobian[own] = found.reshape(len(own), batch, *found.shape[1:])
        self.jacobian.append(torch.from_numpy(jacobian))


def _differentiate(nodes: Sequence[Any]) -> None:
    """Evaluate the Jacobians of these nodes, with one call of each executor that they use."""
    work: dict[Executor, list[_Tape]] = {}
    for node in nodes:
        work.setdefault(node.bank.executor, []).append(_Tape.of(node))
    for executor, tapes in work.items():
        banks = dict.fromkeys(tape.node.bank for tape in tapes)
        of = {bank: [tape for tape in tapes if tape.node.bank is bank] for bank in banks}
        places = [(bank, index) for bank in banks for index in range(bank.n_candidates)]
        asked = [bank.sets(index, np.concatenate([tape.sets[index] for tape in of[bank]])) for bank, index in places]
        for (bank, index), values in zip(places, expect(executor, asked), strict=True):
            ends = np.cumsum([len(tape.sets[index]) for tape in of[bank]])
            for tape, own in zip(of[bank], np.split(values, ends[:-1]), strict=True):
                tape.take(own)
        for tape in tapes:  # all of them or, after an error, none
            tape.node.jacobian = tape.jacobian


def _finite(angles: Tensor) -> Values:
    values: Values = angles.detach().numpy()
    if not np.isfinite(values).all():
        raise TrainingError("an angle of a circuit is not a finite number; lower the learning rate or scale the data.")
    return values
