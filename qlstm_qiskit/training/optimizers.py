"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.space import GATES
from qlstm_qiskit.training.spsa import SPSA

if TYPE_CHECKING:
    from qlstm_qiskit.training.regressor import QLSTMRegressor

#: Optimisers by name, and their default learning rates.
OPTIMIZERS: Mapping[str, float] = MappingProxyType({"rmsprop": 0.01, "spsa": 0.03})


def optimizer_options(options: QLSTMRegressor, module: Forecaster) -> dict[str, Any]:
    """The optimiser as arguments of skorch's network."""
    if options.optimizer == "rmsprop":
        return {"optimizer": torch.optim.RMSprop, "optimizer__alpha": 0.99, "optimizer__eps": 1e-8}
    groups: list[tuple[str, dict[str, Any]]] = [("*head.*", {"perturbed": False})]
    groups += [
        (f"*{name}", {"perturbation": options.spsa_eps / max(weights.numel() // len(GATES), 1) ** 0.5})
        for name, weights in module.named_parameters()
        if name.endswith("structural_weights")
    ]
    return {
        "optimizer": SPSA,
        "optimizer__eps": options.spsa_eps,
        "optimizer__resamplings": options.spsa_resamplings,
        "optimizer__param_groups": groups,
    }
