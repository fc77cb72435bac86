"""The matrix of a form with noise, and sums by it, as differentiable operations; as `adjoint`, for graphs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact import noisy_kernels, plain
from qlstm_qiskit.exact.tables import FormTables

Array = NDArray[Any]


class NoisyTables(FormTables):
    """What the kernels read of a form with noise; `NoisyForm` compiles it.

    Attributes:
        n_places: Numbers of the matrix that are held for each gate.
        places: Feature and output of each of them, where only those are held that can differ from 0.
    """

    n_places: int
    places: tuple[Array, Array]


def build_matrix(weights: Tensor, mixing: Tensor, form: NoisyTables) -> Tensor:
    """The numbers of the form's matrix, (places, gates), from angles (gates, columns) and mixing (gates, candidates)."""
    if plain.is_watched():
        return plain_matrix(weights, mixing, form)
    if torch.is_grad_enabled():
        matrix: Tensor = _Build.apply(weights, mixing, form)  # type: ignore[no-untyped-call]
        return matrix
    values, (_, state) = _run(form, weights, mixing)
    form.give_buffer(state)
    return torch.from_numpy(values)


def summed(features: Tensor, values: Tensor, form: NoisyTables) -> Tensor:
    """Outputs (samples, outputs, gates) of features (samples, features) and the numbers (places, gates) of a sparse matrix."""
    if plain.is_watched():
        return plain_sums(features, values, form)
    result: Tensor = _Sum.apply(features, values, form)  # type: ignore[no-untyped-call]
    return result


def _run(form: NoisyTables, weights: Tensor, mixing: Tensor) -> tuple[Array, tuple[Array, Array]]:
    """The matrix, and what the backward pass needs: cosines and sines of all angles, and all slots."""
    columns, coefficients = weights.detach().numpy().T, mixing.detach().numpy().T
    g, dtype = columns.shape[1], columns.dtype
    matrix = np.empty((form.n_places, g), dtype)
    state = form.take_buffer(g, dtype)
    angles, sections, edges, entries = form.constants(dtype)
    turns = np.empty((2, len(angles[0]) * g), dtype)
    noisy_kernels.fill(columns, coefficients, angles, sections, edges, entries, turns, state, matrix)
    return matrix, (turns, state)


class _Build(torch.autograd.Function):
    """Angles and mixing to the matrix of the form."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, mixing: Tensor, form: NoisyTables) -> Tensor:
        ctx.save_for_backward(weights, mixing)
        matrix, ctx.kept = _run(form, weights, mixing)
        ctx.form = form
        return torch.from_numpy(matrix)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        form, (weights, mixing) = ctx.form, ctx.saved_tensors
        given = plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(plain_matrix, form=form), (weights, mixing), (gradient,)), None)
        if ctx.kept is None:  # a second pass over the same graph: the buffer of the first one has been given back
            _, ctx.kept = _run(form, weights, mixing)
        turns, state = ctx.kept
        ctx.kept = None
        coefficients = mixing.detach().numpy().T
        angles, sections, edges, entries = form.constants(state.dtype)
        by_weights = np.empty_like(weights.detach().numpy().T, order="F")
        by_mixing = np.empty_like(coefficients, order="F")
        (by_form,) = given
        noisy_kernels.fill_backward(
            by_form, coefficients, angles, sections, edges, entries, turns, state, by_weights, by_mixing
        )
        form.give_buffer(state)
        return torch.from_numpy(by_weights.T), torch.from_numpy(by_mixing.T), None


class _Sum(torch.autograd.Function):
    """Features and the numbers of a sparse matrix to outputs."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, values: Tensor, form: NoisyTables) -> Tensor:
        ctx.save_for_backward(features, values)
        ctx.form = form
        sums = np.empty((len(features), form.n_outputs, values.shape[1]), features.detach().numpy().dtype)
        noisy_kernels.sum_forward(*_contiguous(features, values), *form.places, sums)
        return torch.from_numpy(sums)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        form, (features, values) = ctx.form, ctx.saved_tensors
        given = plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(plain_sums, form=form), (features, values), (gradient,)), None)
        own = _contiguous(features, values)
        by_features, by_values = (np.empty_like(item) for item in own)
        noisy_kernels.sum_backward(given[0], *own, *form.places, by_features, by_values)
        return torch.from_numpy(by_features), torch.from_numpy(by_values), None


def _contiguous(*tensors: Tensor) -> list[Array]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def plain_sums(features: Tensor, values: Tensor, form: NoisyTables) -> Tensor:
    """As `summed` in plain torch."""
    feature, output = (_index(places) for places in form.places)
    parts = features[:, feature, None] * values
    return features.new_zeros(len(features), form.n_outputs, values.shape[1]).index_add(1, output, parts)


def plain_matrix(weights: Tensor, mixing: Tensor, form: NoisyTables) -> Tensor:
    """As `build_matrix` in plain torch: slots of one depth of the graph at a time."""
    angles, sections, edges, entries = form.constants(np.dtype(str(weights.dtype).removeprefix("torch.")))
    turns = plain._turns(weights, angles)
    factors = torch.cat([torch.ones_like(turns[:1]), turns.cos(), turns.sin()])
    ends, source, turn, coefficient = edges
    slot, row, candidate, factor = entries
    matrix = weights.new_zeros(form.n_places, len(weights))
    for low, high, _, _, c, angle_base, entry_low, entry_high in sections.tolist():
        own = slice(ends[low], ends[high])
        target = np.repeat(np.arange(high - low), np.diff(ends[low : high + 1]))
        state = torch.cat([weights.new_ones(1, c, len(weights)), weights.new_zeros(high - low - 1, c, len(weights))])
        lanes = np.arange(c)
        for chosen in _layers(target, source[own], high - low):
            t = turn[own][chosen]
            which = 1 + (t % 2) * len(turns) + angle_base + (t // 2) * c
            index = np.where(t[:, None] < 0, 0, which[:, None] + lanes)
            parts = torch.from_numpy(coefficient[own][chosen])[:, None, None] * factors[_index(index)]
            state = state.index_add(0, _index(target[chosen]), parts * state[_index(source[own][chosen])])
        last = slice(entry_low, entry_high)
        weight = torch.from_numpy(factor[last]).unsqueeze(1) * mixing.t()[_index(candidate[last])]
        matrix = matrix.index_add(0, _index(slot[last]), weight * state.flatten(0, 1)[_index(row[last])])
    return matrix


def _layers(target: Array, source: Array, n_slots: int) -> list[Array]:
    """Edges by the depth of their slot: the longest way from slot 0."""
    depth = np.zeros(n_slots, dtype=np.int64)
    for edge, slot in enumerate(target.tolist()):
        depth[slot] = max(depth[slot], depth[source[edge]] + 1)
    order = np.argsort(depth[target], kind="stable")
    return [part for part in np.split(order, np.flatnonzero(np.diff(depth[target][order])) + 1) if len(part)]


def _index(places: Array) -> Tensor:
    return torch.from_numpy(places.astype(np.int64))
