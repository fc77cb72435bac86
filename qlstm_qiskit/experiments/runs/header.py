"""Headers of weights files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from torch import Tensor
from typing_extensions import Self

from qlstm_qiskit import __version__
from qlstm_qiskit.data import Change, Known, Scaler
from qlstm_qiskit.data.known import own_columns
from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.runs.reading import validated
from qlstm_qiskit.training.saved import labels_as_plain
from qlstm_qiskit.training.tensors import read_weights


class ClassLabels(BaseModel):
    """Classes as a file has them; see `labels_as_plain`.

    Attributes:
        values: Sorted, each of them once.
        dtype: numpy's name of their kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[bool | int | str, ...] = Field(min_length=2)
    dtype: str

    @classmethod
    def of(cls, labels: NDArray[Any]) -> ClassLabels:
        """Those of an array, (n_classes,)."""
        return cls(**labels_as_plain(np.array(labels.tolist())))

    @property
    def array(self) -> NDArray[Any]:
        """As an array, (n_classes,)."""
        return np.array(self.values)

    @model_validator(mode="after")
    def _check(self) -> Self:
        own = self.array
        if own.dtype.kind not in "biuU" or own.dtype.kind != self.dtype[1:2] or np.unique(own).tolist() != list(self.values):
            raise ValueError("classes are of several kinds, not sorted, or not each there once")
        return self


#: For each layer and gate, the names of candidates.
Gates = tuple[tuple[tuple[str, ...], ...], ...]


class ModelHeader(BaseModel):
    """The information needed to apply a model to new data in original units.

    Attributes:
        format, version: Format version of the file, and version of the package that wrote it.
        epoch: Number of finished epochs.
        features, target: Names of the inputs and of the column that the model predicts.
        window, horizon: Numbers of rows that it reads and predicts.
        lead: How many steps ahead of a window's last row the first row is that it predicts.
        input_scaler, target_scaler: Scalers from original units to the model's, of changed values where there are such.
        gates: For each layer and gate, the candidates that are left, if a search has dropped some.
        change: What the model has learned in place of the target itself, and reads where the target is a feature.
        known: Which of the inputs, the last ones, are known ahead.
        classes: What its outputs are the scores of, in this order; None for outputs that are values of the target.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str = __version__
    epoch: PositiveInt
    features: tuple[str, ...]
    target: str
    window: PositiveInt
    horizon: PositiveInt
    input_scaler: Scaler
    target_scaler: Scaler
    gates: Gates | None = None
    change: Change | None = None
    known: Known | None = None
    classes: ClassLabels | None = None
    lead: PositiveInt = 1

    @property
    def n_outputs(self) -> int:
        """Outputs of the model: the values that it predicts, or the scores of its classes."""
        return self.horizon if self.classes is None else len(self.classes.values)

    @property
    def columns(self) -> tuple[str, ...]:
        """The inputs that are columns in the row itself."""
        return own_columns(self.features, self.known, self.horizon)

    @property
    def own_past(self) -> list[bool]:
        """Which inputs are the target's own past."""
        return [name == self.target for name in self.columns] + [False] * (len(self.features) - len(self.columns))

    @property
    def reach(self) -> int:
        """Rows before a window that its changed values depend on."""
        return 0 if self.change is None else self.change.reach

    @model_serializer(mode="wrap")
    def _changed_only(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `change`, `known`, `classes` and `lead` where there are none, so that files say what they always did."""
        content = dump(self)
        for name in ("change", "known", "classes"):
            if getattr(self, name) is None:
                content.pop(name, None)
        if self.lead == 1:
            content.pop("lead", None)
        return content

    @model_validator(mode="after")
    def _check_scalers(self) -> Self:
        if self.lead > 1 and (self.horizon > 1 or self.change is not None or self.known is not None):
            raise ValueError(f"lead is {self.lead}, of a model that predicts more than the value so many steps ahead")
        inputs = () if self.known is None else self.known.inputs(self.horizon)
        if self.features[len(self.columns) :] != inputs or not self.features:
            raise ValueError(f"known is {self.known}, and features are {list(self.features)}")
        for name, scaler, columns in (
            ("input_scaler", self.input_scaler, len(self.features)),
            ("target_scaler", self.target_scaler, 1),
        ):
            if (len(scaler.low), len(scaler.high)) != (columns, columns):
                raise ValueError(f"{name} is of {len(scaler.low)} and {len(scaler.high)} columns, not of {columns}")
            if not np.isfinite([*scaler.low, *scaler.high]).all() or any(np.greater(scaler.low, scaler.high)):
                raise ValueError(f"{name} runs from {list(scaler.low)} to {list(scaler.high)}")
        return self


class RunHeader(ModelHeader):
    """The header of a run's weights.

    Attributes:
        config: The config of the training, from `RunSpec.lasting`; None in files of versions that did not record it.
    """

    config: dict[str, Any] | None = None

    @property
    def plain(self) -> ModelHeader:
        """The same without `config`."""
        return ModelHeader(**{name: getattr(self, name) for name in ModelHeader.model_fields})


def read_model(path: Path) -> tuple[RunHeader, dict[str, Tensor]]:
    """The header and the tensors of a weights file.

    Raises:
        RunError: The file is missing or damaged, or contains values that are not finite.
    """
    content, tensors = read_weights(path)
    header = validated(RunHeader, content, path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RunError(f"{path} is damaged: {name} holds numbers that are not finite; train the run again.")
    return header, tensors
