"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.training.options import OPTIONS
from qlstm_qiskit.training.plain import CheckedOptions
from qlstm_qiskit.training.spsa import SPSA

#: Factors of the learning rate by name, as functions of the progress of the training, from 0 to 1.
SCHEDULES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "constant": lambda _: 1.0,
        "cosine": lambda progress: 0.5 * (1 + math.cos(math.pi * progress)),  # Loshchilov and Hutter 2017, arXiv 1608.03983
    }
)

#: Iterations of L-BFGS per epoch; each takes one pass over the windows, rarely two.
LBFGS_ITERATIONS = 20


def check_optimizer(options: CheckedOptions) -> None:
    """Raise `OptionError` if options of an optimiser are not allowed or would be ignored."""
    name = options.optimizer
    if name != "spsa" and any(getattr(options, own) != OPTIONS[own].default for own in ("spsa_eps", "spsa_resamplings")):
        raise OptionError(f"spsa_eps and spsa_resamplings have no meaning for {name}; choose the optimizer spsa.")
    strategy = options.strategy
    if name == "spsa" and strategy.needs_gradients:
        raise OptionError(f"the strategy {strategy.name!r} needs gradients with these options; use the optimizer rmsprop.")
    if name != "lbfgs":
        return
    if options.batch_size:
        raise OptionError(f"lbfgs compares the losses of its steps, and batch_size={options.batch_size} changes them; give 0.")
    if options.schedule != "constant":
        raise OptionError(f"lbfgs finds its step length by a line search; schedule={options.schedule!r} has no meaning for it.")
    if options.repeats > 1:
        raise OptionError(f"lbfgs has no use for repeats={options.repeats}: its loss is the same each time; give 1.")
    if strategy.moves_loss or options.dropout:
        what = f"the strategy {strategy.name!r}" if strategy.moves_loss else f"dropout={options.dropout}"
        raise OptionError(f"lbfgs needs a loss that stays the same from step to step, which {what} changes; use adam.")


def optimizer_options(options: CheckedOptions, module: Forecaster, generator: torch.Generator | None = None) -> dict[str, Any]:
    """The optimiser as arguments of skorch's network; it draws from the generator, or from torch's default one."""
    if options.optimizer == "rmsprop":
        return {"optimizer": torch.optim.RMSprop, "optimizer__alpha": 0.99, "optimizer__eps": 1e-8}
    if options.optimizer == "adam":
        return {"optimizer": torch.optim.Adam}
    if options.optimizer == "lbfgs":
        chosen = {
            "max_iter": LBFGS_ITERATIONS,
            "history_size": LBFGS_ITERATIONS,
            "line_search_fn": "strong_wolfe",
            "tolerance_grad": 1e-14,  # low enough that losses of 1e-8 are still improved
            "tolerance_change": 1e-16,
        }
        return {"optimizer": torch.optim.LBFGS, **{f"optimizer__{key}": value for key, value in chosen.items()}}
    groups: list[tuple[str, dict[str, Any]]] = [("*head.*", {"perturbed": False})]
    n_gates = 1 if module.circuits is None else len(module.circuits.gate_names)
    groups += [
        (f"*{name}", {"perturbation": options.spsa_eps / max(weights.numel() // n_gates, 1) ** 0.5})
        for name, weights in module.named_parameters()
        if name.endswith("structural_weights")
    ]
    return {
        "optimizer": SPSA,
        "optimizer__eps": options.spsa_eps,
        "optimizer__resamplings": options.spsa_resamplings,
        "optimizer__param_groups": groups,
        "optimizer__generator": generator,
    }


class Schedule(Callback):
    """Sets the learning rate at each step from the progress of the training.

    Args:
        name: A name in `SCHEDULES`.
        n_batches: Number of steps in an epoch.
    """

    def __init__(self, name: str, n_batches: int) -> None:
        self.factor, self.n_batches = SCHEDULES[name], n_batches

    def on_batch_begin(self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        if not training:
            return
        # skorch has already opened the rows of this epoch and batch.
        finished = (len(net.history) - 1) * self.n_batches + len(net.history[-1]["batches"]) - 1
        rate = net.lr * self.factor(finished / (net.max_epochs * self.n_batches))
        for group in net.optimizer_.param_groups:
            group["lr"] = rate
