"""Jobs of a size that a device takes: the work of one call cut into chunks, and results put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.hardware.contract.executor import Request, Values


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive parameter sets of one request.

    Attributes:
        request: The same circuit with some rows of the original `values`.
        index: Position of the original request in the call.
        start: Row of the original `values` that is the first one here.
    """

    request: Request
    index: int
    start: int

    @property
    def pubs(self) -> int:
        """PUBs that a sampler is sent: one for each basis in which the circuit is measured."""
        return len(self.request.circuit.measurement.bases)

    @property
    def circuits(self) -> int:
        """Circuits that a sampler runs: parameter sets x bases."""
        return len(self.request.values) * self.pubs


@dataclass(frozen=True)
class Takes:
    """What a device takes in one job.

    Attributes:
        max_circuits: Circuits; None is no limit. A parameter set that is measured in more bases is not cut.
        same_shots: Whether all circuits of a job have as many shots; requests are sorted by them then.
    """

    max_circuits: int | None = None
    same_shots: bool = False


#: A device without limits of its own.
ANYTHING = Takes()


def chunks(
    requests: Sequence[Request],
    shots: int | None,
    max_pubs: int | None,
    max_executions: int | None,
    takes: Takes = ANYTHING,
) -> list[list[Chunk]]:
    """Cut requests into jobs, in order; each job is filled before the next is begun, so that there are few.

    Args:
        requests: Of one call.
        shots: For each circuit whose request has none of its own; None counts as one.
        max_pubs: PUBs in a job, a circuit measured in k bases being k of them; None is no limit.
        max_executions: Circuits x shots in a job; None is no limit.
        takes: Of the device.

    Returns:
        Pieces for each job. A request is cut by rows where a job is full.

    Raises:
        OptionError: A single parameter set of a request is above a limit.
        ShapeError: A request has no parameter sets.
    """
    jobs: list[list[Chunk]] = []
    pubs = executions = circuits = before = 0
    for index, request in _sorted(requests, shots, takes):
        n_rows, n_bases = len(request.values), len(request.circuit.measurement.bases)
        if n_rows == 0:
            raise ShapeError(f"request {index} ({request.circuit.name}) has no parameter sets; leave it out.")
        own = request.shots or shots or 1
        row = n_bases * own
        _require_fits(request.circuit.name, n_bases, own, max_pubs, max_executions)
        start = 0
        while start < n_rows:
            room = _rows_that_fit(row, executions, max_executions, n_rows - start)
            room = _rows_that_fit(n_bases, circuits, takes.max_circuits, room)
            other = takes.same_shots and own != before
            if not jobs or room == 0 or other or (max_pubs is not None and pubs + n_bases > max_pubs):
                jobs.append([])
                pubs = executions = circuits = 0
                room = _rows_that_fit(row, 0, max_executions, n_rows - start)
                room = max(1, _rows_that_fit(n_bases, 0, takes.max_circuits, room))
            jobs[-1].append(Chunk(replace(request, values=request.values[start : start + room]), index, start))
            pubs += n_bases
            executions += room * row
            circuits += room * n_bases
            start, before = start + room, own
    return jobs


def unchunk(jobs: Sequence[Sequence[Chunk]], results: Sequence[Sequence[Values]], n: int) -> list[Values]:
    """Put results of jobs together again.

    Args:
        jobs: As `chunks` made them.
        results: For each job, an array (rows, observables) for each of its pieces.
        n: How many requests there were.

    Returns:
        An array (sets, observables) for each original request.

    Raises:
        ShapeError: A result has another number of rows than its piece.
    """
    parts: list[list[Values]] = [[] for _ in range(n)]
    for pieces, values in zip(jobs, results, strict=True):
        for piece, value in zip(pieces, values, strict=True):
            if len(value) != len(piece.request.values):
                asked = len(piece.request.values)
                raise ShapeError(f"{piece.request.circuit.name}: {asked} parameter sets were asked, {len(value)} came back.")
            parts[piece.index].append(value)
    return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]


def _sorted(requests: Sequence[Request], shots: int | None, takes: Takes) -> list[tuple[int, Request]]:
    """Requests and their positions; those with as many shots together where the device wants it."""
    found = list(enumerate(requests))
    if takes.same_shots:
        first = {own: place for place, own in reversed([(k, request.shots or shots or 1) for k, request in found])}
        found.sort(key=lambda item: first[item[1].shots or shots or 1])
    return found


def _rows_that_fit(row: int, used: int, limit: int | None, wanted: int) -> int:
    """How many rows of `row` executions, or circuits, fit beside `used` ones."""
    return wanted if limit is None or row == 0 else min(wanted, max(0, limit - used) // row)


def _require_fits(name: str, n_bases: int, shots: int, max_pubs: int | None, max_executions: int | None) -> None:
    if max_pubs is not None and n_bases > max_pubs:
        raise OptionError(
            f"{name} is measured in {n_bases} bases, one PUB each, but a job holds max_pubs={max_pubs}; "
            "raise guard.max_pubs or measure fewer observables at once."
        )
    if max_executions is not None and n_bases * shots > max_executions:
        raise OptionError(
            f"one parameter set of {name} takes {n_bases} x {shots} executions (bases x shots), but a job holds "
            f"max_executions={max_executions}; lower shots or raise guard.max_executions."
        )
