"""Candidates that cannot contribute to a weighted sum, with the reason; proven, see `circuits.structure`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from qlstm_qiskit.circuits import (
    Polynomial,
    Structure,
    find_structure,
    lower_observable,
    polynomial,
    relabelling,
)
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.space.candidate import Candidate

#: What may be left out; see `SearchSpace.without_dead`.
KINDS = ("zero", "repeats", "blind")


@dataclass(frozen=True, eq=False)
class Draft:
    """All candidates of a space, and which of them it leaves out.

    Attributes:
        candidates: All of them.
        n_outputs: Observables that are read from each; all where None.
        kinds: What is left out, of `KINDS`.
    """

    candidates: tuple[Candidate, ...]
    n_outputs: int | None
    kinds: frozenset[str]

    @cached_property
    def reasons(self) -> tuple[str | None, ...]:
        """For each candidate why it is left out; None where it is kept."""
        if not self.kinds:
            return (None,) * len(self.candidates)
        reasons = reasons_to_leave(self.candidates, self.n_outputs, self.kinds)
        if all(reasons):
            raise OptionError(
                f"no candidate is left: {self.candidates[0].name!r} {reasons[0]}, and so on; keep the space as it is."
            )
        return reasons

    @property
    def kept(self) -> tuple[bool, ...]:
        """Which candidates are kept."""
        return tuple(reason is None for reason in self.reasons)

    @property
    def removed(self) -> dict[str, str]:
        """The names of those that are left out, with the reason."""
        named = zip(self.candidates, self.reasons, strict=True)
        return {candidate.name: reason for candidate, reason in named if reason is not None}


def structure_of(candidate: Candidate, n_outputs: int | None = None) -> Structure:
    """What is proven about the first `n_outputs` outputs of a candidate (all where None)."""
    observables = candidate.observables(n_outputs)
    return find_structure(candidate.program, [lower_observable(item, candidate.n_qubits) for item in observables])


def verdict_on(candidate: Candidate, n_outputs: int | None = None) -> str:
    """The verdict on a candidate that is measured on its first `n_outputs` outputs (all where None), see `verdict`."""
    found = structure_of(candidate, n_outputs)
    return verdict(zero=found.is_zero, blind=found.is_blind)


def verdict(*, zero: bool, blind: bool) -> str:
    """What is wrong with a circuit, in a word, the worst alone.

    "zero": its outputs are 0 whatever its inputs and weights are; "blind": they do not depend on its inputs, so that it is a
    constant, which weights may change; empty where neither is proven.
    """
    return "zero" if zero else "blind" if blind else ""


def polynomial_of(candidate: Candidate, n_outputs: int | None = None) -> Polynomial | None:
    """The first `n_outputs` outputs of a candidate as a polynomial; None where it is too large to be compared."""
    observables = candidate.observables(n_outputs)
    return polynomial(candidate.program, [lower_observable(item, candidate.n_qubits) for item in observables])


def reasons_to_leave(candidates: Sequence[Candidate], n_outputs: int | None, kinds: frozenset[str]) -> tuple[str | None, ...]:
    """For each candidate why it is left out, None where it is kept; the first of equal ones stays."""
    reasons: list[str | None] = []
    fixed: list[tuple[str, Polynomial]] = []
    for candidate in candidates:
        found, reason = structure_of(candidate, n_outputs), None
        if "zero" in kinds and found.is_zero:
            reason = "is zero on all outputs, whatever its inputs and weights"
        elif "blind" in kinds and found.is_blind:
            reason = "does not depend on its inputs"
        elif "repeats" in kinds and not found.weights:
            own = polynomial_of(candidate, n_outputs)
            same = next((name for name, other in fixed if own is not None and relabelling(own, other) is not None), None)
            if same is not None:
                reason = f"is the same function of its inputs as {same!r}, up to a sign, and no weight changes it"
            elif own is not None:
                fixed.append((candidate.name, own))
        reasons.append(reason)
    return tuple(reasons)
