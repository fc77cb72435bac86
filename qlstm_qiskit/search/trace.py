"""Expectation values of every candidate while a model runs over its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from qlstm_qiskit.hardware import Bound
from qlstm_qiskit.nn import Recurrent


@dataclass(frozen=True, eq=False)
class CellTrace:
    """The trace of one cell.

    Attributes:
        values: Expectation values of each candidate, (time, windows, gates, candidates, outputs).
        sums: The weighted sums that the cell used, (time, windows, gates, outputs).
    """

    values: Tensor
    sums: Tensor


def trace_cells(layer: Recurrent[Any], windows: Tensor) -> tuple[CellTrace, ...]:
    """Run a layer, without dropout, over windows (n, time, features), and record the values of its candidates."""
    recorders: list[list[_Recorder]] = [[] for _ in layer.cells]

    def record(number: int, bound: Bound) -> Bound:
        recorders[number].append(_Recorder(bound))
        return recorders[number][-1]

    with torch.no_grad():
        sequence = windows.transpose(0, 1)
        layer.unroll(sequence, layer.zeros(sequence, sequence.shape[1]), calls=len(sequence), observe=record)
    return tuple(_joined(stages) for stages in recorders)


def _joined(stages: Sequence[_Recorder]) -> CellTrace:
    """The records of a cell's stages as one trace, joined along the gates."""
    values, sums = ([torch.stack(getattr(stage, name)) for stage in stages] for name in ("values", "sums"))
    return CellTrace(values[0], sums[0]) if len(stages) == 1 else CellTrace(torch.cat(values, dim=2), torch.cat(sums, dim=2))


@dataclass(eq=False)
class _Recorder:
    """A bound bank that records its results."""

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
