"""Agreement between the files of a run folder: if they contradict each other, there is no telling which one is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import DataError, RunError
from qlstm_qiskit.experiments.runs.header import ModelHeader, RunHeader
from qlstm_qiskit.experiments.runs.reading import (
    ArchitectureLine,
    history_line,
    read_epochs,
    read_json,
    read_metrics,
    validated,
)
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.search import Genotype
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.options import OF_RUN
from qlstm_qiskit.training.task import REGRESSION, TASKS

CONFIG, METRICS, HISTORY, MODEL = "config.json", "metrics.json", "history.jsonl", "model.safetensors"
ARCHITECTURE, GENOTYPE, CHECKPOINT = "architecture.jsonl", "genotype.json", "checkpoint.safetensors"

#: The name of a field, its value in the config, and its value in the other file.
_Difference = tuple[str, Any, Any]


def require_agreement(path: Path, spec: RunSpec, header: RunHeader) -> None:
    """Refuse a run folder whose config contradicts its weights, metrics, history or genotype.

    Args:
        path: The folder.
        spec: The content of its config.json.
        header: The header of its weights.

    Raises:
        RunError: Two files contradict each other; the message names both and their values. Or a file is damaged.
    """
    require_same_model(path, spec, header)
    require_same_metrics(path, spec, header)
    if exists(path / GENOTYPE):
        found = validated(Genotype, read_json(path / GENOTYPE), path / GENOTYPE)
        if found != spec.genotype:
            raise RunError(f"{path / GENOTYPE} and {path / CONFIG} hold different genotypes; restore the one that was changed.")
    read_history(path, spec, header)
    read_architecture(path, header)


def require_same_metrics(path: Path, spec: RunSpec, header: ModelHeader) -> None:
    """Refuse a config, or a model, that is not that of metrics.json; errors as for `require_agreement`."""
    if exists(path / METRICS):
        _require(path, METRICS, _of_metrics(spec, header, read_metrics(path / METRICS)))


def require_same_model(path: Path, spec: RunSpec, header: RunHeader) -> None:
    """Refuse a config that does not match the weights; errors as for `require_agreement`."""
    _require(path, MODEL, _of_header(spec, header))
    _require(path, MODEL, _of_config(spec, header), f"{path / MODEL} holds the parameters of another model: ")
    if spec.epochs < header.epoch:
        raise RunError(f"{path / CONFIG} says {spec.epochs} epochs, and {path / MODEL} is of epoch {header.epoch}.")


def require_same_cut(name: str, path: Path, spec: RunSpec, header: RunHeader) -> None:
    """Raise `DataError` if config and weights cut the series differently; `name` is the name of the series."""
    there = _flat(header.config or {}).get("data.train_fraction", spec.data.train_fraction)
    if there != spec.data.train_fraction:
        raise DataError(
            f"{name} was cut or scaled differently when {path} was trained: {path / CONFIG} says train_fraction "
            f"{spec.data.train_fraction}, and {path / MODEL} says {there}; restore the one that was changed, or train again."
        )


def read_history(path: Path, spec: RunSpec, header: ModelHeader) -> list[dict[str, Any]]:
    """The lines of the finished epochs; none if there is no file, or if the original search of a derived run had none."""
    file = path / HISTORY
    if not exists(file):
        return []
    derived = spec.genotype is not None and not file.stat().st_size
    return [] if derived else read_epochs(file, header.epoch, history_line(spec.task))


def read_architecture(path: Path, header: ModelHeader) -> list[dict[str, Any]]:
    """The structural weights after each finished epoch; none if the model has none."""
    return read_epochs(path / ARCHITECTURE, header.epoch, ArchitectureLine) if exists(path / ARCHITECTURE) else []


def _of_header(spec: RunSpec, header: ModelHeader) -> Iterator[_Difference]:
    yield "data.window", spec.data.window, header.window
    yield "data.horizon", spec.data.horizon, header.horizon
    yield "data.lead", spec.data.lead, header.lead
    yield "data.known and data.calendar", spec.data.ahead, header.known
    yield (
        "data.task",
        spec.data.task,
        next(task.name for task in TASKS.values() if task.labelled == (header.classes is not None)),
    )
    yield "data.difference and data.transform", spec.data.change, header.change
    if spec.data.csv is not None:
        yield "data.target", spec.data.target, header.target
        yield "data.features", list(spec.data.features or [str(spec.data.target)]), list(header.columns)


def _of_config(spec: RunSpec, header: RunHeader) -> Iterator[_Difference]:
    """Everything that results depend on, except for the cut; see `require_same_cut`."""
    if header.config is None:
        return
    defaults: dict[str, Any] = {name: known.default for name, known in OF_RUN.items()}
    defaults |= {"space": None, "data.reading": None, "data.difference": [], "data.transform": None, "data.interval": None}
    defaults |= {"data.known": [], "data.calendar": [], "data.lead": 1, "data.scaling": None}
    defaults["data.task"] = REGRESSION.name
    here, there = defaults | _flat(spec.lasting()), defaults | _flat(header.config)
    yield from ((name, here[name], there[name]) for name in there if name in here and name != "data.train_fraction")


def _of_metrics(spec: RunSpec, header: ModelHeader, metrics: dict[str, Any]) -> Iterator[_Difference]:
    search = None if spec.search is None else spec.search.name
    own = {"model": spec.model, "seed": spec.seed, "hidden_size": spec.hidden_size, "search": search}
    if spec.data.dataset is not None:
        own["dataset"] = spec.data.dataset
    if not metrics.get("interrupted"):  # otherwise it may have been resumed since
        own["epochs"] = header.epoch
    yield from ((name, value, metrics[name]) for name, value in own.items() if name in metrics)


def _require(path: Path, other: str, differences: Iterator[_Difference], begin: str = "") -> None:
    for name, here, there in differences:
        if here != there:
            file = MODEL if (name, other) == ("epochs", METRICS) else CONFIG
            raise RunError(
                f"{begin}{path / file} says {name} {_short(here)}, and {path / other} says {_short(there)}; "
                "restore the one that was changed."
            )


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """The content with the fields of `data` on the top level."""
    data = content.get("data")
    inner = {f"data.{name}": value for name, value in data.items()} if isinstance(data, dict) else {}
    return inner | {name: value for name, value in content.items() if name != "data"}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
