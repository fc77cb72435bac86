"""Attribution: what each lag of each feature adds to a prediction, against a baseline."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.errors import OptionError, ShapeError, installing, one_model_needed, require_at_least
from qlstm_qiskit.experiments.runs.load import Run
from qlstm_qiskit.nn import EVALUATION_BATCH, Forecaster, predict_windows

#: Points on the way from the baseline to a window.
NODES = 32


@dataclass(frozen=True, eq=False)
class Attribution:
    """What lags and features add to predictions, in scaled units.

    Attributes:
        values: (windows, lags, features, outputs), the oldest lag first, as in a window.
        baseline: The window that predictions are compared with, (lags, features), scaled.
        predictions: Of the windows, (windows, outputs).
        reference: Of the baseline, (outputs,).
        features: Names of the features.
        lead: Rows from the last of a window to the first that it predicts.
    """

    values: NDArray[np.float64]
    baseline: NDArray[np.float64]
    predictions: NDArray[np.float64]
    reference: NDArray[np.float64]
    features: tuple[str, ...]
    lead: int = 1

    @property
    def lags(self) -> tuple[int, ...]:
        """Rows before the first that is predicted, in the order of `values`; the newest is `lead`.

        Of classes, which are those of a window's last row, that row is 1.
        """
        return tuple(range(self.lead + self.values.shape[1] - 1, self.lead - 1, -1))

    @property
    def gap(self) -> float:
        """Largest difference between the sum of a window's values and its prediction less that of the baseline."""
        return float(np.abs(self.values.sum((1, 2)) - (self.predictions - self.reference)).max())


def attribute(
    run: Run,
    windows: NDArray[np.float64] | None = None,
    *,
    baseline: NDArray[np.float64] | None = None,
    nodes: int = NODES,
) -> Attribution:
    """Attribute predictions of a run to lags and features by integrated gradients (arXiv 1703.01365), with captum.

    A value is the mean gradient along the straight line from the baseline to the window, times the difference of the two. So
    the values of a window add up to its prediction less that of the baseline, but for the quadrature: see `Attribution.gap`.
    Gradients are those of the exact interpreter, whatever the run was trained on, and no device is asked. Of an ensemble, which
    predicts the mean of its members, they are the mean of theirs.

    Args:
        run: A trained run.
        windows: (n, window, features), scaled; those of the test part by default.
        baseline: (window, features), scaled; by default the mean of the training windows, so that a value says what sets a
            window apart from the usual one. Zeros would be the middle of a feature's range, which a series may never reach.
        nodes: Points of Gauss-Legendre quadrature; each costs a prediction and its gradient per window.

    Raises:
        OptionError: captum is not installed, `nodes` is below 1, or the run is an ensemble of classes.
        ShapeError: Windows or the baseline have another shape.
    """
    if not has_captum():
        raise OptionError(f"attribution needs captum: {installing('explain')}.")
    require_at_least("nodes", nodes, 1)
    windows = run.dataset.x_test if windows is None else windows
    baseline = run.dataset.x_train.mean(axis=0) if baseline is None else baseline
    expected = (run.header.window, len(run.header.features))
    if windows.ndim != 3 or not len(windows) or windows.shape[1:] != expected:
        raise ShapeError(f"windows have the shape {windows.shape}; expected (n, {expected[0]}, {expected[1]}), n at least 1.")
    if baseline.shape != expected:
        raise ShapeError(f"the baseline has the shape {baseline.shape}; expected {expected}.")
    if len(run.members) > 1 and run.header.classes is not None:  # their probabilities are averaged, and not their scores
        raise one_model_needed(run.path, len(run.members), "attribution of classes needs")
    forecasters = [member.forecaster if member.exact is None else member.exact for member in run.members]
    values = np.mean([_integrated(own, windows, baseline, run.header.n_outputs, nodes) for own in forecasters], axis=0)
    both = np.concatenate([baseline[None], windows])
    found = np.mean([predict_windows(own, both) for own in forecasters], axis=0)
    return Attribution(values, baseline, found[1:], found[0], tuple(run.header.features), run.header.lead)


def has_captum() -> bool:
    """Whether what `attribute` needs is installed."""
    return find_spec("captum") is not None


def _integrated(
    forecaster: Forecaster, windows: NDArray[np.float64], baseline: NDArray[np.float64], n_outputs: int, nodes: int
) -> NDArray[np.float64]:
    """Integrated gradients, (windows, lags, features, outputs)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # of progress bars in notebooks, which nothing here draws
        from captum.attr import IntegratedGradients

    parameter = next(forecaster.parameters())
    made: dict[str, Any] = {"dtype": parameter.dtype, "device": parameter.device}
    start, training = torch.as_tensor(baseline[None], **made), forecaster.training
    forecaster.eval()

    def outputs_of(values: Tensor) -> Tensor:
        """Of the model, as a function of the windows for autograd also where its circuits are blind to them."""
        result: Tensor = forecaster(values)
        return result + 0 * values.flatten(1).sum(dim=1, keepdim=True)

    method = IntegratedGradients(outputs_of)
    options: dict[str, Any] = {"n_steps": nodes, "method": "gausslegendre", "internal_batch_size": EVALUATION_BATCH}
    found = []
    for part in torch.split(torch.as_tensor(windows, **made), EVALUATION_BATCH):
        own = [method.attribute(part, start, target=output, **options) for output in range(n_outputs)]
        found.append(torch.stack(own, dim=-1).detach())
    forecaster.train(training)
    return torch.cat(found).cpu().numpy().astype(np.float64)
