"""Training recipes by name: the paper's, and two that were chosen on validation parts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qlstm_qiskit.training.declare import about
from qlstm_qiskit.training.options import CLASSICAL, OF_RUN

#: Name -> fields of a `RunSpec` that differ from its defaults, which follow the paper's author.
#: "tuned" was chosen by the errors on the last fifth of the training windows: `qlstm table --study recipe`, results/recipe.
#: "device" was chosen in the same way, with 1024 shots: `qlstm table --study recipe-device`, results/recipe-device.
RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": MappingProxyType({}),
        "tuned": MappingProxyType(
            {"optimizer": "lbfgs", "batch_size": 0, "schedule": "constant", "epochs": 50, "angle_std": 0.5}
        ),
        "device": MappingProxyType({"optimizer": "adam", "lr": 0.03, "schedule": "cosine", "epochs": 400}),
    }
)


def recipe_fields(name: str, model: str) -> dict[str, Any]:
    """The fields of a model's `RunSpec` that a recipe sets."""
    return {key: value for key, value in RECIPES[name].items() if model not in CLASSICAL or not about(OF_RUN[key]).circuits}
