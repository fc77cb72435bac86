"""The command that makes a run again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlstm_qiskit.experiments.runs.run import GENOTYPE
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.storage import exists

#: Fields that `qlstm train` has an option for.
_DATA = ("dataset", "csv", "target", "window", "horizon", "train_fraction", "season")
_MODEL = ("model", "hidden_size", "depth", "n_qubits", "num_layers", "mixing", "angle_std")
_TRAINING = ("batch_size", "optimizer", "lr", "schedule", "spsa_eps", "spsa_resamplings", "patience")
_ALWAYS = ("epochs", "valid_fraction", "seed")
_NO_PART = {"data", "search", "start", "genotype", "backend", "backend_options", *_ALWAYS}

_PYTHON = """from pathlib import Path
from qlstm_qiskit.experiments import RunSpec, train_run

train_run(RunSpec.model_validate_json(Path("config.json").read_text()), Path("again"))"""


def again(spec: RunSpec, path: Path) -> str:
    """The command that makes a run again, in a folder `again`; Python lines for one that has options without a command."""
    if spec.genotype is not None and spec.start is None:
        source = spec.genotype.provenance
        if exists(path / GENOTYPE) and "run" in source:
            options = ["--strategy", source.get("strategy", "perturbation"), "--top-k", source.get("top_k", 1)]
            refit = [] if source.get("refit", True) else ["--no-refit"]
            return _joined("derive", source["run"], *options, *refit)
        return _PYTHON
    defaults = RunSpec.model_fields
    known = {*_MODEL, *_TRAINING} if spec.start is None else {*_TRAINING}
    ignored = set() if spec.start is None else {*_MODEL}
    changed = [name for name in defaults if name not in _NO_PART and getattr(spec, name) != defaults[name].default]
    if spec.start is None and any(name not in known for name in changed):
        return _PYTHON
    words: list[Any] = []
    if spec.start is not None:
        words += ["--from", spec.start.run, *_options(spec, _TRAINING)]
    else:
        words += _options(spec.data, _DATA)
        if spec.data.features is not None and spec.data.csv is not None:
            names = spec.data.features
            odd = any(set(name) & set(',"') for name in names)  # each is then an option of its own, which is a name as it is
            words += [word for value in (names if odd else [",".join(names)]) for word in ("--features", value)]
        words += _options(spec, [name for name in (*_MODEL, *_TRAINING) if name in changed and name not in ignored])
    if spec.search is not None:
        words += ["--strategy", spec.search.name]
        for key, value in _flat(spec.search.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)):
            words += ["--strategy-option", f"{key}={_scalar(value)}"]
    words += _options(spec, _ALWAYS)
    if spec.backend != defaults["backend"].default:
        words += ["--backend", spec.backend]
    return _joined("train", *words)


def _options(source: Any, names: Any) -> list[str]:
    """Options with their values, except for those that have none."""
    values = [(name, getattr(source, name)) for name in names]
    return [str(word) for name, value in values if value is not None for word in (f"--{name.replace('_', '-')}", value)]


def _flat(options: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _scalar(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _joined(*words: Any) -> str:
    return shlex.join(["qlstm", *map(str, words), "--out", "again"])
