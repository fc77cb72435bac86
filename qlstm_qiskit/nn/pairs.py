"""Pairs of gates and candidates: which of them exist, and flat tensors with the parameters of those alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError


class RestrictedParameter(NamedTuple):
    """A parameter reduced to some of its entries: ``after`` is ``before.flatten()[places]``."""

    before: nn.Parameter
    after: nn.Parameter
    places: Tensor


def checked_gates(gates: Sequence[Sequence[int]], n_gates: int, n_candidates: int) -> tuple[tuple[int, ...], ...]:
    """Indices of the candidates of each gate, sorted, or `OptionError`."""
    chosen = tuple(tuple(sorted(set(own))) for own in gates)
    if len(chosen) != n_gates or not all(chosen) or any(not 0 <= place < n_candidates for own in chosen for place in own):
        raise OptionError(
            f"gates is {gates!r}; give at least one place from 0 to {n_candidates - 1} for each of {n_gates} gates."
        )
    return chosen


def slots(mask: Tensor) -> Tensor:
    """For each entry of a table, its index among those where `mask` is true, row by row."""
    return (mask.flatten().cumsum(0) - 1).reshape(mask.shape)


def restricted(parameter: nn.Parameter, index: Tensor) -> RestrictedParameter:
    """The entries of a parameter at these flat indices, as a new flat parameter."""
    values = parameter.detach().flatten()[index.to(parameter.device)].clone()
    return RestrictedParameter(parameter, nn.Parameter(values, requires_grad=parameter.requires_grad), index)


def filled(values: Tensor, mask: Tensor) -> Tensor:
    """A table that holds `values` where `mask` is true, row by row, and zeros elsewhere."""
    return values.new_zeros(mask.shape).masked_scatter(mask.to(values.device), values)
