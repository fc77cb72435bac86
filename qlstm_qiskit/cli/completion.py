"""Names that a shell completes (`qlstm --install-completion`): plain data, as a key press must not load torch and Qiskit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qlstm_qiskit.training.declare import about
from qlstm_qiskit.training.options import OF_RUN

#: Option -> what it takes; a test compares them with the rooms that they come from.
NAMES: dict[str, tuple[str, ...]] = {
    "dataset": (
        "bessel",
        "damped_shm",
        "delayed_quantum_control",
        "narma5",
        "narma10",
        "sunspots",
        "nile",
        "elnino",
        "co2",
    ),
    **{name: known.choices for name, own in OF_RUN.items() if (known := about(own)).choices},
    "recipe": ("paper", "tuned", "device"),
    "strategy": (
        *("weighted-sum", "softmax", "gumbel-softmax", "entropy", "l1", "shrinking", "bilevel"),
        *("random", "best-of-random", "uniform", "frozen"),
    ),
    "derivation": ("perturbation", "contribution", "weight"),
    "study": ("device", "real", "recipe", "recipe-device", "search", "table2", "table2-tuned"),
    "format": ("qasm3", "qpy", "multilinear"),
    "logger": ("tensorboard", "mlflow"),
    "task": ("predict", "train"),
}


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
