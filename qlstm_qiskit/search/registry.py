"""Search strategies by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, ValidationError

from qlstm_qiskit.errors import OptionError, unknown_option
from qlstm_qiskit.search.strategies import (
    BestOfRandom,
    Bilevel,
    EntropyAnnealing,
    FrozenCircuits,
    GumbelSoftmax,
    L1Annealing,
    ProgressiveShrinking,
    RandomCandidate,
    Softmax,
    UniformWeights,
    WeightedSum,
)
from qlstm_qiskit.search.strategy import Strategy

#: Name -> strategy.
STRATEGIES: Mapping[str, type[Strategy]] = MappingProxyType(
    {
        kind.model_fields["name"].default: kind
        for kind in (
            WeightedSum,
            Softmax,
            GumbelSoftmax,
            EntropyAnnealing,
            L1Annealing,
            ProgressiveShrinking,
            Bilevel,
            RandomCandidate,
            BestOfRandom,
            UniformWeights,
            FrozenCircuits,
        )
    }
)

#: Any strategy, identified by `name`; a field of this type reads and writes plain data.
AnyStrategy = Annotated[
    WeightedSum
    | Softmax
    | GumbelSoftmax
    | EntropyAnnealing
    | L1Annealing
    | ProgressiveShrinking
    | Bilevel
    | RandomCandidate
    | BestOfRandom
    | UniformWeights
    | FrozenCircuits,
    Field(discriminator="name"),
]


def make_strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy by its name.

    Args:
        name: A name in `STRATEGIES`.
        options: Fields of the strategy; those left out keep their defaults.

    Raises:
        OptionError: The name is unknown, the strategy has no such option, or its value is not allowed.
    """
    if name not in STRATEGIES:
        raise unknown_option("search strategy", name, STRATEGIES)
    try:
        return STRATEGIES[name].model_validate({"name": name} | dict(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "options"
        allowed = ", ".join(key for key in STRATEGIES[name].model_fields if key != "name")
        raise OptionError(f"option {place} of the strategy {name!r}: {first['msg']}. It has the options: {allowed}.") from None
