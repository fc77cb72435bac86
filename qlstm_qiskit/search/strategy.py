"""The base class of search strategies: the interface that training uses."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor
from typing_extensions import Self

from qlstm_qiskit.nn import MIXINGS, CircuitBank
from qlstm_qiskit.search.device_cost import DeviceCost

#: For each gate, indices of candidates.
Gates = list[list[int]]


class Strategy(BaseModel):
    """The interface of all strategies; the base class itself changes nothing.

    A strategy decides how structural weights become coefficients (`mixing`), what is fixed from the start (`freeze`,
    `choose`), what is added to the loss (`penalty`), and what changes between epochs (`temperature`, `survivors`). Training
    calls these methods and depends on no particular strategy.

    Attributes:
        name: As in `STRATEGIES` and on the command line.
        reference: The publication that it comes from.
        device: Adds the expected cost of the circuits on a device to the loss.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    reference: ClassVar[str] = ""
    alternates: ClassVar[bool] = False  # structural weights learn from the validation part, the rest from the training part
    weighs: ClassVar[bool] = True  # weights over several candidates are trained
    drops: ClassVar[bool] = False  # drops candidates, and needs their importance for that
    samples: ClassVar[bool] = False  # the weights have noise that is drawn in each step
    device: DeviceCost | None = None

    @model_validator(mode="after")
    def _check_device(self) -> Self:
        if self.device is not None and not self.weighs:
            raise ValueError(
                "trains no weights over candidates, so the cost on a device would change nothing; leave device out"
            )
        return self

    @property
    def mixing(self) -> str:
        """The mixing of the banks, a name in `MIXINGS`; it replaces the option `mixing` of the model."""
        return "linear"

    @property
    def trials(self) -> int:
        """Number of trainings from different starts, of which the best on the validation part counts."""
        return 1

    @property
    def weights_lr(self) -> float | None:
        """Learning rate of the structural weights if they have their own optimiser; None for that of the other parameters."""
        return None

    @property
    def needs_validation(self) -> bool:
        return self.alternates or self.trials > 1

    @property
    def moves_loss(self) -> bool:
        """Whether the loss changes from step to step, or its gradient has terms that the loss does not show."""
        penalises = self.device is not None or type(self).penalty is not Strategy.penalty
        return self.drops or self.samples or self.alternates or penalises

    @property
    def needs_gradients(self) -> bool:
        """Whether it needs more than SPSA can estimate: a penalty, two losses, or the gradient of each weight."""
        return self.alternates or self.device is not None

    def freeze(self, bank: CircuitBank) -> None:
        """Freeze the parameters that are not trained; called each time a model is built."""

    def choose(self, bank: CircuitBank, generator: torch.Generator | None = None) -> Gates | None:
        """The candidates to start with; None for all.

        Args:
            bank: The bank at its random start.
            generator: Source of a random choice; torch's default generator where None.
        """
        return None

    def penalty(self, bank: CircuitBank, progress: float) -> Tensor | None:
        """The term added to the loss of a batch, besides the cost on a device.

        Args:
            bank: The bank with the parameters of this step.
            progress: Progress of the training, from 0 in the first epoch to 1 in the last.
        """
        return None

    def temperature(self, progress: float) -> float | None:
        """Temperature of sampled mixings in this epoch; None if there is none."""
        return None

    def survivors(self, bank: CircuitBank, progress: float, importance: Tensor) -> Gates | None:
        """The candidates that are kept after an epoch, by their current indices; None for all.

        Args:
            bank: The bank at the end of the epoch.
            progress: As in `penalty`.
            importance: Importance of each candidate, (gates, candidates); see `importance`.
        """
        return None


def distribution(bank: CircuitBank) -> Tensor:
    """The weights of each gate as probabilities, without noise: convex ones unchanged, others as |w| / sum |w|.

    Shape (gates, candidates).
    """
    coefficients = bank.coefficients(noise=False)
    assert coefficients is not None
    size = coefficients.abs()
    return size / size.sum(dim=1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)


def importance(bank: CircuitBank) -> Tensor:
    """The squared first-order change of the loss of a batch if a candidate were removed, (gates, candidates).

    For plain weights it is ``(w dL/dw)^2`` (Molchanov et al. 2017, arXiv 1611.06440). Convex weights grow when one of them
    is removed: ``(dL/da / (1 - p))^2`` with its logit a, at temperature 1.
    """
    weights = bank.structural_weights
    assert weights is not None
    assert weights.grad is not None
    if not MIXINGS[bank.mixing].convex:
        return bank.table(weights.detach() * weights.grad).square()
    rest = 1 - distribution(bank).detach()
    return (bank.table(weights.grad) / rest.clamp_min(torch.finfo(rest.dtype).eps)).square()
