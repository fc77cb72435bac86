"""The part of a bank that need not be submitted, proven on the circuits alone (`circuits.structure`, `circuits.equal`).

The proofs treat the angle of every gate as a variable of its own, so they hold for whatever inputs and weights give it. They
are about ideal circuits: a noisy device would show some value near zero where 0 is taken here, and other noise in each of two
equal circuits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qlstm_qiskit.circuits import (
    Angle,
    PauliTerm,
    Polynomial,
    SplitCircuit,
    find_structure,
    polynomial,
    relabelling,
    separated,
)
from qlstm_qiskit.hardware.contract.backend import CandidateLike

#: Terms of a circuit beyond which it is not compared with others: comparing has to cost less than transpiling.
_LIMIT = 2**12

Outputs = Sequence[Sequence[PauliTerm]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a candidate is evaluated: ``sign`` times what another one's circuit gives at angles of its own.

    Attributes:
        source: Number of the candidate whose circuit runs; None where all outputs are 0 and nothing runs.
        sign: 1 or -1.
        item: That circuit, with this candidate's angles. The angle of a gate that nothing depends on is 0, so that it is not
            shifted and sets that differ in it alone are equal.
    """

    source: int | None
    sign: int
    item: SplitCircuit


def unreduced(splits: Sequence[SplitCircuit]) -> list[Evaluation]:
    """Every candidate as it is."""
    return [Evaluation(index, 1, item) for index, item in enumerate(splits)]


def reduced(
    candidates: Sequence[CandidateLike], splits: Sequence[SplitCircuit], outputs: Sequence[Outputs]
) -> list[Evaluation]:
    """Leave out dead circuits and angles, and run the cheapest of equal circuits in place of all of them.

    Args:
        candidates: Of a bank.
        splits: Their circuits with one parameter per gate.
        outputs: The Pauli terms of their observables.
    """
    dead = SplitCircuit(splits[0].circuit, (), (), ())
    order = sorted(range(len(splits)), key=lambda index: _price(splits[index]))
    compared: dict[tuple[int, ...], list[tuple[int, Polynomial]]] = {}
    evaluations: dict[int, Evaluation] = {}
    for index in order:
        program, item = separated(candidates[index].program), splits[index]
        assert program.n_weights == len(item.angles), "a rotation of the program is a parameter of the split circuit"
        if find_structure(candidates[index].program, outputs[index]).is_zero:
            evaluations[index] = Evaluation(None, 1, dead)
            continue
        own = polynomial(program, outputs[index], limit=_LIMIT)
        alike = [] if own is None else compared.setdefault(own.signature, [])
        found = next(((number, same) for number, other in alike if own and (same := relabelling(own, other))), None)
        if found is not None:
            source, same = found
            first = evaluations[source].item
            angles = [_relabelled(item, same.weights.get(gate)) for gate in range(len(first.angles))]
            evaluations[index] = Evaluation(source, same.sign, replace(first, angles=tuple(angles)))
            continue
        live = find_structure(program, outputs[index]).weights if own is None else frozenset(own.columns)
        angles = [angle if gate in live else Angle() for gate, angle in enumerate(item.angles)]
        evaluations[index] = Evaluation(index, 1, replace(item, angles=tuple(angles)))
        if own is not None:
            alike.append((index, own))
    return [evaluations[index] for index in range(len(splits))]


def _relabelled(item: SplitCircuit, place: tuple[int, int] | None) -> Angle:
    """The angle of a gate of the circuit that runs: that of a gate of `item`, perhaps with the other sign; 0 if it is dead."""
    if place is None:
        return Angle()
    gate, flip = place
    return item.angles[gate].scaled(flip)


def _price(item: SplitCircuit) -> tuple[int, int]:
    """The approximate cost of running a circuit: gates on several qubits, then all gates."""
    return item.circuit.num_nonlocal_gates(), item.circuit.size()
