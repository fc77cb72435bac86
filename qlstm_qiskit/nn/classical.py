"""Classical maps in place of a bank of circuits: the same inputs, outputs and about as many trained parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.exact import batched_product
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend
from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.checks import require_parameters

#: Maps with fixed parameters: from inputs (R, batch, n_inputs) of R replicas to values (R, batch, gates, outputs).
Prepared = Callable[[Tensor], Tensor]


class ClassicalBank(nn.Module):
    """A classical map for each gate, with the interface of a `CircuitBank` as far as a cell needs it.

    A child makes its parameters in `_build`, the first axis of each being the gates, and says what they compute. What is
    drawn but not trained is a persistent buffer. Other buffers say which function it is, and are the same in all replicas.

    Args:
        circuits: The bank to replace. Its inputs, outputs, gates, dtype and device are kept, and so is, about, its number of
            trained parameters.
        generator: Source of the initial parameters; torch's default generator where None.

    Raises:
        OptionError: The bank runs on a backend other than the exact one, or trains nothing; or its circuits do not fit the
            kind of map.
        CapacityError: The map does not fit in memory.
    """

    kind: ClassVar[str]

    def __init__(self, circuits: CircuitBank, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not isinstance(circuits.backend, StatevectorBackend):
            raise OptionError(
                f"bank={self.kind!r} has no circuits for backend {circuits.backend.name} to run; leave the backend out."
            )
        self.n_inputs, self.n_outputs, self.n_gates = circuits.n_inputs, circuits.n_outputs, circuits.n_gates
        trained = sum(parameter.numel() for parameter in circuits.parameters() if parameter.requires_grad)
        if not trained:
            raise OptionError(f"bank={self.kind!r} replaces circuits by as many parameters, and these train none.")
        self._build(circuits, trained / self.n_gates)
        self.own_names = tuple(self.state_dict())  #: Of parameters and persistent buffers.
        self.to(dtype=circuits.angles.dtype, device=circuits.angles.device)
        self.reset_parameters(generator)

    def _build(self, circuits: CircuitBank, budget: float) -> None:
        """Make empty parameters, `budget` of them per gate or about as many."""
        raise NotImplementedError

    def prepared(self, own: Mapping[str, Tensor]) -> Prepared:
        """The maps of the parameters and persistent buffers `own`, each (R, gates, ...): those of R replicas."""
        raise NotImplementedError

    def n_kept(self) -> int:
        """Numbers that a row of inputs leaves for the way back, or about as many."""
        raise NotImplementedError

    def _fan_in(self) -> Mapping[str, int]:
        """Of each parameter, from how many numbers a number comes."""
        raise NotImplementedError

    @property
    def n_circuits(self) -> int:
        """Circuits that a call evaluates: none."""
        return 0

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """Structural weights: none."""
        return iter(())

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """Angles of circuits: none."""
        return iter(())

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new parameters as `torch.nn.Linear` does, from torch's default generator if None."""
        fan_in = self._fan_in()
        for name, parameter in self.named_parameters():
            bound = 1 / math.sqrt(max(1, fan_in[name]))
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def bind(self, *, samples: int, calls: int = 1, gates: tuple[int, ...] | None = None) -> BoundMap:
        """Fix the parameters for one forward pass, as `CircuitBank.bind`; `samples` and `calls` change nothing."""
        return BoundMap(self, gates)

    def prepare(self, gates: tuple[int, ...] | None = None) -> Prepared:
        """The maps of some gates, all by default, of the one model that this is."""
        chosen = slice(None) if gates is None else list(gates)
        return self.prepared({name: getattr(self, name).unsqueeze(0)[:, chosen] for name in self.own_names})

    def forward(self, inputs: Tensor, bound: BoundMap | None = None) -> Tensor:
        """Evaluate the maps.

        Args:
            inputs: What circuits would have as angles, (..., n_inputs).
            bound: Of the gates that are asked for; all by default.

        Returns:
            (..., gates, outputs).

        Raises:
            ShapeError: The inputs have another number of columns.
        """
        if inputs.shape[-1:] != (self.n_inputs,):
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (..., {self.n_inputs}).")
        flat = inputs.reshape(1, math.prod(inputs.shape[:-1]), self.n_inputs)
        values = (self.prepare() if bound is None else bound.prepared)(flat)
        return values.reshape(*inputs.shape[:-1], *values.shape[2:])

    def extra_repr(self) -> str:
        count = sum(parameter.numel() for parameter in self.parameters())
        return f"gates={self.n_gates}, inputs={self.n_inputs}, outputs={self.n_outputs}, parameters={count}"


class Preparable(Protocol):
    """The part of a bank that `BoundMap` needs."""

    def prepare(self, gates: tuple[int, ...] | None = None) -> Prepared: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def __call__(self, inputs: Tensor, bound: BoundMap) -> Tensor: ...


class BoundMap:
    """A classical bank for one forward pass; it is called as a module each time, so that hooks run.

    Args:
        bank: Whose it is.
        gates: Which of its gates; all where None.
    """

    def __init__(self, bank: Preparable, gates: tuple[int, ...] | None) -> None:
        self._bank, self._gates = bank, gates
        self.is_native = next(bank.parameters()).device.type == "cpu"  # for a cell's own update, as with circuits

    @cached_property
    def prepared(self) -> Prepared:
        """The maps, of the parameters as hooks before the first call have set them."""
        return self._bank.prepare(self._gates)

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        """Values (batch, gates, outputs) for inputs (batch, n_inputs); `constant` is for circuits."""
        return self._bank(inputs, self)


class TanhMap(ClassicalBank):
    """A perceptron per gate, with one hidden layer of tanh whose width makes about as many parameters as the circuits have.

    Where even one hidden unit makes more than a quarter too many, the outputs have no biases.
    """

    kind = "tanh"

    def _build(self, circuits: CircuitBank, budget: float) -> None:
        per_unit = self.n_inputs + 1 + self.n_outputs
        biased = per_unit + self.n_outputs <= 1.25 * budget
        width = max(1, round((budget - biased * self.n_outputs) / per_unit))
        require_parameters(self.n_gates * width * per_unit, "a layer", circuits.angles.device)
        self.weight_in = nn.Parameter(torch.empty(self.n_gates, self.n_inputs, width))
        self.bias_in = nn.Parameter(torch.empty(self.n_gates, 1, width))
        self.weight_out = nn.Parameter(torch.empty(self.n_gates, width, self.n_outputs))
        self.bias_out = nn.Parameter(torch.empty(self.n_gates, 1, self.n_outputs)) if biased else None

    def _fan_in(self) -> Mapping[str, int]:
        width = self.weight_in.shape[2]
        return {"weight_in": self.n_inputs, "bias_in": self.n_inputs, "weight_out": width, "bias_out": width}

    def prepared(self, own: Mapping[str, Tensor]) -> Prepared:
        w_in, b_in, w_out = (own[name].flatten(0, 1) for name in ("weight_in", "bias_in", "weight_out"))
        b_out = own["bias_out"].flatten(0, 1) if "bias_out" in own else None
        n_gates = own["weight_in"].shape[1]

        def evaluate(inputs: Tensor) -> Tensor:
            hidden = torch.tanh(batched_product(_for_each_gate(inputs, n_gates), w_in) + b_in)
            outputs = batched_product(hidden, w_out)
            return _by_replica(outputs if b_out is None else outputs + b_out, n_gates)

        return evaluate

    def n_kept(self) -> int:
        return self.n_gates * (self.n_inputs + self.weight_in.shape[2] + self.n_outputs)


class FrozenMap(ClassicalBank):
    """Random Fourier features (Rahimi and Recht 2007) per gate, which stay at their start, and a trained linear read-out.

    The features are 1 and cosines of random sums of the inputs with standard normal frequencies, which are of the order of
    those of a circuit: 1 for each angle. The read-out has about as many parameters as the circuits.
    """

    kind = "frozen"

    frequencies: Tensor
    phases: Tensor

    def _build(self, circuits: CircuitBank, budget: float) -> None:
        n_features = max(2, round(budget / self.n_outputs))
        require_parameters(self.n_gates * n_features * (self.n_inputs + self.n_outputs), "features", circuits.angles.device)
        self.register_buffer("frequencies", torch.empty(self.n_gates, self.n_inputs, n_features))
        self.register_buffer("phases", torch.empty(self.n_gates, 1, n_features))
        self.weight = nn.Parameter(torch.empty(self.n_gates, n_features, self.n_outputs))

    def _fan_in(self) -> Mapping[str, int]:
        return {"weight": self.weight.shape[1]}

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new features and a new read-out, from torch's default generator if None."""
        self.frequencies.normal_(generator=generator)
        self.phases.uniform_(0, 2 * math.pi, generator=generator)
        self.frequencies[:, :, 0], self.phases[:, :, 0] = 0, 0  # the constant
        super().reset_parameters(generator)

    def prepared(self, own: Mapping[str, Tensor]) -> Prepared:
        frequencies, phases, weight = (own[name].flatten(0, 1) for name in ("frequencies", "phases", "weight"))
        n_gates = own["weight"].shape[1]

        def evaluate(inputs: Tensor) -> Tensor:
            features = torch.cos(batched_product(_for_each_gate(inputs, n_gates), frequencies) + phases)
            return _by_replica(batched_product(features, weight), n_gates)

        return evaluate

    def n_kept(self) -> int:
        return self.n_gates * (self.n_inputs + 2 * self.weight.shape[1] + self.n_outputs)


def _for_each_gate(inputs: Tensor, n_gates: int) -> Tensor:
    """Inputs (R, batch, n_inputs), those of a replica for each of its gates, (R gates, batch, n_inputs)."""
    return inputs.unsqueeze(1).expand(-1, n_gates, -1, -1).flatten(0, 1)


def _by_replica(values: Tensor, n_gates: int) -> Tensor:
    """Values (R gates, batch, outputs) as (R, batch, gates, outputs)."""
    return values.view(len(values) // n_gates, n_gates, *values.shape[1:]).transpose(1, 2)
