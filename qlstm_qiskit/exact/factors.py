"""The matrices of a group of candidates of one structure, built in a few batched tensor operations.

Axes, everywhere in this room: g gates of the LSTM, c candidates, b samples. A tensor that does not depend on the
gate's weights (the sample's inputs) has size 1 there and broadcasts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.circuits import FUNCTIONS, Angle, Tree
from qlstm_qiskit.exact.schedule import Factor

_TORCH_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Add": lambda *terms: reduce(operator.add, terms),
    "Mul": lambda *factors: reduce(operator.mul, factors),
    "Pow": operator.pow,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "asin": torch.asin,
    "acos": torch.acos,
    "atan": torch.atan,
    "exp": torch.exp,
    "log": torch.log,
    "Abs": torch.abs,
    "sign": torch.sign,
    "conjugate": lambda angle: angle,  # angles are real
}
assert _TORCH_FUNCTIONS.keys() == FUNCTIONS


def evaluate_tree(tree: Tree, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Any:
    """Evaluate an expression tree on the columns of inputs and weights; they broadcast against one another.

    Args:
        tree: As in `Angle`.
        inputs, weights: Columns, tensors of any shapes that broadcast.

    Returns:
        A tensor, or a number where the tree reads no column.
    """
    if not isinstance(tree, tuple):
        return tree
    if tree[0] in ("x", "w"):
        return (inputs if tree[0] == "x" else weights)[tree[1]]
    return _TORCH_FUNCTIONS[tree[0]](*(evaluate_tree(part, inputs, weights) for part in tree[1:]))


@dataclass(frozen=True, eq=False)
class FactorStack:
    """Factors of equal size and dependence, at several places (s) of the schedule and for all candidates.

    Shapes: `constant`, `cosine`, `sine` (c, 1, s, d, d) complex; `scale`, `offset` (c, 1, s);
    `input_coefficients` (c, n_inputs, s); `weight_coefficients` (c, n_weights, s). With `tree` given, s is 1 and that
    expression is the angle.
    """

    places: tuple[int, ...]
    uses_inputs: bool
    uses_weights: bool
    tree: Tree
    constant: Tensor
    cosine: Tensor
    sine: Tensor
    scale: Tensor
    offset: Tensor
    input_coefficients: Tensor
    weight_coefficients: Tensor

    def matrices(self, inputs: Tensor | None, weights: Tensor) -> Tensor:
        """All matrices, of shape (g or 1, c, b or 1, s, d, d).

        Args:
            inputs: (b, n_inputs); may be None where `uses_inputs` is false.
            weights: (g, c, n_weights).
        """
        if not (self.uses_inputs or self.uses_weights):
            return self.constant[None]
        turn = (self.scale * self._angles(inputs, weights))[..., None, None]
        return self.constant + torch.cos(turn) * self.cosine + torch.sin(turn) * self.sine

    def _angles(self, inputs: Tensor | None, weights: Tensor) -> Tensor:
        """Angles in radians, of shape (g or 1, c, b or 1, s)."""
        if self.tree is not None:
            columns = () if inputs is None else inputs[None, None, :, None, :].unbind(-1)
            angles: Tensor = evaluate_tree(self.tree, columns, weights[:, :, None, None, :].unbind(-1))
            return angles
        angles = self.offset[None]
        if self.uses_inputs:
            assert inputs is not None
            angles = angles + torch.einsum("bi,cis->cbs", inputs, self.input_coefficients)
        if self.uses_weights:
            angles = angles + torch.einsum("gcw,cws->gcs", weights, self.weight_coefficients)[:, :, None]
        return angles


def stack_factors(
    candidates: Sequence[Sequence[Factor]], n_inputs: int, n_weights: int, dtype: torch.dtype, device: torch.device
) -> list[FactorStack]:
    """Stack the factors of candidates of one signature; `candidates[c][p]` is the factor of candidate c at place p."""
    buckets: dict[tuple[object, ...], list[int]] = {}
    for place, factor in enumerate(candidates[0]):
        alone = place if factor.angle is not None and factor.angle.tree is not None else None
        buckets.setdefault((len(factor.constant), *factor.kind, alone), []).append(place)
    return [
        _stack([[factors[place] for place in places] for factors in candidates], places, n_inputs, n_weights, dtype, device)
        for places in buckets.values()
    ]


def _stack(
    table: list[list[Factor]], places: list[int], n_inputs: int, n_weights: int, dtype: torch.dtype, device: torch.device
) -> FactorStack:
    first = table[0][0]
    angle = first.angle or Angle()
    shape = (len(table), len(places))
    coefficients = np.zeros((2, shape[0], max(n_inputs, n_weights), shape[1]))
    for c, row in enumerate(table):
        for s, factor in enumerate(row):
            if factor.angle is not None:
                for axis, pairs in enumerate((factor.angle.inputs, factor.angle.weights)):
                    for column, value in pairs:
                        coefficients[axis, c, column, s] = value

    def matrices(name: str) -> Tensor:
        zero = np.zeros_like(first.constant)
        values = [[zero if (m := getattr(f, name)) is None else m for f in row] for row in table]
        return torch.as_tensor(np.array(values), dtype=complex_of(dtype), device=device)[:, None]

    def numbers(values: Sequence[Sequence[float]]) -> Tensor:
        return torch.as_tensor(np.array(values), dtype=dtype, device=device)[:, None]

    def table_of(axis: int, size: int) -> Tensor:
        return torch.as_tensor(coefficients[axis, :, :size], dtype=dtype, device=device)

    return FactorStack(
        places=tuple(places),
        uses_inputs=angle.depends_on_inputs,
        uses_weights=angle.depends_on_weights,
        tree=angle.tree,
        constant=matrices("constant"),
        cosine=matrices("cosine"),
        sine=matrices("sine"),
        scale=numbers([[factor.scale for factor in row] for row in table]),
        offset=numbers([[factor.angle.offset if factor.angle else 0.0 for factor in row] for row in table]),
        input_coefficients=table_of(0, n_inputs),
        weight_coefficients=table_of(1, n_weights),
    )


def complex_of(dtype: torch.dtype) -> torch.dtype:
    """The complex dtype whose real and imaginary parts have `dtype`."""
    return torch.complex128 if dtype == torch.float64 else torch.complex64
