"""The form's differentiable operations; the first derivatives are written by hand, those of higher order come from `plain`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact import feature_kernels, kernels, plain
from qlstm_qiskit.exact.tables import FormTables

Array = NDArray[Any]


def build_matrix(weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
    """The form's matrix, (features, outputs x gates) or, sparse, (rows, gates).

    Args:
        weights: Angles, (gates, columns).
        mixing: Coefficients, (gates, candidates).
        form: Its tables.
    """
    if plain.is_watched():
        return _plain(weights, mixing, form)
    if torch.is_grad_enabled():
        build = _Build if weights.requires_grad else _Mix
        matrix: Tensor = build.apply(weights, mixing, form)  # type: ignore[no-untyped-call]
        return matrix
    values, kept = _run(form, weights, mixing)
    form.rooms.give(*kept)
    return torch.from_numpy(values)


def products(angles: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Products of 1, cos u and sin u over the first `width` qubits and over the others, of angles (batch, qubits)."""
    if plain.is_watched():
        return plain.tables(angles, width)
    if torch.is_grad_enabled():
        low, high = _Tables.apply(angles, width)  # type: ignore[no-untyped-call]
        return low, high
    return _tables(angles, width)


def features(angles: Tensor, form: FormTables) -> Tensor:
    """The products of 1, cos u and sin u that the form uses, (batch, features), of angles (batch, qubits)."""
    if plain.is_watched():
        return plain.features(angles, form)
    result: Tensor = _Features.apply(angles, form)  # type: ignore[no-untyped-call]
    return result


def sparse_sums(features: Tensor, matrix: Tensor, form: FormTables) -> Tensor:
    """Outputs (batch, gates, outputs) of features (batch, features) and a sparse matrix (rows, gates)."""
    if plain.is_watched():
        return plain.sparse_sums(features, matrix, form)
    result: Tensor = _Sums.apply(features, matrix, form)  # type: ignore[no-untyped-call]
    return result


def same_tensor(before: Tensor, now: Tensor) -> bool:
    """Equal numbers of one dtype on one device."""
    return before.dtype == now.dtype and before.device == now.device and torch.equal(before, now)


def _tables(angles: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """`products` without gradients."""
    values = angles.detach().contiguous().numpy()
    low, high = (np.empty((len(values), 3**n), values.dtype) for n in (width, values.shape[1] - width))
    feature_kernels.tables_forward(values, width, low, high)
    return torch.from_numpy(low), torch.from_numpy(high)


def _run(form: FormTables, weights: Tensor, mixing: Tensor) -> tuple[Array, tuple[Array, Array]]:
    """The matrix, and what the backward pass needs: cosines and sines of all angles, and the coefficients."""
    columns, coefficients = weights.detach().numpy().T, mixing.detach().numpy().T
    g, dtype = columns.shape[1], columns.dtype
    matrix = np.empty((form.n_slots, g), dtype)
    turns, state = (form.rooms.take(shape, dtype) for shape in ((2, form.n_angles * g), (form.n_rows, g)))
    form.fill(columns, coefficients, turns, state, matrix)
    return form.shaped(matrix), (turns, state)


def _plain(weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
    return form.shaped(form.plain_matrix(weights, mixing))


class _Build(torch.autograd.Function):
    """Angles and mixing to the matrix of the form; the way back undoes rotations instead of storing them.

    What autograd must see unchanged goes through `save_for_backward`, here and below.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
        ctx.save_for_backward(weights, mixing)
        matrix, ctx.kept = _run(form, weights, mixing)
        ctx.form = form
        return torch.from_numpy(matrix)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        form, (weights, mixing) = ctx.form, ctx.saved_tensors
        given = plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(_plain, form=form), (weights, mixing), (gradient,)), None)
        if ctx.kept is None:  # a second pass over the same graph: the first one has used up the coefficients
            _, ctx.kept = _run(form, weights, mixing)
        turns, state = ctx.kept
        ctx.kept = None
        coefficients = mixing.detach().numpy().T
        by_form = given[0].reshape(-1, len(weights))
        by_weights = np.empty_like(weights.detach().numpy().T, order="F")
        by_mixing = np.empty_like(coefficients, order="F")
        form.undo(by_form, coefficients, turns, state, by_weights, by_mixing)
        form.rooms.give(turns, state)
        return torch.from_numpy(by_weights.T), torch.from_numpy(by_mixing.T), None


class _Mix(torch.autograd.Function):
    """As `_Build` for angles that are not trained: their rotations are done once, and again only when they are other angles."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
        kept = form.frozen.get(weights.shape)  # read once: another thread may put its own there
        if kept is None or not same_tensor(kept[0], weights):
            matrix, (turns, state) = _run(form, weights, mixing)
            form.rooms.give(turns)
            others = [own for own in form.frozen.items() if own[0] != weights.shape][-1:]
            form.frozen = dict(others) | {tuple(weights.shape): (weights.detach().clone(), state)}
        else:
            state = kept[1]
            filled = np.empty((form.n_slots, len(weights)), state.dtype)
            _, sections, _, entries = form.constants(state.dtype)
            kernels.mix_forward(mixing.detach().numpy().T, sections, entries, state, filled)
            matrix = form.shaped(filled)
        ctx.save_for_backward(weights, mixing)  # for higher orders
        ctx.form, ctx.state, ctx.n_candidates = form, state, mixing.shape[1]
        return torch.from_numpy(matrix)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        form, state = ctx.form, ctx.state
        given = plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(_plain, form=form), ctx.saved_tensors, (gradient,)), None)
        by_form = np.ascontiguousarray(given[0]).reshape(-1, state.shape[1])
        _, sections, _, entries = form.constants(state.dtype)
        by_mixing = np.empty((ctx.n_candidates, state.shape[1]), state.dtype, order="F")
        kernels.mix_backward(by_form, sections, entries, state, by_mixing)
        return None, torch.from_numpy(by_mixing.T), None


class _Tables(torch.autograd.Function):
    """Data angles to the products over the first `width` qubits and over the others."""

    @staticmethod
    def forward(ctx: Any, angles: Tensor, width: int) -> tuple[Tensor, Tensor]:
        low, high = _tables(angles, width)
        ctx.save_for_backward(low, high)
        ctx.width, ctx.n_qubits = width, angles.shape[1]
        return low, high

    @staticmethod
    def backward(ctx: Any, by_low: Tensor, by_high: Tensor) -> tuple[Tensor | None, ...]:
        given = plain.arrays(by_low, by_high)
        if given is None:
            return plain.slopes(ctx.saved_tensors, (by_low, by_high)), None
        low, high = (table.detach().numpy() for table in ctx.saved_tensors)
        by_angles = np.empty((len(low), ctx.n_qubits), low.dtype)
        feature_kernels.tables_backward(low, high, *given, ctx.width, by_angles)
        return torch.from_numpy(by_angles), None


class _Features(torch.autograd.Function):
    """Data angles to the features of the form."""

    @staticmethod
    def forward(ctx: Any, angles: Tensor, form: FormTables) -> Tensor:
        values, (n_parts, n_features) = angles.detach().contiguous().numpy(), form.codes.shape
        tables = np.empty((len(values), n_parts, 3**form.width), values.dtype)
        result = np.empty((len(values), n_features), values.dtype)
        feature_kernels.features_forward(values, form.width, form.factors, tables, result)
        ctx.save_for_backward(angles)  # for higher orders
        ctx.form, ctx.tables, ctx.n_qubits = form, tables, angles.shape[1]
        return torch.from_numpy(result)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        form, tables = ctx.form, ctx.tables
        given = plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(plain.features, form=form), ctx.saved_tensors, (gradient,)), None)
        by_angles = np.empty((len(tables), ctx.n_qubits), tables.dtype)
        feature_kernels.features_backward(given[0], form.width, form.factors, tables, by_angles)
        return torch.from_numpy(by_angles), None


class _Sums(torch.autograd.Function):
    """Features and a sparse matrix to outputs."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, matrix: Tensor, form: FormTables) -> Tensor:
        ctx.save_for_backward(features, matrix)
        ctx.form, ctx.by_sample = form, np.ascontiguousarray(features.detach().numpy().T)
        sums = np.zeros((form.n_outputs, matrix.shape[1], len(features)), ctx.by_sample.dtype)
        kernels.sums_forward(ctx.by_sample, matrix.detach().numpy(), form.slots, sums)
        return torch.from_numpy(np.ascontiguousarray(sums.transpose(2, 1, 0)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, given = ctx.saved_tensors, plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(plain.sparse_sums, form=ctx.form), saved, (gradient,)), None)
        matrix, by_sums = saved[1].detach().numpy(), np.ascontiguousarray(given[0].transpose(2, 1, 0))
        by_features, by_matrix = np.zeros_like(ctx.by_sample), np.empty_like(matrix)
        kernels.sums_backward(ctx.by_sample, matrix, ctx.form.slots, by_sums, by_features, by_matrix)
        return torch.from_numpy(np.ascontiguousarray(by_features.T)), torch.from_numpy(by_matrix), None
