"""How structural weights become the coefficients of the weighted sum over candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixing:
    """A rule from structural weights (gates, candidates) to coefficients of the same shape.

    Attributes:
        coefficients: The rule.
        start: Structural weight of each of n candidates at the start, such that all coefficients are 1 / n.
    """

    coefficients: Callable[[Tensor], Tensor]
    start: Callable[[int], float]


#: "linear": the plain sum of the paper; "softmax": convex weights, as in DARTS (arXiv 1806.09055).
MIXINGS: Mapping[str, Mixing] = MappingProxyType(
    {
        "linear": Mixing(coefficients=lambda weights: weights, start=lambda n: 1.0 / n),
        "softmax": Mixing(coefficients=lambda weights: torch.softmax(weights, dim=-1), start=lambda _: 0.0),
    }
)
