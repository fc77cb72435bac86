"""Mean ranks of rows over the tasks of a study, with the tests of Demsar (2006) and of Benavoli et al. (2016)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, model_validator
from scipy import stats
from typing_extensions import Self

from qlstm_qiskit.errors import OptionError, installing
from qlstm_qiskit.experiments.studies.effects import Effect, effect
from qlstm_qiskit.experiments.studies.statistics import COVERAGE, Comparison, compare, corrected

#: Rows and tasks that a Friedman test needs.
LEAST_ROWS, LEAST_TASKS = 3, 2


class Ranking(BaseModel):
    """Which rows of a study are ranked over all of its series.

    Attributes:
        rows: By label; all where None.
        rivals: By the label of a row, the row that it is to be held against, of equal size and recipe. Of these rows the one
            with the lowest mean rank by validation errors is chosen, and compared with its rival by test errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[str, ...] | None = None
    rivals: dict[str, str] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.rows is not None and (left := {*self.rivals, *self.rivals.values()} - set(self.rows)):
            names = ", ".join(map(repr, sorted(left)))
            raise ValueError(
                f"ranks.rivals has {names}, which ranks.rows leaves out; rows that are not ranked cannot be chosen"
            )
        return self

    def names(self) -> set[str]:
        """All rows that it names."""
        return {*(self.rows or ()), *self.rivals, *self.rivals.values()}

    def part(self, kept: Sequence[str]) -> Ranking:
        """The same without rows that are not kept."""
        rivals = {row: rival for row, rival in self.rivals.items() if {row, rival} <= set(kept)}
        rows = None if self.rows is None else tuple(row for row in self.rows if row in kept)
        return self.model_copy(update={"rows": rows, "rivals": rivals})


@dataclass(frozen=True)
class ChosenRow:
    """A row that was chosen by validation errors, and its rival.

    Attributes:
        row, rival: Their labels.
        by_validation: Mean rank by validation errors of each row that could be chosen, among these.
        ratio: The row's mean rank by test errors as a multiple of the rival's, among all rows.
        comparison: Of their test errors, paired by task, by itself: it is the one test that was asked for.
    """

    row: str
    rival: str
    by_validation: dict[str, float]
    ratio: float
    comparison: Comparison


@dataclass(frozen=True)
class PairOverTasks:
    """A pair of a study's family over all series that both rows have.

    Attributes:
        first, second: The rows.
        comparison: Of their median test errors, paired by series, corrected for the pairs of the family.
        effect: Its size, for as many tests.
    """

    first: str
    second: str
    comparison: Comparison
    effect: Effect

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        own = self.comparison
        numbers = {"tasks": own.n, "ratio": own.ratio, "p": own.p, "p_holm": own.p_holm, "detectable": self.effect.detectable}
        return {"first": self.first, "second": self.second, **numbers, "verdict": own.verdict}


@dataclass(frozen=True)
class Ranks:
    """Ranks of rows by their median test errors; 1 is the lowest error, and tied rows share the mean of their places.

    Attributes:
        rows, tasks: What was ranked: rows, and the series on which all of them have errors.
        left_out: Series on which some of the rows have errors and others have not been run.
        mean: Mean rank of each row.
        statistic, p: Of the Friedman test that all rows are alike.
        critical_difference: Mean ranks that differ by more differ at the 5 % level, after Nemenyi.
        nemenyi: p of each pair of rows by Nemenyi's test, which knows of other rows: their errors change it.
        pairs: Wilcoxon's signed-rank test of each pair on log errors, paired by task, corrected by Holm for all pairs.
        choice: What validation errors choose; None where no rivals are named, or they are not there.
        families: The pairs of the study's families by the name of their family: few tests that were asked for, where `pairs`
            are all.
    """

    rows: tuple[str, ...]
    tasks: tuple[str, ...]
    mean: dict[str, float]
    statistic: float
    p: float
    critical_difference: float
    nemenyi: dict[tuple[str, str], float]
    pairs: dict[tuple[str, str], Comparison]
    choice: ChosenRow | None = None
    left_out: tuple[str, ...] = ()
    families: dict[str, list[PairOverTasks]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        pairs = [
            {
                "first": first,
                "second": second,
                "nemenyi": self.nemenyi[first, second],
                "wilcoxon_holm": found.p_holm,
                "verdict": found.verdict,
            }
            for (first, second), found in self.pairs.items()
        ]
        content: dict[str, Any] = {
            "tasks": len(self.tasks),
            "left_out": list(self.left_out),
            "mean": self.mean,
            "friedman": {"statistic": self.statistic, "p": self.p},
            "critical_difference": self.critical_difference,
            "pairs": pairs,
            "families": {name: [pair.to_json() for pair in own] for name, own in self.families.items()},
        }
        if self.choice is not None:
            own = self.choice
            content["choice"] = {
                "row": own.row,
                "rival": own.rival,
                "by_validation": own.by_validation,
                "ratio": own.ratio,
                "p": own.comparison.p,
                "verdict": own.comparison.verdict,
            }
        return content


def require_ranks() -> None:
    """Refuse to rank without the package that does it.

    Raises:
        OptionError: scikit-posthocs is not installed.
    """
    if find_spec("scikit_posthocs") is None:
        raise OptionError(f"ranks of a study need the package scikit-posthocs: {installing('controls')}.")


def ranks(
    ranking: Ranking,
    order: Sequence[str],
    test: Mapping[tuple[str, str], float],
    valid: Mapping[tuple[str, str], float],
    families: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType({}),
) -> Ranks | None:
    """Rank rows over tasks; None for too few of them.

    Args:
        ranking: Which rows.
        order: The rows of the study.
        test: Median test error by row and series, infinity where it diverged; rows and series without one have not been run.
        valid: The same of validation errors; rows without a validation part have none.
        families: Pairs of rows that are to be compared, by the name of their family.

    Raises:
        OptionError: scikit-posthocs is not installed.
    """
    rows = [row for row in order if (ranking.rows is None or row in ranking.rows) and any(key[0] == row for key in test)]
    tasks, left_out = _common(rows, test)
    if len(rows) < LEAST_ROWS or len(tasks) < LEAST_TASKS:
        return None
    require_ranks()
    from scikit_posthocs import posthoc_nemenyi_friedman

    errors = pd.DataFrame({row: [test[row, task] for task in tasks] for row in rows}, index=tasks)
    mean = {row: float(value) for row, value in mean_ranks(errors).items()}
    statistic, p = _friedman(errors)
    matrix = posthoc_nemenyi_friedman(errors)
    pairs = list(combinations(rows, 2))
    tests = corrected([compare(errors[first], errors[second]) for first, second in pairs])
    return Ranks(
        tuple(rows),
        tuple(tasks),
        mean,
        statistic,
        p,
        critical_difference(len(rows), len(tasks)),
        {(first, second): float(matrix.loc[first, second]) for first, second in pairs},
        dict(zip(pairs, tests, strict=True)),
        _choice(ranking, mean, errors, valid),
        tuple(left_out),
        {name: own for name, pairs in families.items() if (own := _family(pairs, test))},
    )


def _family(pairs: Sequence[tuple[str, str]], test: Mapping[tuple[str, str], float]) -> list[PairOverTasks]:
    """The pairs that have a series in common."""
    found = []
    for first, second in pairs:
        tasks, _ = _common((first, second), test)
        if tasks:
            found.append((first, second, [test[first, task] for task in tasks], [test[second, task] for task in tasks]))
    tests = corrected([compare(a, b) for _, _, a, b in found])
    return [
        PairOverTasks(first, second, one, effect(a, b, len(found)))
        for (first, second, a, b), one in zip(found, tests, strict=True)
    ]


def _friedman(errors: pd.DataFrame) -> tuple[float, float]:
    """Statistic and p of Friedman's test, of errors (tasks, models)."""
    if (errors.nunique(axis=1) == 1).all():  # the correction for ties would divide by zero
        return 0.0, 1.0
    found = stats.friedmanchisquare(*(errors[row] for row in errors))
    return float(found.statistic), float(found.pvalue)


def mean_ranks(errors: pd.DataFrame) -> pd.Series:
    """Mean rank of each column over the rows of a table of errors (tasks, models); 1 is the lowest error."""
    return pd.Series(stats.rankdata(errors, axis=1).mean(axis=0), errors.columns)


def critical_difference(n_rows: int, n_tasks: int) -> float:
    """The least difference of mean ranks that Nemenyi's test takes for one, at the 5 % level (Demsar 2006, section 3.2.2).

    Args:
        n_rows: How many models are ranked.
        n_tasks: Over how many tasks.
    """
    q = float(stats.studentized_range.ppf(COVERAGE, n_rows, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(n_rows * (n_rows + 1) / (6 * n_tasks)))


def _common(rows: Sequence[str], errors: Mapping[tuple[str, str], float]) -> tuple[list[str], list[str]]:
    """The series on which all rows have errors, in the order in which they are there, and those on which only some have."""
    tasks = dict.fromkeys(task for row, task in errors if row in rows)
    common = [task for task in tasks if all((row, task) in errors for row in rows)]
    return common, [task for task in tasks if task not in common]


def _choice(
    ranking: Ranking, mean: Mapping[str, float], errors: pd.DataFrame, valid: Mapping[tuple[str, str], float]
) -> ChosenRow | None:
    """What validation errors choose among the rows that have a rival; test errors have no part in it."""
    rows = [row for row, rival in ranking.rivals.items() if {row, rival} <= set(mean)]
    if not rows or any((row, task) not in valid for row in rows for task in errors.index):
        return None
    known = pd.DataFrame({row: [valid[row, task] for task in errors.index] for row in rows})
    by_validation = {row: float(value) for row, value in mean_ranks(known).items()}
    row = min(rows, key=lambda one: by_validation[one])
    rival = ranking.rivals[row]
    return ChosenRow(row, rival, by_validation, mean[row] / mean[rival], compare(errors[row], errors[rival]))
