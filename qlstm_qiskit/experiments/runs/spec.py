"""What a run is: everything that is needed to train it again, as frozen plain data."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
)

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.runs.own import NamedSpace, OwnSpace, own_space, require_own_circuits
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.hardware import BackendSpec, find_spec
from qlstm_qiskit.search import AnyStrategy, Genotype
from qlstm_qiskit.training import QLSTMClassifier, QLSTMRegressor
from qlstm_qiskit.training.estimator import Estimator
from qlstm_qiskit.training.options import AllOptions, ModelOptions, TrainingOptions, described
from qlstm_qiskit.training.task import TASKS, Task

#: No literal in the class: pydantic's plugin for mypy would then refuse the fields that dataclasses declare.
_FROZEN: ConfigDict = {"frozen": True, "extra": "forbid"}

#: Name of a task -> the estimator of it.
_ESTIMATORS: dict[str, type[Estimator]] = {kind().task.name: kind for kind in (QLSTMRegressor, QLSTMClassifier)}

#: Cells as titles call them; nothing for the paper's.
_CELLS = {"lstm": [], "gru": ["GRU"], "fast-weight": ["fast weights"]}

#: Fields as files have always had them: digests of files depend on their order. Options that were added later follow, and the
#: weights' file says nothing of them where they are the default, so that it stays the same to the bit.
_ORDER = (
    *("data", "model", "hidden_size", "depth", "n_qubits", "genotype", "search", "valid_fraction", "patience", "start"),
    *("input_map", "mixing", "num_layers", "dropout", "epochs", "batch_size", "optimizer", "lr", "schedule", "spsa_eps"),
    *("spsa_resamplings", "backend", "backend_options", "angle_std", "seed", "dtype"),
)

#: Options that files say nothing of where they are the default.
LATER = ("device", "entangler", "bank", "replicas")


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
            circuits. So it does with those of an `entangler`, which may follow a device's calibration.
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
        named = [self.model, *_CELLS[self.cell], *(["both ways"] if self.bidirectional else [])]
        named += [f"{self.bank} in place of circuits"] if self.bank != "circuits" else []
        named += [self.entangler] if self.entangler is not None else ["own circuits"] if self.space is not None else []
        return ", ".join(named)

    @property
    def task(self) -> Task:
        """What the model is for."""
        return TASKS[self.data.task]

    @model_serializer(mode="wrap")
    def _in_order(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content = dump(self)
        for name in LATER:  # files say nothing of the default
            if name in content and content[name] == type(self).model_fields[name].default:
                del content[name]
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

    def member(self, place: int) -> RunSpec:
        """The run of a member of an ensemble: a model with a seed of its own.

        Args:
            place: Of the member, from 0.
        """
        return self.model_copy(update={"replicas": 1, "seed": self.seed + place})

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
            require_own_circuits(self)
            if isinstance(self.space, NamedSpace):
                raise OptionError("the circuits of this run have not been read yet; call `settle` first.")
            values |= {"space": self.space.per_cell(), "depth": None, "entangler": None}
        return _ESTIMATORS[self.data.task](max_epochs=self.epochs, **(values | options))
