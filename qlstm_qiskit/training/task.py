"""Tasks of models: the loss, the read-out, and the metrics with their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from qlstm_qiskit.data import Dataset, forecast_errors, mean_squared_error, reference_errors

Array = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """A task with everything specific to it; the packages above use this interface and depend on no particular task.

    Attributes:
        name: Name of the task.
        criterion: The loss that training minimises.
        metric: The error by which results are compared, as named in files.
        title, words: Its name in a table and in a sentence.
        figures: All errors that are shown, with their column headings; `metric` is one of them.
        naive: Forecasts that need no model, with their names in tables.
        head: Builds the read-out layer, from the sizes of the last hidden state and of the output, and `generator`, `device`
            and `dtype`.
        targets: From values (n,) or (n, outputs) and a numpy dtype to the targets of training, (n, outputs).
        error: The metric, from predictions and true values.
        errors: All errors by name, for predictions of the test part of a series.
        references: The same for the naive forecasts that a series has.
    """

    name: str
    criterion: type[nn.Module]
    metric: str
    title: str
    words: str
    figures: Mapping[str, str]
    naive: Mapping[str, str]
    head: Callable[..., nn.Linear]
    targets: Callable[[Array, Any], Array]
    error: Callable[[Array, Array], float]
    errors: Callable[[Dataset, Array], dict[str, float]]
    references: Callable[[Dataset], dict[str, dict[str, float]]]

    @property
    def shown(self) -> str:
        """Column heading of the metric."""
        return self.figures[self.metric]

    @property
    def train(self) -> str:
        """Name in files of the error on the windows that train."""
        return f"train_{self.metric}"

    @property
    def valid(self) -> str:
        """Name in files of the error on the validation part."""
        return f"valid_{self.metric}"

    @property
    def test(self) -> str:
        """Name in files of the error on the test part."""
        return f"test_{self.metric}"


def _linear(n_in: int, n_out: int, *, generator: torch.Generator | None, device: str, dtype: torch.dtype) -> nn.Linear:
    """`torch.nn.Linear` with torch's own initialisation, bit for bit, drawn from a generator."""
    layer = nn.Linear(n_in, n_out, device="meta", dtype=dtype).to_empty(device=device)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(n_in)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def _values(y: Array, dtype: Any) -> Array:
    return np.asarray(y, dtype=dtype).reshape(len(y), -1)


#: The next values of a series.
REGRESSION = Task(
    name="regression",
    criterion=nn.MSELoss,
    metric="mse",
    title="MSE",
    words="mean squared error",
    figures=MappingProxyType({"mse": "MSE (scaled)", "rmse_original": "RMSE", "mae_original": "MAE", "mase": "MASE"}),
    naive=MappingProxyType({"persistence": "persistence", "seasonal_naive": "seasonal naive"}),
    head=_linear,
    targets=_values,
    error=mean_squared_error,
    errors=forecast_errors,
    references=reference_errors,
)
