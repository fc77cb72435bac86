"""What every search strategy answers: the interface that training knows."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor
from typing_extensions import Self

from qlstm_qiskit.nn import MIXINGS, CircuitBank
from qlstm_qiskit.search.device_cost import DeviceCost

#: For each gate the places of candidates.
Gates = list[list[int]]


class Strategy(BaseModel):
    """What all strategies answer; by itself it changes nothing.

    A strategy decides how structural weights are mixed (`mixing`), what is fixed from the start (`freeze`, `choose`), what is
    added to the loss (`penalty`), and what changes between epochs (`temperature`, `survivors`). Training asks at these points,
    and knows no strategy by name.

    Attributes:
        name: As in `STRATEGIES` and on the command line.
        reference: Where it comes from.
        device: Adds the expected cost of the circuits on a device to the loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    reference: ClassVar[str] = ""
    alternates: ClassVar[bool] = False  # structural weights learn from the validation part, the rest from the training part
    weighs: ClassVar[bool] = True  # weights over several candidates are trained
    drops: ClassVar[bool] = False  # asks for the importance of candidates
    samples: ClassVar[bool] = False  # the weights have noise that is drawn anew in each step
    device: DeviceCost | None = None

    @model_validator(mode="after")
    def _check_device(self) -> Self:
        if self.device is not None and not self.weighs:
            raise ValueError(
                "trains no weights over candidates, so that a device's cost would change nothing; leave device out"
            )
        return self

    @property
    def mixing(self) -> str:
        """The bank's mixing; see `MIXINGS`."""
        return "linear"

    @property
    def trials(self) -> int:
        """Trainings from different starts, of which the best on the validation part counts."""
        return 1

    @property
    def weights_lr(self) -> float | None:
        """Learning rate of the structural weights where they learn apart; that of the rest where None."""
        return None

    @property
    def needs_validation(self) -> bool:
        return self.alternates or self.trials > 1

    @property
    def moves_loss(self) -> bool:
        """Whether the loss is another one from step to step, or its gradient has terms that it lacks."""
        penalises = self.device is not None or type(self).penalty is not Strategy.penalty
        return self.drops or self.samples or self.alternates or penalises

    @property
    def needs_gradients(self) -> bool:
        """Whether it does more than what SPSA can estimate: a penalty, two losses, or the gradient of each weight."""
        return self.alternates or self.device is not None

    def freeze(self, bank: CircuitBank) -> None:
        """Fix parameters that are not trained; the same each time a model is built."""

    def choose(self, bank: CircuitBank, generator: torch.Generator | None = None) -> Gates | None:
        """The candidates to begin with; None for all.

        Args:
            bank: At its random start.
            generator: Source of a random choice; torch's default generator where None.
        """
        return None

    def penalty(self, bank: CircuitBank, progress: float) -> Tensor | None:
        """What is added to the loss of a batch, besides the device's cost.

        Args:
            bank: With parameters of this step.
            progress: Finished part of the training, from 0 in the first to 1 in the last epoch.
        """
        return None

    def temperature(self, progress: float) -> float | None:
        """Of sampled mixings in this epoch; None where there is none."""
        return None

    def survivors(self, bank: CircuitBank, progress: float, importance: Tensor) -> Gates | None:
        """The candidates that are kept after an epoch, by their present places; None for all.

        Args:
            bank: At the end of the epoch.
            progress: As in `penalty`.
            importance: Of each candidate, (gates, candidates); see `importance`.
        """
        return None


def distribution(bank: CircuitBank) -> Tensor:
    """The weights of each gate as probabilities, without noise: convex ones as they are, others as |w| / sum |w|.

    Shape (gates, candidates).
    """
    coefficients = bank.coefficients(noise=False)
    assert coefficients is not None
    size = coefficients.abs()
    return size / size.sum(dim=1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)


def importance(bank: CircuitBank) -> Tensor:
    """What the loss of a batch would change by without a candidate, squared, to first order; (gates, candidates).

    With plain weights that is ``(w dL/dw)^2`` (Molchanov et al. 2017, arXiv 1611.06440). Convex ones become larger when one of
    them goes: ``(dL/da / (1 - p))^2`` by its logit a, at temperature 1.
    """
    weights = bank.structural_weights
    assert weights is not None
    assert weights.grad is not None
    if not MIXINGS[bank.mixing].convex:
        return bank.table(weights.detach() * weights.grad).square()
    rest = 1 - distribution(bank).detach()
    return (bank.table(weights.grad) / rest.clamp_min(torch.finfo(rest.dtype).eps)).square()
