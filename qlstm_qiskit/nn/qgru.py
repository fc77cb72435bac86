"""The quantum GRU, with the shapes of `torch.nn.GRU`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qlstm_qiskit.hardware.interpreter.modules import whole
from qlstm_qiskit.nn.cell import RecurrentCell, Stages, States
from qlstm_qiskit.nn.recurrent import Recurrent, Sequences
from qlstm_qiskit.nn.update import GRU_GATES, gru_update


class QGRUCell(RecurrentCell):
    """A GRU cell whose three gate pre-activations are weighted sums of quantum circuits (arXiv 2211.02612).

    With v = [x, h]: ``r, z = sigmoid(QNN(v))``, ``n = tanh(QNN([x, r h]))``, ``h' = (1 - z) n + z h``. The circuits of n
    depend on r, so a step evaluates circuits in two stages: those of r and z, then those of n. This is the original form of
    the GRU (arXiv 1406.1078). `torch.nn.GRU` multiplies by r after a matrix product with h, which has no counterpart in a
    circuit that reads x and h together. Its shapes are the same, but its parameter count differs.

    Args:
        input_size: Number of features in x.
        hidden_size: Number of features in h.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std, generator, device, dtype: As in
            `RecurrentCell`.

    Raises:
        OptionError: An unknown option or device, a size below 1, or circuits that do not fit the sizes.
        CapacityError: The circuits do not fit in memory.
    """

    gate_names = GRU_GATES
    state_names = ("h",)
    stages = ((0, 1), (2,))
    sigmoid = staticmethod(torch.sigmoid)

    def step(self, bound: Stages, inputs: Tensor, states: States) -> States:
        (h,) = states
        reset, update = self.sigmoid(self.pre_activations(bound[0], inputs, h)).unbind(1)
        new = self.pre_activations(bound[1], inputs, reset * h)[:, 0]
        return (gru_update(update, new, h),)

    @whole
    def forward(self, input: Tensor, hx: Tensor | None = None, bound: Stages | None = None) -> Tensor:
        """One step, with shapes as in `torch.nn.GRUCell`.

        Args:
            input: (batch, input_size), or (input_size,) without a batch.
            hx: h, (batch, hidden_size) or (hidden_size,); zeros by default.
            bound: The result of `bind`, for several steps.

        Returns:
            The next h, in the same shape.

        Raises:
            ShapeError: A tensor has another shape or dtype.
        """
        h: Tensor = self.one_step(input, hx, bound)
        return h


class QGRU(Recurrent[QGRUCell]):
    """A stack of `QGRUCell`s over a sequence; arguments shared with `torch.nn.GRU` have the same shapes and defaults.

    Args:
        input_size, hidden_size: Features of the input and of the hidden state.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std: As in `QGRUCell`; `space` may be a
            sequence, see `Recurrent`.
        num_layers, bias, batch_first, dropout, bidirectional, proj_size, generator, device, dtype: As in `Recurrent`.

    Raises:
        OptionError: An unknown or unsupported option or device, or a size below 1.
        CapacityError: The circuits do not fit in memory.
    """

    cell_type = QGRUCell

    @whole
    def forward(self, input: Sequences, hx: Tensor | None = None) -> tuple[Sequences, Tensor]:
        """Run over a sequence; D is 2 if the layer is bidirectional, else 1.

        Args:
            input: (time, batch, input_size), or (batch, time, input_size) with `batch_first`, or (time, input_size); or
                sequences of different lengths as a `PackedSequence`: no circuit is evaluated for padding.
            hx: h, (D num_layers, batch, hidden_size), or (D num_layers, hidden_size) without a batch; zeros by default.

        Returns:
            The last layer's hidden states in the layout of `input`, with D hidden_size features, and the final h in the
            layout of `hx`.

        Raises:
            ShapeError: A tensor has another shape or dtype, or the sequence is empty.
        """
        result: tuple[Any, Any] = self.over_sequence(input, hx)
        return result
