"""How models are trained, by name: the paper's way, and one that was found on validation parts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

#: Name -> fields of a `RunSpec` that differ from its defaults, which are those of the paper's author.
#: "tuned" was chosen by `python -m benchmarks.recipe` on the last fifth of the training windows; see benchmarks/RESULTS.md.
RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": MappingProxyType({}),
        "tuned": MappingProxyType({"optimizer": "lbfgs", "batch_size": 0, "epochs": 50}),
    }
)
