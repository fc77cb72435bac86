"""What a run is: everything that is needed to train it again, as frozen plain data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from qlstm_qiskit.data import REAL_SERIES, Change, Dataset, Intervals, Reading, load_csv, load_dataset, read_series
from qlstm_qiskit.data.classes import load_classes, own_window
from qlstm_qiskit.data.source import sha256_of
from qlstm_qiskit.errors import DataError, OptionError, unknown_option
from qlstm_qiskit.experiments.runs.own import NamedSpace, OwnSpace, own_space, require_own_circuits
from qlstm_qiskit.hardware import BackendSpec, find_spec
from qlstm_qiskit.search import AnyStrategy, Genotype
from qlstm_qiskit.training import QLSTMClassifier, QLSTMRegressor
from qlstm_qiskit.training.estimator import Estimator
from qlstm_qiskit.training.options import AllOptions, ModelOptions, TrainingOptions, described
from qlstm_qiskit.training.task import REGRESSION, TASKS, Task

#: No literal in the class: pydantic's plugin for mypy would then refuse the fields that dataclasses declare.
_FROZEN: ConfigDict = {"frozen": True, "extra": "forbid"}

#: Name of a task -> the estimator of it.
_ESTIMATORS: dict[str, type[Estimator]] = {kind().task.name: kind for kind in (QLSTMRegressor, QLSTMClassifier)}

#: Fields as files have always had them: digests of files depend on their order. Options that were added later follow, and the
#: weights' file says nothing of them where they are the default, so that it stays the same to the bit.
_ORDER = (
    *("data", "model", "hidden_size", "depth", "n_qubits", "genotype", "search", "valid_fraction", "patience", "start"),
    *("input_map", "mixing", "num_layers", "dropout", "epochs", "batch_size", "optimizer", "lr", "schedule", "spsa_eps"),
    *("spsa_resamplings", "backend", "backend_options", "angle_std", "seed", "dtype"),
)


class DataSpec(BaseModel):
    """Which series, and how it is cut: one of `dataset` and `csv`.

    Attributes:
        dataset: Name of one of the paper's series, or of a real one.
        csv: Path of a CSV file.
        target, features: Columns of the file: the one to predict, and those to predict from (by default the target's own past).
        csv_sha256: Of the file's content when it was first read.
        window, horizon: Rows in a window and values to predict.
        train_fraction: Part of the windows before the first that tests; 0.67 for the paper's series.
        season: Rows in a season of a CSV file's target; 1 where None.
        reading: How the file is read, where it is no plain one; what it leaves open is recognised. None together with
            `csv_sha256` is a plain file whose rows were in order, which is read as it is.
        difference: Numbers of rows that the target is differenced over, or "season"; one or several.
        transform: "log" to take the logarithm of the target first; see `Change`.
        interval: Intervals of forecasts, and the part of the windows that is set aside for them; None for none.
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
    interval: Intervals | None = None
    task: str = REGRESSION.name

    @model_validator(mode="before")
    @classmethod
    def _own_window(cls, given: Any) -> Any:
        return own_window(given) if isinstance(given, dict) else given

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

    @model_serializer(mode="wrap")
    def _given_only(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `reading` where the file is a plain one, and other fields that are not given, so that files stay the same."""
        content = dump(self)
        for name in ("difference", "transform", "interval"):
            if not getattr(self, name):
                content.pop(name, None)
        if self.task == REGRESSION.name:
            content.pop("task", None)
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
            return load_dataset(self.dataset, **self._cut)
        if self.target is None:
            raise OptionError("a CSV file needs the name of the column to predict (--target).")
        season = 1 if self.season is None else self.season
        return load_csv(str(self.csv), self.target, self.features, **self._cut, season=season, reading=reading)

    @property
    def _cut(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("window", "horizon", "train_fraction", "difference", "transform")}

    def pinned(self, dataset: Dataset | None = None) -> DataSpec:
        """The same, with the file's absolute path, the hash of its content, and what was recognised in it.

        Args:
            dataset: What it is read as, where that is known.
        """
        if self.csv is None:
            return self
        found: dict[str, Any] = {"csv": str(Path(self.csv).resolve()), "csv_sha256": sha256_of(self.csv)}
        if self.csv_sha256 is None and self.target is not None:
            names = (*(self.features or ()), self.target)
            known = read_series(self.csv, names, self.target, self.reading) if dataset is None else dataset
            found["reading"] = known.reading
            if TASKS[self.task].labelled and dataset is not None:
                found["features"] = dataset.features  # those that were chosen, whatever the rules are later
        return self.model_copy(update=found)


class Start(BaseModel):
    """A run whose parameters another one starts from.

    Attributes:
        run: Its folder.
        sha256: Of its weights' file when it was first read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    sha256: str


@described
class RunSpec(BaseModel, TrainingOptions, ModelOptions):
    """A training run: a series, a model, how it is trained and where.

    The other arguments of `QLSTMRegressor` keep their defaults.

    Attributes:
        data: The series.
        ModelOptions: As declared there.
        genotype: The circuits of the model "derived".
        search: The strategy that trains the weights over candidates.
        start: Where it starts; random parameters where None.
        epochs: `max_epochs` of `QLSTMRegressor`.
        TrainingOptions: As declared there.
        backend: Name of an entry of backends.yaml.
        backend_options: That entry, as it was when the run was made; read from the file where None.
        space: Own circuits in place of the model's: a `SearchSpace`, or FILE.py:NAME or module:name of one, or of a function of
            nothing, or of n_qubits and depth, that returns one. The code is run when the run begins; its folder keeps the
            circuits.
    """

    model_config = ConfigDict(**_FROZEN)

    data: DataSpec
    genotype: Genotype | None = None
    search: AnyStrategy | None = None
    start: Start | None = None
    epochs: int = AllOptions.max_epochs
    backend: str = "statevector"
    backend_options: BackendSpec | None = None
    space: NamedSpace | OwnSpace | None = None
    seed: int = 0  # a run has one, to be trained again

    @field_validator("space", mode="before")
    @classmethod
    def _own(cls, given: object) -> object:
        return own_space(given)

    @property
    def title(self) -> str:
        """The model as figures and tables call it."""
        named = [self.model, *(["GRU"] if self.cell == "gru" else []), *(["both ways"] if self.bidirectional else [])]
        named += ["own circuits"] if self.space is not None else []
        return ", ".join(named)

    @property
    def task(self) -> Task:
        """What the model is for."""
        return TASKS[self.data.task]

    @model_serializer(mode="wrap")
    def _in_order(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = dump(self)
        if content.get("device") == type(self).model_fields["device"].default:  # files of the CPU say nothing of it
            del content["device"]
        return {name: content[name] for name in (*_ORDER, *content) if name in content}

    def lasting(self) -> dict[str, Any]:
        """What results depend on wherever files lie and circuits run, as plain data; of circuits that are kept, digests.

        Options that `_ORDER` does not have are left out where they are the default.
        """
        content = self.model_dump(
            mode="json",
            exclude={
                "data": {"csv"},
                "start": {"run"},
                **dict.fromkeys(("backend", "backend_options", "genotype", "space"), True),
            },
        )
        known = type(self).model_fields
        content = {name: value for name, value in content.items() if name in _ORDER or value != known[name].default}
        kept = None if self.genotype is None else self.genotype.model_dump_json(exclude_defaults=True)
        own = {"space": self.space.digest} if isinstance(self.space, OwnSpace) else {}
        return content | {"genotype": kept and hashlib.sha256(kept.encode()).hexdigest()} | own

    def on(self, backend: str | BackendSpec) -> RunSpec:
        """The same run on another backend."""
        options = find_spec(backend) if isinstance(backend, str) else backend
        return self.model_copy(update={"backend": options.name, "backend_options": options})

    @field_serializer("search", mode="wrap")
    def _named(self, search: AnyStrategy | None, dump: SerializerFunctionWrapHandler) -> dict[str, Any] | None:
        """With its name, also where defaults are left out: it tells a strategy from others, and is a default of its class."""
        return None if search is None else {"name": search.name} | dump(search)

    @field_serializer("backend_options")
    def _given_only(self, options: BackendSpec | None) -> dict[str, Any] | None:
        return None if options is None else options.model_dump(mode="json", exclude_defaults=True)

    def estimator(self, **options: Any) -> Estimator:
        """The untrained estimator; `options` are further arguments of it.

        Raises:
            OptionError: The circuits of `space` have not been read yet (see `settle`), or the model has circuits of its own.
            CircuitError: The circuits of `space` are damaged.
        """
        values = self.model_dump(exclude={"data", "epochs", "backend_options", "genotype", "search", "start", "space"})
        values |= {"backend": self.backend_options or self.backend, "search": self.search}
        if self.genotype is not None:
            values["space"] = self.genotype.spaces()
        if self.space is not None:
            require_own_circuits(self.model, self.genotype is not None)
            if isinstance(self.space, NamedSpace):
                raise OptionError("the circuits of this run have not been read yet; call `settle` first.")
            values |= {"space": self.space.per_cell(), "depth": None}
        return _ESTIMATORS[self.data.task](max_epochs=self.epochs, **(values | options))
