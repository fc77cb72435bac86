"""Calls of modules that do more than their `forward`, such as hooks."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.exact import is_watched
from qlstm_qiskit.hardware import Bound


class Bindable(Protocol):
    """The part of a bank that `Called` needs; see `CircuitBank`."""

    @property
    def angles(self) -> Tensor: ...
    @property
    def structural_weights(self) -> Tensor | None: ...
    @property
    def shots(self) -> Any: ...
    def bind_now(self, samples: int, calls: int, gates: tuple[int, ...] | None) -> Bound: ...
    def __call__(self, *inputs: Any, **options: Any) -> Any: ...


def does_more(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether calling a module does more than the `forward` of `kind`: it has hooks, or its own `forward`."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
        or has_own_forward(module, kind)
    )


def has_own_forward(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module has a different `forward` from that of `kind`."""
    return type(module).forward is not kind.forward or "forward" in vars(module)


class Fresh:
    """What is bound of a bank while hooks of others run: bound again if one has set new parameters.

    Args:
        bank: Whose it is.
        gates: As in `CircuitBank.bind`.
        bound: With the parameters as they are now; None: not yet.
    """

    def __init__(self, bank: Bindable, gates: tuple[int, ...] | None, bound: Bound | None) -> None:
        self._bank, self._gates, self._bound, self._calls = bank, gates, bound, 1
        self._of = self._parameters() if bound is not None else []

    @property
    def is_native(self) -> bool:
        return self._bound is not None and self._bound.is_native

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        return self._current(len(inputs))(inputs, constant=constant)

    def candidates(self, inputs: Tensor) -> Tensor:
        """As `Bound.candidates`."""
        return self._current(len(inputs)).candidates(inputs)

    def _values(self) -> list[Tensor]:
        return [value for value in (self._bank.angles, self._bank.structural_weights) if value is not None]

    def _parameters(self) -> list[tuple[Tensor, int, Tensor]]:
        return [(value, _version(value), value.detach().clone()) for value in self._values()]

    def _current(self, samples: int) -> Bound:
        values = self._values()
        # By their numbers too, where they can be read: what is written through `.data` leaves no trace.
        same = len(values) == len(self._of) and all(
            now is before and _version(now) == version and (is_watched() or torch.equal(now, numbers))
            for now, (before, version, numbers) in zip(values, self._of, strict=True)
        )
        if self._bound is None or not same:
            self._bound, self._of = self._bank.bind_now(samples, self._calls, self._gates), self._parameters()
        return self._bound


def _version(value: Tensor) -> int:
    return 0 if value.is_inference() else value._version


class Called(Fresh):
    """A bank with hooks in one pass: called for each input, and bound again only if a hook has set new parameters.

    Args:
        bank: The bank with the hooks.
        samples, calls, gates: As in `CircuitBank.bind`.
        alone: The bank has its own `forward`, and nothing else is called.

    Raises:
        OptionError: The bank has allocated shots.
    """

    def __init__(self, bank: Bindable, samples: int, calls: int, gates: tuple[int, ...] | None, alone: bool) -> None:
        if bank.shots is not None:
            raise OptionError("a bank with hooks takes no allocated shots, as it may be bound in each call; remove one.")
        super().__init__(bank, gates, None)
        self._samples, self._calls, self._alone = samples, calls, alone

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        if self._alone:
            values = cast(Tensor, self._bank(inputs))
            return values if self._gates is None else values[:, list(self._gates)]
        return cast(Tensor, self._bank(inputs, bound=lambda flat: self._current(self._samples)(flat, constant=constant)))

    def candidates(self, inputs: Tensor) -> Tensor:
        """As `Bound.candidates`, with the parameters and inputs that hooks set before a call."""
        found: list[Tensor] = []

        def ask(flat: Tensor) -> Tensor:
            found.append(self._current(self._samples).candidates(flat))
            return self._current(self._samples)(flat)

        self._bank(inputs, bound=ask)
        return found[-1]
