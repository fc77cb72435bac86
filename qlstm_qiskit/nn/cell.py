"""The base class of quantum recurrent cells: one step of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError, ShapeError, require_at_least, unknown_option
from qlstm_qiskit.hardware import Backend, Bound, load_backend
from qlstm_qiskit.hardware.interpreter.modules import Circuits
from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.calls import Called, Fresh, does_more, has_own_forward
from qlstm_qiskit.nn.checks import require_device, require_possible
from qlstm_qiskit.space import Candidate, Draft, SearchSpace

#: From [x, h] to angles: unchanged (the paper), or its arctangent, as in the first QLSTM (arXiv 2009.01783).
INPUT_MAPS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"identity": lambda values: values, "arctan": torch.arctan}
)

#: Methods of a cell that its step consists of: one that has its own is stepped by them.
STEP_METHODS = frozenset({"step", "angles", "pre_activations", "stepper"})

#: The states of a cell, h first, each (batch, features).
States: TypeAlias = tuple[Tensor, ...]

#: A bank with fixed parameters for each stage of a step.
Stages: TypeAlias = tuple[Bound, ...]


class RecurrentCell(Circuits):
    """A bank of circuits for the gates of a cell, and linear layers around it in the hybrid variant.

    A subclass names its gates and states and implements `step` and a typed `forward`.

    Args:
        input_size: Number of features in x.
        hidden_size: Number of features in h.
        depth: Variational layers of each candidate; 2 by default. Leave it out for a space of given circuits.
        space: The candidates; the paper's 36 by default.
        n_qubits: None: one angle per qubit, n_qubits = input_size + hidden_size, as in the paper. A number: the hybrid
            variant, in which one linear layer maps [x, h] to the angles and another maps the outputs to `hidden_size`.
        input_map: "identity" or "arctan", applied to the angles.
        sharing, circuits, mixing, backend, angle_std, generator, device, dtype: As in `CircuitBank`.

    Attributes:
        removed: Names of candidates that the space left out (`SearchSpace.without_dead`), with the reason.

    Raises:
        OptionError: An unknown option or device, a size below 1, or circuits that do not fit the sizes.
        CapacityError: The circuits do not fit in memory.
    """

    gate_names: ClassVar[tuple[str, ...]]  #: As used in files and figures, in torch's order.
    state_names: ClassVar[tuple[str, ...]]  #: As used in error messages, h first.
    #: Indices of the gates whose circuits are evaluated together; a later stage reads the results of an earlier one.
    stages: ClassVar[tuple[tuple[int, ...], ...]]
    #: The name in `passes.PASSES` of update equations that are written out for whole sequences; a subclass does not inherit it.
    recurrence: ClassVar[str | None] = None
    reads_h: ClassVar[bool] = True  #: Whether the circuits read h beside x.

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        depth: int | None = None,
        space: SearchSpace | None = None,
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
        self.input_size = require_at_least("input_size", input_size, 1)
        self.hidden_size = require_at_least("hidden_size", hidden_size, 1)
        if input_map not in INPUT_MAPS:
            raise unknown_option("input_map", input_map, INPUT_MAPS)
        self.input_map = input_map
        space = SearchSpace.paper() if space is None else space
        hybrid = n_qubits is not None
        backend = load_backend(backend) if isinstance(backend, str) else backend
        require_possible([space], self.input_size, self.hidden_size, n_qubits, depth, backend)
        draft = _draft(space, self.input_size, self.hidden_size, n_qubits, depth)
        if not hybrid:
            _check_fit(draft.candidates[0], self.input_size, self.hidden_size)
        n_angles, draft = len(draft.candidates[0].inputs), self.drafted(draft)
        self.removed = draft.removed
        self.bank = CircuitBank(
            draft.candidates,
            len(self.gate_names),
            None if hybrid else self.hidden_size,
            gates=space.gates,
            sharing=sharing,
            circuits=circuits,
            mixing=mixing,
            backend=backend,
            kept=draft.kept,
            angle_std=angle_std,
            generator=generator,
            device=device,
            dtype=dtype,
        )
        self.to_angles: nn.Linear | None = None
        self.from_outputs: nn.Linear | None = None
        if hybrid:
            width = self.input_size + self.hidden_size * self.reads_h
            self.to_angles = linear(width, n_angles, generator, device, dtype)
            self.from_outputs = linear(self.bank.n_outputs, self.hidden_size, generator, device, dtype)
        self.add_layers(generator, device, dtype)

    def drafted(self, draft: Draft) -> Draft:
        """The circuits of the bank from those of the space."""
        return draft

    def add_layers(self, *made: Any) -> None:
        """Add the cell's own linear layers; `made` is how `linear` makes them."""

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """Number of features of each state."""
        return (self.hidden_size,) * len(self.state_names)

    def beside_bank(self, kept: Sequence[Candidate]) -> dict[str, Tensor]:
        """Copies of the parameters outside the bank by name, as they are in a cell of these circuits of its space alone."""
        return {name: value.detach().clone() for name, value in self.state_dict().items() if not name.startswith("bank.")}

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The structural weights; see `CircuitBank.arch_parameters`."""
        return self.bank.arch_parameters()

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """The angles of the circuits; see `CircuitBank.circuit_parameters`."""
        return self.bank.circuit_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new initial parameters, from torch's default generator if None."""
        self.bank.reset_parameters(generator)
        for layer in (self.to_angles, self.from_outputs):
            if layer is not None:
                draw(layer, generator)

    def bind(self, *, samples: int, calls: int = 1) -> Stages:
        """Fix the circuits' parameters for `calls` steps with `samples` samples each."""
        if len(self.stages) == 1:
            return (self.bank.bind(samples=samples, calls=calls),)
        return tuple(self.bank.bind(samples=samples, calls=calls, gates=gates) for gates in self.stages)

    def step(self, bound: Stages, inputs: Tensor, states: States) -> States:
        """One step with a bound bank: `inputs` (batch, input_size), states (batch, features), see `state_sizes`."""
        raise NotImplementedError

    def stepper(self, bound: Stages) -> Callable[[Tensor, States], States]:
        """A function from inputs and states to the next states: `step`, or the whole cell if it has hooks."""
        kind = next(kind for kind in type(self).__mro__ if "gate_names" in vars(kind))
        if not does_more(self, kind):
            return partial(self.step, bound)
        if self._forward_pre_hooks and isinstance(self.bank, CircuitBank) and self.bank.shots is None:
            # A hook before a step may set parameters, which what was bound before does not have.
            pairs = zip(self.stages, bound, strict=True)
            bound = tuple(own if isinstance(own, Called) else Fresh(self.bank, gates, own) for gates, own in pairs)
        options: dict[str, Any] = {} if has_own_forward(self, kind) else {"bound": bound}
        return lambda inputs, states: self.states_of(self(inputs, self.hx_of(states), **options))

    def angles(self, inputs: Tensor, h: Tensor) -> Tensor:
        """Input angles of the circuits, in radians: (batch, n_inputs).

        Args:
            inputs: (batch, input_size).
            h: (batch, hidden_size).
        """
        values = torch.cat((inputs, h), dim=1)
        if self.to_angles is not None:
            values = self.to_angles(values)
        return INPUT_MAPS[self.input_map](values)

    def pre_activations(self, bound: Bound, inputs: Tensor, h: Tensor) -> Tensor:
        """Pre-activations of the gates of a stage, (batch, gates, hidden_size)."""
        constant = 0 if inputs.requires_grad or self.to_angles is not None else self.input_size
        gates = bound(self.angles(inputs, h), constant=constant)
        return gates if self.from_outputs is None else self.from_outputs(gates)

    def one_step(self, input: Tensor, hx: Any, bound: Stages | None) -> Any:
        """One step from states in a user's form to states in the same form, with or without a batch dimension.

        Raises:
            ShapeError: A tensor has another shape or dtype.
        """
        dtype = next(self.parameters()).dtype
        check_tensor("input", input, dtype)
        if input.dim() not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"input has the shape {tuple(input.shape)}; expected (batch, {self.input_size}) or ({self.input_size},)."
            )
        shapes = [(*input.shape[:-1], size) for size in self.state_sizes]
        states = tuple(map(input.new_zeros, shapes)) if hx is None else self.states_of(hx)
        for name, value, expected in zip(self.state_names, states, shapes, strict=True):
            check_tensor(name, value, dtype)
            if tuple(value.shape) != expected:
                raise ShapeError(f"{name} has the shape {tuple(value.shape)}; expected {expected}.")
        rows = input.resolve_neg().reshape(-1, self.input_size)
        flat = tuple(value.reshape(-1, value.shape[-1]) for value in states)
        after = self.step(self.bind(samples=len(rows)) if bound is None else bound, rows, flat)
        return self.hx_of(tuple(value.reshape(shape) for value, shape in zip(after, shapes, strict=True)))

    @classmethod
    def states_of(cls, hx: Any) -> States:
        """The states as a tuple, from the `hx` of torch's cell of this kind.

        Raises:
            ShapeError: `hx` has a different form.
        """
        if len(cls.state_names) == 1:
            return (hx,)
        if not isinstance(hx, tuple | list) or len(hx) != len(cls.state_names):
            names = ", ".join(cls.state_names)
            raise ShapeError(f"hx is {type(hx).__name__} {getattr(hx, 'shape', '')}; expected a pair of tensors ({names}).")
        return tuple(hx)

    @classmethod
    def hx_of(cls, states: States) -> Any:
        """The states in the form of torch's cell of this kind, without a tuple if there is only one."""
        return states if len(cls.state_names) > 1 else states[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, input_map={self.input_map!r}"


def check_tensor(name: str, value: Tensor, dtype: torch.dtype) -> None:
    """Raise `ShapeError` unless `value` is a tensor of the parameters' dtype."""
    if not isinstance(value, Tensor):
        raise ShapeError(f"{name} is a {type(value).__name__}; expected a torch.Tensor.")
    if value.dtype != dtype:
        raise ShapeError(
            f"{name} has the dtype {value.dtype}, the parameters {dtype}; convert the tensor, or the module with .to(dtype)."
        )


def _draft(space: SearchSpace, input_size: int, hidden_size: int, n_qubits: int | None, depth: int | None) -> Draft:
    if n_qubits is not None:
        return space.draft(require_at_least("n_qubits", n_qubits, 1), depth)
    return space.draft(None if space.n_qubits is not None else input_size + hidden_size, depth, hidden_size)


def _check_fit(candidate: Candidate, input_size: int, hidden_size: int) -> None:
    width, n_inputs, n_outputs = input_size + hidden_size, len(candidate.inputs), len(candidate.observables())
    if n_inputs != width or n_outputs < hidden_size:
        raise OptionError(
            f"these circuits take {n_inputs} inputs and have {n_outputs} outputs, but input_size={input_size} and "
            f"hidden_size={hidden_size} need {width} inputs and {hidden_size} outputs. Change the sizes, or give "
            f"n_qubits={candidate.n_qubits} to put linear layers between."
        )


def state_sizes(cells: Iterable[RecurrentCell]) -> tuple[int, ...]:
    """Number of features of each state of a stack: that of the cell that has most."""
    sizes = [cell.state_sizes for cell in cells]
    return sizes[0] if len(sizes) == 1 else tuple(map(max, zip(*sizes, strict=True)))


def linear(
    n_in: int, n_out: int, generator: torch.Generator | None, device: torch.device | str | None, dtype: torch.dtype
) -> nn.Linear:
    """A linear layer with torch's default initialisation, drawn from `generator`."""
    create = nn.utils.skip_init  # does not touch torch's default generator
    layer: nn.Linear = create(nn.Linear, n_in, n_out, device=device or "cpu", dtype=dtype)  # type: ignore[no-untyped-call]
    draw(layer, generator)
    return layer


def draw(layer: nn.Linear, generator: torch.Generator | None) -> None:
    """Torch's default initialisation of a linear layer, drawn from `generator`, in place."""
    bound = 1 / math.sqrt(layer.in_features)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
