"""Passes over a whole sequence by native loops: forward through time, and back by adjoints that are written out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.exact import Filled
from qlstm_qiskit.nn import sequence_kernels as kernels
from qlstm_qiskit.nn.cell import States

Array = NDArray[Any]


class Plan(NamedTuple):
    """What a pass is made of, beside its tensors.

    Attributes:
        recurrence: Whose update equations; a name in `PASSES`.
        stages: The form of each stage of a step.
        sizes: Sequences that have each time step, the longest first.
        backwards: Whether time runs backwards.
        input_map: As in `RecurrentCell`.
    """

    recurrence: str
    stages: tuple[Filled, ...]
    sizes: tuple[int, ...]
    backwards: bool
    input_map: str


class Given(NamedTuple):
    """The tensors of a pass, or gradients by them.

    Attributes:
        rows: Inputs of the first time step, then of the second, ..., (rows, features).
        states: To start from, each (sequences, hidden).
        matrices: Of the forms.
        layers: Weight and bias of the linear layers before and behind the circuits; empty where there are none. Matrices and
            layers of R replicas have an axis of replicas in front.
    """

    rows: Tensor
    states: States
    matrices: tuple[Tensor, ...]
    layers: tuple[Tensor, ...]

    @property
    def flat(self) -> tuple[Tensor, ...]:
        return self.rows, *self.states, *self.matrices, *self.layers


class Pass(ABC):
    """One cell over a sequence.

    Args:
        plan, given: Of the pass.
        keep: Whether a way back follows.
    """

    n_states: ClassVar[int]

    def __init__(self, plan: Plan, given: Given, *, keep: bool) -> None:
        self._keeps, self._given = keep, given
        self._n_rows, self._sequences = sum(plan.sizes), max(plan.sizes)
        self._hidden, self._dtype = given.states[0].shape[1], given.rows.detach().numpy().dtype
        ends = np.cumsum((0, *plan.sizes))
        steps = np.stack([ends[:-1], plan.sizes], axis=1)
        self._steps = np.ascontiguousarray(steps[::-1]) if plan.backwards else steps
        self._rows = given.rows.detach().contiguous().numpy()
        self._layers = tuple(_of_replicas(layer, n) for layer, n in zip(given.layers, (2, 1, 2, 1), strict=False))
        if not self._layers:
            none, no_bias = np.empty((0, 0, 0), self._dtype), np.empty((0, 0), self._dtype)
            self._layers = none, no_bias, none, no_bias
        self._stages = [self._stage(plan, index) for index in range(len(plan.stages))]

    @abstractmethod
    def forward(self) -> tuple[Tensor, ...]:
        """The hidden states of all steps, (rows, hidden), and the final states, (sequences, hidden) each."""

    @abstractmethod
    def backward(self, by_found: Array, *by_states: Array) -> Given:
        """Gradients from those by what `forward` gave; `by_states` are overwritten."""

    def _room(self, *shape: int) -> Array:
        """Room for numbers of all rows, or of one step where none are kept."""
        return np.empty((self._n_rows if self._keeps else self._sequences, *shape), self._dtype)

    def _states(self) -> tuple[Array, ...]:
        return tuple(np.array(state.detach().numpy(), order="C") for state in self._given.states)

    def _stage(self, plan: Plan, index: int) -> tuple[Any, ...]:
        """A stage as the kernels take it."""
        filled, width = plan.stages[index], self._rows.shape[1] + self._hidden
        form, matrix, hybrid = filled.form, _of_replicas(self._given.matrices[index], 2), bool(self._given.layers)
        own = plan.input_map != "identity", form.is_grid, filled.n_angles, form.width, filled.n_gates, *form.factors
        low = 3**form.width * (1 if form.is_grid else len(form.codes))
        room = (
            self._room(self._layers[0].shape[1] if hybrid else width),
            self._room(low),
            self._room(filled.n_high),
            self._room(matrix.shape[2] if form.is_grid else 0),
            self._room(form.n_outputs * filled.n_gates if hybrid else 0),
        )
        return self._room(width), own, matrix, self._layers, room, self._room(self._hidden * filled.n_gates)

    def _zeros(self) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, ...], Array]:
        """What a way back reads and fills: transposed matrices, gradients by matrices, by layers, and by rows."""
        matrices = tuple(stage[2] for stage in self._stages)
        return (
            tuple(np.ascontiguousarray(matrix.transpose(0, 2, 1)) for matrix in matrices),
            tuple(map(np.zeros_like, matrices)),
            tuple(map(np.zeros_like, self._layers)),
            np.empty_like(self._rows),
        )

    def _gradients(self, by_rows: Array, by_states: tuple[Array, ...], by_matrices: Any, by_layers: Any) -> Given:
        own = self._given
        return Given(
            torch.from_numpy(by_rows),
            tuple(map(torch.from_numpy, by_states)),
            tuple(torch.from_numpy(by).view(matrix.shape) for by, matrix in zip(by_matrices, own.matrices, strict=True)),
            tuple(torch.from_numpy(by).view(layer.shape) for by, layer in zip(by_layers, own.layers, strict=False)),
        )


class LSTMPass(Pass):
    """An LSTM over a sequence; see `lstm_update`."""

    n_states = 2

    def forward(self) -> tuple[Tensor, ...]:
        h, c = self._states()
        self._kept = self._room(4, self._hidden), self._room(self._hidden), self._room(self._hidden)
        found = np.empty((self._n_rows, self._hidden), self._dtype)
        kernels.lstm_over(self._rows, self._steps, self._keeps, self._stages[0], self._kept, h, c, found)
        return torch.from_numpy(found), torch.from_numpy(h), torch.from_numpy(c)

    def backward(self, by_found: Array, *by_states: Array) -> Given:
        transposed, by_matrices, by_layers, by_rows = self._zeros()
        by_both = *by_states, by_matrices[0], by_layers, by_rows
        kernels.lstm_back(self._steps, self._stages[0], self._kept, transposed[0], by_found, *by_both)
        return self._gradients(by_rows, by_states, by_matrices, by_layers)


class GRUPass(Pass):
    """A GRU over a sequence; see `QGRUCell`."""

    n_states = 1

    def forward(self) -> tuple[Tensor, ...]:
        (h,) = self._states()
        self._kept = self._room(2, self._hidden), self._room(self._hidden)
        found = np.empty((self._n_rows, self._hidden), self._dtype)
        kernels.gru_over(self._rows, self._steps, self._keeps, *self._stages, self._kept, h, found)
        return torch.from_numpy(found), torch.from_numpy(h)

    def backward(self, by_found: Array, *by_states: Array) -> Given:
        transposed, *by_rest = self._zeros()
        kernels.gru_back(self._steps, *self._stages, self._kept, transposed, by_found, *by_states, *by_rest)
        by_matrices, by_layers, by_rows = by_rest
        return self._gradients(by_rows, by_states, by_matrices, by_layers)


#: Passes by the name of the update equations.
PASSES: Mapping[str, type[Pass]] = MappingProxyType({"lstm": LSTMPass, "gru": GRUPass})


def _of_replicas(value: Tensor, n_dims: int) -> Array:
    """A tensor with an axis of replicas in front, also where there is one model alone."""
    own = value.detach().contiguous().numpy()
    return own if own.ndim > n_dims else own[None]
