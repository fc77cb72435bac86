"""Names that a shell completes (`qlstm --install-completion`): plain data, as a key press must not load torch and Qiskit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
    "model": (
        *("diffqas", "diffqas-shared", "reservoir", "reservoir-shared"),
        *(f"config{number}" for number in range(1, 7)),
        "lstm",
    ),
    "mixing": ("linear", "softmax"),
    "recipe": ("paper", "tuned"),
    "optimizer": ("rmsprop", "adam", "lbfgs", "spsa"),
    "schedule": ("constant", "cosine"),
    "strategy": (
        *("weighted-sum", "softmax", "gumbel-softmax", "entropy", "l1", "shrinking", "bilevel"),
        *("random", "best-of-random", "uniform", "frozen"),
    ),
    "derivation": ("perturbation", "contribution", "weight"),
    "study": ("real", "recipe", "table2", "table2-tuned"),
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
