"""What a bank is given, checked before it is compiled or bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qlstm_qiskit.errors import CircuitError, ShapeError


def sizes_of_bank(programs: Sequence[Any], observables: Sequence[Sequence[Any]]) -> tuple[int, int]:
    """Inputs and outputs that all candidates of a bank have.

    Args:
        programs: Of the candidates.
        observables: Of each candidate.

    Raises:
        CircuitError: There are no candidates, or they disagree.
    """
    if not programs:
        raise CircuitError("a bank needs at least one candidate; none was given.")
    for name, sizes in (
        ("inputs", {program.n_inputs for program in programs}),
        ("outputs", {len(outputs) for outputs in observables}),
    ):
        if len(sizes) > 1:
            raise CircuitError(f"all candidates of a bank need the same number of {name}; got {sorted(sizes)}.")
    return programs[0].n_inputs, len(observables[0])


def check_bank_parameters(n_weights: Sequence[int], weights: Tensor, mixing: Tensor | None) -> None:
    """Make sure that angles and structural weights fit candidates with these numbers of weights.

    Args:
        n_weights: Of each candidate.
        weights: Angles, (gates, sum of `n_weights`), float32 or float64.
        mixing: Coefficients, (gates, candidates); None for a single candidate.

    Raises:
        ShapeError: A tensor has another shape or dtype.
    """
    expected = (len(weights), sum(n_weights))
    if weights.dim() != 2 or tuple(weights.shape) != expected:
        raise ShapeError(f"weights have the shape {tuple(weights.shape)}; expected (gates, {expected[1]}).")
    if weights.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"weights have the dtype {weights.dtype}; expected torch.float32 or torch.float64.")
    if mixing is None and len(n_weights) > 1:
        raise ShapeError(f"a bank of {len(n_weights)} candidates needs structural weights to mix them; got None.")
    if mixing is not None and tuple(mixing.shape) != (len(weights), len(n_weights)):
        raise ShapeError(f"mixing has the shape {tuple(mixing.shape)}; expected ({len(weights)}, {len(n_weights)}).")


def replica_coefficients(n_weights: Sequence[int], weights: Tensor, mixing: Tensor | None, *, apart: bool) -> Tensor:
    """Coefficients of the candidates of R replicas, (R, gates, candidates): 1 where there is no mixing.

    Args:
        n_weights, weights, mixing: As of `check_bank_parameters`, with R in front of weights and mixing.
        apart: Whether candidates are not mixed.

    Raises:
        ShapeError: A tensor has another shape or dtype.
    """
    if apart or mixing is None:
        ones = weights.new_ones(*weights.shape[:2], len(n_weights) if apart else 1)
        check_bank_parameters(n_weights, weights.flatten(0, 1), ones.flatten(0, 1) if apart else None)
        return ones
    check_bank_parameters(n_weights, weights.flatten(0, 1), mixing.flatten(0, 1))
    return mixing
