"""A model on windows of data without gradients, and how far a backend is from the exact interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from qlstm_qiskit.nn import EVALUATION_BATCH, Forecaster


@dataclass
class Difference:
    """How far a backend is from the exact interpreter, over all windows so far.

    Attributes:
        n_windows: That were evaluated on both.
        outputs, predictions: Mean squared differences of the recurrent layer's outputs in all time steps, and of the
            predictions; scaled units.
    """

    n_windows: int = 0
    outputs: float = 0.0
    predictions: float = 0.0

    def add(self, outputs: NDArray[np.float64], predictions: NDArray[np.float64]) -> None:
        """Take differences of n windows into the means."""
        before, self.n_windows = self.n_windows, self.n_windows + len(predictions)
        part = len(predictions) / self.n_windows
        self.outputs = before / self.n_windows * self.outputs + part * float(np.mean(outputs**2))
        self.predictions = before / self.n_windows * self.predictions + part * float(np.mean(predictions**2))


def predict_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate a model on windows (n, window, features) without gradients: (n, outputs)."""
    return trace_windows(forecaster, windows)[1]


def trace_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The recurrent layer's outputs (n, window, hidden_size) and the predictions (n, outputs), without gradients."""
    parameter = next(forecaster.parameters())
    inputs = torch.as_tensor(windows, dtype=parameter.dtype, device=parameter.device)
    training = forecaster.training
    forecaster.eval()
    with torch.no_grad():
        parts = [forecaster.trace(part) for part in torch.split(inputs, EVALUATION_BATCH)]
    forecaster.train(training)
    outputs, predictions = (torch.cat(values).cpu().numpy().astype(np.float64) for values in zip(*parts, strict=True))
    return outputs, predictions
