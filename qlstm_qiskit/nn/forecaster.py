"""A recurrent layer with a linear read-out of its last step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qlstm_qiskit.hardware.interpreter.modules import whole
from qlstm_qiskit.nn.classical import ClassicalBank
from qlstm_qiskit.nn.recurrent import Recurrent

#: Windows that are evaluated at once when no gradients are needed.
EVALUATION_BATCH = 128


class Forecaster(nn.Module):
    """``y = Linear(h_T)``: a window in, the next values out.

    Args:
        recurrent: A layer with the interface of `torch.nn.LSTM` or `torch.nn.GRU` and ``batch_first=True``. If it is
            bidirectional, the last hidden state of each direction is read.
        head: Maps (batch, hidden_size), or twice as many features, to (batch, outputs).
    """

    def __init__(self, recurrent: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.head = head

    @property
    def circuits(self) -> Recurrent[Any] | None:
        """The recurrent layer if its gates are circuits, else None."""
        layer = self.stack
        return None if layer is None or any(isinstance(cell.bank, ClassicalBank) for cell in layer.layers()) else layer

    @property
    def stack(self) -> Recurrent[Any] | None:
        """The recurrent layer if its gates are circuits or classical maps in their place; None if it is one of torch."""
        return self.recurrent if isinstance(self.recurrent, Recurrent) else None

    def forward(self, windows: Tensor) -> Tensor:
        """Windows (batch, time, features) to predictions (batch, outputs)."""
        return self.trace(windows)[1]

    @whole
    def trace(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """The recurrent layer's outputs (batch, time, hidden_size), and the predictions."""
        sequence, _ = self.recurrent(windows)
        last = sequence[:, -1]
        if getattr(self.recurrent, "bidirectional", False):
            forwards, _ = last.chunk(2, dim=1)
            last = torch.cat((forwards, sequence[:, 0].chunk(2, dim=1)[1]), dim=1)
        return sequence, self.head(last)


def predict_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predictions (n, outputs) without gradients.

    Args:
        forecaster: The model.
        windows: (n, window, features), scaled.
    """
    return _joined([predictions for _, predictions in _traced(forecaster, windows)])


def trace_windows(forecaster: Forecaster, windows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The recurrent layer's outputs (n, window, hidden_size) and the predictions (n, outputs), without gradients.

    Args:
        forecaster: The model.
        windows: (n, window, features), scaled.
    """
    outputs, predictions = zip(*_traced(forecaster, windows), strict=True)
    return _joined(outputs), _joined(predictions)


def _traced(forecaster: Forecaster, windows: NDArray[np.float64]) -> Iterator[tuple[Tensor, Tensor]]:
    """What `Forecaster.trace` gives for some windows after the others."""
    parameter = next(forecaster.parameters())
    inputs = torch.as_tensor(windows, dtype=parameter.dtype, device=parameter.device)
    training = forecaster.training
    forecaster.eval()
    for part in torch.split(inputs, EVALUATION_BATCH):
        with torch.no_grad():
            traced = forecaster.trace(part)
        yield traced
    forecaster.train(training)


def _joined(parts: Sequence[Tensor]) -> NDArray[np.float64]:
    return torch.cat(tuple(parts)).cpu().numpy().astype(np.float64)
