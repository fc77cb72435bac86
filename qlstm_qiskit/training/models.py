"""The models of the paper's Table II by name, and the classical control."""

from __future__ import annotations

import math
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
from qlstm_qiskit.nn.sizes import MOST_LAYERS, require_parameters
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
    generator: torch.Generator | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
) -> Forecaster:
    """Build a model by its name, with random initial parameters.

    Args:
        model: A name in `MODELS`.
        input_size, n_outputs: Features of the input and values to predict.
        hidden_size, num_layers, dropout, device, dtype: As in `torch.nn.LSTM`.
        depth, space, n_qubits, input_map, mixing, backend, angle_std: As in `QLSTM`; `space` replaces the model's own. They
            have no meaning for "lstm".
        generator: Source of the initial parameters, on the device; torch's default generator where None.

    Raises:
        OptionError: An unknown name, a size below 1, or an option that the model would ignore.
    """
    if model not in MODELS:
        raise unknown_option("model", model, MODELS)
    require_at_least("hidden_size", hidden_size, 1)
    require_at_least("num_layers", num_layers, 1, MOST_LAYERS)
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
        count = 4 * hidden_size * (input_size + hidden_size + 2) + (num_layers - 1) * 8 * hidden_size * (hidden_size + 1)
        require_parameters(count, "a model", device)
        recurrent = _control(input_size, hidden_size, num_layers, dropout, generator, device, dtype)
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
            generator=generator,
            device=device,
            dtype=dtype,
        )
    return Forecaster(recurrent, _head(hidden_size, n_outputs, generator, device, dtype))


def _control(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    dropout: float,
    generator: torch.Generator | None,
    device: str,
    dtype: torch.dtype,
) -> nn.LSTM:
    """`torch.nn.LSTM` with torch's own start, to the bit, drawn from a generator."""
    sizes, options = (input_size, hidden_size, num_layers), {"dropout": dropout, "dtype": dtype}
    layer = nn.LSTM(*sizes, batch_first=True, **options, device="meta").to_empty(device=device)  # which draws nothing
    bound = 1 / math.sqrt(hidden_size)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


def _head(n_in: int, n_out: int, generator: torch.Generator | None, device: str, dtype: torch.dtype) -> nn.Linear:
    """`torch.nn.Linear` with torch's own start, to the bit, drawn from a generator."""
    layer = nn.Linear(n_in, n_out, device="meta", dtype=dtype).to_empty(device=device)
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(n_in)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
