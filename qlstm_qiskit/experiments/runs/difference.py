"""Difference between a backend and the exact interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Difference:
    """The difference between a backend and the exact interpreter, over all windows so far.

    Attributes:
        n_windows: Number of windows evaluated on both.
        outputs, predictions: Mean squared differences of the recurrent layer's outputs in all time steps, and of the
            predictions, in scaled units.
    """

    n_windows: int = 0
    outputs: float = 0.0
    predictions: float = 0.0

    def add(self, outputs: NDArray[np.float64], predictions: NDArray[np.float64]) -> None:
        """Add the differences of n windows to the means."""
        before, self.n_windows = self.n_windows, self.n_windows + len(predictions)
        part = len(predictions) / self.n_windows
        self.outputs = before / self.n_windows * self.outputs + part * float(np.mean(outputs**2))
        self.predictions = before / self.n_windows * self.predictions + part * float(np.mean(predictions**2))
