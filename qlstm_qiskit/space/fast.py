"""Candidates with fast weights: inputs that are added to the angles that are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qiskit.circuit import ParameterVector

from qlstm_qiskit.space.candidate import Candidate


@dataclass(frozen=True, eq=False)
class FastCandidate(Candidate):
    """A candidate whose angles are its weights plus fast weights, which are inputs behind those of the data.

    Attributes:
        given: The candidate without fast weights.
    """

    given: Candidate | None = None


def with_fast_weights(candidates: Sequence[Candidate]) -> tuple[FastCandidate, ...]:
    """The candidates with a fast weight for each weight of the one with most of them; the others read the first of these.

    The first fast weight is added to a candidate's first weight, and so on, in all its gates. So all candidates read their
    angles from one table, and an angle is data to every interpreter: different for each sample and time step.
    """
    count = max(len(candidate.weights) for candidate in candidates)
    return tuple(_with_fast_weights(candidate, count) for candidate in candidates)


def as_given(candidate: Candidate) -> Candidate:
    """A candidate without fast weights, as it is in its search space."""
    given = candidate.given if isinstance(candidate, FastCandidate) else None
    return candidate if given is None else given


def _with_fast_weights(candidate: Candidate, count: int) -> FastCandidate:
    name, taken = "fast", {parameter.name.split("[")[0] for parameter in (*candidate.inputs, *candidate.weights)}
    while name in taken:
        name += "_"
    fast = ParameterVector(name, count)
    sums = {weight: weight + own for weight, own in zip(candidate.weights, fast, strict=False)}
    circuit = candidate.circuit.assign_parameters(sums)
    inputs = (*candidate.inputs, *fast)
    return FastCandidate(candidate.name, circuit, inputs, candidate.weights, candidate.measured, given=candidate)
