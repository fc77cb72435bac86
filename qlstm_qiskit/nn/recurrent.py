"""The base class of quantum recurrent layers: a stack of cells over a sequence, with one loop over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from qlstm_qiskit.errors import ShapeError, require_at_least, unknown_option
from qlstm_qiskit.hardware import Backend, Bound, load_backend
from qlstm_qiskit.hardware.interpreter.modules import Circuits
from qlstm_qiskit.nn.cell import RecurrentCell, States, check_tensor, state_sizes
from qlstm_qiskit.nn.checks import (
    MOST_LAYERS,
    require_defaults,
    require_device,
    require_dropout,
    require_possible,
    space_of_each_cell,
)
from qlstm_qiskit.nn.lengths import in_order, sizes_of
from qlstm_qiskit.nn.noise import Source, dropout
from qlstm_qiskit.nn.pairs import RestrictedParameter
from qlstm_qiskit.nn.sequence import over_time
from qlstm_qiskit.space import SearchSpace

Cell = TypeVar("Cell", bound=RecurrentCell)

#: Input and output of a layer: sequences of one length, or packed ones.
Sequences = TypeVar("Sequences", Tensor, PackedSequence)

#: From the index of a cell and a bank bound for one of its stages to the replacement that the cell calls.
Observer = Callable[[int, Bound], Bound]


class Recurrent(Circuits, Generic[Cell]):
    """A stack of cells over a sequence. A subclass names the type of its cells and has a typed `forward`.

    Args:
        input_size, hidden_size: Features of the input and of the hidden state.
        depth, n_qubits, input_map, sharing, circuits, mixing, backend, angle_std: As in `RecurrentCell`.
        space: The candidates; the paper's 36 by default. A sequence has one space per layer or per cell, as from
            `Genotype.spaces`.
        num_layers: Number of layers, each reading the hidden states of the one below.
        bias: Not supported; anything but True is an error, because circuits have no biases.
        batch_first: Sequences are (batch, time, features) instead of (time, batch, features). States are not affected.
        dropout: Probability of dropping a hidden feature between layers, while training.
        bidirectional: A second cell in each layer reads the sequence backwards; the layer's features are those of both.
        proj_size: Not supported; anything but 0 is an error.
        generator: Source of randomness of the initial parameters; torch's default generator where None.
        device, dtype: Of the parameters; float64 by default.

    Attributes:
        cells: Layer by layer: the cell that reads forwards, then, in bidirectional layers, the one that reads backwards.

    Raises:
        OptionError: An unknown or unsupported option or device, or a size below 1.
        CapacityError: The circuits do not fit in memory.
    """

    cell_type: ClassVar[type[RecurrentCell]]
    noise_source: Source = None  #: See `drawing_from`.

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        depth: int | None = None,
        space: SearchSpace | Sequence[SearchSpace] | None = None,
        n_qubits: int | None = None,
        input_map: str = "identity",
        sharing: str = "none",
        circuits: str = "trained",
        mixing: str = "linear",
        backend: Backend | str = "statevector",
        angle_std: float = 0.01,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        require_device(device)
        require_defaults(bias, proj_size)
        self.num_layers = require_at_least("num_layers", num_layers, 1, MOST_LAYERS)
        require_dropout(dropout, self.num_layers)
        self.bidirectional = bool(bidirectional)
        spaces = space_of_each_cell(SearchSpace.paper() if space is None else space, self.num_layers, self.n_directions)
        self.input_size, self.hidden_size, self.depth = input_size, hidden_size, spaces[0].resolve_depth(depth)
        self.batch_first, self.dropout = batch_first, dropout
        if isinstance(backend, str):
            backend = load_backend(backend)  # one for all layers, so that their jobs can be joined
        sizes = (require_at_least("input_size", input_size, 1), require_at_least("hidden_size", hidden_size, 1))
        require_possible(spaces, *sizes, n_qubits, depth, backend)  # all layers together
        self.cells = nn.ModuleList(
            self.cell_type(
                input_size if number < self.n_directions else hidden_size * self.n_directions,
                hidden_size,
                depth=depth,
                space=own,
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
            for number, own in enumerate(spaces)
        )

    @property
    def n_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def n_circuits(self) -> int:
        """Number of circuits that one time step evaluates per sample: the candidates of all gates of all cells."""
        return sum(cell.bank.n_circuits for cell in self.layers())

    @property
    def gate_names(self) -> tuple[str, ...]:
        return self.cell_type.gate_names

    @property
    def cell_names(self) -> tuple[str, ...]:
        """The name of each cell in words: "layer 1", "layer 1 backwards", ...; empty if there is only one."""
        if len(self.cells) == 1:
            return ("",)
        words = ("", " backwards")[: self.n_directions]
        return tuple(f"layer {number}{word}" for number in range(1, self.num_layers + 1) for word in words)

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The structural weights of all cells, each (gates, candidates)."""
        for cell in self.layers():
            yield from cell.arch_parameters()

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """The angles of all cells, in radians, each (gates, angles)."""
        for cell in self.layers():
            yield from cell.circuit_parameters()

    @property
    def gates(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """For each cell and gate, the names of the candidates that it sums over."""
        return tuple(
            tuple(tuple(cell.bank.candidates[place].name for place in own) for own in cell.bank.gates) for cell in self.layers()
        )

    @property
    def has_dropped(self) -> bool:
        """Whether gates have different candidates, because some were dropped."""
        return any(weights.dim() == 1 for weights in self.arch_parameters())

    def keep(self, gates: Sequence[Sequence[Sequence[str]]]) -> None:
        """Restrict the layer to these candidates per cell and gate, named as in `gates`, unless it already is."""
        flat = all(weights.dim() == 1 for weights in self.arch_parameters())
        if flat and self.gates == tuple(tuple(map(tuple, layer)) for layer in gates):
            return
        names = [[candidate.name for candidate in cell.bank.candidates] for cell in self.layers()]
        for own, layer in zip(names, gates, strict=True):
            for name in {name for gate in layer for name in gate} - set(own):
                raise unknown_option("candidate", name, own)
        self.restrict([[[own.index(name) for name in gate] for gate in layer] for own, layer in zip(names, gates, strict=True)])

    def restrict(self, layers: Sequence[Sequence[Sequence[int]]]) -> list[RestrictedParameter]:
        """Keep a subset of the candidates of each cell and gate, in place; see `CircuitBank.restrict`."""
        return [kept for cell, gates in zip(self.layers(), layers, strict=True) for kept in cell.bank.restrict(gates)]

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new initial parameters, from torch's default generator if None."""
        for cell in self.layers():
            cell.reset_parameters(generator)

    def flatten_parameters(self) -> None:
        """Do nothing: in `torch.nn.LSTM` it arranges memory for cuDNN, which has no part here."""

    def over_sequence(self, input: Tensor | PackedSequence, hx: Any) -> tuple[Any, Any]:
        """Run over a sequence from states in a user's form; returns the features of the last layer and the final states."""
        if isinstance(input, PackedSequence):
            return self._over_packed(input, hx)
        sequence, batched = self._sequence(input)
        time, samples, _ = sequence.shape  # to ask a tensor for its length goes through Python
        before = self._initial(hx, sequence, samples, batched)
        sequence, states = self.unroll(sequence, before, drop=self.dropout, calls=time * self.num_layers)
        if not batched:
            return sequence.squeeze(1), self.cell_type.hx_of(tuple(part.squeeze(1) for part in states))
        return sequence.transpose(0, 1) if self.batch_first else sequence, self.cell_type.hx_of(states)

    def _over_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        check_tensor("input", packed.data, self._dtype())
        sizes, orders = sizes_of(packed, self.input_size), (packed.sorted_indices, packed.unsorted_indices)
        before = in_order(self._initial(hx, packed.data, sizes[0], True), orders[0])
        data, after = self.unroll(packed.data, before, drop=self.dropout, calls=len(sizes) * self.num_layers, sizes=sizes)
        return PackedSequence(data, packed.batch_sizes, *orders), self.cell_type.hx_of(in_order(after, orders[1]))

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
        """The loop over layers, directions and time.

        Args:
            sequence: (time, batch, input_size), or (rows, input_size) with `sizes`.
            states: Initial states, each (cells, batch, features).
            drop: Probability of dropout between layers, while training.
            calls: Number of calls for which circuits are bound; it decides how they are evaluated.
            observe: Wraps the circuits that each cell calls.
            sizes: Number of sequences that have each time step, the longest sequence first, if their lengths differ.

        Returns:
            The features of the last layer, (time, batch, directions x hidden_size) or (rows, ...), and the final states.
        """
        last = []
        samples, n_directions = states[0].shape[1], self.n_directions
        for number, (cell, *first) in enumerate(zip(self.layers(), *(part.unbind(0) for part in states), strict=True)):
            backwards = number % n_directions == 1
            if not backwards:
                outputs: list[Tensor] = []
                if number and drop:
                    sequence = dropout(sequence, drop, self.training, self.noise_source)
            bound = cell.bind(samples=samples, calls=calls)
            if observe is not None:
                bound = tuple(observe(number, stage) for stage in bound)
            hidden, state = over_time(cell, bound, sequence, tuple(first), sizes, backwards=backwards)
            outputs.append(hidden)
            last.append(state)
            if len(outputs) == n_directions:
                sequence = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        if len(last) == 1:  # a view costs less
            return sequence, tuple(part.unsqueeze(0) for part in last[0])
        return sequence, tuple(torch.stack(parts) for parts in zip(*last, strict=True))

    def layers(self) -> Iterator[Cell]:
        """The cells; see the attribute `cells`."""
        return cast(Iterator[Cell], iter(self.cells))

    def zeros(self, like: Tensor, samples: int) -> States:
        """Default initial states for a number of sequences, with the dtype and device of a tensor."""
        return tuple(like.new_zeros(len(self.cells), samples, size) for size in state_sizes(self.layers()))

    def _dtype(self) -> torch.dtype:
        own = next(self.layers()).bank._parameters.get("angles")  # what is pruned has others; and to look for one takes 8 us
        return (next(self.parameters()) if own is None else own).dtype

    def _sequence(self, input: Tensor) -> tuple[Tensor, bool]:
        """The input as (time, batch, features), and whether it had a batch dimension."""
        check_tensor("input", input, self._dtype())
        time = 1 if self.batch_first and input.dim() == 3 else 0
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size or not input.shape[time]:
            layout = "(batch, time" if self.batch_first else "(time, batch"
            raise ShapeError(
                f"input has the shape {tuple(input.shape)}; expected {layout}, {self.input_size}) or "
                f"(time, {self.input_size}), with at least one time step."
            )
        own = input.resolve_neg()
        if own.dim() == 2:
            return own.unsqueeze(1), False
        return own.transpose(0, 1) if self.batch_first else own, True

    def _initial(self, hx: Any, like: Tensor, samples: int, batched: bool) -> States:
        """The states as (cells, batch, features)."""
        if hx is None:
            return self.zeros(like, samples)
        states, cells = self.cell_type.states_of(hx), len(self.cells)
        for name, value, size in zip(self.cell_type.state_names, states, state_sizes(self.layers()), strict=True):
            check_tensor(f"{name}_0", value, self._dtype())
            expected = (cells, samples, size) if batched else (cells, size)
            if tuple(value.shape) != expected:
                raise ShapeError(f"{name}_0 has the shape {tuple(value.shape)}; expected {expected}.")
        return tuple(value.reshape(cells, samples, value.shape[-1]) for value in states)

    def extra_repr(self) -> str:
        return (
            f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, batch_first={self.batch_first}, "
            f"dropout={self.dropout}" + ", bidirectional=True" * self.bidirectional
        )
