"""How far a backend is from the exact interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
