"""Passes over a whole sequence without a graph: forward through time, and back by adjoints that are written out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import linear

from qlstm_qiskit.exact import Filled, Steps
from qlstm_qiskit.nn.cell import INPUT_MAPS, States
from qlstm_qiskit.nn.update import gru_update, lstm_backward, lstm_forward

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
        layers: Weight and bias of the linear layers before and behind the circuits; empty where there are none.
    """

    rows: Tensor
    states: States
    matrices: tuple[Tensor, ...]
    layers: tuple[Tensor, ...]

    @property
    def flat(self) -> tuple[Tensor, ...]:
        return self.rows, *self.states, *self.matrices, *self.layers


class Stage:
    """Circuits, and linear layers around them where there are any, at all steps of a pass.

    Args:
        plan, given: Of the pass.
        index: Which stage of a step.
        keep: Whether a way back follows.
    """

    def __init__(self, plan: Plan, given: Given, index: int, keep: bool) -> None:
        self._filled = plan.stages[index]
        self._steps = Steps(self._filled, plan.sizes, keep)
        self._layers, self._map = tuple(layer.detach() for layer in given.layers), plan.input_map
        self._keeps = keep and bool(self._layers or self._map != "identity")
        self._kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        rows, n_features = given.rows.detach(), given.rows.shape[1]
        self.values = rows.new_empty(len(rows), n_features + given.states[0].shape[1])
        self.values[:, :n_features] = rows
        self._of_step = self.values.split(plan.sizes)
        self.hidden = self.values.numpy()[:, n_features:]  # what a step reads beside its inputs, to be filled before it

    def forward(self, step: int) -> Tensor:
        """Pre-activations of a step, (rows, gates, hidden)."""
        values = angles = before = self._of_step[step]
        if self._layers:
            angles = before = linear(values, *self._layers[:2])
        if self._map != "identity":
            angles = INPUT_MAPS[self._map](before)
        gates = outputs = self._filled.by_gates(self._steps.forward(step, angles.numpy()))
        if self._layers:
            # as torch takes it where gradients are wanted, which decides the last bit
            flat = outputs.reshape(-1, outputs.shape[2]) if self._keeps else outputs
            gates = (flat @ self._layers[2].t() + self._layers[3]).view(*outputs.shape[:2], -1)
        if self._keeps:
            self._kept[step] = values, before, outputs
        return gates

    def begin(self) -> None:
        """Start a way back."""
        self._steps.begin()
        self.by_layers = tuple(map(torch.zeros_like, self._layers))

    @property
    def by_matrix(self) -> Tensor:
        return self._steps.by_matrix

    def backward(self, step: int, by_gates: Tensor) -> Array:
        """The gradient by what a step reads, (rows, features + hidden); those by matrix and layers are added up."""
        if not self._keeps:
            by_values = torch.empty_like(self._of_step[step])
            self._steps.backward(step, by_gates.transpose(1, 2).reshape(len(by_gates), -1), by_values.numpy())
            return by_values.numpy()
        values, before, outputs = self._kept[step]
        if self._layers:
            by_rows = by_gates.flatten(0, 1)
            self.by_layers[2].add_(by_rows.t() @ outputs.flatten(0, 1))
            self.by_layers[3].add_(by_gates.sum((0, 1)))
            by_gates = (by_rows @ self._layers[2]).view(*by_gates.shape[:2], -1)
        by_values = torch.empty_like(before)
        self._steps.backward(step, by_gates.transpose(1, 2).reshape(len(by_gates), -1), by_values.numpy())
        if self._map != "identity":
            by_values /= 1 + before * before  # the only other map is the arctangent
        if self._layers:
            self.by_layers[0].add_(by_values.t() @ values)
            self.by_layers[1].add_(by_values.sum(0))
            by_values = by_values @ self._layers[0]
        return by_values.numpy()


class Pass(ABC):
    """One cell over a sequence.

    Args:
        plan, given: Of the pass.
        keep: Whether a way back follows.
    """

    def __init__(self, plan: Plan, given: Given, *, keep: bool) -> None:
        self._keeps, self._sizes, self._backwards = keep, plan.sizes, plan.backwards
        self._stages = [Stage(plan, given, index, keep) for index in range(len(plan.stages))]
        self._first, self._n_features = tuple(state.detach() for state in given.states), given.rows.shape[1]
        self._hidden = self._first[0].shape[1]

    @abstractmethod
    def forward(self) -> tuple[Tensor, ...]:
        """The hidden states of all steps, (rows, hidden), and the final states, (sequences, hidden) each."""

    @abstractmethod
    def backward(self, by_rows: Array, *by_states: Array) -> Given:
        """Gradients from those by what `forward` gave; `by_states` are overwritten."""

    def _steps(self, *, back: bool = False) -> Iterator[tuple[int, slice, int]]:
        """Each step, its rows, and how many they are, in the order of time or against it."""
        # Whichever way time runs, sequences without a step lie behind those with one: their states wait in their place.
        ends = np.cumsum((0, *self._sizes)).tolist()
        steps = [(step, slice(*own), own[1] - own[0]) for step, own in enumerate(pairwise(ends))]
        return reversed(steps) if back != self._backwards else iter(steps)

    def _room(self, *shape: int) -> Array:
        """Room for numbers of all steps, or of one where none are kept."""
        n_rows = sum(self._sizes) if self._keeps else max(self._sizes)
        return np.empty((n_rows, *shape), self._stages[0].hidden.dtype)

    def _begin(self) -> None:
        for stage in self._stages:
            stage.begin()
        self._by_rows = np.empty((sum(self._sizes), self._n_features), self._stages[0].hidden.dtype)

    def _gradients(self, by_states: tuple[Array, ...]) -> Given:
        layers = zip(*(stage.by_layers for stage in self._stages), strict=True)
        return Given(
            torch.from_numpy(self._by_rows),
            tuple(map(torch.from_numpy, by_states)),
            tuple(stage.by_matrix for stage in self._stages),
            tuple(own[0] if len(own) == 1 else own[0] + own[1] for own in layers),
        )


class LSTMPass(Pass):
    """An LSTM over a sequence; see `lstm_update`."""

    def forward(self) -> tuple[Tensor, ...]:
        (stage,), hidden = self._stages, self._hidden
        self._active, self._before, self._after = self._room(4, hidden), self._room(hidden), self._room(hidden)
        outputs = torch.empty_like(stage.values[:, :hidden])
        found, (h, c) = outputs.numpy(), (state.numpy().copy() for state in self._first)
        for step, rows, n in self._steps():
            stage.hidden[rows] = h[:n]
            gates = stage.forward(step)
            kept = rows if self._keeps else slice(n)
            before, after = self._before[kept], self._after[kept]
            before[:] = c[:n]
            lstm_forward(gates.numpy(), before, self._active[kept], found[rows], after)
            h[:n], c[:n] = found[rows], after
        return outputs, torch.from_numpy(h), torch.from_numpy(c)

    def backward(self, by_rows: Array, *by_states: Array) -> Given:
        (stage,), (by_h, by_c) = self._stages, by_states
        self._begin()
        for step, rows, n in self._steps(back=True):
            by_h[:n] += by_rows[rows]
            active, kept = self._active[rows], (self._before[rows], self._after[rows])
            by_gates, by_before = np.empty_like(active), np.empty_like(kept[0])
            lstm_backward(by_h[:n], by_c[:n], active, *kept, by_gates, by_before)
            by_values = stage.backward(step, torch.from_numpy(by_gates))
            self._by_rows[rows] = by_values[:, : self._n_features]
            by_h[:n], by_c[:n] = by_values[:, self._n_features :], by_before
        return self._gradients(by_states)


class GRUPass(Pass):
    """A GRU over a sequence; see `QGRUCell`."""

    def forward(self) -> tuple[Tensor, ...]:
        gated, last = self._stages
        self._kept: dict[int, tuple[Array, ...]] = {}
        outputs = torch.empty_like(last.values[:, : self._hidden])
        found, h = outputs.numpy(), self._first[0].clone()
        for step, rows, n in self._steps():
            before = h[:n]
            gated.hidden[rows] = before.numpy()
            reset, update = torch.sigmoid(gated.forward(step)).unbind(1)
            last.hidden[rows] = (reset * before).numpy()
            new = last.forward(step)[:, 0]
            h[:n] = gru_update(update, new, before)
            found[rows] = before.numpy()
            if self._keeps:
                self._kept[step] = reset.numpy(), update.numpy(), torch.tanh(new).numpy()
        return outputs, h

    def backward(self, by_rows: Array, *by_states: Array) -> Given:
        (gated, last), (by_h,), split = self._stages, by_states, self._n_features
        self._begin()
        for step, rows, n in self._steps(back=True):
            reset, update, new = self._kept[step]
            before = gated.hidden[rows]
            by_after = by_h[:n] + by_rows[rows]
            by_new = by_after * (1 - update) * (1 - new * new)
            by_last = last.backward(step, torch.from_numpy(by_new[:, None]))
            by_reset = by_last[:, split:] * before * reset * (1 - reset)
            by_update = by_after * (before - new) * update * (1 - update)
            by_gated = gated.backward(step, torch.from_numpy(np.stack([by_reset, by_update], axis=1)))
            self._by_rows[rows] = by_last[:, :split] + by_gated[:, :split]
            by_h[:n] = by_after * update + by_last[:, split:] * reset + by_gated[:, split:]
        return self._gradients(by_states)


#: Passes by the name of the update equations.
PASSES: Mapping[str, type[Pass]] = MappingProxyType({"lstm": LSTMPass, "gru": GRUPass})
