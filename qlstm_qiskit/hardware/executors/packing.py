"""Several small circuits side by side on one large device, so that one execution does the work of many.

A circuit that is already fitted to the device fits other regions of it by re-indexing (`layout`); nothing is transpiled
again. Regions are chosen by estimated success, share no qubit and are at least two couplings apart, so that an idle
qubit lies between any two of them and no gate of one acts on a neighbour of the other.

The parameter sets of a request are split over the regions. A packed request is an ordinary one: a circuit on the whole
device with the parameters and observables of all its blocks, which any executor runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Request
from qlstm_qiskit.hardware.device.compact import active_qubits, compact, moved
from qlstm_qiskit.hardware.device.layout import ErrorMap, Footprint, Places, Values

#: What a region must keep of the success of the best region, with pack = "auto".
AUTO_SHARE = 0.9

Mask = NDArray[np.bool_]


class PackingExecutor:
    """Runs requests packed side by side on another executor.

    Each parameter set runs in one region and has the errors of that region. With "auto", a circuit gets as many regions as
    have an estimated success of at least 0.9 of that of the best one, so that its place costs a set a tenth of its signal
    at most. That is most of what a good device has to offer, and beyond it regions soon get bad. Four qubits in a line,
    depth 2, on FakeFez (156 qubits): 23 regions by "auto" and 25 at most, the worst of those with 0.88 of the best; on
    FakeTorino (133): 11 and 20, with 0.73. Devices whose two-qubit gates have a direction (ECR) have fewer.

    Args:
        inner: Gets one call for each call here.
        target: The device; all circuits must be on all of its qubits.
        pack: How many circuits at most stand side by side (fewer where the device takes no more), "auto", or "off".
    """

    def __init__(self, inner: Executor, target: Target, pack: int | Literal["auto", "off"] = "auto") -> None:
        if pack != "off" and target.build_coupling_map() is None:
            raise OptionError(f"pack is {pack!r}, and the device has no map of couplings to find regions on; set pack: off.")
        self.inner, self.pack = inner, pack
        self._regions = _Regions(ErrorMap(target), AUTO_SHARE if pack == "auto" else 0.0) if pack != "off" else None
        self._tiles: dict[str, _Tile] = {}
        self._plans: dict[tuple[tuple[str, int, int | None], ...], list[_Packing]] = {}

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables)."""
        if self._regions is None:
            return self.inner.expect(requests)
        plan = self._plan(requests)
        results = [np.zeros((len(request.values), len(request.circuit.observables))) for request in requests]
        for packing, values in zip(plan, self.inner.expect(_packed(plan, requests)), strict=True):
            column = 0
            for block in packing.blocks:
                width = results[block.request].shape[1]
                results[block.request][block.start : block.stop] = values[: block.size, column : column + width]
                column += width
        return results

    def packed(self, requests: Sequence[Request]) -> list[Request]:
        """The requests that `expect` hands to the inner executor."""
        return list(requests) if self._regions is None else _packed(self._plan(requests), requests)

    def regions_for(self, isa: ISACircuit) -> list[tuple[int, ...]]:
        """Regions on which copies of a circuit stand side by side, best first; each in the order of `compact(isa).qubits`."""
        tile = self._tile(isa)
        if self._regions is None:
            return [tile.home]
        regions, limit = self._regions, self.pack if isinstance(self.pack, int) else math.inf
        found = max((regions.fill(tile, limit, tight) for tight in (False, True)), key=len)
        return sorted(found, key=lambda place: -tile.footprint.score(place, regions.errors))

    def describe(self, isa: ISACircuit) -> str:
        """One line for a person: how many copies of this circuit stand side by side, out of how many wanted."""
        if self._regions is None:
            return f"{isa.name}: one circuit at a time"
        n_regions, wanted = len(self.regions_for(isa)), self.pack
        few = f"; {wanted} were asked for, no more fit" if isinstance(wanted, int) and wanted > n_regions else ""
        return f"{isa.name}: {n_regions} side by side (pack: {wanted}){few}"

    def _plan(self, requests: Sequence[Request]) -> list[_Packing]:
        key = tuple((request.circuit.fingerprint, len(request.values), request.shots) for request in requests)
        if key not in self._plans:
            self._plans[key] = list(self._packings(requests))
        return self._plans[key]

    def _packings(self, requests: Sequence[Request]) -> Iterator[_Packing]:
        """Packed circuits for all requests with as many shots, which what stands side by side shares."""
        for shots in dict.fromkeys(request.shots for request in requests):
            yield from self._packings_of([k for k, request in enumerate(requests) if request.shots == shots], requests)

    def _packings_of(self, members: Sequence[int], requests: Sequence[Request]) -> Iterator[_Packing]:
        """Packed circuits for some requests; those with about as many sets share a circuit, so that few rows are padding."""
        order = sorted((k for k in members if len(requests[k].values)), key=lambda k: -len(requests[k].values))
        tiles = {k: self._tile(requests[k].circuit) for k in order}
        while order:
            size = self._fitting([tiles[k] for k in order])
            size = math.ceil(len(order) / math.ceil(len(order) / size))  # groups of the same size
            group, order = order[:size], order[size:]
            yield self._spread(group, tiles, requests)

    def _fitting(self, tiles: Sequence[_Tile]) -> int:
        """How many of the first tiles stand side by side; at least one."""
        low, high = 1, min(len(tiles), self.pack if isinstance(self.pack, int) else len(tiles))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._place(tiles[:middle]) else (low, middle - 1)
        return low

    def _spread(self, group: Sequence[int], tiles: dict[int, _Tile], requests: Sequence[Request]) -> _Packing:
        """One packed circuit for a group that fits, with as few rows as the device's regions allow."""
        sets = {k: len(requests[k].values) for k in group}
        limit = self.pack if isinstance(self.pack, int) else max(len(self.regions_for(requests[k].circuit)) for k in group)
        limit = max(limit, len(group))
        rows = math.ceil(sum(sets.values()) / limit)
        while True:  # ends at one copy of each, which fit
            wanted = [k for k in group for _ in range(math.ceil(sets[k] / rows))]
            places = self._place([tiles[k] for k in wanted]) if len(wanted) <= limit else None
            if places is not None:
                break
            rows += 1
        blocks, done = [], dict.fromkeys(group, 0)
        for k in wanted:
            stop = min(done[k] + rows, sets[k])
            blocks.append(_Block(k, done[k], stop))
            done[k] = stop
        isas = [requests[k].circuit for k in wanted]
        isa = isas[0] if len(isas) == 1 else _composed(isas, [tiles[k] for k in wanted], places)
        return _Packing(rows, tuple(blocks), isa)

    def _place(self, tiles: Sequence[_Tile]) -> list[tuple[int, ...]] | None:
        """Regions for tiles side by side, or None; the best regions if those leave room for all, else close together."""
        assert self._regions is not None
        return self._regions.place(tiles, tight=False) or self._regions.place(tiles, tight=True)

    def _tile(self, isa: ISACircuit) -> _Tile:
        if self._regions is not None and isa.circuit.num_qubits != self._regions.errors.n_qubits:
            raise CircuitError(
                f"circuit {isa.name!r} has {isa.circuit.num_qubits} qubits; packing needs it on all "
                f"{self._regions.errors.n_qubits} of the device, as `Transpiler.prepare` leaves it."
            )
        if isa.fingerprint not in self._tiles:
            self._tiles[isa.fingerprint] = _Tile.of(isa)
        return self._tiles[isa.fingerprint]


@dataclass(frozen=True, eq=False)
class _Tile:
    """A circuit on its active qubits, what it needs of a region, and the region where it was."""

    small: ISACircuit
    footprint: Footprint

    @classmethod
    def of(cls, isa: ISACircuit) -> _Tile:
        small = compact(isa)
        return cls(small, Footprint.of(small.circuit, active_qubits(QuantumCircuit(0), small.observables)))

    @property
    def home(self) -> tuple[int, ...]:
        return self.small.qubits


@dataclass(frozen=True)
class _Block:
    """Rows `start` to `stop` of a request, in one region."""

    request: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class _Packing:
    """Blocks side by side in one circuit that runs at `rows` parameter sets."""

    rows: int
    blocks: tuple[_Block, ...]
    isa: ISACircuit

    def request(self, requests: Sequence[Request]) -> Request:
        """Columns of all blocks; one with fewer rows repeats its last."""
        columns = []
        for block in self.blocks:
            rows = np.minimum(block.start + np.arange(self.rows), block.stop - 1)
            columns.append(requests[block.request].values[rows])
        return Request(self.isa, np.concatenate(columns, axis=1), requests[self.blocks[0].request].shots)


class _Regions:
    """Places for tiles on a device, with a distance of at least two couplings between them."""

    def __init__(self, errors: ErrorMap, share: float) -> None:
        self.errors, self.share = errors, share
        self._near = errors.linked | np.eye(errors.n_qubits, dtype=bool)
        self._known: dict[Footprint, list[_Placements]] = {}

    def fill(self, tile: _Tile, limit: float, tight: bool) -> list[tuple[int, ...]]:
        """As many regions for copies of one tile as fit."""
        taken = np.zeros(self.errors.n_qubits, dtype=bool)
        found: list[tuple[int, ...]] = []
        while len(found) < limit and (place := self._spot(tile, taken, tight)) is not None:
            found.append(place)
        return found

    def place(self, tiles: Sequence[_Tile], tight: bool) -> list[tuple[int, ...]] | None:
        """A region for each tile, or None."""
        taken, places = np.zeros(self.errors.n_qubits, dtype=bool), []
        for tile in tiles:
            place = self._spot(tile, taken, tight)
            if place is None:
                return None
            places.append(place)
        return places

    def _spot(self, tile: _Tile, taken: Mask, tight: bool) -> tuple[int, ...] | None:
        """The best free place, or the one that blocks the fewest free qubits; it and its neighbours become taken."""
        place, own = list(tile.home), np.zeros_like(taken)
        for part in self._parts(tile):
            row = part.choose(taken | own, tight)
            if row is None:
                return None
            for wire, qubit in zip(part.wires, part.places[row].tolist(), strict=True):
                place[wire], own[qubit] = qubit, True
        taken |= self._near[place].any(axis=0)
        return tuple(place)

    def _parts(self, tile: _Tile) -> list[_Placements]:
        footprint = tile.footprint
        if footprint not in self._known:
            home = np.array([tile.home], dtype=np.int64)
            whole = _Placements(tuple(range(footprint.n_wires)), home, np.zeros(1), self._near, 0.0)
            self._known[footprint] = [whole]
            if footprint.movable and np.isfinite(footprint.score(tile.home, self.errors)):
                share = self.share ** (1 / len(footprint.parts))
                parts = ((part, *footprint.embeddings(part, self.errors)) for part in footprint.parts)
                self._known[footprint] = [_Placements(part, places, score, self._near, share) for part, places, score in parts]
        return self._known[footprint]


class _Placements:
    """Places for wires that interact, best first, as far as they keep a share of the success of the best."""

    def __init__(self, wires: tuple[int, ...], places: Places, score: Values, near: Mask, share: float) -> None:
        kept = score >= score[0] + (math.log(share) if share else -math.inf)
        self.wires, self.places, self._near = wires, places[kept], near

    @cached_property
    def _blocked(self) -> Mask:
        return self._near[self.places].any(axis=1)

    def choose(self, taken: Mask, tight: bool) -> int | None:
        free = np.flatnonzero(~taken[self.places].any(axis=1))
        if not len(free):
            return None
        return int(free[np.argmin((self._blocked[free] & ~taken).sum(axis=1))] if tight else free[0])


def _packed(plan: Sequence[_Packing], requests: Sequence[Request]) -> list[Request]:
    return [packing.request(requests) for packing in plan]


def _composed(isas: Sequence[ISACircuit], tiles: Sequence[_Tile], places: Sequence[tuple[int, ...]]) -> ISACircuit:
    """One circuit of all blocks, with parameters and observables of their own."""
    n_qubits = isas[0].circuit.num_qubits
    circuit = QuantumCircuit(n_qubits)
    parameters: list[Parameter] = []
    observables: list[SparsePauliOp] = []
    for k, (tile, place) in enumerate(zip(tiles, places, strict=True)):
        fresh = {parameter: Parameter(f"b{k}_{i}") for i, parameter in enumerate(tile.small.parameters)}
        used = {parameter: fresh[parameter] for parameter in tile.small.circuit.parameters}
        circuit.compose(tile.small.circuit.assign_parameters(used), place, inplace=True)
        parameters += fresh.values()
        observables += [moved(observable, dict(enumerate(place)), n_qubits) for observable in tile.small.observables]
    names = list(dict.fromkeys(isa.name for isa in isas))
    name = f"{len(isas)} of {', '.join(names)}"
    return ISACircuit(name, circuit, tuple(parameters), tuple(observables), tuple(range(n_qubits)), isas[0].basis_gates)
