"""The estimator's options as plain values: those of numpy, as grids hold them, become what they stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.errors import LARGEST, OptionError, require_at_least, unknown_option
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.nn.calls import require_device
from qlstm_qiskit.search import Strategy
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training.spsa import MOST_RESAMPLINGS

if TYPE_CHECKING:
    from qlstm_qiskit.training.regressor import QLSTMRegressor

DTYPES = MappingProxyType({"float64": torch.float64, "float32": torch.float32})

#: Whole numbers, and the least and the largest that each may be.
_WHOLE = MappingProxyType(
    {
        "hidden_size": (1, LARGEST),
        "depth": (1, LARGEST),
        "n_qubits": (1, LARGEST),
        "num_layers": (1, LARGEST),
        "max_epochs": (1, LARGEST),
        "batch_size": (0, LARGEST),
        "spsa_resamplings": (1, MOST_RESAMPLINGS),
        "patience": (0, LARGEST),
        "seed": (0, 2**128 - 1),  # what numpy's seeds hold
    }
)

#: Other numbers: which are allowed, and how that is said.
_REAL: Mapping[str, tuple[Callable[[float], bool], str]] = MappingProxyType(
    {
        "dropout": (lambda x: 0 <= x < 1, "at least 0 and below 1"),
        "valid_fraction": (lambda x: 0 <= x < 1, "at least 0 and below 1"),
        "lr": (lambda x: 0 < x < math.inf, "a finite number above 0"),
        "spsa_eps": (lambda x: 0 < x < math.inf, "a finite number above 0"),
        "angle_std": (lambda x: 0 <= x < math.inf, "a finite number of at least 0"),
    }
)

#: Those that may be left out, as None.
_OPTIONAL = ("depth", "n_qubits", "lr", "seed")

_NAMES = ("model", "input_map", "mixing", "optimizer", "schedule", "dtype")


def plain_options(options: QLSTMRegressor) -> dict[str, Any]:
    """The options that are numbers, names or switches as plain values of Python; what others must be is checked.

    Raises:
        OptionError: An option is of another kind, or out of its range.
    """
    given = options.get_params(deep=False)
    plain: dict[str, Any] = {}
    for name, bounds in _WHOLE.items():
        plain[name] = None if given[name] is None and name in _OPTIONAL else require_at_least(name, given[name], *bounds)
    for name, (allowed, words) in _REAL.items():
        plain[name] = None if given[name] is None and name in _OPTIONAL else _real(name, given[name], allowed, words)
    for name in _NAMES:
        if not isinstance(given[name], str):
            raise OptionError(f"{name} is {given[name]!r}; it must be a string.")
        plain[name] = str(given[name])
    if plain["dtype"] not in DTYPES:
        raise unknown_option("dtype", plain["dtype"], DTYPES)
    for name in ("shuffle", "verbose"):
        if not isinstance(given[name], bool | np.bool_ | int | np.integer) or given[name] < 0:
            raise OptionError(f"{name} is {given[name]!r}; it must be True or False.")
        plain[name] = bool(given[name])
    plain["device"] = _device(given["device"])
    _check_objects(given)
    for name in ("search", "backend", "checkpoint"):
        if isinstance(given[name], str):
            plain[name] = str(given[name])
    return plain


def _real(name: str, value: Any, allowed: Callable[[float], bool], words: str) -> float:
    try:
        number = math.nan if isinstance(value, bool | np.bool_) or not isinstance(value, Real) else float(value)
    except OverflowError:
        number = math.nan
    if not allowed(number):
        raise OptionError(f"{name} is {value!r}; it must be {words}.")
    return number


def _device(value: Any) -> str:
    """The name of a torch device that parameters can be on, here and now."""
    require_device(value)
    return str(torch.device("cpu" if value is None else value))


def _check_objects(given: Mapping[str, Any]) -> None:
    """Raise `OptionError` where an option that is an object is of another kind."""
    space, start, search, backend = (given[name] for name in ("space", "start", "search", "backend"))
    layers = [space] if isinstance(space, SearchSpace) else space
    if layers is not None and not (isinstance(layers, Sequence) and all(isinstance(layer, SearchSpace) for layer in layers)):
        raise OptionError(f"space is {space!r}; it must be a SearchSpace, or a sequence with one for each layer.")
    if start is not None and not (isinstance(start, Mapping) and all(isinstance(value, Tensor) for value in start.values())):
        raise OptionError("start must be a dictionary of tensors, such as the state_dict() of a fitted module_.")
    if not isinstance(search, str | Strategy | None):
        raise OptionError(f"search is {search!r}; it must be a Strategy, or the name of one.")
    if not isinstance(backend, str | BackendSpec) and not hasattr(backend, "bank"):
        raise OptionError(f"backend is {backend!r}; it must be a backend, or the name of one.")
