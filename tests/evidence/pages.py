"""What is said of the committed results is what their records say: a sentence, then the numbers that it is about."""

from functools import cache
from pathlib import Path

import numpy as np

from qlstm_qiskit import load_dataset
from qlstm_qiskit.experiments.studies.table import Table, Test
from tests.test_results import found

ROOT = Path(__file__).parents[2]
README, RESULTS, SCALING, STUDIES = (
    " ".join((ROOT / name).read_text().split())
    for name in ("README.md", "docs/results.md", "docs/scaling.md", "docs/how-to/studies.md")
)

U, B, W = "undecided", "better", "worse"

#: Of cells of a table; 12 where nothing is said.
SEEDS = {"table2": {48}, "chaos": {10}, "table2-tuned": {12, 48}}


def said(text: str, where: str = RESULTS) -> None:
    """A page has these words, however its lines are broken."""
    assert " ".join(text.split()) in where


class Evidence:
    """A committed table, to be asked."""

    def __init__(self, name: str) -> None:
        self.table: Table = found(ROOT / "results" / name)
        self.series = list(self.table.study.datasets)
        self.median = {key: cell.summary.median for key, cell in self.table.cells.items()}
        self.trained = [row for row, spec in self.table.study.rows.items() if spec.control is None]
        assert {len(cell.values) for cell in self.table.cells.values()} == SEEDS.get(name, {12})

    def pair(self, first: str, second: str) -> list[Test]:
        """Tests of a pair, series after series."""
        return [
            test for family in self.table.families.values() for test in family if (test.first, test.second) == (first, second)
        ]

    def tests(self, first: str, second: str) -> list[str]:
        """Verdicts on a pair, series after series."""
        return [test.comparison.verdict for test in self.pair(first, second)]

    def lower(self, first: str, second: str) -> int:
        """On how many series the first has the lower median."""
        return sum(self.median[first, name] < self.median[second, name] for name in self.series)

    def constant(self) -> dict[tuple[str, str], int]:
        """How many seeds of a row that is trained are no better than the best constant, where any is."""
        best = {name: np.var(load_dataset(name).y_test) for name in self.series}
        counts = {
            (row, name): sum(value >= best[name] for value in self.table.cells[row, name].values)
            for row in self.trained
            for name in self.series
        }
        return {key: count for key, count in counts.items() if count}


@cache
def evidence(name: str) -> Evidence:
    return Evidence(name)


def measured(heading: str) -> list[list[str]]:
    """Cells of the rows below a heading of benchmarks/RESULTS.md, up to the next one."""
    text = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    part = text.split(f"\n{heading}\n")[1].split("\n## ")[0]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
