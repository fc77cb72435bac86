"""The quantum fast weight programmer: a classical network writes the angles of the circuits, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware import Bound
from qlstm_qiskit.hardware.interpreter.modules import whole
from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.calls import does_more
from qlstm_qiskit.nn.cell import INPUT_MAPS, STEP_METHODS, RecurrentCell, Stages, States, draw, linear
from qlstm_qiskit.nn.noise import dropout
from qlstm_qiskit.nn.recurrent import Observer, Recurrent, Sequences
from qlstm_qiskit.nn.update import FAST_WEIGHT_GATES
from qlstm_qiskit.space import Candidate, Draft
from qlstm_qiskit.space.fast import with_fast_weights


class QFWPCell(RecurrentCell):
    """A fast weight programmer whose fast network is a weighted sum of quantum circuits (arXiv 2402.17760).

    A slow, classical network reads x and changes the angles of the circuits by an outer product of a vector with an entry per
    layer and one with an entry per qubit: ``z = W x + b``, ``theta' = theta + (A z + a)(B z + b)^T``. The circuits read x and
    theta', and h' are their outputs: ``h' = QNN(x; theta')``. Nothing reads h, so that the memory is theta alone, and no
    quantum state or output is fed back. z has as many entries as there are qubits, as in the author's code.

    The angles that are trained are those at which theta starts: 0 by default in the paper, and here near 0, each candidate its
    own; ``circuits="frozen"`` and ``angle_std=0`` are the paper's. All candidates read the same theta, a candidate with fewer
    angles its first entries. Qubits beyond the features of x carry no data, unless `n_qubits` puts a linear layer before them.

    Args:
        input_size: Number of features in x.
        hidden_size: Number of features in h.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std, generator, device, dtype: As in
            `RecurrentCell`; `n_qubits` maps x alone.

    Attributes:
        n_fast: Number of fast weights: entries of theta.

    Raises:
        OptionError: An unknown option or device, a size below 1, circuits that do not fit the sizes or without angles to write.
        CapacityError: The circuits do not fit in memory.
    """

    gate_names = FAST_WEIGHT_GATES
    state_names = ("h", "theta")
    stages = ((0,),)
    reads_h = False
    n_fast: int

    def add_layers(self, *made: Any) -> None:
        n_qubits = self.bank.candidates[0].n_qubits
        self.encoder = linear(self.input_size, n_qubits, *made)
        self.layer_index = linear(n_qubits, _rows(self.n_fast, n_qubits), *made)
        self.qubit_index = linear(n_qubits, n_qubits, *made)

    def drafted(self, draft: Draft) -> Draft:
        self.n_fast = max(len(candidate.weights) for candidate in draft.candidates)
        if not self.n_fast:
            raise OptionError("these circuits have no angles that a fast weight programmer could write; give others.")
        return replace(draft, candidates=with_fast_weights(draft.candidates))

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return self.hidden_size, self.n_fast

    def beside_bank(self, kept: Sequence[Candidate]) -> dict[str, Tensor]:
        n_qubits, n_fast = kept[0].n_qubits, max(len(candidate.weights) for candidate in kept)
        rows = _rows(n_fast, n_qubits)
        own = super().beside_bank(kept)
        return own | {name: own[name][:rows] for name in ("layer_index.weight", "layer_index.bias")}

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        super().reset_parameters(generator)
        for layer in (self.encoder, self.layer_index, self.qubit_index):
            draw(layer, generator)

    def change(self, inputs: Tensor) -> Tensor:
        """What a step adds to the fast weights, in radians, layer by layer: (batch, input_size) to (batch, n_fast)."""
        latent = self.encoder(inputs)
        product = self.layer_index(latent).unsqueeze(2) * self.qubit_index(latent).unsqueeze(1)
        return product.flatten(1)[:, : self.n_fast]

    def step(self, bound: Stages, inputs: Tensor, states: States) -> States:
        theta = states[1] + self._widened(self.change(inputs), states[1])
        return self._outputs(bound[0], inputs, theta), theta

    def stepper(self, bound: Stages) -> Callable[[Tensor, States], States]:
        advance = super().stepper(bound)

        def narrow(inputs: Tensor, states: States) -> States:
            """A step with the entries of theta that are this cell's, as a call with hooks wants it; see `_widened`."""
            h, own = advance(inputs, (states[0], states[1][:, : self.n_fast]))
            return h, torch.cat((own, states[1][:, self.n_fast :]), dim=1)

        return narrow if does_more(self, QFWPCell) else advance

    def over(self, sequence: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """All steps, whose fast weights depend on no circuit, so that one call evaluates the circuits of all of them.

        Args:
            sequence: (time, batch, input_size).
            theta: At the start, (batch, at least n_fast).

        Returns:
            h of each step, (time, batch, hidden_size), and the last theta.
        """
        steps, samples = sequence.shape[:2]
        rows = sequence.flatten(0, 1)
        after = theta + self._widened(self.change(rows), theta).view(steps, samples, theta.shape[1]).cumsum(0)
        pairs = [(rows, after.flatten(0, 1))]
        if self.bank.path(samples=samples) != "primitives" and not torch.is_grad_enabled():
            pairs = list(zip(sequence, after, strict=True))  # step by step: no more is kept in memory at once
        (bound,) = self.bind(samples=len(pairs[0][0]), calls=len(pairs))
        outputs = torch.cat([self._outputs(bound, *pair) for pair in pairs])
        return outputs.view(steps, samples, self.hidden_size), after[-1]

    def _widened(self, values: Tensor, like: Tensor) -> Tensor:
        """As wide as the state: in a stack of layers, theta has room for the cell that has most of them."""
        return nn.functional.pad(values, (0, like.shape[-1] - self.n_fast))

    def _outputs(self, bound: Bound, inputs: Tensor, theta: Tensor) -> Tensor:
        """h, (batch, hidden_size), of the circuits at these inputs and fast weights."""
        hybrid = self.to_angles is not None
        data = self.to_angles(inputs) if self.to_angles is not None else nn.functional.pad(inputs, (0, self.hidden_size))
        data = INPUT_MAPS[self.input_map](data)
        constant = 0 if inputs.requires_grad or hybrid else data.shape[1]
        values = bound(torch.cat((data, theta[:, : self.n_fast]), dim=1), constant=constant)
        return (values if self.from_outputs is None else self.from_outputs(values))[:, 0]

    @whole
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None, bound: Stages | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step, with shapes as in `torch.nn.LSTMCell`, but for theta.

        Args:
            input: (batch, input_size), or (input_size,) without a batch.
            hx: h, which is not read, (batch, hidden_size), and theta, (batch, n_fast), or both without a batch; zeros by
                default.
            bound: The result of `bind`, for several steps.

        Returns:
            The next h and theta, in the same shapes.

        Raises:
            ShapeError: A tensor has another shape or dtype.
        """
        after: tuple[Tensor, Tensor] = self.one_step(input, hx, bound)
        return after


class QFWP(Recurrent[QFWPCell]):
    """A stack of `QFWPCell`s over a sequence; arguments shared with `torch.nn.LSTM` have the same shapes and defaults.

    Args:
        input_size, hidden_size: Features of the input and of the hidden state.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std: As in `QFWPCell`; `space` may be a
            sequence, see `Recurrent`.
        num_layers, bias, batch_first, dropout, bidirectional, proj_size, generator, device, dtype: As in `Recurrent`.

    Raises:
        OptionError: An unknown or unsupported option or device, or a size below 1.
        CapacityError: The circuits do not fit in memory.
    """

    cell_type = QFWPCell

    @whole
    def forward(self, input: Sequences, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Sequences, tuple[Tensor, Tensor]]:
        """Run over a sequence; D is 2 if the layer is bidirectional, else 1.

        Args:
            input: (time, batch, input_size), or (batch, time, input_size) with `batch_first`, or (time, input_size); or
                sequences of different lengths as a `PackedSequence`: no circuit is evaluated for padding.
            hx: h, which is not read, (D num_layers, batch, hidden_size), and theta, (D num_layers, batch, n_fast), or both
                without a batch; zeros by default. n_fast is that of the cell with most fast weights.

        Returns:
            The last layer's h of all steps in the layout of `input`, with D hidden_size features, and the final h and theta in
            the layout of `hx`.

        Raises:
            ShapeError: A tensor has another shape or dtype, or the sequence is empty.
        """
        result: tuple[Any, Any] = self.over_sequence(input, hx)
        return result

    def unroll(
        self,
        sequence: Tensor,
        states: States,
        *,
        drop: float = 0.0,
        calls: int,
        observe: Observer | None = None,
        sizes: tuple[int, ...] | None = None,
    ) -> tuple[Tensor, States]:
        """As in `Recurrent`; the circuits of all steps of a cell are one call, unless each step is watched."""
        watched = any(
            type(cell) is not QFWPCell
            or vars(cell).keys() & STEP_METHODS
            or does_more(cell, QFWPCell)
            or does_more(cell.bank, CircuitBank)
            for cell in self.layers()
        )
        if watched or observe is not None or sizes is not None or any(cell.bank.shots is not None for cell in self.layers()):
            return super().unroll(sequence, states, drop=drop, calls=calls, observe=observe, sizes=sizes)
        last, outputs = [], []
        for number, cell in enumerate(self.layers()):
            if number and drop and number % self.n_directions == 0:
                sequence = dropout(sequence, drop, self.training, self.noise_source)
            backwards = number % self.n_directions == 1
            found, theta = cell.over(sequence.flip(0) if backwards else sequence, states[1][number])
            outputs.append(found.flip(0) if backwards else found)
            last.append((found[-1], theta))
            if len(outputs) == self.n_directions:
                sequence, outputs = torch.cat(outputs, dim=-1), []
        return sequence, tuple(torch.stack(parts) for parts in zip(*last, strict=True))


def _rows(n_fast: int, n_qubits: int) -> int:
    """Rows of a table of fast weights with a column per qubit."""
    return -(-n_fast // n_qubits)
