"""The quantum LSTM, with the shapes of `torch.nn.LSTM`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from qlstm_qiskit.hardware.interpreter.modules import whole
from qlstm_qiskit.nn.cell import RecurrentCell, Stages, States
from qlstm_qiskit.nn.recurrent import Recurrent, Sequences
from qlstm_qiskit.nn.update import LSTM_GATES, lstm_update


class QLSTMCell(RecurrentCell):
    """An LSTM cell whose four gate pre-activations are weighted sums of quantum circuits (arXiv 2508.14955).

    With v = [x, h]: ``i, f, o = sigmoid(QNN(v))``, ``g = tanh(QNN(v))``, ``c' = f c + i g``, ``h' = o tanh(c')``.
    Qubit 0 carries v[0]; the pre-activations are <Z> of the first `hidden_size` qubits.

    Args:
        input_size: Number of features in x.
        hidden_size: Number of features in h.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std, generator, device, dtype: As in
            `RecurrentCell`.

    Raises:
        OptionError: An unknown option or device, a size below 1, or circuits that do not fit the sizes.
        CapacityError: The circuits do not fit in memory.
    """

    gate_names = LSTM_GATES
    state_names = ("h", "c")
    stages = ((0, 1, 2, 3),)
    recurrence = "lstm"

    def step(self, bound: Stages, inputs: Tensor, states: States) -> States:
        h, c = states
        return lstm_update(self.pre_activations(bound[0], inputs, h), c, fused=bound[0].is_native)

    @whole
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None, bound: Stages | None = None
    ) -> tuple[Tensor, Tensor]:
        """One step, with shapes as in `torch.nn.LSTMCell`.

        Args:
            input: (batch, input_size), or (input_size,) without a batch.
            hx: h and c, each (batch, hidden_size) or (hidden_size,); zeros by default.
            bound: The result of `bind`, for several steps.

        Returns:
            The next h and c, in the same shapes.

        Raises:
            ShapeError: A tensor has another shape or dtype.
        """
        after: tuple[Tensor, Tensor] = self.one_step(input, hx, bound)
        return after


class QLSTM(Recurrent[QLSTMCell]):
    """A stack of `QLSTMCell`s over a sequence; arguments shared with `torch.nn.LSTM` have the same shapes and defaults.

    Args:
        input_size, hidden_size: Features of the input and of the hidden state.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std: As in `QLSTMCell`; `space` may be a
            sequence, see `Recurrent`.
        num_layers, bias, batch_first, dropout, bidirectional, proj_size, generator, device, dtype: As in `Recurrent`.

    Raises:
        OptionError: An unknown or unsupported option or device, or a size below 1.
        CapacityError: The circuits do not fit in memory.
    """

    cell_type = QLSTMCell

    @whole
    def forward(self, input: Sequences, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Sequences, tuple[Tensor, Tensor]]:
        """Run over a sequence; D is 2 if the layer is bidirectional, else 1.

        Args:
            input: (time, batch, input_size), or (batch, time, input_size) with `batch_first`, or (time, input_size); or
                sequences of different lengths as a `PackedSequence`: no circuit is evaluated for padding.
            hx: h and c, each (D num_layers, batch, hidden_size), or (D num_layers, hidden_size) without a batch; zeros by
                default.

        Returns:
            The last layer's hidden states in the layout of `input`, with D hidden_size features, and the final h and c in
            the layout of `hx`.

        Raises:
            ShapeError: A tensor has another shape or dtype, or the sequence is empty.
        """
        result: tuple[Any, Any] = self.over_sequence(input, hx)
        return result
