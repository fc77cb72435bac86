"""Models of one shape, side by side: their circuits are one bank, and their parameters lie in one tensor each."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, cast

from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.exact import ExactBank, NoisyBank, SampledBank, even_sigmoid
from qlstm_qiskit.hardware import Bound
from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.classical import BoundMap, ClassicalBank, Prepared
from qlstm_qiskit.nn.forecaster import Forecaster
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.nn.noise import Source
from qlstm_qiskit.nn.pairs import filled
from qlstm_qiskit.nn.replica_layers import ReplicaLinear, ReplicaRNN, stacked

_Inner = ExactBank | NoisyBank | SampledBank

#: Numbers that a cell of torch keeps for each of its features until the way back: gates before and after their activation,
#: states, and gradients of all of them.
_NUMBERS = 32


class ReplicaBank(nn.Module):
    """The banks of R replicas: `bind` gives a bank whose inputs are rows of the first replica, then of the second, and so on.

    Args:
        banks: Of the replicas; all of the same candidates and backend.

    Raises:
        OptionError: One has shots of its own for each gate and call.
    """

    noise_source: Source = None  #: See `draw_each_from`.

    def __init__(self, banks: Sequence[CircuitBank]) -> None:
        super().__init__()
        self.angles = stacked([bank.angles for bank in banks])
        self.structural_weights: nn.Parameter | None = None
        weights = [bank.structural_weights for bank in banks if bank.structural_weights is not None]
        if weights:
            self.structural_weights = stacked(weights)
        self._banks = tuple(banks)  # in a tuple, so that their parameters are none of this module's
        if any(bank.shots is not None for bank in banks):
            raise OptionError("replicas take the shots of their backends; undo what was allocated by allocate(None).")

    @property
    def n_replicas(self) -> int:
        return len(self.angles)

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The structural weights of all replicas; see `CircuitBank.arch_parameters`."""
        if self.structural_weights is not None:
            yield self.structural_weights

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """The angles of all replicas; see `CircuitBank.circuit_parameters`."""
        yield self.angles

    def bind(self, *, samples: int, calls: int = 1, gates: tuple[int, ...] | None = None) -> Bound:
        """As `CircuitBank.bind`, for `samples` rows of all replicas together."""
        bank, n = self._banks[0], self.n_replicas
        exact, present = bank._bank, bank._has
        angles: Tensor = self.angles
        if bank.sharing == "shared":
            angles = angles.repeat(1, 1, len(bank.candidates))
        elif angles.dim() == 2:
            angles = filled(angles, bank._has_angle.expand(n, -1, -1))
        mixing: Tensor | None = self.structural_weights
        if mixing is not None:
            mixing = filled(mixing, present.expand(n, -1, -1)) if mixing.dim() == 2 else mixing
            temperature = 1.0 if bank.temperature is None else float(bank.temperature)
            mixing = MIXINGS[bank.mixing].coefficients(mixing, present, temperature, self.training, self.noise_source)
        if gates is not None:
            angles, mixing = angles[:, list(gates)], None if mixing is None else mixing[:, list(gates)]
        if isinstance(exact, SampledBank):
            sampled = [cast(SampledBank, own._bank) for own in self._banks]
            assert len(sampled) == n, "each draws by itself, so that none may be left out"
            return exact.bind_replicas(angles, mixing, banks=sampled, samples=samples // n, calls=calls, gates=gates)
        assert isinstance(exact, ExactBank | NoisyBank)
        return exact.bind_replicas(angles, mixing, samples=samples // n, calls=calls, gates=gates)


class ReplicaMaps(nn.Module):
    """The classical maps of R replicas, as `ReplicaBank` has their circuits.

    Args:
        banks: Of the replicas; all of one kind and shape.
    """

    def __init__(self, banks: Sequence[ClassicalBank]) -> None:
        super().__init__()
        for name in banks[0].own_names:
            own = stacked([getattr(bank, name) for bank in banks])
            if isinstance(getattr(banks[0], name), nn.Parameter):
                self.register_parameter(name, own)
            else:
                self.register_buffer(name, own.detach())
        self._maps = (banks[0],)  # in a tuple, so that its parameters are none of this module's

    def bind(self, *, samples: int, calls: int = 1, gates: tuple[int, ...] | None = None) -> BoundMap:
        """As `ClassicalBank.bind`, for rows of all replicas together."""
        return BoundMap(self, gates)

    def prepare(self, gates: tuple[int, ...] | None = None) -> Prepared:
        """As `ClassicalBank.prepare`, of all replicas."""
        chosen = slice(None) if gates is None else list(gates)
        own = self._maps[0]
        return own.prepared({name: getattr(self, name)[:, chosen] for name in own.own_names})

    def forward(self, inputs: Tensor, bound: BoundMap) -> Tensor:
        """Rows of the first replica, then of the second, and so on, (R b, n_inputs), to (R b, gates, outputs)."""
        n_replicas = len(next(self.parameters()))  # of some of them, where a line search looks at the others no more
        return bound.prepared(inputs.view(n_replicas, len(inputs) // n_replicas, inputs.shape[1])).flatten(0, 1)


def is_worth_it(bank: CircuitBank, *, samples: int, calls: int = 1) -> bool:
    """Whether a pass of this size through a bank is by the multilinear form alone, so that `ReplicaBank` does the same."""
    own = bank._bank
    return isinstance(own, _Inner) and own.has_forms and bank.path(samples=samples, calls=calls) == "form"


def side_by_side(models: Sequence[Forecaster]) -> Forecaster:
    """A model whose windows are those of the first replica, then of the second, and so on, (R b, time, features).

    Each of its parameters is that of the models, stacked, (R, ...), under the same name; they are copies.

    Args:
        models: With circuits, maps in their place, or layers of torch, all of one shape.

    Raises:
        OptionError: There is none, or models are of different shapes, candidates or kinds of maps.
    """
    if len(set(map(_kind, models))) != 1:
        raise OptionError("replicas are models of one shape with the same candidates, or maps; give one model at least.")
    joint = copy.deepcopy(models[0])
    joint.head = ReplicaLinear([model.head for model in models])  # type: ignore[assignment]
    if joint.stack is None:
        joint.recurrent = ReplicaRNN([cast(nn.LSTM | nn.GRU, model.recurrent) for model in models])
        return joint
    layers = [list(model.stack.layers()) for model in models if model.stack is not None]
    for place, cell in enumerate(joint.stack.layers()):
        own = [cells[place] for cells in layers]
        banks = [each.bank for each in own]
        cell.bank = ReplicaMaps(banks) if isinstance(banks[0], ClassicalBank) else ReplicaBank(banks)
        if hasattr(cell, "sigmoid"):
            cell.sigmoid = even_sigmoid
        for name, layer in list(cell.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(cell, name, ReplicaLinear([getattr(each, name) for each in own]))
    return joint


def replica_bytes(model: Forecaster, *, samples: int, calls: int) -> int:
    """Bytes that a training step of one of several replicas holds for its multilinear forms, maps or layers of torch.

    Args:
        model: One of them; circuits are on the exact interpreter, with or without shots and noise.
        samples, calls: Windows of a batch, and calls of each circuit, or cell, in a forward pass.
    """
    if isinstance(own := model.recurrent, nn.LSTM | nn.GRU):
        return 8 * samples * calls * own.hidden_size * (1 + own.bidirectional) * _NUMBERS
    total = 0
    for cell in model.stack.layers() if model.stack is not None else ():
        if isinstance(cell.bank, ClassicalBank):
            total += 8 * samples * calls * cell.bank.n_kept()
        elif isinstance(exact := cell.bank._bank, _Inner):
            total += exact.form_bytes(len(cell.gate_names), samples=samples, calls=calls)
    return total


def _kind(model: Forecaster) -> tuple[Any, ...]:
    """What is the same of all replicas: the first one's candidates and options are taken for all."""
    shapes = tuple((name, tuple(value.shape)) for name, value in model.state_dict().items())
    own: Any = model.recurrent
    kind = (shapes, type(own), getattr(own, "dropout", None), getattr(own, "bidirectional", None))
    cells = () if model.stack is None else tuple((cell.input_map, _kind_of(cell.bank)) for cell in model.stack.layers())
    if (circuits := model.circuits) is None:
        return kind, cells
    banks = tuple((cell.bank.mixing, cell.bank.sharing) for cell in circuits.layers())
    return kind, cells, circuits.gates, banks


def _kind_of(bank: nn.Module) -> tuple[Any, ...]:
    """Of maps, which function of their parameters they are."""
    if not isinstance(bank, ClassicalBank):
        return (type(bank),)
    fixed = [value for name, value in bank.named_buffers() if name not in bank.own_names]
    return type(bank), *((tuple(value.shape), value.cpu().numpy().tobytes()) for value in fixed)
