"""Tasks of models: the loss, the read-out, and the metrics with their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp
from torch import nn

from qlstm_qiskit.data import Dataset, forecast_errors, mean_squared_error, reference_errors
from qlstm_qiskit.errors import ShapeError

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
        unit: What the metric is measured in.
        about: What a table of the errors says of them.
        ahead: Whether the outputs are successive rows of a series, so that neighbouring windows have values in common.
        labelled: Whether windows have classes, in place of values that follow.
        naive: Forecasts that need no model, with their names in tables.
        head: Builds the read-out layer, from the sizes of the last hidden state and of the output, and `generator`, `device`
            and `dtype`.
        targets: From values (n,) or (n, outputs), which for classes are 1 for a window's own and 0 for the others, and a numpy
            dtype to the targets of training, (n, outputs).
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
    unit: str
    about: str
    ahead: bool
    labelled: bool
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

    def joint(self, outputs: Array) -> Array:
        """The outputs of an ensemble: the mean of its members', or scores of the mean of their probabilities; of one its own.

        Args:
            outputs: Of each member, (members, n, outputs).

        Returns:
            (n, outputs).
        """
        if len(outputs) == 1:
            return outputs[0]
        if not self.labelled:
            return np.asarray(outputs.mean(axis=0))
        return np.asarray(logsumexp(log_softmax(outputs, axis=2), axis=0) - math.log(len(outputs)))

    def best_naive(self, errors: Mapping[str, Any]) -> tuple[str, float]:
        """Of the naive forecasts the one with the lowest error: its name in tables, and the error.

        Args:
            errors: At least, by name, all errors of those naive forecasts that there are.
        """
        known = {shown: float(errors[name][self.metric]) for name, shown in self.naive.items() if errors.get(name)}
        return min(known.items(), key=lambda item: item[1])


def losses_of_each(criterion: nn.Module, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor | None:
    """Losses (replicas,) of the outputs of each of several models, in one operation; None where the loss has none for them.

    Args:
        criterion: The loss, with its defaults.
        outputs, targets: (replicas, batch, outputs).
    """
    if type(criterion) is nn.MSELoss:
        return nn.functional.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1)
    return None


def _linear(n_in: int, n_out: int, *, generator: torch.Generator | None, device: str, dtype: torch.dtype) -> nn.Linear:
    """`torch.nn.Linear` with torch's own initialisation, bit for bit, drawn from a generator."""
    layer = nn.Linear(n_in, n_out, device="meta", dtype=dtype).to_empty(device=device)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(n_in)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def _values(y: Array, dtype: Any) -> Array:
    return np.asarray(y, dtype=dtype).reshape(len(y), -1)


class Labelled(Protocol):
    """A training and a test part of labelled windows; targets are 1 for a window's own class and 0 for the others."""

    @property
    def y_train(self) -> Array:
        """Targets of the training part, (n, n_classes)."""

    @property
    def y_test(self) -> Array:
        """Targets of the test part, (n, n_classes)."""


def log_loss(scores: Array, truth: Array) -> float:
    """Mean of the negative logarithm, in nats, of the probability that a model gives to what is true.

    Args:
        scores: Logits (n, n_classes): probabilities are their softmax.
        truth: 1 for a window's own class and 0 for the others, of the same shape.

    Raises:
        ShapeError: Their shapes differ.
    """
    if scores.shape != truth.shape:
        raise ShapeError(f"scores have the shape {scores.shape}; the classes that are true have {truth.shape}.")
    logarithms = log_softmax(np.asarray(scores, dtype=np.float64), axis=1)
    return float(-np.mean(np.sum(logarithms, axis=1, where=truth > 0)))


def class_errors(data: Labelled, scores: Array) -> dict[str, float]:
    """`log_loss` and `accuracy`, the share of windows whose class has the highest score, of the test part's windows.

    Args:
        data: The windows.
        scores: Logits of the test part, (n, n_classes).

    Raises:
        ShapeError: The scores have another shape than the test part's targets.
    """
    loss = log_loss(scores, data.y_test)
    return {"log_loss": loss, "accuracy": float(np.mean(scores.argmax(axis=1) == data.y_test.argmax(axis=1)))}


def class_references(data: Labelled) -> dict[str, dict[str, float]]:
    """What `class_errors` gives for the frequencies of the training part's classes; their accuracy is the largest class's."""
    with np.errstate(divide="ignore"):  # a class without a training window has the probability 0
        scores = np.log(data.y_train.mean(axis=0))
    return {"frequencies": class_errors(data, np.tile(scores, (len(data.y_test), 1)))}


#: The next values of a series.
REGRESSION = Task(
    name="regression",
    criterion=nn.MSELoss,
    metric="mse",
    title="MSE",
    words="mean squared error",
    figures=MappingProxyType({"mse": "MSE (scaled)", "rmse_original": "RMSE", "mae_original": "MAE", "mase": "MASE"}),
    unit="scaled units",
    about="RMSE and MAE in original units",
    ahead=True,
    labelled=False,
    naive=MappingProxyType({"persistence": "persistence", "seasonal_naive": "seasonal naive"}),
    head=_linear,
    targets=_values,
    error=mean_squared_error,
    errors=forecast_errors,
    references=reference_errors,
)

#: The class of a window.
CLASSIFICATION = Task(
    name="classification",
    criterion=nn.CrossEntropyLoss,
    metric="log_loss",
    title="log loss",
    words="log loss",
    figures=MappingProxyType({"log_loss": "log loss", "accuracy": "accuracy"}),
    unit="nats per window",
    about="log loss in nats per window",
    ahead=False,
    labelled=True,
    naive=MappingProxyType({"frequencies": "class frequencies"}),
    head=_linear,
    targets=_values,
    error=log_loss,
    errors=class_errors,
    references=class_references,
)

#: The tasks of runs, by name.
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (REGRESSION, CLASSIFICATION)})
