"""What every candidate says on the way of a model through its windows."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from qlstm_qiskit.hardware import Bound
from qlstm_qiskit.nn import QLSTM


@dataclass(frozen=True, eq=False)
class CellTrace:
    """Of one cell.

    Attributes:
        values: Expectation values of each candidate, (time, windows, gates, candidates, outputs).
        sums: The weighted sums that the cell went on with, (time, windows, gates, outputs).
    """

    values: Tensor
    sums: Tensor


def trace_cells(layer: QLSTM, windows: Tensor) -> tuple[CellTrace, ...]:
    """Run a layer, without dropout, over windows (n, time, features), and keep what its candidates say."""
    traces = []
    with torch.no_grad():
        sequence = windows.transpose(0, 1)
        for cell in layer.layers():
            recorder = _Recorder(cell.bind(samples=sequence.shape[1], calls=len(sequence)))
            advance = cell.stepper(recorder)
            state = (sequence.new_zeros(sequence.shape[1], layer.hidden_size),) * 2
            outputs = []
            for step in sequence:
                state = advance(step, state)
                outputs.append(state[0])
            sequence = torch.stack(outputs)
            traces.append(CellTrace(torch.stack(recorder.values), torch.stack(recorder.sums)))
    return tuple(traces)


@dataclass(eq=False)
class _Recorder:
    """A bound bank that remembers what it was asked."""

    bound: Bound
    values: list[Tensor] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)

    @property
    def is_native(self) -> bool:
        return self.bound.is_native

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        self.values.append(self.candidates(inputs))
        self.sums.append(self.bound(inputs, constant=constant))
        return self.sums[-1]

    def candidates(self, inputs: Tensor) -> Tensor:
        return self.bound.candidates(inputs)
