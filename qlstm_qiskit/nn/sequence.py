"""A cell over a whole sequence as one node of torch's graph, where nothing needs to see its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qlstm_qiskit.exact import BoundBank, Filled, arrays, even_sigmoid, gradients, is_watched
from qlstm_qiskit.nn.calls import does_more
from qlstm_qiskit.nn.cell import INPUT_MAPS, STEP_METHODS, RecurrentCell, Stages, States
from qlstm_qiskit.nn.lengths import over_lengths
from qlstm_qiskit.nn.passes import PASSES, Given, PassPlan
from qlstm_qiskit.nn.update import gru_update, lstm_plain


def over_time(
    cell: RecurrentCell, bound: Stages, sequence: Tensor, first: States, sizes: tuple[int, ...] | None, *, backwards: bool
) -> tuple[Tensor, States]:
    """One cell over a sequence.

    It is one operation unless a step is more than its update equations, or has to be seen: hooks, a tracer or transform of
    torch, a cell that is not one of this package's, circuits that are not all in one dense multilinear form on the data angles
    as they are.

    Args:
        cell: The cell.
        bound: Its circuits.
        sequence: (time, batch, features), or (rows, features) with `sizes`.
        first: States to start from, each (batch, hidden).
        sizes: How many sequences have each time step, the longest first, if their lengths differ.
        backwards: Whether time runs backwards.

    Returns:
        The hidden states of all steps, (time, batch, hidden) or (rows, hidden), and the states after the last step.
    """
    stages = _stages(cell, bound)
    if stages is not None and sequence.numel() and not is_watched():
        return _over_whole(cell, stages, sequence, first, sizes, backwards)
    advance = cell.stepper(bound)
    if sizes is not None:
        return over_lengths(advance, sequence, sizes, first, backwards=backwards)
    state, found = first, []
    for step in sequence.flip(0) if backwards else sequence:
        state = advance(step, state)
        found.append(state[0])
    return torch.stack(found[::-1] if backwards else found), state


def _over_whole(
    cell: RecurrentCell,
    stages: tuple[Filled, ...],
    sequence: Tensor,
    first: States,
    sizes: tuple[int, ...] | None,
    backwards: bool,
) -> tuple[Tensor, States]:
    layers: tuple[Tensor, ...] = ()
    if cell.to_angles is not None and cell.from_outputs is not None:
        layers = (cell.to_angles.weight, cell.to_angles.bias, cell.from_outputs.weight, cell.from_outputs.bias)
    counts = (sequence.shape[1],) * sequence.shape[0] if sizes is None else sizes
    plan = PassPlan(vars(type(cell))["recurrence"], stages, counts, backwards, cell.input_map)
    given = Given(sequence, first, tuple(stage.matrix for stage in stages), layers)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given.flat):
        outputs, *after = _Whole.apply(plan, *given.flat)  # type: ignore[no-untyped-call]
    else:
        outputs, *after = PASSES[plan.recurrence](plan, given, keep=False).forward()
    return outputs, tuple(after)


def _stages(cell: RecurrentCell, bound: Stages) -> tuple[Filled, ...] | None:
    """The forms of a step's stages, if calling the cell is nothing but its update equations around them."""
    kind = type(cell)
    if vars(kind).get("recurrence") is None or vars(cell).keys() & STEP_METHODS or does_more(cell, kind):
        return None
    if getattr(cell, "sigmoid", None) not in (getattr(kind, "sigmoid", None), even_sigmoid):
        return None
    for layer in (cell.to_angles, cell.from_outputs):
        known = type(layer) is nn.Linear or vars(type(layer)).get("is_linear", False)
        if layer is not None and not (known and layer.bias is not None and not does_more(layer, type(layer))):
            return None
    stages = []
    for gates, stage in zip(cell.stages, bound, strict=True):
        if type(stage) is not BoundBank or (whole := stage.whole) is None or not _fits(cell, len(gates), stage.n_inputs, whole):
            return None
        stages.append(whole)
    return tuple(stages)


def _fits(cell: RecurrentCell, n_gates: int, n_inputs: int, stage: Filled) -> bool:
    """Whether a form and the linear layers around it have the sizes and the dtype that the native loops take for granted."""
    width, dtype = cell.input_size + cell.hidden_size, stage.matrix.dtype
    before, behind, outputs = cell.to_angles, cell.from_outputs, stage.form.n_outputs
    if stage.n_gates != n_gates or (before is None) != (behind is None):
        return False
    if before is None or behind is None:
        return (n_inputs, outputs) == (width, cell.hidden_size)
    sizes = (before.weight.shape[-2:], behind.weight.shape[-2:]) == ((n_inputs, width), (cell.hidden_size, outputs))
    return sizes and {before.weight.dtype, before.bias.dtype, behind.weight.dtype, behind.bias.dtype} == {dtype}


class _Whole(torch.autograd.Function):
    """From inputs, states, matrices and linear layers to the hidden states of all steps and the final states."""

    @staticmethod
    def forward(ctx: Any, plan: PassPlan, *flat: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*flat)  # for higher orders; and autograd then notices changes in place
        ctx.plan, ctx.whole = plan, PASSES[plan.recurrence](plan, _given(plan, flat), keep=True)
        result: tuple[Tensor, ...] = ctx.whole.forward()
        return result

    @staticmethod
    def backward(ctx: Any, *by_outputs: Tensor) -> tuple[Tensor | None, ...]:
        flat, by = ctx.saved_tensors, arrays(*(own for own in by_outputs if own is not None))
        if by is None:
            plan, places = ctx.plan, [place for place, own in enumerate(by_outputs) if own is not None]

            def found(*own: Tensor) -> tuple[Tensor, ...]:
                outputs = _in_plain(plan, _given(plan, own))
                return tuple(outputs[place] for place in places)

            return None, *gradients(found, flat, [own for own in by_outputs if own is not None])
        given = iter(by)
        wanted = any(ctx.needs_input_grad[1 : 2 + ctx.whole.n_states])  # inputs and first states
        return None, *ctx.whole.backward(*(None if own is None else next(given) for own in by_outputs), wanted=wanted).flat


def _given(plan: PassPlan, flat: Sequence[Tensor]) -> Given:
    n_states = PASSES[plan.recurrence].n_states
    ends = 1 + n_states, 1 + n_states + len(plan.stages)
    return Given(flat[0], tuple(flat[1 : ends[0]]), tuple(flat[ends[0] : ends[1]]), tuple(flat[ends[1] :]))


def _in_plain(plan: PassPlan, given: Given) -> tuple[Tensor, ...]:
    """The pass in plain torch."""

    def gates(stage: int, inputs: Tensor, h: Tensor) -> Tensor:
        values = torch.cat((inputs, h), dim=1)
        if given.layers:
            values = _linear(values, *given.layers[:2])
        outputs = plan.stages[stage].in_plain(INPUT_MAPS[plan.input_map](values), given.matrices[stage])
        return _linear(outputs, *given.layers[2:]) if given.layers else outputs

    def advance(inputs: Tensor, states: States) -> States:
        if plan.recurrence == "lstm":
            return lstm_plain(gates(0, inputs, states[0]), states[1])
        (h,) = states
        reset, update = torch.sigmoid(gates(0, inputs, h)).unbind(1)
        return (gru_update(update, gates(1, inputs, reset * h)[:, 0], h),)

    sequence = given.sequence
    rows = sequence.flatten(0, -2)
    hidden, after = over_lengths(advance, rows, plan.sizes, given.states, backwards=plan.backwards)
    return hidden.view(*sequence.shape[:-1], -1), *after


def _linear(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A linear layer, or that of each replica on its own rows."""
    if weight.dim() == 2:
        return linear(values, weight, bias)
    rows = values.reshape(len(weight), -1, values.shape[-1])
    return torch.baddbmm(bias.unsqueeze(1), rows, weight.mT).reshape(*values.shape[:-1], -1)
