"""Passes over a whole sequence by native loops: forward through time, and back by adjoints that are written out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.exact import Filled
from qlstm_qiskit.exact.linear_kernels import fold, unfold
from qlstm_qiskit.nn import sequence_kernels as kernels
from qlstm_qiskit.nn.cell import States

Array = NDArray[Any]


class PassPlan(NamedTuple):
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
        sequence: Inputs, (time, sequences, features), or those of all time steps, (rows, features).
        states: To start from, each (sequences, hidden).
        matrices: Of the forms.
        layers: Weight and bias of the linear layers before and behind the circuits; empty where there are none. Matrices and
            layers of R replicas have an axis of replicas in front.
    """

    sequence: Tensor
    states: States
    matrices: tuple[Tensor, ...]
    layers: tuple[Tensor, ...]

    @property
    def flat(self) -> tuple[Tensor, ...]:
        return self.sequence, *self.states, *self.matrices, *self.layers


class Pass(ABC):
    """One cell over a sequence.

    Args:
        plan, given: Of the pass.
        keep: Whether a way back follows.

    Raises:
        ShapeError: Replicas have unequal numbers of sequences.
    """

    n_states: ClassVar[int]

    def __init__(self, plan: PassPlan, given: Given, *, keep: bool) -> None:
        rows, self._given, self._hidden = given.sequence.detach().numpy(), given, given.states[0].shape[1]
        self._rows = np.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
        self._shape, self._dtype = (*rows.shape[:-1], self._hidden), rows.dtype
        self._keeps, self._n_kept = keep, len(self._rows) if keep else max(plan.sizes)
        self._steps, self._layers, self._behind = _steps(plan.sizes, plan.backwards), _none(self._dtype), None
        if given.layers:
            weight, bias, self._behind, last = map(_of_replicas, given.layers, (2, 1, 2, 1))
            self._layers = weight, bias, last
        self._stages = [self._stage(plan, index) for index in range(len(plan.stages))]
        for stage in self._stages:
            if any(n % len(stage[2]) for n in plan.sizes):
                raise ShapeError(f"{plan.sizes[0]} sequences are not as many for each of {len(stage[2])} replicas.")

    @abstractmethod
    def forward(self) -> tuple[Tensor, ...]:
        """The hidden states of all steps, (rows, hidden), and the final states, (sequences, hidden) each."""

    @abstractmethod
    def backward(self, by_hidden: Array | None, *by_states: Array | None, wanted: bool) -> Given:
        """Gradients from those by what `forward` gave; None is zero.

        `wanted`: Whether those by inputs and by first states are; else some of them are not right.
        """

    def _room(self, *shape: int) -> Array:
        """Room for numbers of all rows, or of one step where none are kept."""
        return np.empty((self._n_kept, *shape), self._dtype)

    @property
    def _transposed(self) -> tuple[Array, ...]:
        """The matrix of each stage, transposed; here, as Numba takes seconds to compile a transposition."""
        return tuple(np.ascontiguousarray(stage[2].transpose(0, 2, 1)) for stage in self._stages)

    def _states(self) -> tuple[Array, ...]:
        return tuple(np.array(state.detach().numpy(), order="C") for state in self._given.states)

    def _stage(self, plan: PassPlan, index: int) -> tuple[Any, ...]:
        """A stage as the kernels take it."""
        filled, width, before = plan.stages[index], self._rows.shape[1] + self._hidden, self._layers[0]
        form, matrix = filled.form, self._folded(_of_replicas(self._given.matrices[index], 2), filled.n_gates)
        own = plan.input_map != "identity", form.is_grid, filled.n_angles, form.width, *form.factors
        low = 3**form.width * (1 if form.is_grid else len(form.codes))
        room = (
            self._room(before.shape[1] if len(before) else width),
            self._room(low),
            self._room(filled.n_high),
            self._room(matrix.shape[2] if form.is_grid else 0),
        )
        return self._room(width), own, matrix, self._layers, room, self._room(self._hidden * filled.n_gates)

    def _begin(self, by_hidden: Array | None, by_states: tuple[Array | None, ...]) -> tuple[Array, tuple[Array, ...], Array]:
        """Gradients by all hidden states, and room for those by states and by rows."""
        by_found = np.zeros(self._shape, self._dtype) if by_hidden is None else by_hidden
        own = tuple(
            np.zeros(state.shape, self._dtype) if by is None else by.copy()
            for by, state in zip(by_states, self._given.states, strict=True)
        )
        return by_found.reshape(len(self._rows), -1), own, np.empty_like(self._rows)

    def _folded(self, matrix: Array, n_gates: int) -> Array:
        """The matrix together with the linear layer behind the circuits, where there is one."""
        if self._behind is None:
            return matrix
        n_replicas, hidden, n_outputs = self._behind.shape
        rows = matrix.reshape(n_replicas, -1, n_outputs * n_gates)
        out = np.empty((*rows.shape[:2], hidden * n_gates), self._dtype)
        fold(rows, self._behind, out)
        return out.reshape(n_replicas, matrix.shape[1], -1)

    def _unfolded(self, by_folded: Array, matrix: Tensor, stage: tuple[Any, ...], by_weight: Array) -> Array:
        """The gradient by a stage's matrix, from that by the folded one; that by the layer is added to `by_weight`."""
        n_replicas, hidden, n_outputs = by_weight.shape
        n_all = stage[-1].shape[1]  # hidden x gates
        rows = _of_replicas(matrix, 2).reshape(n_replicas, -1, n_outputs * (n_all // hidden))
        by_matrix = np.empty_like(rows)
        unfold(by_folded.reshape(n_replicas, -1, n_all), rows, self._behind, by_matrix, by_weight)
        return by_matrix

    def _gradients(self, by_rows: Array, by_states: tuple[Array, ...], by_matrices: Any, by_layers: Any) -> Given:
        own, layers = self._given, list[Array]()
        if self._behind is not None:
            by_weight = np.zeros_like(self._behind)
            pairs = zip(own.matrices, self._stages, strict=True)
            by_matrices = [self._unfolded(by, *pair, by_weight) for by, pair in zip(by_matrices, pairs, strict=True)]
            layers = [by_layers[0], by_layers[1], by_weight, by_layers[2]]
        return Given(
            torch.from_numpy(by_rows.reshape(own.sequence.shape)),
            tuple(map(torch.from_numpy, by_states)),
            tuple(torch.from_numpy(by.reshape(matrix.shape)) for by, matrix in zip(by_matrices, own.matrices, strict=True)),
            tuple(torch.from_numpy(by.reshape(layer.shape)) for by, layer in zip(layers, own.layers, strict=True)),
        )


class LSTMPass(Pass):
    """An LSTM over a sequence; see `lstm_update`."""

    n_states = 2

    def forward(self) -> tuple[Tensor, ...]:
        h, c = self._states()
        self._kept = self._room(4, self._hidden), self._room(self._hidden), self._room(self._hidden)
        found = np.empty(self._shape, self._dtype)
        flat = found.reshape(len(self._rows), -1)
        kernels.lstm_over(self._rows, self._steps, self._keeps, self._stages[0], self._kept, h, c, flat)
        return torch.from_numpy(found), torch.from_numpy(h), torch.from_numpy(c)

    def backward(self, by_hidden: Array | None, *by_states: Array | None, wanted: bool) -> Given:
        by_found, by_own, by_rows = self._begin(by_hidden, by_states)
        (stage,), (transposed,) = self._stages, self._transposed
        by_matrix, by_layers = np.empty_like(stage[2]), tuple(map(np.empty_like, self._layers))
        found = by_matrix, by_layers, by_rows
        kernels.lstm_back(self._steps, stage, transposed, self._kept, by_found, *by_own, *found, wanted)
        return self._gradients(by_rows, by_own, (by_matrix,), by_layers)


class GRUPass(Pass):
    """A GRU over a sequence; see `QGRUCell`."""

    n_states = 1

    def forward(self) -> tuple[Tensor, ...]:
        (h,) = self._states()
        self._kept = self._room(2, self._hidden), self._room(self._hidden)
        found = np.empty(self._shape, self._dtype)
        kernels.gru_over(self._rows, self._steps, self._keeps, *self._stages, self._kept, h, found.reshape(len(self._rows), -1))
        return torch.from_numpy(found), torch.from_numpy(h)

    def backward(self, by_hidden: Array | None, *by_states: Array | None, wanted: bool) -> Given:
        by_found, by_own, by_rows = self._begin(by_hidden, by_states)
        by_matrices, by_layers = (
            tuple(np.empty_like(stage[2]) for stage in self._stages),
            tuple(map(np.empty_like, self._layers)),
        )
        found = by_matrices, by_layers, by_rows
        kernels.gru_back(self._steps, *self._stages, self._transposed, self._kept, by_found, *by_own, *found, wanted)
        return self._gradients(by_rows, by_own, by_matrices, by_layers)


#: Passes by the name of the update equations.
PASSES: Mapping[str, type[Pass]] = MappingProxyType({"lstm": LSTMPass, "gru": GRUPass})


def _of_replicas(value: Tensor, n_dims: int) -> Array:
    """A tensor with an axis of replicas in front, also where there is one model alone."""
    own = value.detach().contiguous().numpy()
    return own if own.ndim > n_dims else own[None]


@lru_cache(maxsize=64)
def _steps(sizes: tuple[int, ...], backwards: bool) -> Array:
    """First row and number of rows of each step, in the order of time, (steps, 2)."""
    steps = np.stack([np.cumsum((0, *sizes))[:-1], sizes], axis=1)
    return np.ascontiguousarray(steps[::-1]) if backwards else steps


@lru_cache(maxsize=2)
def _none(dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Weight and bias of the layer before the circuits, and the bias of that behind them, where there are none."""
    bias = np.empty((0, 0), dtype)
    return np.empty((0, 0, 0), dtype), bias, bias
