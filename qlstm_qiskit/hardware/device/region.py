"""Connected parts of a device for a number of qubits, of couplers and qubits that work."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qiskit.providers import BackendV2

from qlstm_qiskit.errors import OptionError, require_at_least
from qlstm_qiskit.hardware.device.health import Health
from qlstm_qiskit.hardware.device.layout import ErrorMap, Values


@dataclass(frozen=True)
class Region:
    """A connected part of a device.

    Attributes:
        qubits: Its device qubits, breadth first from where it began to grow.
        couplers: Pairs of places in `qubits` that a working coupler joins: first the qubit that is its control. That is the
            earlier one, unless the coupler works in the other direction only.
    """

    qubits: tuple[int, ...]
    couplers: tuple[tuple[int, int], ...]


def find_region(device: BackendV2, n_qubits: int) -> Region:
    """The region of a device with few errors: the same for the same calibration.

    From each qubit a region is grown, always by the neighbour whose coupler and readout have the least error; the one with the
    largest estimated success, all its couplers used once and all its qubits read, is taken. Left out are couplers that are
    dead (error 1), and qubits with a gate that is always wrong, that are misread half of the time or more, or have T1 = 0.

    Args:
        device: Any with couplers.
        n_qubits: Qubits of the region, at least 1.

    Raises:
        OptionError: The device has no couplers, or no such region.
    """
    require_at_least("n_qubits", n_qubits, 1)
    coupling = None if not device.target.num_qubits else device.target.build_coupling_map()
    if coupling is None:
        raise OptionError(f"{device.name} has no couplers that circuits could follow; take another entangler, such as linear.")
    errors, health = ErrorMap(device.target), Health.of(device.target)
    works = np.ones(errors.n_qubits, dtype=bool)
    works[[*health.broken, *health.misread, *health.lost]] = False
    directed = np.where(np.outer(works, works), errors.best_pairs, -np.inf)
    gain = np.maximum(directed, directed.T)
    grown = [(-total, found) for start in np.flatnonzero(works) for total, found in _grown(int(start), n_qubits, gain, errors)]
    if not grown:
        largest = max((len(_reached(int(start), gain)) for start in np.flatnonzero(works)), default=0)
        raise OptionError(
            f"{device.name} has no {n_qubits} qubits in one piece: working couplers join {largest} at most; use fewer qubits "
            "(n_qubits, or hidden_size), or another device."
        )
    qubits = _breadth_first(min(grown)[1], gain)
    place = {qubit: index for index, qubit in enumerate(qubits)}
    pairs = [(a, b) for a in qubits for b in qubits if place[a] < place[b] and np.isfinite(gain[a, b])]
    turned = [(a, b) if np.isfinite(directed[a, b]) else (b, a) for a, b in pairs]
    return Region(qubits, tuple((place[a], place[b]) for a, b in turned))


def _grown(start: int, n_qubits: int, gain: Values, errors: ErrorMap) -> list[tuple[float, tuple[int, ...]]]:
    """The log of the estimated success of the region that grows from a qubit, and its qubits; nothing where it is too small."""
    members, total = [start], float(errors.readout[start])
    inside = _of(members, errors.n_qubits)
    edge: list[tuple[float, int]] = []
    while len(members) < n_qubits:
        for other in np.flatnonzero(np.isfinite(gain[members[-1]]) & ~inside):
            heapq.heappush(edge, (-float(gain[members[-1], other] + errors.readout[other]), int(other)))
        while edge and inside[edge[0][1]]:
            heapq.heappop(edge)
        if not edge:
            return []
        new = heapq.heappop(edge)[1]
        joined = gain[new, inside]
        total += float(errors.readout[new] + joined[np.isfinite(joined)].sum())
        members.append(new)
        inside[new] = True
    return [(total, tuple(members))]


def _breadth_first(members: tuple[int, ...], gain: Values) -> tuple[int, ...]:
    """The members in the order of their distance from the first one."""
    return tuple(_reached(members[0], np.where(np.outer(*[_of(members, len(gain))] * 2), gain, -np.inf)))


def _reached(start: int, gain: Values) -> list[int]:
    """Qubits that couplers lead to, breadth first."""
    order, seen = [start], {start}
    for qubit in order:
        fresh = [other for other in np.flatnonzero(np.isfinite(gain[qubit])).tolist() if other not in seen]
        order += fresh
        seen.update(fresh)
    return order


def _of(members: list[int] | tuple[int, ...], n_qubits: int) -> NDArray[np.bool_]:
    inside = np.zeros(n_qubits, dtype=bool)
    inside[list(members)] = True
    return inside
