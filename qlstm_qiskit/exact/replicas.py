"""The form's differentiable operations for R models side by side; see `adjoint`.

No number of a model depends on which others are beside it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact import plain, replica_kernels
from qlstm_qiskit.exact.tables import FormTables

Array = NDArray[Any]

#: Coefficients that are turned together: more of them, and their gradients, would not stay in a core's cache.
_BLOCK_BYTES = 2**21


def build_matrices(weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
    """The matrix of each model, (R, features, outputs x gates) or, sparse, (R, rows, gates).

    Args:
        weights: Angles, (R, gates, columns).
        mixing: Coefficients, (R, gates, candidates).
        form: Its tables.
    """
    if plain.is_watched():
        return _plain(weights, mixing, form)
    if torch.is_grad_enabled():
        matrices: Tensor = _Build.apply(weights, mixing, form)  # type: ignore[no-untyped-call]
        return matrices
    values, kept = _run(form, weights, mixing)
    _give_back(form, kept)
    return torch.from_numpy(values)


def sparse_sums(features: Tensor, matrices: Tensor, form: FormTables) -> Tensor:
    """Outputs (R b, gates, outputs) of features (R b, features) and sparse matrices (R, rows, gates)."""
    if plain.is_watched():
        return _plain_sums(features, matrices, form)
    result: Tensor = _Sums.apply(features, matrices, form)  # type: ignore[no-untyped-call]
    return result


def _plain(weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
    return torch.stack([form.shaped(form.plain_matrix(*own)) for own in zip(weights, mixing, strict=True)])


def _plain_sums(features: Tensor, matrices: Tensor, form: FormTables) -> Tensor:
    rows = features.chunk(len(matrices))
    return torch.cat([plain.sparse_sums(*own, form) for own in zip(rows, matrices, strict=True)])


#: Of each block of models: cosines and sines of all angles, and coefficients.
_Kept = list[tuple[Array, Array | None]]


def _blocks(form: FormTables, n_models: int, n_gates: int) -> list[slice]:
    """Which models are turned together."""
    most = max(1, _BLOCK_BYTES // (8 * n_gates * max(form.largest, 1)))
    size = -(-n_models // -(-n_models // most))  # of equal size, as far as that goes
    return [slice(first, min(first + size, n_models)) for first in range(0, n_models, size)]


def _columns(values: Tensor, block: slice) -> Array:
    """Parameters (R, gates, columns) of a block of models as the kernels read them, (columns, models x gates)."""
    return np.ascontiguousarray(values.detach().numpy()[block].reshape(-1, values.shape[2]).T)


def _run(form: FormTables, weights: Tensor, mixing: Tensor) -> tuple[Array, _Kept]:
    """The matrices, and what the backward pass needs."""
    (n, g), dtype = weights.shape[:2], weights.detach().numpy().dtype
    matrices = np.empty((n, form.n_slots, g), dtype)
    kept: _Kept = []
    for block in _blocks(form, n, g):
        columns, coefficients = _columns(weights, block), _columns(mixing, block)
        lanes = columns.shape[1]
        joint, turns = (form.rooms.take(shape, dtype) for shape in ((form.n_slots, lanes), (2, form.n_angles * lanes)))
        state = form.fill_many(columns, coefficients, turns, joint)
        replica_kernels.part(joint, matrices[block])
        form.rooms.give(joint)
        kept.append((turns, state))
    return matrices if form.slots is not None else matrices.reshape(n, len(form.feature_codes), -1), kept


def _give_back(form: FormTables, kept: _Kept) -> None:
    for turns, state in kept:
        form.rooms.give(turns, *(() if state is None else (state,)))


class _Build(torch.autograd.Function):
    """As `adjoint._Build`."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
        ctx.save_for_backward(weights, mixing)
        matrices, ctx.kept = _run(form, weights, mixing)
        ctx.form = form
        return torch.from_numpy(matrices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        form, (weights, mixing) = ctx.form, ctx.saved_tensors
        given = plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(_plain, form=form), (weights, mixing), (gradient,)), None)
        if ctx.kept is None:  # a second pass over the same graph: the first one has used up the coefficients
            _, ctx.kept = _run(form, weights, mixing)
        kept, ctx.kept = ctx.kept, None
        n, g = weights.shape[:2]
        by_matrices = given[0].reshape(n, -1, g)
        by_weights, by_mixing = (np.empty(own.shape, by_matrices.dtype) for own in (weights, mixing))
        for block, (turns, state) in zip(_blocks(form, n, g), kept, strict=True):
            coefficients = _columns(mixing, block)
            by_joint = form.rooms.take((by_matrices.shape[1], coefficients.shape[1]), by_matrices.dtype)
            replica_kernels.join(by_matrices[block], by_joint)
            by_columns = np.empty((weights.shape[2], by_joint.shape[1]), by_joint.dtype)
            by_coefficients = np.empty_like(coefficients)
            form.undo_many(by_joint, coefficients, turns, state, by_columns, by_coefficients)
            form.rooms.give(by_joint)
            by_weights[block] = by_columns.T.reshape(-1, *weights.shape[1:])
            by_mixing[block] = by_coefficients.T.reshape(-1, *mixing.shape[1:])
        _give_back(form, kept)
        return torch.from_numpy(by_weights), torch.from_numpy(by_mixing), None


class _Sums(torch.autograd.Function):
    """As `adjoint._Sums`."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, matrices: Tensor, form: FormTables) -> Tensor:
        ctx.save_for_backward(features, matrices)
        ctx.form, ctx.by_sample = form, np.ascontiguousarray(features.detach().numpy().T)
        sums = np.zeros((form.n_outputs, matrices.shape[2], len(features)), ctx.by_sample.dtype)
        replica_kernels.sums_forward(ctx.by_sample, matrices.detach().numpy(), form.slots, sums)
        return torch.from_numpy(np.ascontiguousarray(sums.transpose(2, 1, 0)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved, given = ctx.saved_tensors, plain.arrays(gradient)
        if given is None:
            return (*plain.gradients(partial(_plain_sums, form=ctx.form), saved, (gradient,)), None)
        matrices, by_sums = saved[1].detach().numpy(), np.ascontiguousarray(given[0].transpose(2, 1, 0))
        by_features, by_matrices = np.zeros_like(ctx.by_sample), np.empty_like(matrices)
        replica_kernels.sums_backward(ctx.by_sample, matrices, ctx.form.slots, by_sums, by_features, by_matrices)
        return torch.from_numpy(np.ascontiguousarray(by_features.T)), torch.from_numpy(by_matrices), None
