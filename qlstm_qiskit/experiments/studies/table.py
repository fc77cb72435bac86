"""The table of a study from its records: medians with intervals, published errors, paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.studies.effects import Effect, effect
from qlstm_qiskit.experiments.studies.ranks import LEAST_ROWS, LEAST_TASKS, Ranks, ranks
from qlstm_qiskit.experiments.studies.records import Record
from qlstm_qiskit.experiments.studies.statistics import Comparison, Summary, compare, corrected, summarise
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.storage import finite


@dataclass(frozen=True)
class Cell:
    """One model on one series.

    Attributes:
        values: The primary metric, seed after seed; infinity where a run diverged.
        summary: Of them.
        published: What others have reported; None where they have not.
        place: Where that lies: "below", "within" or "above" the errors over our seeds, these rounded to as many decimals as
            published numbers of the study have; empty where there is none.
        n_parameters, n_circuits: Of the model.
        mase: The one-step MASE on the test part over seeds, where it is defined; infinity where a run diverged.
        rolled_mase: The same of forecasts that are fed back, averaged over their steps, where the study has them.
        evaluated: The mean over repeats of each evaluation that is there, over seeds.
        measured: For each evaluation that another one predicts, its error as a multiple of the predicted one; means over seeds
            that have not diverged.
        restarted: The primary metric of the seed with the lowest training error: what as many restarts come to.
    """

    values: tuple[float, ...]
    summary: Summary
    published: float | None
    place: str
    n_parameters: int | None
    n_circuits: int | None
    mase: Summary | None = None
    rolled_mase: Summary | None = None
    restarted: float | None = None
    evaluated: dict[str, Summary] = field(default_factory=dict)
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Test:
    """A paired comparison of two rows on a series.

    Attributes:
        first, second: The rows.
        dataset: The series.
        comparison: Of the first to the second.
        effect: Its size, for the tests of its family.
    """

    first: str
    second: str
    dataset: str
    comparison: Comparison
    effect: Effect


@dataclass(frozen=True)
class Table:
    """What a study has found; see `table`.

    Attributes:
        study: What was run.
        cells: By row and series.
        families: Tests by the name of their family.
        hours: Of all runs, each on one core, together.
        ranks: Mean ranks over the series, where the study asks for them and enough is there.
    """

    study: Study
    cells: dict[tuple[str, str], Cell]
    families: dict[str, list[Test]]
    hours: float = 0.0
    ranks: Ranks | None = None

    @property
    def rows(self) -> list[str]:
        """Rows that have runs, in the order of the study."""
        return [row for row in self.study.rows if any(key[0] == row for key in self.cells)]

    @property
    def datasets(self) -> list[str]:
        """Series that have runs, in the order of the study."""
        return [name for name in self.study.datasets if any(key[1] == name for key in self.cells)]

    @property
    def published(self) -> bool:
        """Whether there are published errors of what was run."""
        return any(cell.published is not None for cell in self.cells.values())

    @property
    def missing(self) -> int:
        """Runs of the study that are not there."""
        counts = {key: len(cell.values) for key, cell in self.cells.items()}
        return sum(
            max(self.study.seeds_for(dataset) - counts.get((row, dataset), 0), 0)
            for row in self.study.rows
            for dataset in self.study.datasets
        )

    @property
    def diverged(self) -> int:
        """Runs without a finite error."""
        return sum(int(np.isinf(value)) for cell in self.cells.values() for value in cell.values)

    @property
    def unranked(self) -> str:
        """Why a study that ranks its rows has no ranks yet, as a sentence; empty where it has, or asks for none."""
        if self.study.ranks is None or self.ranks is not None:
            return ""
        return f"No mean ranks yet: at least {LEAST_ROWS} models must all have been run on at least {LEAST_TASKS} series."

    def to_json(self) -> dict[str, Any]:
        """The table as plain data; infinity is null."""
        cells = [{"row": row, "dataset": dataset, **_filled(cell)} for (row, dataset), cell in self.cells.items()]
        families = {
            name: [
                {
                    "first": t.first,
                    "second": t.second,
                    "dataset": t.dataset,
                    **_plain(t.comparison),
                    "detectable": finite(t.effect.detectable),
                    "verdict": t.comparison.verdict,
                }
                for t in tests
            ]
            for name, tests in self.families.items()
        }
        return {
            "study": self.study.name,
            "title": self.study.title,
            "recipe": self.study.recipe,
            "primary": self.study.primary,
            "missing": self.missing,
            "hours": self.hours,
            "cells": cells,
            "families": families,
            **({} if self.ranks is None else {"ranks": finite(self.ranks.to_json())}),
        }


def table(study: Study, records: Sequence[Record]) -> Table:
    """Put the records of a study into a table; cells without a record are left out."""
    values: dict[tuple[str, str], dict[int, Record]] = {}
    for record in records:
        values.setdefault((record["row"], record["dataset"]), {})[record["seed"]] = record
    cells = {}
    for row in study.rows:
        for dataset in study.datasets:
            own = values.get((row, dataset), {})
            if own:
                cells[row, dataset] = _cell(study, row, dataset, [own[seed] for seed in sorted(own)])
    errors = {key: {seed: _figure(record, study) for seed, record in own.items()} for key, own in values.items()}
    families = {name: _tests(pairs, study, errors) for name, pairs in study.families.items()}
    seconds = {record.get("id"): record.get("wall_seconds", 0.0) for record in records}  # the same run may be in two rows
    return Table(study, cells, families, sum(seconds.values()) / 3600, _ranked(study, cells, values))


def _ranked(study: Study, cells: dict[tuple[str, str], Cell], values: dict[tuple[str, str], dict[int, Record]]) -> Ranks | None:
    """Ranks by the medians of the table, and by those of the validation error."""
    if study.ranks is None:
        return None
    valid: dict[tuple[str, str], float] = {}
    for key, own in values.items():
        found = [np.inf if "error" in record else record.get(study.trained_for.valid) for record in own.values()]
        if key in cells and None not in found:
            valid[key] = float(np.median(np.array(found, dtype=np.float64)))
    order = {name: place for place, name in enumerate(study.datasets)}
    test = {key: cells[key].summary.median for key in sorted(cells, key=lambda key: order[key[1]])}
    return ranks(study.ranks, list(study.rows), test, valid, study.families)


def _cell(study: Study, row: str, dataset: str, records: Sequence[Record]) -> Cell:
    errors = tuple(_figure(record, study) for record in records)
    last = next((r for r in records if "n_parameters" in r), {})
    published = study.published.get(row, {}).get(dataset)
    mase = [record.get("test", {}).get("mase") for record in records]
    trained = [
        (record[study.trained_for.train], error)
        for record, error in zip(records, errors, strict=True)
        if study.trained_for.train in record
    ]
    rolled = [float(np.mean(record["rolled_out"]["mase"])) if "rolled_out" in record else None for record in records]
    return Cell(
        errors,
        summarise(errors),
        published,
        _place(published, errors, study),
        last.get("n_parameters"),
        last.get("n_circuits"),
        _over_seeds(mase, records),
        _over_seeds(rolled, records),
        min(trained)[1] if trained else None,
        *_evaluated(study, records),
    )


def _evaluated(study: Study, records: Sequence[Record]) -> tuple[dict[str, Summary], dict[str, float]]:
    """Errors of each evaluation, and how they compare with what was predicted."""
    summaries, ratios = {}, {}
    for name, own in study.evaluations.items():
        means = [mean for record in records if (mean := _mean(record, name)) is not None]
        if means:
            summaries[name] = summarise(means)
        if own.predicted_by is None:
            continue
        both = [(_mean(record, name), _mean(record, own.predicted_by)) for record in records if "error" not in record]
        pairs = [(measured, predicted) for measured, predicted in both if measured is not None and predicted is not None]
        if pairs:
            ratios[name] = sum(measured for measured, _ in pairs) / sum(predicted for _, predicted in pairs)
    return summaries, ratios


def _mean(record: Record, evaluation: str) -> float | None:
    """Over repeats; infinity where the run diverged, None where it was not evaluated so."""
    if "error" in record:
        return float("inf")
    found = record.get("evaluations", {}).get(evaluation)
    return None if found is None else float(np.mean(found["errors"]))


def _over_seeds(values: Sequence[float | None], records: Sequence[Record]) -> Summary | None:
    """A figure beside the primary one: infinity where a run diverged, None where no run has it."""
    if all(value is None for value in values):
        return None
    known = [np.inf if "error" in record else value for record, value in zip(records, values, strict=True)]
    return summarise([value for value in known if value is not None])


def _place(published: float | None, errors: Sequence[float], study: Study) -> str:
    if published is None:
        return ""
    numbers = [str(number) for cells in study.published.values() for number in cells.values()]
    decimals = max(-int(Decimal(number).as_tuple().exponent) for number in numbers)
    rounded = [round(error, decimals) for error in errors]
    return "below" if published < min(rounded) else "within" if published <= max(rounded) else "above"


def _tests(pairs: Sequence[tuple[str, str]], study: Study, errors: dict[tuple[str, str], dict[int, float]]) -> list[Test]:
    found = []
    for first, second in pairs:
        for dataset in study.datasets:
            a, b = errors.get((first, dataset), {}), errors.get((second, dataset), {})
            seeds = sorted(set(a) & set(b))
            if seeds:
                found.append((first, second, dataset, [a[s] for s in seeds], [b[s] for s in seeds]))
    adjusted = corrected([compare(a, b) for *_, a, b in found])
    return [
        Test(first, second, dataset, one, effect(a, b, len(found)))
        for (first, second, dataset, a, b), one in zip(found, adjusted, strict=True)
    ]


def _figure(record: Record, study: Study) -> float:
    if "error" in record:
        return float("inf")
    value = _mean(record, study.primary) if study.primary in study.evaluations else record.get(study.primary)
    if value is None and study.primary in study.evaluations:
        raise OptionError(f"{record['row']!r} on {record['dataset']} was not evaluated on {study.primary} yet; run the study.")
    if value is None:
        raise OptionError(f"{record['row']!r} on {record['dataset']} has no {study.primary}; give its run a valid_fraction.")
    return float(value)


def _filled(cell: Cell) -> dict[str, Any]:
    """A cell as plain data; without what comes of evaluations where there are none, so that older tables stay as they are."""
    plain = _plain(cell)
    return {name: own for name, own in plain.items() if own or name not in ("evaluated", "measured")}


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = finite(asdict(value))
    return plain
