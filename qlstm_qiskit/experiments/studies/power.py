"""Families of tests that no outcome of so few seeds could decide, known before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qlstm_qiskit.experiments.studies.effects import least_pairs
from qlstm_qiskit.experiments.studies.records import Place
from qlstm_qiskit.experiments.studies.study import Study


@dataclass(frozen=True)
class TooFew:
    """A family of tests of a study that has too few seeds for any of them.

    Attributes:
        family: Its name.
        tests: How many tests it has.
        seeds: The most pairs that one of them has.
        needed: With so many pairs each, the strictest of the tests could be decided.
    """

    family: str
    tests: int
    seeds: int
    needed: int


def too_few(study: Study, places: Iterable[Place]) -> list[TooFew]:
    """The families of a study whose tests cannot be decided by the seeds that there will be.

    Args:
        study: Whose families.
        places: Row, series and seed of all runs.
    """
    seeds: dict[tuple[str, str], set[int]] = {}
    for row, dataset, seed in places:
        seeds.setdefault((row, dataset), set()).add(seed)
    found = []
    for name, pairs in study.families.items():
        both = [seeds.get((a, one), set()) & seeds.get((b, one), set()) for one in study.datasets for a, b in pairs]
        tests = Counter(len(own) for own in both if own)
        if tests and undecidable(tests):
            found.append(TooFew(name, tests.total(), max(tests), least_pairs(tests.total())))
    return found


def undecidable(tests: Mapping[int, int]) -> bool:
    """Whether no outcome of a family of tests could decide any of them.

    Args:
        tests: How many tests there are, by their numbers of pairs.
    """
    smaller = {pairs: sum(count for other, count in tests.items() if other <= pairs) for pairs in tests}  # as in `corrected`
    return all(pairs < least_pairs(count) for pairs, count in smaller.items())
