"""Reading plain data from the files of a folder; damage is reported as a `RunError` of one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator
from typing_extensions import Self

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.training.task import REGRESSION, TASKS, Task

Model = TypeVar("Model", bound=BaseModel)


def with_errors(kind: type[Model], **fields: Any) -> type[Model]:
    """A model of file content with additional fields for a task's errors, given as (type, default)."""
    return create_model(kind.__name__, __base__=kind, __doc__=kind.__doc__, **fields)


#: Type and default of an error that may be missing.
MAYBE = (float | None, None)


class _HistoryLine(BaseModel):
    """A line of history.jsonl; null where an error was not finite."""

    model_config = ConfigDict(strict=True)

    epoch: int
    seconds: float = 0.0


_LINES: dict[str, Any] = {
    task.name: with_errors(_HistoryLine, **{task.train: (float | None, ...), task.valid: MAYBE, task.test: (float | None, ...)})
    for task in TASKS.values()
}


def history_line(task: Task) -> type[BaseModel]:
    """What a line of history.jsonl is for a task."""
    return cast(type[BaseModel], _LINES[task.name])


class Coefficients(BaseModel):
    """Coefficients of a layer's candidates, one row per gate."""

    model_config = ConfigDict(strict=True)

    candidates: list[str]
    coefficients: list[list[float | None]]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(len(row) != len(self.candidates) for row in self.coefficients):
            raise ValueError(f"a row does not have one coefficient for each of the {len(self.candidates)} candidates")
        return self


class ArchitectureLine(BaseModel):
    """A line of architecture.jsonl."""

    model_config = ConfigDict(strict=True)

    epoch: int
    layers: list[Coefficients]


class Environment(BaseModel):
    """Provenance of a result; see `environment`."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    commit: str | None = None
    changed: bool | None = None
    processor: str = ""
    versions: dict[str, str] = {}


class _Stage(BaseModel):
    """Metrics of a stage on the way to a derived model."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epochs: int
    n_circuits: int


class IntervalFacts(BaseModel):
    """Intervals of a run: half-width, coverage and mean width on the test part, for each step ahead."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    level: float
    method: str
    windows: int
    radius: list[float]
    coverage: list[float]
    width: list[float]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not len(self.radius) == len(self.coverage) == len(self.width) > 0:
            raise ValueError("radius, coverage and width are not of the same steps")
        return self


class Dates(BaseModel):
    """The first and last date that each part of the windows predicts; whole numbers are years."""

    model_config = ConfigDict(strict=True)

    column: str
    frequency: str | None = None
    train: list[str] | list[int] = []
    calibration: list[str] | list[int] = []
    test: list[str] | list[int] = []


class MemberFacts(BaseModel):
    """A member of an ensemble: its place, its seed, and errors beside them."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")

    member: int
    seed: int
    epochs: int


class _Metrics(Environment):
    """The fields of metrics.json that are read; files of older versions may lack any of them."""

    dataset: str | None = None
    model: str | None = None
    search: str | None = None
    path: str | None = None
    epochs: int | None = None
    interrupted: bool = False
    dry_run: bool = False
    n_parameters: int | None = None
    n_circuits: int | None = None
    test: dict[str, float] = {}
    wall_seconds: float | None = None
    interval: IntervalFacts | None = None
    dates: Dates | None = None
    classes: list[bool | int | str] | None = None
    members: list[MemberFacts] = []
    spread: float | None = None


def _metrics(task: Task) -> type[BaseModel]:
    stage: Any = with_errors(_Stage, **{task.valid: MAYBE, task.test: (float, ...)})
    return with_errors(
        _Metrics,
        **dict.fromkeys((task.train, task.valid, task.test), MAYBE),
        **dict.fromkeys(task.naive, (dict[str, float], {})),
        stages=(dict[str, stage], {}),
    )


_METRICS = {task.name: _metrics(task) for task in TASKS.values()}


def metrics_model(content: Mapping[str, Any]) -> type[BaseModel]:
    """What a metrics.json is, by the task whose test error it has.

    Args:
        content: Of the file.
    """
    return _METRICS[next((task.name for task in TASKS.values() if task.test in content), REGRESSION.name)]


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of a metrics.json, or `RunError`."""
    content = read_json(path)
    validated(metrics_model(content), content, path)
    return content


def validated(kind: type[Model], content: object, path: Path) -> Model:
    """The content of a file as a pydantic model, or `RunError` with the first fault."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RunError(f"{path} is damaged or of another version: {_first(error)}.") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, or `RunError`."""
    try:
        content = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}.") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: it does not hold a JSON object.")
    return content


def read_lines(path: Path, count: int | None = None) -> list[dict[str, Any]]:
    """The first `count` lines of a file of JSON objects; all lines where None."""
    try:
        lines = [json.loads(line) for line in _read_text(path).splitlines()[:count]]
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}.") from None
    if not all(isinstance(line, dict) for line in lines):
        raise RunError(f"{path} is damaged: a line is not a JSON object.")
    return lines


def read_epochs(path: Path, count: int, kind: type[BaseModel], *, whole: bool = True) -> list[dict[str, Any]]:
    """The lines of the first `count` epochs, one per epoch; with `whole`, none of them may be missing."""
    lines = read_lines(path, count)
    for epoch, line in enumerate(lines, 1):
        try:
            kind.model_validate(line)
        except ValidationError as error:
            raise RunError(f"{path} is damaged: a line is not that of an epoch (line {epoch}: {_first(error)}).") from None
        if line["epoch"] != epoch:
            raise RunError(f"{path} is damaged: line {epoch} is of epoch {line['epoch']}.")
    if whole and len(lines) < count:
        raise RunError(f"{path} has {len(lines)} lines, and there are {count} finished epochs; the file is damaged.")
    return lines


def _first(error: ValidationError) -> str:
    """The first fault, with its place."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); is this a run folder?") from None
