"""Names that a shell completes (`qlstm --install-completion`), and that commands refuse others by before anything is loaded.

Plain data: neither a key press nor a mistyped name must take the seconds in which torch and Qiskit are loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import separate_names, unknown_option
from qlstm_qiskit.training.declare import about
from qlstm_qiskit.training.options import OF_RUN

#: The task of runs that predict classes, and series that have them.
CLASSES, LABELLED = "classification", ("italy_power_demand", "basic_motions")
#: Chaotic series, whose windows are split in a way of their own.
CHAOTIC = ("henon", "mackey_glass", "lorenz")

#: Option -> what it takes; a test compares them with the rooms that they come from.
NAMES: dict[str, tuple[str, ...]] = {
    "dataset": (
        "bessel",
        "damped_shm",
        "delayed_quantum_control",
        "narma5",
        "narma10",
        *CHAOTIC,
        "sunspots",
        "nile",
        "elnino",
        "co2",
        *LABELLED,
    ),
    "run_task": ("regression", CLASSES),
    **{name: about(own).choices for name, own in OF_RUN.items() if about(own).choices},
    "map": ("products", "tanh", "frozen", "products-all"),
    "recipe": ("paper", "tuned", "device"),
    "strategy": (
        *("weighted-sum", "softmax", "gumbel-softmax", "entropy", "l1", "shrinking", "bilevel"),
        *("random", "best-of-random", "uniform", "frozen"),
    ),
    "derivation": ("perturbation", "contribution", "weight"),
    "study": (
        "chaos",
        "chaos-leak-free",
        "device",
        "real",
        "recipe",
        "recipe-device",
        "search",
        "table2",
        "table2-tuned",
        "trends",
    ),
    "interval_method": ("adaptive", "split"),
    "scaling": ("whole-series", "training-part"),
    "impute": ("ffill", "linear", "time"),
    "transform": ("log",),
    "calendar": ("minute", "hour", "weekday", "day", "month", "quarter", "dayofyear", "weekend"),
    "format": ("qasm3", "qpy", "multilinear"),
    "logger": ("tensorboard", "mlflow"),
    "task": ("predict", "train"),
    "axis": ("depth", "candidates", "hidden", "window"),
}

#: Beside the names of a kind, what is refused in words of its own where it is looked up, or is allowed there, too.
_ALSO = {
    "model": ("derived",),
    "mixing": ("gumbel-softmax", "gumbel-straight-through"),
    "device": tuple(f"cuda:{number}" for number in range(8)),
}
#: Kinds of which one value may hold several names, separated by commas, and what names begin with that are looked up later.
_SEPARATED, _BEGINNINGS = {"entangler"}, {"entangler": "device:"}
#: What a kind is called where its names are looked up.
_CALLED = {"strategy": "search strategy", "derivation": "derivation strategy", "run_task": "task"}


def known(kind: str) -> Callable[[Any], Any]:
    """The callback of an option that takes one name of a kind, or several: others are refused, as where they are looked up."""

    def check(given: Any) -> Any:
        allowed = (*NAMES[kind], *_ALSO.get(kind, ()))
        several = () if given is None else [given] if isinstance(given, str) else given
        for name in separate_names(kind, given) if isinstance(given, str) and kind in _SEPARATED else several:
            open_ended = kind in _BEGINNINGS and name.startswith(_BEGINNINGS[kind]) and name != _BEGINNINGS[kind]
            if name not in allowed and not open_ended:
                raise unknown_option(_CALLED.get(kind, kind), name, map(partial(_said, kind), allowed))
        return given

    return check


def _said(kind: str, name: str) -> str:
    """A name among those that are allowed: "device:NAME" for one that stands for all of its beginning."""
    beginning = _BEGINNINGS.get(kind)
    return f"{beginning}NAME" if beginning is not None and name.startswith(beginning) else name


def names(kind: str) -> Callable[[str], list[str]]:
    """A completion of the names of a kind."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in NAMES[kind] if name.startswith(incomplete)]

    return complete


def backend_names(incomplete: str) -> list[str]:
    """Completions of a backend: the packaged ones, and those of ./backends.yaml."""
    import yaml

    found: dict[str, None] = {}
    for path in (Path(__file__).parents[1] / "hardware" / "backends.yaml", Path("backends.yaml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # completion must not fail
        if isinstance(content, dict):
            found |= dict.fromkeys(str(name) for name in content)
    return [name for name in found if name.startswith(incomplete)]
