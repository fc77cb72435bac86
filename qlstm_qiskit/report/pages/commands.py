"""The command that makes a run again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qlstm_qiskit.experiments.runs.load import GENOTYPE
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.options import OF_MODEL, OF_TRAINING

#: Fields of the data that `qlstm train` has an option for.
_DATA = ("dataset", "csv", "target", "window", "horizon", "train_fraction", "season", "transform", "scaling")

#: What is said even where it is the default.
_ALWAYS = ("epochs", "valid_fraction", "seed")

_PYTHON = """from pathlib import Path
from qlstm_qiskit.experiments import RunSpec, train_run

train_run(RunSpec.model_validate_json(Path("config.json").read_text()), Path("again"))"""

_FROM_FOLDER = """from qlstm_qiskit.experiments import load_spec, train_run

train_run(load_spec("RUN"), "again")"""


def again(spec: RunSpec, path: Path) -> str:
    """The command that makes a run again, in a folder `again`; Python lines for a genotype that no search is known of."""
    if spec.genotype is not None and spec.start is None:
        source = spec.genotype.provenance
        if exists(path / GENOTYPE) and "run" in source:
            options = ["--strategy", source.get("strategy", "perturbation"), "--top-k", source.get("top_k", 1)]
            refit = [] if source.get("refit", True) else ["--no-refit"]
            return _joined("derive", source["run"], *options, *refit)
        return _PYTHON
    own = None if spec.entangler is not None else spec.space
    if spec.start is None and own is not None and own.source is None:
        return _FROM_FOLDER
    training = [name for name in OF_TRAINING if name not in _ALWAYS]
    words: list[Any] = []
    if spec.start is not None:
        words += ["--from", spec.start.run, *_options(spec, training)]
    else:
        words += _options(spec.data, _DATA)
        words += _options(spec.data, ["task"]) if spec.task.labelled else []
        words += _options(spec.data, ["lead"]) if spec.data.lead > 1 else []
        words += [word for value in spec.data.difference for word in ("--difference", value)]
        if spec.data.features is not None and spec.data.csv is not None:
            words += _columns("--features", spec.data.features)
        words += _columns("--known", spec.data.known) + _columns("--calendar", spec.data.calendar)
        if spec.data.reading is not None:
            for name, value in spec.data.reading.given.items():
                words += _options(SimpleNamespace(**{name: value}), [name]) if name != "na" else _repeated(name, value)
        if spec.data.interval is not None:
            kept = spec.data.interval
            words += ["--interval", kept.level, "--calibration-fraction", kept.calibration_fraction]
            words += ["--interval-method", kept.method]
        known = RunSpec.model_fields
        words += _options(spec, [name for name in (*OF_MODEL, *training) if getattr(spec, name) != known[name].default])
        words += [] if own is None else ["--space", own.source]
    if spec.search is not None:
        words += ["--strategy", spec.search.name]
        for key, value in _flat(spec.search.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)):
            words += ["--strategy-option", f"{key}={_scalar(value)}"]
    words += _options(spec, _ALWAYS)
    if spec.backend != RunSpec.model_fields["backend"].default:
        words += ["--backend", spec.backend]
    return _joined("train", *words)


def _options(source: Any, names: Any) -> list[str]:
    """Options with their values, but for those that have none; a switch has no value."""
    words: list[str] = []
    for name, value in ((name, getattr(source, name)) for name in names):
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            words += [f"--{option}", str(value)]
    return words


def _columns(option: str, names: Sequence[str]) -> list[str]:
    """Names of columns in one option; in one each, which takes a name as it is, where a name has a sign that separates them."""
    odd = any(set(name) & set(',"') for name in names)
    return [word for value in (names if odd else [",".join(names)] * bool(names)) for word in (option, value)]


def _repeated(name: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (f"--{name}", value)]


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
