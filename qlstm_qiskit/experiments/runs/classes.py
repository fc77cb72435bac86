"""Classes of a run: scores as probabilities and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from qlstm_qiskit.data import Dataset, LabelledWindows
from qlstm_qiskit.data.labels import spoken
from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments.runs.header import ModelHeader


def probabilities(scores: Floats) -> Floats:
    """The softmax of scores, (n, n_classes)."""
    return np.asarray(softmax(scores, axis=1))


def classes_of(header: ModelHeader, scores: Floats) -> NDArray[Any]:
    """The class with the highest score of each window, (n,); the first of equal ones.

    Args:
        header: Of a run of classes.
        scores: (n, n_classes).
    """
    assert header.classes is not None
    return np.asarray(header.classes.array[scores.argmax(axis=1)])


def names_of(header: ModelHeader) -> list[str]:
    """The classes as figures and tables name them; none of a run that forecasts.

    Args:
        header: Of a run.
    """
    return [] if header.classes is None else [spoken(label) for label in header.classes.array]


def require_same_classes(path: Path, header: ModelHeader, data: Dataset) -> None:
    """Raise `RunError` where data has other classes than a model was trained on.

    Args:
        path: The run folder.
        header: Of the model.
        data: What it was trained on, read again.
    """
    then = None if header.classes is None else list(header.classes.values)
    now = data.classes.tolist() if isinstance(data, LabelledWindows) else None
    if then != now:
        raise RunError(f"the model of {path} has the classes {then}, and its data has {now}; restore the one that was changed.")


def refuse_classes(path: Path, header: ModelHeader, what: str, instead: str) -> None:
    """Refuse what only forecasts have.

    Args:
        path, header: Of a run.
        what: What was asked for.
        instead: What to do.

    Raises:
        OptionError: The run is one of classes.
    """
    if header.classes is not None:
        raise OptionError(f"{path} predicts the class of a window, {header.target!r}, and has no {what}; {instead}.")
