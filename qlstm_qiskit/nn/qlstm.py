"""The quantum LSTM, with the shapes of `torch.nn.LSTM`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError, ShapeError, require_at_least, unknown_option
from qlstm_qiskit.hardware import Backend, load_backend
from qlstm_qiskit.hardware.interpreter.modules import Circuits, whole
from qlstm_qiskit.nn.bank import Kept
from qlstm_qiskit.nn.calls import require_device
from qlstm_qiskit.nn.cell import QLSTMCell, State, check_pair, check_tensor
from qlstm_qiskit.nn.noise import dropout
from qlstm_qiskit.nn.sizes import MOST_LAYERS, require_possible
from qlstm_qiskit.space import SearchSpace


class QLSTM(Circuits):
    """A stack of `QLSTMCell`s over a sequence; arguments, shapes and defaults as in `torch.nn.LSTM` where they are the same.

    Args:
        input_size, hidden_size: Features of the input and of the hidden state.
        depth, space, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std: As in `QLSTMCell`; `space` may be a
            sequence with one for each layer, as `Genotype.spaces` gives.
        num_layers: Number of cells, each reading the hidden states of the one below.
        batch_first: Sequences are (batch, time, features) instead of (time, batch, features). States never are.
        dropout: Probability of dropping a hidden feature between layers, while training.
        bidirectional, proj_size: Not supported; anything but the default is an error.
        generator: Source of randomness of the initial parameters; torch's default generator where None.
        device, dtype: Of the parameters; float64 by default.

    Raises:
        OptionError: An unknown or unsupported option or device, or a size below 1.
        CapacityError: The circuits do not fit in memory.
    """

    noise_source: torch.Generator | None = None  #: torch's default one where None; see `drawing_from`

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        depth: int | None = None,
        space: SearchSpace | Sequence[SearchSpace] | None = None,
        n_qubits: int | None = None,
        input_map: str = "identity",
        sharing: str = "none",
        circuits: str = "trained",
        mixing: str = "linear",
        num_layers: int = 1,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        backend: Backend | str = "statevector",
        angle_std: float = 0.01,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        require_device(device)
        if bidirectional:
            raise OptionError("bidirectional=True is not supported; run a second QLSTM on x.flip(time) and join them.")
        if proj_size:
            raise OptionError(f"proj_size={proj_size} is not supported; leave it at 0 and add a torch.nn.Linear.")
        if not 0 <= dropout < 1:
            raise OptionError(f"dropout is {dropout}; it must be at least 0 and below 1.")
        self.num_layers = require_at_least("num_layers", num_layers, 1, MOST_LAYERS)
        spaces = _per_layer(SearchSpace.paper() if space is None else space, self.num_layers)
        self.input_size, self.hidden_size, self.depth = input_size, hidden_size, spaces[0].resolve_depth(depth)
        if dropout and self.num_layers == 1:
            raise OptionError(f"dropout={dropout} acts between layers and num_layers is 1; give more layers or no dropout.")
        self.batch_first, self.dropout = batch_first, dropout
        if isinstance(backend, str):
            backend = load_backend(backend)  # one for all layers: their jobs can be joined
        sizes = (require_at_least("input_size", input_size, 1), require_at_least("hidden_size", hidden_size, 1))
        require_possible(spaces, *sizes, n_qubits, depth, backend)  # all layers together
        self.cells = nn.ModuleList(
            QLSTMCell(
                input_size if layer == 0 else hidden_size,
                hidden_size,
                depth=depth,
                space=spaces[layer],
                n_qubits=n_qubits,
                input_map=input_map,
                sharing=sharing,
                circuits=circuits,
                mixing=mixing,
                backend=backend,
                angle_std=angle_std,
                generator=generator,
                device=device,
                dtype=dtype,
            )
            for layer in range(self.num_layers)
        )

    @property
    def n_circuits(self) -> int:
        """Circuits that one time step evaluates for one sample: the candidates of all gates of all layers."""
        return sum(cell.bank.n_circuits for cell in self.layers())

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The structural weights of all layers, each (4, candidates)."""
        for cell in self.layers():
            yield from cell.arch_parameters()

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """The angles of all layers, in radians, each (4, angles)."""
        for cell in self.layers():
            yield from cell.circuit_parameters()

    @property
    def gates(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """For each layer and gate the names of the candidates that it sums over."""
        return tuple(
            tuple(tuple(cell.bank.candidates[place].name for place in own) for own in cell.bank.gates) for cell in self.layers()
        )

    @property
    def has_dropped(self) -> bool:
        """Whether gates have candidates of their own, because some were dropped."""
        return any(weights.dim() == 1 for weights in self.arch_parameters())

    def keep(self, gates: Sequence[Sequence[Sequence[str]]]) -> None:
        """Restrict the layer to these candidates of each layer and gate, as `gates` names them, unless it is already."""
        flat = all(weights.dim() == 1 for weights in self.arch_parameters())
        if flat and self.gates == tuple(tuple(map(tuple, layer)) for layer in gates):
            return
        names = [[candidate.name for candidate in cell.bank.candidates] for cell in self.layers()]
        for own, layer in zip(names, gates, strict=True):
            for name in {name for gate in layer for name in gate} - set(own):
                raise unknown_option("candidate", name, own)
        self.restrict([[[own.index(name) for name in gate] for gate in layer] for own, layer in zip(names, gates, strict=True)])

    def restrict(self, layers: Sequence[Sequence[Sequence[int]]]) -> list[Kept]:
        """Keep a part of the candidates of each layer and gate, in place; see `CircuitBank.restrict`."""
        return [kept for cell, gates in zip(self.layers(), layers, strict=True) for kept in cell.bank.restrict(gates)]

    @whole
    def forward(self, input: Tensor, hx: State | None = None) -> tuple[Tensor, State]:
        """Run over a sequence.

        Args:
            input: (time, batch, input_size), or (batch, time, input_size) with `batch_first`, or (time, input_size).
            hx: h and c, each (num_layers, batch, hidden_size), or (num_layers, hidden_size) without a batch; zeros by default.

        Returns:
            The last layer's hidden states in the layout of `input`, and the last h and c in the layout of `hx`.

        Raises:
            ShapeError: A tensor has another shape or dtype, or the sequence is empty.
        """
        sequence, batched = self._sequence(input)
        h, c = self._states(hx, sequence, batched)
        last: list[State] = []
        for layer, cell in enumerate(self.layers()):
            if layer and self.dropout:
                sequence = dropout(sequence, self.dropout, self.training, self.noise_source)
            advance = cell.stepper(cell.bind(samples=sequence.shape[1], calls=len(sequence) * self.num_layers))
            state = (h[layer], c[layer])
            outputs = []
            for step in sequence:
                state = advance(step, state)
                outputs.append(state[0])
            sequence = torch.stack(outputs)
            last.append(state)
        h, c = (torch.stack(states) for states in zip(*last, strict=True))
        if not batched:
            return sequence.squeeze(1), (h.squeeze(1), c.squeeze(1))
        return sequence.transpose(0, 1) if self.batch_first else sequence, (h, c)

    def layers(self) -> Iterator[QLSTMCell]:
        for cell in self.cells:
            assert isinstance(cell, QLSTMCell)
            yield cell

    def _dtype(self) -> torch.dtype:
        return next(self.circuit_parameters()).dtype

    def _sequence(self, input: Tensor) -> tuple[Tensor, bool]:
        """The input as (time, batch, features), and whether it had a batch."""
        check_tensor("input", input, self._dtype())
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size or not self._length(input):
            layout = "(batch, time" if self.batch_first else "(time, batch"
            raise ShapeError(
                f"input has the shape {tuple(input.shape)}; expected {layout}, {self.input_size}) or "
                f"(time, {self.input_size}), with at least one time step."
            )
        if input.dim() == 2:
            return input.unsqueeze(1), False
        return input.transpose(0, 1) if self.batch_first else input, True

    def _length(self, input: Tensor) -> int:
        return input.shape[1] if self.batch_first and input.dim() == 3 else input.shape[0]

    def _states(self, hx: State | None, sequence: Tensor, batched: bool) -> State:
        """The states as (num_layers, batch, hidden_size)."""
        full = (self.num_layers, sequence.shape[1], self.hidden_size)
        if hx is None:
            return sequence.new_zeros(full), sequence.new_zeros(full)
        expected = full if batched else (self.num_layers, self.hidden_size)
        for name, value in zip(("h_0", "c_0"), check_pair(hx), strict=True):
            check_tensor(name, value, self._dtype())
            if tuple(value.shape) != expected:
                raise ShapeError(f"{name} has the shape {tuple(value.shape)}; expected {expected}.")
        return hx[0].reshape(full), hx[1].reshape(full)

    def extra_repr(self) -> str:
        return (
            f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, batch_first={self.batch_first}, "
            f"dropout={self.dropout}"
        )


def _per_layer(space: SearchSpace | Sequence[SearchSpace], num_layers: int) -> tuple[SearchSpace, ...]:
    if isinstance(space, SearchSpace):
        return (space,) * num_layers
    if len(space) != num_layers:
        raise OptionError(f"space has {len(space)} search spaces for {num_layers} layers; give one, or one for each layer.")
    return tuple(space)
