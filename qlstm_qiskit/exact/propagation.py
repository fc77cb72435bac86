"""Pulling observables back through Pauli rotations, for all parameter values at once.

A rotation by a about P leaves a string O that commutes with P and turns one that anticommutes into
``cos(a) O + sin(a) i P O``. The set of strings that can occur is found once, with bit masks; what remains for each set of
angles is a list of plane rotations of their coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.circuits.cone import least_strings, light_cone
from qlstm_qiskit.circuits.pauli import Ints, PauliRotation, turn_sign


@dataclass(frozen=True, eq=False)
class Propagation:
    """One observable, pulled back: plane rotations of the coefficients of strings.

    Step e, with a the angle of rotation ``r = rotation[e]``, makes of the coefficients ``A, B`` of ``first[e], second[e]``

        cos(a) A + sin(a) B,   cos(a) B - sin(a) A.

    Attributes:
        rotation, first, second: The steps, from the last rotation to the first.
        start: Coefficients before the first step, (nodes,).
        x, z: The string that each node stands for at the end, on the qubits of the light cone, (nodes,).
        qubits: Of the light cone.
    """

    rotation: Ints
    first: Ints
    second: Ints
    start: NDArray[np.float64]
    x: Ints
    z: Ints
    qubits: tuple[int, ...]

    @property
    def n_steps(self) -> int:
        return len(self.rotation)

    @property
    def n_nodes(self) -> int:
        return len(self.start)


def propagate(
    rotations: Sequence[PauliRotation],
    terms: Sequence[PauliTerm],
    allowed: Sequence[Sequence[int]],
    limit: int,
) -> Propagation | None:
    """Find every string of one observable that can contribute.

    Args:
        rotations: In the order of time.
        terms: The observable's Pauli terms.
        allowed: Which strings count in the end: for each encoding and qubit a bit mask over the letters (I, X, Z, Y).
        limit: Return None beyond this many steps.
    """
    cone = light_cone(terms, rotations)
    if least_strings(terms, [rotations[index] for index in reversed(cone.moves)], limit + len(terms)) > limit + len(terms):
        return None
    sums: dict[tuple[int, int], float] = {}
    for term in terms:
        string = cone.local(term.x), cone.local(term.z)
        sums[string] = sums.get(string, 0.0) + term.coefficient
    x, z = (cone.integers(string[i] for string in sums) for i in (0, 1))
    start = [np.array(list(sums.values()))]
    steps: list[tuple[int, Ints, Ints]] = []
    total = 0
    for index in cone.moves:
        px, pz = cone.local(rotations[index].x), cone.local(rotations[index].z)
        splits = np.flatnonzero((np.bitwise_count(x & pz) + np.bitwise_count(z & px)) % 2)
        if not len(splits):
            continue
        n_before = len(x)
        partner, x, z = _partners(x, z, splits, px, pz)
        start.append(np.zeros(len(x) - n_before))
        keep = splits < partner  # each plane once
        first, second = splits[keep], partner[keep]
        positive = turn_sign(px, pz, x[first], z[first]) > 0
        steps.append((index, np.where(positive, second, first), np.where(positive, first, second)))
        total += len(first)
        if total > limit:
            return None
    counts = _counts(x, z, [[masks[qubit] for qubit in cone.qubits] for masks in allowed])
    return _pruned(steps, np.concatenate(start), x, z, counts, cone.qubits)


def _partners(x: Ints, z: Ints, splits: Ints, px: int, pz: int) -> tuple[Ints, Ints, Ints]:
    """Nodes of P O for the nodes O in `splits`; those that are new are appended to the strings."""
    n_bits = max(int(max(x.max(), z.max(), px, pz)).bit_length(), 1)
    keys = (x << n_bits) | z
    order = np.argsort(keys)
    wanted = ((x[splits] ^ px) << n_bits) | (z[splits] ^ pz)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
    found = order[place]
    new = keys[found] != wanted
    partner = np.where(new, len(x) + np.cumsum(new) - 1, found)
    # a new string meets its origin alone: two origins of one string would be the same
    fresh_x, fresh_z = x[splits][new] ^ px, z[splits][new] ^ pz
    return partner, np.concatenate([x, fresh_x]), np.concatenate([z, fresh_z])


def letters(x: Ints, z: Ints, qubit: int) -> Ints:
    """The letters of strings on one of the qubits of their masks: I, X, Z, Y as 0, 1, 2, 3."""
    found: Ints = ((x >> qubit & 1) + 2 * (z >> qubit & 1)).astype(np.int64)
    return found


def _counts(x: Ints, z: Ints, allowed: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Which strings have a value that is not zero for some encoding; `allowed` on the qubits of their masks."""
    counts = np.zeros(len(x), dtype=bool)
    for masks in allowed:
        fits = np.ones(len(x), dtype=bool)
        for qubit, mask in enumerate(masks):
            fits &= (mask >> letters(x, z, qubit) & 1).astype(bool)
        counts |= fits
    return counts


def _pruned(
    steps: list[tuple[int, Ints, Ints]],
    start: NDArray[np.float64],
    x: Ints,
    z: Ints,
    counts: NDArray[np.bool_],
    qubits: tuple[int, ...],
) -> Propagation:
    """Drop steps and nodes that lead to no string that counts."""
    live = counts.copy()
    kept: list[tuple[int, Ints, Ints]] = []
    for index, first, second in reversed(steps):
        useful = live[first] | live[second]
        live[first[useful]] = live[second[useful]] = True
        kept.append((index, first[useful], second[useful]))
    kept.reverse()
    number = np.cumsum(live) - 1
    empty = np.zeros(0, dtype=np.int64)
    return Propagation(
        rotation=np.concatenate([empty, *(np.full(len(first), index) for index, first, _ in kept)]),
        first=number[np.concatenate([empty, *(first for _, first, _ in kept)])],
        second=number[np.concatenate([empty, *(second for _, _, second in kept)])],
        start=start[live],
        x=x[live],
        z=z[live],
        qubits=qubits,
    )
