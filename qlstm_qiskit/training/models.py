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
from qlstm_qiskit.hardware import Backend, BackendSpec, load_backend
from qlstm_qiskit.nn import CELLS, Forecaster, Recurrent
from qlstm_qiskit.nn.checks import MOST_LAYERS, require_dropout, require_parameters
from qlstm_qiskit.nn.replaced import replace_banks
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.blocks import entangler_names
from qlstm_qiskit.training.declare import about
from qlstm_qiskit.training.options import OF_MODEL, OPTIONS, ModelOptions
from qlstm_qiskit.training.plain import DTYPES, CheckedOptions
from qlstm_qiskit.training.searching import searched_banks
from qlstm_qiskit.training.task import REGRESSION, Task


@dataclass(frozen=True)
class ModelVariant:
    """What a model's name stands for; see `CircuitBank` for `sharing` and `circuits`.

    Attributes:
        space: Its circuits, with entanglers in place of its own where any are given; None where it has none of its own.
    """

    space: Callable[..., SearchSpace | None]
    sharing: str = "none"
    circuits: str = "trained"


def _paper(*entanglers: str) -> SearchSpace:
    return SearchSpace.paper(entanglers) if entanglers else SearchSpace.paper()


def _handcrafted(number: int, *entanglers: str) -> SearchSpace:
    if len(entanglers) > 1:
        raise OptionError(
            f"config{number} has one circuit per gate, and entangler names {len(entanglers)} ({', '.join(entanglers)}); "
            "give one."
        )
    return SearchSpace.handcrafted(number, *entanglers)


#: Classical controls by name.
CONTROLS: Mapping[str, type[nn.LSTM | nn.GRU]] = MappingProxyType({"lstm": nn.LSTM, "gru": nn.GRU})

#: Name -> how a model differs from the paper's; None for a classical control.
MODELS: Mapping[str, ModelVariant | None] = MappingProxyType(
    {
        "diffqas": ModelVariant(_paper),
        "diffqas-shared": ModelVariant(_paper, sharing="shared"),
        "reservoir": ModelVariant(_paper, circuits="frozen"),
        "reservoir-shared": ModelVariant(_paper, sharing="shared", circuits="frozen"),
        **{f"config{n}": ModelVariant(partial(_handcrafted, n)) for n in range(1, 7)},
        "derived": ModelVariant(lambda *_: None),  # the circuits that a search has left; see `Genotype`
        **dict.fromkeys(CONTROLS),  # of the same hidden size
    }
)


def model_space(model: str, entangler: str | None) -> SearchSpace | None:
    """The circuits of a model; None for one that has none of its own.

    Args:
        model: A name in `MODELS`.
        entangler: In place of the model's own; several names are separated by commas.

    Raises:
        OptionError: There is no such model or entangler, or the model has one circuit per gate, and several are given.
    """
    if model not in MODELS:
        raise unknown_option("model", model, MODELS)
    variant = MODELS[model]
    return None if variant is None else variant.space(*(() if entangler is None else entangler_names(entangler)))


def build_forecaster(
    model: str,
    input_size: int,
    n_outputs: int,
    *,
    hidden_size: int,
    space: SearchSpace | Sequence[SearchSpace] | None = None,
    backend: Backend | str = "statevector",
    generator: torch.Generator | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float64,
    task: Task | None = None,
    **options: Any,
) -> Forecaster:
    """Build a model by its name, with random initial parameters.

    Args:
        model: A name in `MODELS`.
        input_size, n_outputs: Features of the input and values to predict.
        hidden_size, device, dtype: As in `torch.nn.LSTM`.
        space: Replaces the model's own; with `backend` and other options of circuits it has no meaning for "lstm".
        backend: As in `QLSTM`.
        generator: Source of the initial parameters, on the device; torch's default generator where None.
        task: What the model is for; the next values of a series where None.
        options: Further ones of the model, such as `depth`, `mixing` or `num_layers`, as in `QLSTMRegressor`.

    Raises:
        OptionError: An unknown name, a size below 1, or an option that the model would ignore.
    """
    own = ModelOptions(model, hidden_size, **options)
    if model not in MODELS:
        raise unknown_option("model", model, MODELS)
    require_at_least("hidden_size", hidden_size, 1)
    require_at_least("num_layers", own.num_layers, 1, MOST_LAYERS)
    require_dropout(own.dropout, own.num_layers)
    if isinstance(backend, str):
        load_backend(backend)
    variant = MODELS[model]
    made: dict[str, Any] = {"generator": generator, "device": device, "dtype": dtype}
    recurrent = (
        _control(own, input_size, space=space, **made)
        if variant is None
        else _circuits(own, variant, input_size, space=space, backend=backend, **made)
    )
    head = (task or REGRESSION).head
    return Forecaster(recurrent, head(hidden_size * (1 + own.bidirectional), n_outputs, **made))


def build_module(
    options: CheckedOptions, input_size: int, n_outputs: int, *, backend_seed: int, generator: torch.Generator | None = None
) -> Forecaster:
    """Build an untrained model as a fit trains it.

    Args:
        options: Of the fit.
        input_size, n_outputs: Features of a window, and values to predict.
        backend_seed: Of simulated shots.
        generator: Source of the initial parameters, on the device; torch's default generator where None.

    Raises:
        OptionError: An option of the model is not allowed.
        CapacityError: The circuits do not fit in memory.
    """
    backend = options.backend
    if isinstance(backend, str | BackendSpec):
        backend = load_backend(backend, seed=backend_seed)
    module = build_forecaster(
        input_size=input_size,
        n_outputs=n_outputs,
        space=options.space,
        backend=backend,
        generator=generator,
        device=options.device,
        task=options.task,
        **vars(options.of_model()) | {"dtype": DTYPES[options.dtype]},
    )
    searched_banks(options.strategy, module)
    return module


def _circuits(
    own: ModelOptions,
    variant: ModelVariant,
    input_size: int,
    *,
    space: SearchSpace | Sequence[SearchSpace] | None,
    **made: Any,
) -> Recurrent[Any]:
    """A layer whose gates are circuits."""
    if space is not None and own.entangler is not None:
        raise OptionError(f"entangler={own.entangler!r} has no meaning for given circuits; leave out one of the two.")
    space = model_space(own.model, own.entangler) if space is None else space
    if space is None:
        raise OptionError(
            f"the model {own.model!r} is what a search has left; make one with `qlstm derive`, or give its space."
        )
    if own.cell not in CELLS:
        raise unknown_option("cell", own.cell, CELLS)
    layer = CELLS[own.cell](
        input_size,
        own.hidden_size,
        depth=own.depth,
        space=space,
        n_qubits=own.n_qubits,
        input_map=own.input_map,
        sharing=variant.sharing,
        circuits=variant.circuits,
        mixing=own.mixing,
        num_layers=own.num_layers,
        bidirectional=own.bidirectional,
        batch_first=True,
        dropout=own.dropout,
        angle_std=own.angle_std,
        **made,
    )
    if own.bank != OPTIONS["bank"].default:
        replace_banks(layer, own.bank, made["generator"])
    return layer


def _control(
    own: ModelOptions,
    input_size: int,
    *,
    space: SearchSpace | Sequence[SearchSpace] | None,
    generator: torch.Generator | None,
    device: str,
    dtype: torch.dtype,
) -> nn.LSTM | nn.GRU:
    """A layer of torch with torch's own start, to the bit, drawn from a generator."""
    values = {"space": space} | {name: getattr(own, name) for name, known in OF_MODEL.items() if about(known).circuits}
    given = [f"{name}={value}" for name, value in values.items() if value != OPTIONS[name].default]
    if given:
        raise OptionError(f"the model {own.model!r} has no circuits; leave out {', '.join(given)}.")
    hidden, layers, both = own.hidden_size, own.num_layers, 1 + own.bidirectional
    count = 4 * both * hidden * (input_size + hidden + 2 + (layers - 1) * ((both + 1) * hidden + 2))
    require_parameters(count, "a model", device)
    kept = {"batch_first": True, "dropout": own.dropout, "bidirectional": own.bidirectional, "dtype": dtype, "device": "meta"}
    layer = CONTROLS[own.model](input_size, hidden, layers, **kept).to_empty(device=device)  # which draws nothing
    bound = 1 / math.sqrt(hidden)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer
