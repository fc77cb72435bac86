"""Layers of torch for models of one shape, side by side; rows are those of the first replica, then of the second, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qlstm_qiskit.exact import batched_product, even_sigmoid
from qlstm_qiskit.nn.noise import Source, dropout
from qlstm_qiskit.nn.update import gru_update, lstm_update

#: Features of a layer in all windows of a batch, beyond which torch's own layers are as fast one after another.
_LARGEST = 4096


class ReplicaLinear(nn.Module):
    """A linear layer for each of R replicas.

    Args:
        layers: Of the replicas; all of one shape.
    """

    is_linear = True  #: For `sequence.over_time`.

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = stacked([layer.weight for layer in layers])
        self.bias = stacked([layer.bias for layer in layers])

    def forward(self, values: Tensor) -> Tensor:
        """(R b, ..., features) to (R b, ..., outputs)."""
        own = values.reshape(len(self.weight), -1, values.shape[-1])
        return (batched_product(own, self.weight.mT) + self.bias.unsqueeze(1)).reshape(*values.shape[:-1], -1)


class ReplicaRNN(nn.Module):
    """A `torch.nn.LSTM`, or a `torch.nn.GRU`, for each of R replicas, with the names of its parameters.

    Args:
        layers: Of the replicas; all of one shape, with ``batch_first``.
    """

    noise_source: Source = None  #: See `draw_each_from`.

    def __init__(self, layers: Sequence[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        first = layers[0]
        self.is_lstm, self.hidden_size, self.num_layers = isinstance(first, nn.LSTM), first.hidden_size, first.num_layers
        self.bidirectional, self.dropout = first.bidirectional, first.dropout
        for name, _ in first.named_parameters():
            self.register_parameter(name, stacked([layer.get_parameter(name) for layer in layers]))

    def forward(self, windows: Tensor) -> tuple[Tensor, None]:
        """(R b, time, features) to (R b, time, hidden_size), or twice as many features; without the last states."""
        sequence = windows.transpose(0, 1)
        for number in range(self.num_layers):
            if number and self.dropout:
                sequence = dropout(sequence, self.dropout, self.training, self.noise_source)
            ways = [(f"l{number}", False), (f"l{number}_reverse", True)][: 1 + self.bidirectional]
            sequence = torch.cat([self._over(sequence, *way) for way in ways], dim=2)
        return sequence.transpose(0, 1), None

    def _over(self, sequence: Tensor, layer: str, backwards: bool) -> Tensor:
        """One direction of a layer over a sequence, (time, R b, features) to (time, R b, hidden)."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        by_input, by_state, input_bias, state_bias = (self.get_parameter(f"{name}_{layer}") for name in names)
        n, (time, rows, features) = len(by_input), sequence.shape
        own = sequence.reshape(time, n, -1, features).transpose(0, 1).reshape(n, -1, features)
        # Apart at once: slices would each be given a gradient of the whole.
        inputs = (batched_product(own, by_input.mT) + input_bias.unsqueeze(1)).view(n, time, rows // n, -1).unbind(1)
        h = c = sequence.new_zeros(rows, self.hidden_size)
        found = []
        for step in range(time - 1, -1, -1) if backwards else range(time):
            states = batched_product(h.view(n, -1, self.hidden_size), by_state.mT) + state_bias.unsqueeze(1)
            if self.is_lstm:
                gates = (inputs[step] + states).view(rows, 4, -1)
                h, c = lstm_update(gates, c, fused=True)
            else:
                h = _gru(inputs[step].reshape(rows, 3, -1), states.view(rows, 3, -1), h)
            found.append(h)
        return torch.stack(found[::-1] if backwards else found)


def gains(layer: nn.LSTM | nn.GRU, samples: int) -> bool:
    """Whether a `ReplicaRNN` of such layers takes less time than each of them.

    Args:
        layer: One of them.
        samples: Windows of a batch.
    """
    return samples * layer.hidden_size * (1 + layer.bidirectional) <= _LARGEST


def _gru(inputs: Tensor, states: Tensor, h: Tensor) -> Tensor:
    """The next h of `torch.nn.GRU` from what its gates get from inputs and states, (rows, 3, hidden) each."""
    reset, update = even_sigmoid(inputs[:, :2] + states[:, :2]).unbind(1)
    return gru_update(update, inputs[:, 2] + reset * states[:, 2], h)


def stacked(parameters: Sequence[Any]) -> nn.Parameter:
    """Parameters of replicas in one tensor, (R, ...).

    Args:
        parameters: Of one shape; all are trained, or none.
    """
    values = torch.stack([parameter.detach() for parameter in parameters])
    return nn.Parameter(values, requires_grad=parameters[0].requires_grad)
