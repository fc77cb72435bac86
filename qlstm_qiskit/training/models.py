"""The models of the paper's Table II by name, and the classical control."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from qlstm_qiskit.errors import OptionError, require_at_least, unknown_option
from qlstm_qiskit.hardware import Backend, load_backend
from qlstm_qiskit.nn import QLSTM, Forecaster
from qlstm_qiskit.space import SearchSpace


@dataclass(frozen=True)
class ModelVariant:
    """What a model's name stands for; see `CircuitBank` for `sharing` and `circuits`."""

    space: Callable[[], SearchSpace | None]
    sharing: str = "none"
    circuits: str = "trained"


#: Name -> how a model differs from the paper's; None for the classical control.
MODELS: Mapping[str, ModelVariant | None] = MappingProxyType(
    {
        "diffqas": ModelVariant(SearchSpace.paper),
        "diffqas-shared": ModelVariant(SearchSpace.paper, sharing="shared"),
        "reservoir": ModelVariant(SearchSpace.paper, circuits="frozen"),
        "reservoir-shared": ModelVariant(SearchSpace.paper, sharing="shared", circuits="frozen"),
        **{f"config{n}": ModelVariant(partial(SearchSpace.handcrafted, n)) for n in range(1, 7)},
        "derived": ModelVariant(lambda: None),  # the circuits that a search has left; see `Genotype`
        "lstm": None,  # torch.nn.LSTM of the same hidden size
    }
)


def build_forecaster(
    model: str,
    input_size: int,
    n_outputs: int,
    *,
    hidden_size: int,
    depth: int | None = None,
    space: SearchSpace | Sequence[SearchSpace] | None = None,
    n_qubits: int | None = None,
    input_map: str = "identity",
    mixing: str = "linear",
    num_layers: int = 1,
    dropout: float = 0.0,
    backend: Backend | str = "statevector",
    angle_std: float = 0.01,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> Forecaster:
    """Build a model by its name, with initial parameters from torch's default generator.

    Args:
        model: A name in `MODELS`.
        input_size, n_outputs: Features of the input and values to predict.
        hidden_size, num_layers, dropout, device, dtype: As in `torch.nn.LSTM`.
        depth, space, n_qubits, input_map, mixing, backend, angle_std: As in `QLSTM`; `space` replaces the model's own. They
            have no meaning for "lstm".

    Raises:
        OptionError: An unknown name, a size below 1, or an option that the model would ignore.
    """
    if model not in MODELS:
        raise unknown_option("model", model, MODELS)
    require_at_least("hidden_size", hidden_size, 1)
    require_at_least("num_layers", num_layers, 1)
    if dropout and num_layers == 1:
        raise OptionError(f"dropout={dropout} acts between layers and num_layers is 1; give more layers or no dropout.")
    if isinstance(backend, str):
        load_backend(backend)
    variant = MODELS[model]
    recurrent: nn.Module
    if variant is None:
        options: list[tuple[str, Any, Any]] = [("depth", depth, None), ("space", space, None), ("n_qubits", n_qubits, None)]
        options += [("input_map", input_map, "identity"), ("mixing", mixing, "linear"), ("angle_std", angle_std, 0.01)]
        given = [f"{name}={value}" for name, value, default in options if value != default]
        if given:
            raise OptionError(f"the model {model!r} has no circuits; leave out {', '.join(given)}.")
        recurrent = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout, device=device, dtype=dtype)
    else:
        space = variant.space() if space is None else space
        if space is None:
            raise OptionError(
                f"the model {model!r} is what a search has left; make one with `qlstm derive`, or give its space."
            )
        recurrent = QLSTM(
            input_size,
            hidden_size,
            depth=depth,
            space=space,
            n_qubits=n_qubits,
            input_map=input_map,
            sharing=variant.sharing,
            circuits=variant.circuits,
            mixing=mixing,
            num_layers=num_layers,
            batch_first=True,
            dropout=dropout,
            backend=backend,
            angle_std=angle_std,
            device=device,
            dtype=dtype,
        )
    return Forecaster(recurrent, nn.Linear(hidden_size, n_outputs, device=device, dtype=dtype))
