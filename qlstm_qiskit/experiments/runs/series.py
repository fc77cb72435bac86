"""Which series a run learns, and how it is read and cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from qlstm_qiskit.data import (
    CHAOTIC_SERIES,
    REAL_SERIES,
    Change,
    Dataset,
    Intervals,
    Known,
    Reading,
    load_csv,
    load_dataset,
    read_series,
)
from qlstm_qiskit.data.classes import load_classes, own_window
from qlstm_qiskit.data.named import own_fraction
from qlstm_qiskit.data.source import sha256_of
from qlstm_qiskit.errors import DataError, OptionError, unknown_option
from qlstm_qiskit.training.task import REGRESSION, TASKS


class DataSpec(BaseModel):
    """Which series, and how it is cut: one of `dataset` and `csv`.

    Attributes:
        dataset: Name of one of the paper's series, or of a real one.
        csv: Path of a CSV file.
        target, features: Columns of the file: the one to predict, and those to predict from (by default the target's own past).
        csv_sha256: Of the file's content when it was first read.
        window, horizon: Rows in a window and values to predict.
        train_fraction: Part of the windows before the first that tests; 0.67 for the paper's series, 0.8 for chaotic ones.
        season: Rows in a season of a CSV file's target; 1 where None.
        reading: How the file is read, where it is no plain one; what it leaves open is recognised. None together with
            `csv_sha256` is a plain file whose rows were in order, which is read as it is.
        difference: Numbers of rows that the target is differenced over, or "season"; one or several.
        transform: "log" to take the logarithm of the target first; see `Change`.
        known: Columns of the file whose values are known ahead; see `Known`.
        calendar: Names in `CALENDAR` of what is read of the dates of the rows that are predicted.
        interval: Intervals of forecasts, and the part of the windows that is set aside for them; None for none.
        lead, scaling: As in `load_dataset`: how many steps ahead is predicted, and how a chaotic series is scaled.
        task: What is learned, a name in `TASKS`: by default the values that follow a window; or its class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str | None = None
    csv: str | None = None
    target: str | None = None
    features: tuple[str, ...] | None = None
    csv_sha256: str | None = None
    window: int = 4
    horizon: int = 1
    train_fraction: float = 0.67
    season: int | None = None
    reading: Reading | None = None
    difference: tuple[int | Literal["season"], ...] = ()
    transform: str | None = None
    known: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    interval: Intervals | None = None
    lead: int = 1
    scaling: str | None = None
    task: str = REGRESSION.name

    @model_validator(mode="before")
    @classmethod
    def _own_window(cls, given: Any) -> Any:
        return own_fraction(own_window(given)) if isinstance(given, dict) else given

    @field_validator("task")
    @classmethod
    def _known(cls, given: str) -> str:
        if given not in TASKS:
            raise unknown_option("task", given, TASKS)
        return given

    @field_validator("difference", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, int | str) else given

    @property
    def change(self) -> Change | None:
        """What is learned in place of the series.

        Raises:
            OptionError: A value is not allowed, or a season is asked for and there is none.
        """
        known = REAL_SERIES.get(self.dataset or "")
        return Change.of(self.difference, self.transform, known.season if known is not None else self.season or 1)

    @property
    def ahead(self) -> Known | None:
        """What is known ahead; errors as of `Known.of`."""
        return Known.of(self.known, self.calendar, self.target)

    @model_serializer(mode="wrap")
    def _given_only(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `reading` where the file is a plain one, and other fields that are not given, so that files stay the same."""
        content = dump(self)
        for name in ("difference", "transform", "known", "calendar", "interval"):
            if not getattr(self, name):
                content.pop(name, None)
        if self.task == REGRESSION.name:
            content.pop("task", None)
        for name in ("lead", "scaling"):
            if getattr(self, name) == type(self).model_fields[name].default:
                content.pop(name, None)
        if content.get("reading", self) is None:
            del content["reading"]
        elif self.reading is not None and "reading" in content:
            content["reading"] = {name: content["reading"][name] for name in self.reading.given}
        return content

    def load(self) -> Dataset:
        """Read the series.

        Raises:
            OptionError: Not exactly one of `dataset` and `csv`, or an option that the source would ignore.
            DataError: The file cannot be used, or has changed since the run was made; or the part for intervals is too small.
        """
        whole = self._whole()
        return whole if self.interval is None else self.interval.cut(whole)

    def _whole(self) -> Dataset:
        """The series before a part is set aside."""
        if (self.dataset is None) == (self.csv is None):
            raise OptionError("give exactly one of a dataset's name and a CSV file (--dataset or --csv).")
        if self.csv_sha256 is not None and self.csv_sha256 != sha256_of(str(self.csv)):
            raise DataError(f"{self.csv} has changed since this run was made; restore the file or train a new run.")
        reading = replace(Reading(), sort=False) if self.csv_sha256 is not None and self.reading is None else self.reading
        if TASKS[self.task].labelled:
            return load_classes(dict(self) | {"reading": reading})
        if self.dataset is not None:
            for name in ("target", "features", "season", "reading"):
                if getattr(self, name) is not None:
                    raise OptionError(f"{name} goes with a CSV file; the dataset {self.dataset!r} has its own.")
            if self.ahead is not None:
                raise OptionError(f"known and calendar go with a CSV file; the dataset {self.dataset!r} has no such columns.")
            return load_dataset(self.dataset, **self._cut, scaling=self.scaling)
        if self.target is None:
            raise OptionError("a CSV file needs the name of the column to predict (--target).")
        if self.scaling is not None:
            raise OptionError(f"scaling goes with {', '.join(CHAOTIC_SERIES)}; a CSV file is scaled by its training part.")
        season = 1 if self.season is None else self.season
        ahead: dict[str, Any] = {"known": self.known, "calendar": self.calendar}
        return load_csv(str(self.csv), self.target, self.features, **self._cut, **ahead, season=season, reading=reading)

    @property
    def _cut(self) -> dict[str, Any]:
        names = ("window", "horizon", "train_fraction", "difference", "transform", "lead")
        return {name: getattr(self, name) for name in names}

    def pinned(self, dataset: Dataset | None = None) -> DataSpec:
        """The same, with the file's absolute path, the hash of its content, and what was recognised in it.

        Args:
            dataset: What it is read as, where that is known.
        """
        if self.csv is None:
            return self
        found: dict[str, Any] = {"csv": str(Path(self.csv).resolve()), "csv_sha256": sha256_of(self.csv)}
        if self.csv_sha256 is None and self.target is not None:
            names = (*(self.features or ()), *self.known, self.target)
            ahead = None if self.ahead is None else self.known
            known = read_series(self.csv, names, self.target, self.reading, ahead) if dataset is None else dataset
            found["reading"] = known.reading
            if TASKS[self.task].labelled and dataset is not None:
                found["features"] = dataset.features  # those that were chosen, whatever the rules are later
        return self.model_copy(update=found)
