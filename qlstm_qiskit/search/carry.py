"""Optimiser state carried over when a parameter is replaced by a subset of its entries."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.optim import Optimizer

from qlstm_qiskit.nn.pairs import RestrictedParameter


def carry(optimizer: Optimizer, changes: Iterable[RestrictedParameter]) -> None:
    """Replace the old parameters by the new ones, with the optimiser's state for the entries that were kept."""
    for before, after, places in changes:
        for group in optimizer.param_groups:
            group["params"] = [after if parameter is before else parameter for parameter in group["params"]]
        state = optimizer.state.pop(before, None)
        if state is not None:
            optimizer.state[after] = {key: _part(value, before, places) for key, value in state.items()}


def _part(value: object, before: torch.Tensor, places: torch.Tensor) -> object:
    if isinstance(value, torch.Tensor) and value.shape == before.shape:
        return value.flatten()[places.to(value.device)].clone()
    return value  # a step count
