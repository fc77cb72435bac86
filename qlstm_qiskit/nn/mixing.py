"""Mixings: the rules from structural weights to the coefficients of the weighted sum over candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from qlstm_qiskit.nn.noise import Source, gumbel


@dataclass(frozen=True)
class Mixing:
    """A rule from structural weights (gates, candidates) to coefficients of the same shape.

    Attributes:
        convex: Coefficients are probabilities, the softmax of weights / temperature; otherwise they are the weights.
        sampled: While training, each forward pass draws Gumbel noise.
        hard: The forward pass uses only the most likely candidate of each gate; gradients are those of the probabilities.
    """

    convex: bool = False
    sampled: bool = False
    hard: bool = False

    def start(self, n: int) -> float:
        """Initial structural weight of each of n candidates, such that all coefficients are 1 / n."""
        return 0.0 if self.convex else 1.0 / n

    def coefficients(
        self,
        weights: Tensor,
        present: Tensor,
        temperature: float,
        training: bool,
        generator: Source = None,
    ) -> Tensor:
        """Coefficients, (gates, candidates).

        Args:
            weights: Structural weights; zero where a gate lacks a candidate.
            present: Whether a gate has a candidate, (gates, candidates), bool.
            temperature: Below 1, convex coefficients are closer to a choice of one candidate.
            training: Whether to draw noise.
            generator: See `Source`.
        """
        if not self.convex:
            return weights
        logits = weights if present.all() else weights.masked_fill(~present.to(weights.device), -torch.inf)
        if self.sampled and training:
            drawn = torch.softmax((logits + gumbel(logits, generator)) / temperature, dim=-1)
            return _chosen(drawn) - drawn.detach() + drawn if self.hard else drawn
        soft = torch.softmax(logits / temperature, dim=-1)
        if not self.hard:
            return soft
        return _chosen(soft) + soft - soft.detach()


def _chosen(shares: Tensor) -> Tensor:
    """One at the most likely candidate of each gate, zero elsewhere."""
    return torch.zeros_like(shares).scatter(-1, shares.argmax(dim=-1, keepdim=True), 1.0)


#: "linear": the plain sum of the paper; "softmax": convex weights, as in DARTS (arXiv 1806.09055); "gumbel-softmax" and
#: "gumbel-straight-through": sampled relaxations of a choice (Jang et al., arXiv 1611.01144; SNAS, arXiv 1812.09926).
MIXINGS: Mapping[str, Mixing] = MappingProxyType(
    {
        "linear": Mixing(),
        "softmax": Mixing(convex=True),
        "gumbel-softmax": Mixing(convex=True, sampled=True),
        "gumbel-straight-through": Mixing(convex=True, sampled=True, hard=True),
    }
)
