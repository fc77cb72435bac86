"""The form's operations in plain torch: for derivatives of any order, and for whatever must see each operation.

The native operations are invisible to torch except for their first derivatives. Where a backward pass keeps a graph
(`create_graph=True`), it therefore differentiates these, and `torch.func`, forward-mode derivatives and tracers get them in
place of the native ones. They are slower by one to two orders of magnitude.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad

from qlstm_qiskit.exact.memory import require_bytes
from qlstm_qiskit.exact.tables import FormTables

Array = NDArray[Any]

#: Bytes for each number that a plane rotation turns, with its first and second derivatives.
_BYTES_PER_TURN = 64

_TRACERS = (torch._C._TorchDispatchModeKey.PROXY, torch._C._TorchDispatchModeKey.FAKE)


def is_watched() -> bool:
    """Whether torch must see every operation: in `torch.func`, forward-mode derivatives, `jit.trace`, `export`, `make_fx`."""
    return bool(
        torch._C._are_functorch_transforms_active()
        or torch._C._is_tracing()
        or forward_ad._current_level >= 0
        or (torch._C._len_torch_dispatch_stack() and any(torch._C._get_dispatch_mode(mode) for mode in _TRACERS))
    )


def arrays(*by_outputs: Tensor) -> list[Array] | None:
    """What a backward pass is given, for native loops; None where plain torch must take it.

    Args:
        by_outputs: Gradients by the outputs.
    """
    if torch.is_grad_enabled() or is_watched():
        return None
    try:
        return [by_output.detach().contiguous().numpy() for by_output in by_outputs]
    except RuntimeError:  # a batch of gradients (`is_grads_batched`), which shows in no other way
        return None


def gradients(
    function: Callable[..., Tensor | tuple[Tensor, ...]], inputs: Sequence[Tensor], by_outputs: Sequence[Tensor]
) -> list[Tensor | None]:
    """Gradients by the inputs of a function in plain torch, which can be differentiated in turn where the pass keeps a graph.

    Args:
        function: Of the inputs.
        inputs: Those of the native operation, as autograd has saved them.
        by_outputs: Gradients by its outputs.

    Returns:
        One for each input; None where it requires none.
    """
    keeps_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        own = [value.view_as(value) for value in inputs]  # an input may depend on another one: stop before that
        outputs = function(*own)
        pairs = [
            (output, by_output)
            for output, by_output in zip((outputs,) if isinstance(outputs, Tensor) else outputs, by_outputs, strict=True)
            if output.requires_grad
        ]
        found = iter(
            torch.autograd.grad(
                [output for output, _ in pairs],
                [value for value in own if value.requires_grad],
                [by_output for _, by_output in pairs],
                create_graph=keeps_graph,
                materialize_grads=True,
            )
        )
    return [next(found) if value.requires_grad else None for value in own]


def tables(angles: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """As `adjoint.products`."""
    return _products(angles[:, :width]), _products(angles[:, width:])


def slopes(products: Sequence[Tensor], by_products: Sequence[Tensor]) -> Tensor:
    """Gradient by the angles of `tables`, (samples, qubits): the derivative of cos u is -sin u, and that of sin u is cos u."""
    columns = []
    for table, by_table in zip(products, by_products, strict=True):
        step = 1
        while step < table.shape[1]:
            (_, cosine, sine), (_, by_cosine, by_sine) = (
                value.reshape(len(value), value.shape[1] // (3 * step), 3, step).unbind(2) for value in (table, by_table)
            )
            columns.append((by_sine * cosine - by_cosine * sine).sum(dim=(1, 2)))
            step *= 3
    return torch.stack(columns, dim=1)


def features(angles: Tensor, form: FormTables) -> Tensor:
    """As `adjoint.features`."""
    result: Tensor | None = None
    for part, codes in zip(torch.split(angles, form.width, dim=1), form.codes, strict=True):
        factor = _products(part)[:, _index(codes)]
        result = factor if result is None else result * factor
    assert result is not None
    return result


def _products(angles: Tensor) -> Tensor:
    """All products over qubits of 1, cos u or sin u, (samples, 3^qubits), in the order of the kernels."""
    table = torch.ones_like(angles[:, :1]) if angles.shape[1] else angles.new_ones(len(angles), 1)
    cosine, sine = angles.cos(), angles.sin()
    for q in range(angles.shape[1]):
        table = torch.cat([table, cosine[:, q : q + 1] * table, sine[:, q : q + 1] * table], dim=1)
    return table


def rotated_matrix(weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
    """As `FormTables.plain_matrix`: the rotations of one Pauli string at a time, each in all its planes."""
    angles, sections, (*steps, start), entries = form.constants(np.dtype(str(weights.dtype).removeprefix("torch.")))
    lanes = int(((sections[:, 1] - sections[:, 0]) * sections[:, 4]).sum()) * len(weights)
    require_bytes(
        _BYTES_PER_TURN * lanes, "the multilinear form in plain torch, as second derivatives need it,", weights.device
    )
    turns = _turned(weights, angles)
    cosine, sine = turns.cos(), turns.sin()
    slot, row, candidate, factor = entries
    matrix = weights.new_zeros(form.n_slots, len(weights))
    for low, high, base, end, c, angle_base, entry_low, entry_high in sections.tolist():
        state = torch.from_numpy(start[base:end]).reshape(-1, c, 1) * torch.ones_like(cosine[:1])
        for rotation, first, second in _runs(*(column[low:high] for column in steps)):
            own = slice(angle_base + rotation * c, angle_base + rotation * c + c)
            x, y, cos, sin = state[first], state[second], cosine[own], sine[own]
            state = state.index_copy(0, torch.cat([first, second]), torch.cat([cos * x + sin * y, cos * y - sin * x]))
        chosen = slice(entry_low, entry_high)
        coefficients = torch.from_numpy(factor[chosen]).unsqueeze(1) * mixing.t()[_index(candidate[chosen])]
        matrix = matrix.index_add(0, _index(slot[chosen]), coefficients * state.flatten(0, 1)[_index(row[chosen])])
    return matrix


def filled_matrix(weights: Tensor, mixing: Tensor, form: FormTables) -> Tensor:
    """As `FormTables.plain_matrix`, of a form with noise: slots of one depth of the graph at a time."""
    angles, sections, edges, entries = form.constants(np.dtype(str(weights.dtype).removeprefix("torch.")))
    turns = _turned(weights, angles)
    factors = torch.cat([torch.ones_like(turns[:1]), turns.cos(), turns.sin()])
    ends, source, turn, coefficient = edges
    slot, row, candidate, factor = entries
    matrix = weights.new_zeros(form.n_slots, len(weights))
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


def sparse_sums(features: Tensor, matrix: Tensor, form: FormTables) -> Tensor:
    """As `adjoint.sparse_sums`."""
    assert form.slots is not None
    feature, output = (_index(row) for row in form.slots)
    terms = features[:, feature].unsqueeze(2) * matrix
    sums = terms.new_zeros(len(features), form.n_outputs, matrix.shape[1]).index_add(1, output, terms)
    return sums.transpose(1, 2)


def _turned(weights: Tensor, angles: tuple[Array, Array, Array, Array]) -> Tensor:
    """The angle of each rotation of each candidate, (angles, gates)."""
    offset, pointer, column, value = angles
    owner = np.repeat(np.arange(len(offset)), np.diff(pointer))
    parts = torch.from_numpy(value).unsqueeze(1) * weights.t()[_index(column)]
    base = torch.from_numpy(offset).unsqueeze(1) + weights.new_zeros(len(weights))
    return base.index_add(0, _index(owner), parts)


def _runs(rotation: Array, first: Array, second: Array) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The steps of each rotation together: they turn planes that have no string in common."""
    ends = [*np.flatnonzero(np.diff(rotation)) + 1, len(rotation)]
    for low, high in zip([0, *ends], ends, strict=False):
        if high > low:
            yield int(rotation[low]), _index(first[low:high]), _index(second[low:high])


def _layers(target: Array, source: Array, n_slots: int) -> list[Array]:
    """Edges by the depth of their slot: the longest way from slot 0."""
    depth = np.zeros(n_slots, dtype=np.int64)
    for edge, slot in enumerate(target.tolist()):
        depth[slot] = max(depth[slot], depth[source[edge]] + 1)
    order = np.argsort(depth[target], kind="stable")
    return [part for part in np.split(order, np.flatnonzero(np.diff(depth[target][order])) + 1) if len(part)]


def _index(places: Array) -> Tensor:
    return torch.from_numpy(places.astype(np.int64))
