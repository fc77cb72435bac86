"""The options of a fit, checked and as plain values; numpy's scalars, as in parameter grids, become Python's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, FrozenInstanceError
from types import MappingProxyType
from typing import Any, NoReturn, get_args

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.errors import OptionError, require_at_least, unknown_option
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.nn.checks import require_device
from qlstm_qiskit.search import Strategy
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training.declare import Option, Real, Whole, about, spoken
from qlstm_qiskit.training.options import OPTIONS, AllOptions, ModelOptions
from qlstm_qiskit.training.task import Task

DTYPES = MappingProxyType({"float64": torch.float64, "float32": torch.float32})

#: Options with checks of their own: objects, or names of them.
_OBJECTS = ("space", "search", "start", "backend", "device", "checkpoint", "callbacks")


class CheckedOptions(AllOptions):
    """The options of a fit as plain values, each of the right type and within its limits; frozen."""

    _task: Task

    @property
    def task(self) -> Task:
        """That of the estimator."""
        return self._task

    @classmethod
    def of(cls, given: AllOptions) -> CheckedOptions:
        """The options of an estimator, which is not changed.

        Raises:
            OptionError: An option has the wrong type or is out of range.
        """
        values = {name: getattr(given, name) for name in OPTIONS}
        made = cls.__new__(cls)
        vars(made).update({name: _plain(own, values[name]) for name, own in OPTIONS.items() if name not in _OBJECTS})
        vars(made).update(_plain_objects(values), _task=given.task)
        return made

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to {name!r}: the options of a fit do not change")

    def but(self, **changes: Any) -> CheckedOptions:
        """The same with other values, which are not checked."""
        made = type(self).__new__(type(self))
        vars(made).update(vars(self) | changes)
        return made

    def of_model(self) -> ModelOptions:
        """The options of the trained model. A search strategy sets its mixing; the option does so only without a search."""
        values = {name: getattr(self, name) for name in spoken(ModelOptions)}
        return ModelOptions(**(values | ({} if self.search is None else {"mixing": self.strategy.mixing})))

    def check_together(self, *, held_out: bool = False) -> None:
        """Raise `OptionError` if options contradict each other; `check_optimizer` checks those of the optimiser.

        Args:
            held_out: Whether validation data are given beside the training data.
        """
        if held_out and self.valid_fraction:
            raise OptionError(
                f"validation_data and valid_fraction={self.valid_fraction} are two validation parts; leave out one of them."
            )
        validated = held_out or self.valid_fraction > 0
        if self.patience and not validated:
            raise OptionError(f"patience={self.patience} needs a validation part; give valid_fraction, such as 0.2.")
        strategy = self.strategy
        if strategy.needs_validation and not validated:
            raise OptionError(
                f"the strategy {strategy.name!r} learns from a validation part; give valid_fraction, such as 0.2."
            )
        if strategy.drops and self.patience:
            raise OptionError(
                f"the strategy {strategy.name!r} drops candidates on its way to the last epoch; leave out patience."
            )
        if self.search is not None and self.mixing != "linear":
            raise OptionError(
                f"the search strategy {strategy.name!r} sets the mixing itself, to {strategy.mixing!r}; leave out "
                f"mixing={self.mixing!r}."
            )


def _plain(own: Field[Any], value: Any) -> Any:
    """A number, a name or a switch as a plain Python value."""
    known = about(own)
    if value is None and type(None) in get_args(own.type):
        return None
    if isinstance(known.limits, Whole):
        return require_at_least(own.name, value, known.limits.least, known.limits.most)
    if isinstance(known.limits, Real):
        return known.limits.checked(own.name, value)
    return _name(own.name, value, known) if known.choices else _switch(own.name, value)


def _name(name: str, value: Any, known: Option) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{name} is {value!r}; it must be a string.")
    if known.closed and value not in known.choices:
        raise unknown_option(name, value, known.choices)
    return str(value)


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_ | int | np.integer) or value < 0:
        raise OptionError(f"{name} is {value!r}; it must be True or False.")
    return bool(value)


def _plain_objects(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options that are objects, or names of them; `OptionError` if one has the wrong type."""
    space, start, search, backend = (given[name] for name in ("space", "start", "search", "backend"))
    require_device(given["device"], DTYPES.get(given["dtype"]))
    layers = [space] if isinstance(space, SearchSpace) else space
    if layers is not None and not (isinstance(layers, Sequence) and all(isinstance(layer, SearchSpace) for layer in layers)):
        raise OptionError(f"space is {space!r}; it must be a SearchSpace, or a sequence with one for each layer.")
    if start is not None and not (isinstance(start, Mapping) and all(isinstance(value, Tensor) for value in start.values())):
        raise OptionError("start must be a dictionary of tensors, such as the state_dict() of a fitted module_.")
    if not isinstance(search, str | Strategy | None):
        raise OptionError(f"search is {search!r}; it must be a Strategy, or the name of one.")
    if not isinstance(backend, str | BackendSpec) and not hasattr(backend, "bank"):
        raise OptionError(f"backend is {backend!r}; it must be a backend, or the name of one.")
    plain = {name: str(value) if isinstance(value := given[name], str) else value for name in _OBJECTS}
    return plain | {"device": str(torch.device("cpu" if given["device"] is None else given["device"]))}
