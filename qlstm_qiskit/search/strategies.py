"""Search strategies for training the weights over candidates: frozen options with one interface, `Strategy`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor
from typing_extensions import Self

from qlstm_qiskit.data import part_of
from qlstm_qiskit.nn import CircuitBank
from qlstm_qiskit.search.strategy import Gates, Strategy, distribution

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class WeightedSum(Strategy):
    """The paper's strategy: a plain weighted sum whose weights and angles are trained together on the same loss.

    Attributes:
        name: "weighted-sum".
        device: A cost term for a device, added to the loss; none by default.
    """

    name: Literal["weighted-sum"] = "weighted-sum"
    reference: ClassVar[str] = "DiffQAS-QLSTM, arXiv 2508.14955"


class Softmax(Strategy):
    """Convex weights, the softmax of the structural weights."""

    name: Literal["softmax"] = "softmax"
    reference: ClassVar[str] = "DARTS, Liu et al. 2019, arXiv 1806.09055"

    @property
    def mixing(self) -> str:
        return "softmax"


class GumbelSoftmax(Strategy):
    """A relaxed random choice in each forward pass, with a temperature that falls geometrically over the epochs.

    Attributes:
        start, end: Temperatures in the first and the last epoch.
        straight_through: The forward pass uses a single candidate; gradients are those of the relaxed choice.
    """

    name: Literal["gumbel-softmax"] = "gumbel-softmax"
    samples: ClassVar[bool] = True
    reference: ClassVar[str] = "Jang et al. 2017, arXiv 1611.01144; SNAS, Xie et al. 2019, arXiv 1812.09926"
    start: Positive = 1.0
    end: Positive = 0.1
    straight_through: bool = False

    @property
    def mixing(self) -> str:
        return "gumbel-straight-through" if self.straight_through else "gumbel-softmax"

    def temperature(self, progress: float) -> float:
        return float(self.start * (self.end / self.start) ** progress)


class EntropyAnnealing(Strategy):
    """A growing penalty on the entropy of the weights' distribution, so that it ends up on a few candidates.

    Attributes:
        strength: Factor of the mean entropy over gates (in nats) in the last epoch; it grows linearly from 0.
        convex: Whether weights are a softmax; otherwise their distribution is |w| / sum |w|.
    """

    name: Literal["entropy"] = "entropy"
    reference: ClassVar[str] = "DA2S, Tian et al. 2021, arXiv 2007.03154; ASAP, Noy et al. 2020, arXiv 1904.04123"
    strength: Positive = 1e-3
    convex: bool = False

    @property
    def mixing(self) -> str:
        return "softmax" if self.convex else "linear"

    @property
    def needs_gradients(self) -> bool:
        return True

    def penalty(self, bank: CircuitBank, progress: float) -> Tensor:
        shares = distribution(bank)
        logs = torch.log(shares.clamp_min(torch.finfo(shares.dtype).tiny))  # the derivative of p log p is undefined at 0
        return self.strength * progress * -(shares * logs).sum() / bank.n_gates


class L1Annealing(Strategy):
    """A growing penalty on the sum of absolute weights.

    Attributes:
        strength: Factor of the mean of sum |w| over gates in the last epoch; it grows linearly from 0.
    """

    name: Literal["l1"] = "l1"
    reference: ClassVar[str] = "DSO-NAS, Zhang et al. 2020, arXiv 1811.01567; lasso, Tibshirani 1996"
    strength: Positive = 1e-3

    @property
    def needs_gradients(self) -> bool:
        return True

    def penalty(self, bank: CircuitBank, progress: float) -> Tensor:
        coefficients = bank.coefficients()
        assert coefficients is not None
        return self.strength * progress * coefficients.abs().sum() / bank.n_gates


class ProgressiveShrinking(Strategy):
    """The least important candidates are dropped in stages during training; optimisers keep the state of the rest.

    Importance is a candidate's effect on the loss, not its weight: a circuit with an output near zero may have a large weight.

    Attributes:
        keep: Number of candidates that each gate has in the end.
        begin, end: Progress of the training, from 0 to 1, at the first and the last stage.
        factor: Fraction of the candidates that each stage keeps.
        convex: Whether weights are a softmax.
    """

    name: Literal["shrinking"] = "shrinking"
    reference: ClassVar[str] = "P-DARTS, Chen et al. 2019, arXiv 1904.12760; ASAP, Noy et al. 2020, arXiv 1904.04123"
    drops: ClassVar[bool] = True
    keep: PositiveInt = 1
    begin: Share = 0.3
    end: Share = 0.7
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    convex: bool = False

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        if self.begin > self.end:
            raise ValueError(f"begin is {self.begin} and end is {self.end}; stages begin before they end")
        return self

    @property
    def mixing(self) -> str:
        return "softmax" if self.convex else "linear"

    @property
    def needs_gradients(self) -> bool:
        return True

    def survivors(self, bank: CircuitBank, progress: float, importance: Tensor) -> Gates | None:
        left = [len(own) for own in bank.gates]
        allowed = self._allowed(bank.n_initial, progress)
        if max(left) <= allowed:
            return None
        ranked = [sorted((-row[p], p) for p in own) for row, own in zip(importance.tolist(), bank.gates, strict=True)]
        return [[place for _, place in own[:allowed]] for own in ranked]

    def _allowed(self, n: int, progress: float) -> int:
        """The number of candidates out of n that a gate may still have."""
        sizes = [n]
        while sizes[-1] > self.keep:
            sizes.append(max(self.keep, part_of(self.factor, sizes[-1])))
        if len(sizes) == 1 or progress < self.begin:
            return n
        width = max(self.end - self.begin, 1e-9) / max(len(sizes) - 2, 1)
        return sizes[min(1 + int((progress - self.begin) / width + 1e-9), len(sizes) - 1)]


class Bilevel(Strategy):
    """First-order alternation: each step first updates the weights on a validation batch, then the rest on a training batch.

    Attributes:
        lr: Learning rate of the structural weights; where None, the same as for the other parameters.
        convex: Whether weights are a softmax.
    """

    name: Literal["bilevel"] = "bilevel"
    reference: ClassVar[str] = "first-order DARTS, Liu et al. 2019, arXiv 1806.09055"
    alternates: ClassVar[bool] = True
    lr: Positive | None = None
    convex: bool = False

    @property
    def mixing(self) -> str:
        return "softmax" if self.convex else "linear"

    @property
    def weights_lr(self) -> float | None:
        return self.lr


class RandomCandidate(Strategy):
    """Control: one random candidate per gate, trained alone, with a trained weight."""

    name: Literal["random"] = "random"
    weighs: ClassVar[bool] = False
    reference: ClassVar[str] = "random search as a baseline, Li and Talwalkar 2019, arXiv 1902.07638"

    def choose(self, bank: CircuitBank, generator: torch.Generator | None = None) -> Gates:
        return _random_choice(bank, generator)


class BestOfRandom(Strategy):
    """Control: the best of k random choices on the validation part, each trained in full.

    The best is trained again from its seed, so that callbacks and run folders see a single training.

    Attributes:
        k: Number of choices. With as many as a gate has candidates, the budget (epochs x candidates) is that of a search.
    """

    name: Literal["best-of-random"] = "best-of-random"
    weighs: ClassVar[bool] = False
    reference: ClassVar[str] = "random search at equal budget, Li and Talwalkar 2019, arXiv 1902.07638"
    k: Annotated[int, Field(ge=2)] = 36

    @property
    def trials(self) -> int:
        return self.k

    def choose(self, bank: CircuitBank, generator: torch.Generator | None = None) -> Gates:
        return _random_choice(bank, generator)


class UniformWeights(Strategy):
    """Control: all candidates keep the weight 1 / n; only the circuits are trained."""

    name: Literal["uniform"] = "uniform"
    weighs: ClassVar[bool] = False
    reference: ClassVar[str] = "control: no search"

    def freeze(self, bank: CircuitBank) -> None:
        for parameter in bank.arch_parameters():
            parameter.requires_grad_(False)


class FrozenCircuits(Strategy):
    """Control: random circuits that are not trained; only the weights are."""

    name: Literal["frozen"] = "frozen"
    reference: ClassVar[str] = "the reservoir rows of arXiv 2508.14955"

    def freeze(self, bank: CircuitBank) -> None:
        bank.freeze()


def _random_choice(bank: CircuitBank, generator: torch.Generator | None) -> Gates:
    return [[own[int(torch.randint(len(own), (), generator=generator))]] for own in bank.gates]
