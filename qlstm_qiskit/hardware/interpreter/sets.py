"""Parameter sets of many candidates in one call of an executor, equal ones once.

Candidates that run the same circuit, gates of a layer and shifts of different time steps often ask for the same angles. With
shots, those that are equal share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Request, Values, distinct_rows


class ParameterSets(NamedTuple):
    """A candidate at parameter sets.

    Attributes:
        circuit: What runs; None where all outputs are 0.
        sign: 1 or -1, of the candidate's outputs relative to those of the circuit.
        n_outputs: Of the candidate.
        rows: Values of the circuit's parameters, (sets, parameters).
        shots: Of each set; the executor's own where None.
    """

    circuit: ISACircuit | None
    sign: int
    n_outputs: int
    rows: Values
    shots: int | None = None


def alike(gates: NDArray[np.intp], shots: NDArray[np.int64] | None) -> Iterator[tuple[NDArray[np.intp], int | None]]:
    """Gates that have as many shots, and how many; None where all have the executor's own."""
    if shots is None:
        yield gates, None
        return
    for number in dict.fromkeys(shots[gates].tolist()):
        yield gates[shots[gates] == number], number


def rows_of(values: Values, columns: slice) -> Values:
    """Parameter sets (gates x batch, columns) of values (gates, batch, all columns)."""
    rows: Values = values.reshape(values.shape[0] * values.shape[1], values.shape[2])[:, columns]
    return rows


def expect(executor: Executor, asked: Sequence[ParameterSets]) -> list[Values]:
    """Expectation values, (sets, outputs) for each of `asked`, by one call of the executor.

    All sets of one circuit with as many shots are one request.
    """
    results = [np.zeros((len(item.rows), item.n_outputs)) for item in asked]
    groups: dict[tuple[ISACircuit, int | None], list[int]] = {}
    for place, item in enumerate(asked):
        if item.circuit is not None and len(item.rows):
            groups.setdefault((item.circuit, item.shots), []).append(place)
    requests, origins = [], []
    for (circuit, shots), places in groups.items():
        rows = np.concatenate([asked[place].rows for place in places]) + 0.0  # no -0, which is another number as bytes
        distinct, origin = distinct_rows(rows)
        requests.append(Request(circuit, distinct, shots))
        origins.append(origin)
    values = executor.expect(requests) if requests else []
    for places, origin, found in zip(groups.values(), origins, values, strict=True):
        ends = np.cumsum([len(asked[place].rows) for place in places])
        for place, own in zip(places, np.split(found[origin], ends[:-1]), strict=True):
            results[place] = asked[place].sign * own
    return results
