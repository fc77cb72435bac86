"""Simultaneous perturbation stochastic approximation (Spall 1992) of a whole model, as a torch optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qlstm_qiskit.errors import OptionError, require_at_least
from qlstm_qiskit.training.options import MOST_RESAMPLINGS

#: Exponents of the gain schedules, Spall's recommendation.
_ALPHA, _GAMMA = 0.602, 0.101


class SPSA(torch.optim.RMSprop):
    """RMSprop on gradients estimated from two evaluations of the loss, whatever the number of parameters.

    All perturbed parameters move at once by ``c_k D`` with random signs D = +-1, and ``(L(+) - L(-)) / (2 c_k) D`` estimates
    their gradient. For a model on quantum circuits with T time steps this takes 2 T jobs; parameter shift needs T + 1 far
    larger ones. Parameters after the circuits, such as those of a read-out layer, keep exact gradients by autograd.

    Gains: ``a_k = lr ((1 + A) / (k + 1 + A))^0.602`` and ``c_k = eps / (k + 1)^0.101`` in step k = 0, 1, ...

    Args:
        params: Parameters or groups. A group may have its own `perturbation` in place of `eps`, and `perturbed=False` if its
            gradients do not pass through a circuit.
        lr: Learning rate of the first step.
        eps: Size of the perturbation, in radians for angles. It should be far larger than shot noise and smaller than a period.
        resamplings: Number of perturbations to average over in each step; each costs two evaluations.
        stability: The constant A, about a tenth of the number of steps.
        alpha, rms_eps: Smoothing constant and epsilon of RMSprop.
        generator: Source of the signs; torch's default generator where None. Both evaluations of a pair find it in the same
            state, so that anything the loss draws from it, such as dropout, is the same in both.

    Raises:
        OptionError: An option is out of its range.
    """

    generator: torch.Generator | None = None

    def __init__(
        self,
        params: Any,
        lr: float = 0.03,
        *,
        eps: float = 0.15,
        resamplings: int = 1,
        stability: float = 20.0,
        alpha: float = 0.99,
        rms_eps: float = 1e-8,
        generator: torch.Generator | None = None,
    ) -> None:
        for name, value, least in (("lr", lr, 0.0), ("eps", eps, 0.0), ("stability", stability, -1.0)):
            if not least < value < math.inf:
                raise OptionError(f"{name} of SPSA is {value}; it must be a finite number above {least:g}.")
        require_at_least("resamplings", resamplings, 1, MOST_RESAMPLINGS)
        self._own = {"perturbation": eps, "perturbed": True, "n_steps": 0, "resamplings": resamplings, "stability": stability}
        self.generator = generator
        super().__init__(params, lr=lr, alpha=alpha, eps=rms_eps)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, with its own options or those of the optimiser."""
        super().add_param_group(self._own | param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` clears the gradients, computes the loss, calls `backward` and returns the loss.

        It is called 2 x resamplings times, without gradients of circuits. Returns its first value.
        """
        if closure is None:
            raise OptionError("SPSA evaluates the loss itself: call step(closure), as for torch.optim.LBFGS.")
        moved = [(p, group) for group in self.param_groups for p in group["params"] if group["perturbed"] and p.requires_grad]
        others = [p for group in self.param_groups for p in group["params"] if not group["perturbed"] and p.requires_grad]
        n_steps, resamplings = self.param_groups[0]["n_steps"], self.param_groups[0]["resamplings"]
        scale, generator = (n_steps + 1) ** -_GAMMA, self.generator or torch.default_generator
        estimates = [torch.zeros_like(parameter) for parameter, _ in moved]
        exact = [torch.zeros_like(parameter) for parameter in others]
        losses: list[Any] = []
        for _ in range(resamplings):
            signs = [torch.randint(0, 2, p.shape, generator=generator).to(p) * 2 - 1 for p, _ in moved]
            shifts = [group["perturbation"] * scale * sign for (_, group), sign in zip(moved, signs, strict=True)]
            pair, state = [], generator.get_state()
            for direction in (1, -1):
                generator.set_state(state)  # otherwise the noise of dropout would drown the difference between the two
                pair.append(_evaluate(closure, [p for p, _ in moved], [direction * shift for shift in shifts]))
                for total, parameter in zip(exact, others, strict=True):
                    if parameter.grad is not None:
                        total += parameter.grad / (2 * resamplings)
            difference = float(torch.as_tensor(pair[0]).detach()) - float(torch.as_tensor(pair[1]).detach())
            for estimate, shift in zip(estimates, shifts, strict=True):
                estimate += difference / (2 * resamplings) / shift
            losses += pair
        for parameter, gradient in zip([*(p for p, _ in moved), *others], [*estimates, *exact], strict=True):
            parameter.grad = gradient
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:  # the gain is a separate factor, so that torch's schedulers work on top of it
            group["lr"] *= ((1 + group["stability"]) / (n_steps + 1 + group["stability"])) ** _ALPHA
        super().step()
        for group, rate in zip(self.param_groups, rates, strict=True):
            group.update(lr=rate, n_steps=n_steps + 1)
        return losses[0]


def _evaluate(closure: Callable[[], Any], parameters: list[Tensor], shifts: list[Tensor]) -> Any:
    """The loss at shifted parameters, without their gradients; the parameters are restored exactly."""
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        for parameter, shift in zip(parameters, shifts, strict=True):
            parameter.requires_grad_(False)
            parameter.add_(shift)
        with torch.enable_grad():
            return closure()
    finally:
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
            parameter.requires_grad_(True)
