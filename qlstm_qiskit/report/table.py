"""The table of a study as text and as a figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from qlstm_qiskit.errors import printable
from qlstm_qiskit.experiments.studies.statistics import LEAST, PERMUTED, Summary
from qlstm_qiskit.experiments.studies.table import Cell, Table, Test
from qlstm_qiskit.report.names import as_code, drawn, in_markdown
from qlstm_qiskit.report.ranks import rank_tables
from qlstm_qiskit.storage import write_atomically

#: Colours that differ in lightness too.
_OURS, _PUBLISHED = "#1f5fa8", "#c8511b"

#: Panels of a figure in one line.
MOST_ACROSS = 9

_TESTS = (
    "Is the first better than the second? Exact Wilcoxon signed-rank test on log errors, paired by seed. All seeds share one "
    "split, so this is about other starts and not about other data. p is corrected by Holm's method for the {} tests of this "
    "family; so many seeds cannot reach less than {}. The ratio is the median of paired ratios of errors; Cliff's delta is -1 "
    "where the first always has the lower error. Detectable: the factor that the strictest of these tests finds with a "
    "probability of 80 %, if log ratios are normal with the spread that is seen; smaller differences may be there."
)
_TEST_HEADER = ["first", "second", "series", "pairs", "ratio", "p (Holm)", "Cliff's delta", "detectable", "first is better"]

_VERDICTS = {"better": "yes", "worse": "no, the reverse", "undecided": "undecided", "too few": "too few seeds"}


@dataclass(frozen=True)
class TablePart:
    """A table of a study's report.

    Attributes:
        title: Empty for the first one.
        about: How it is read.
        header: Names of the columns.
        rows: Cells as text; the first is the name of a row of the study.
        notes: On rows, by name.
        tests: Whether it is of tests: its first two columns name rows.
    """

    title: str
    about: str
    header: list[str]
    rows: list[list[str]]
    notes: dict[str, str] = field(default_factory=dict)
    tests: bool = False


def parts(table: Table, shown: Callable[[str], str] = printable) -> list[TablePart]:
    """The whole table: medians with intervals, what was published, MASE, interquartile means, restarts, tests.

    `shown`: How names of series are written in a sentence.
    """
    study = table.study
    found = [_medians(table, shown)]
    if table.published:
        found.append(
            _grid(
                table,
                "Beside the published numbers",
                "Published error, then where it lies among ours, rounded to as many decimals: below all seeds, within them, or "
                "above all of them.",
                lambda cell: "" if cell.published is None else f"{cell.published:.6f} {cell.place}",
                sparse=True,
            )
        )
    for name, own in study.evaluations.items():
        if name != study.primary:
            repeats = f", mean of {own.repeats} evaluations with fresh shots" if own.repeats > 1 else ""
            about = f"Test {study.trained_for.title}, scaled units{repeats}: median over seeds with its interval."
            found.append(_grid(table, f"On {name}", about, partial(_evaluated, name=name), sparse=True))
        if own.predicted_by is not None:
            about = "1: as predicted. Means over seeds, and over repeats where there are several."
            title = f"Error on {name} as a multiple of that on {own.predicted_by}"
            found.append(_grid(table, title, about, partial(_ratio, name=name), sparse=True))
    if study.steps:
        about = (
            "Mean absolute error, as a multiple of that of the seasonal naive forecast in the training part: median over seeds "
            "with its interval."
        )
        found.append(_grid(table, "MASE, one step ahead", about, lambda cell: _scaled(cell.mase)))
        about = f"The mean over {study.steps} steps, in which predictions are fed back."
        found.append(_grid(table, f"MASE, {study.steps} steps ahead", about, lambda cell: _scaled(cell.rolled_mase)))
    about = "Mean of the middle half, without the n/4 (rounded down) lowest and highest of n seeds, with its interval."
    found.append(
        _grid(table, "Interquartile means", about, lambda c: _number(c.summary.iqm) + _interval(c.summary.iqm_interval))
    )
    if study.primary == study.trained_for.valid:
        about = "The same figure of the seed with the lowest training error: what starting as many times would come to."
        found.append(_grid(table, "Restarts", about, _restarted))
    found += [TablePart(*own, tests="second" in own[2]) for own in rank_tables(table.ranks)]
    for name, tests in table.families.items():
        if tests:
            rows = [_test(test) for test in tests]
            least = min(test.comparison.p_least for test in tests)
            about = _TESTS.format(len(tests), f"{least:.2g}")
            if max(test.comparison.n for test in tests) > PERMUTED:
                about += f" Of more than {PERMUTED} pairs with ties, p is that of the normal approximation."
            found.append(TablePart(f"Tests: {name}", about, _TEST_HEADER, rows, tests=True))
    return found


def _medians(table: Table, shown: Callable[[str], str]) -> TablePart:
    """A row per model: parameters, circuits per step, and for each series the median with its interval."""
    study = table.study
    seeds = ", ".join(f"{shown(name)} {_count(table, name)}" for name in table.datasets)
    about = (
        f"{study.compared_by()} after training, scaled units: median over seeds and 95 % interval (BCa bootstrap"
        f"{_ranges(table)}), none where all seeds agree. Recipe `{study.recipe}`; seeds: {seeds}."
        + (f" {table.diverged} runs diverged and count as infinite." if table.diverged else "")
        + (f" {table.missing:,} runs of the study are missing; what is said below is about the others." * bool(table.missing))
        + (f" The runs took {table.hours:.1f} hours of one core together." * bool(table.hours))
        + f" {table.unranked}".rstrip()
    )
    return _grid(
        table, "", about, lambda cell: _number(cell.summary.median) + _interval(cell.summary.median_interval), sizes=True
    )


def markdown(table: Table) -> str:
    """The whole table in Markdown; see `parts`."""
    text = [f"# {in_markdown(table.study.title or table.study.name)}", table.study.about]
    for part in parts(table, in_markdown):
        text += [f"## {in_markdown(part.title)}" if part.title else "", part.about, _markdown_rows(part)]
    text.append("Each run is a line of records.jsonl; environments.json names the commits, versions and processors.")
    return "\n\n".join(piece for piece in text if piece) + "\n"


def medians(table: Table) -> str:
    """The first of `parts`, its rows alone, in Markdown."""
    return _markdown_rows(_medians(table, in_markdown))


def _markdown_rows(part: TablePart) -> str:
    """The rows of a part, in Markdown."""
    if part.tests:
        rows = [[*map(in_markdown, row[:3]), *row[3:]] for row in part.rows]
    else:
        rows = [[as_code(row) + _note(part.notes.get(row, "")), *cells] for row, *cells in part.rows]
    lines = (list(map(in_markdown, part.header)), ["---"] * len(part.header), *rows)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _note(text: str) -> str:
    """A note on a row, which may hold Markdown of its own, in a cell."""
    return ", " + printable(text).replace("|", r"\|") if text else ""


def draw_table(table: Table, out: Path) -> list[Path]:
    """Draw errors of all seeds, medians with intervals and published errors, a panel per series; table.png and table.svg."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    from qlstm_qiskit.report.ticks import few_ticks

    rows, datasets = table.rows, table.datasets
    few = len(datasets) < 3  # too narrow for a legend in one line
    across = min(len(datasets), MOST_ACROSS)
    down = -(-len(datasets) // across)
    figure, axes = plt.subplots(
        down,
        across,
        figsize=(2.6 * across + 1.6, down * (0.26 * len(rows) + (1.7 if few else 1.3))),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(datasets) :]:
        axis.set_visible(False)
    for axis, dataset in zip(axes.flat, datasets, strict=False):
        for place, row in enumerate(rows):
            cell = table.cells.get((row, dataset))
            if cell is not None:
                _draw_cell(axis, place, cell)
        axis.set_xscale("log")
        few_ticks(axis)
        axis.set_title(drawn(dataset), fontsize=9)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.tick_params(labelsize=7)
    axes[0][0].set_yticks(range(len(rows)), list(map(drawn, rows)), fontsize=8)
    axes[0][0].set_ylim(len(rows) - 0.5, -0.5)  # margins are a share of all rows: of a few, half a mark
    figure.supxlabel(f"{table.study.compared_by()}, scaled units (log)", fontsize=8)
    line = "median, 95 % interval" + _ranges(table)
    handles = [
        Line2D([], [], color=_OURS, marker="o", markersize=4, linewidth=1.6, label=line),
        Line2D([], [], color=_OURS, marker="|", linestyle="", alpha=0.5, label="each seed"),
    ]
    if table.published:
        handles.append(Line2D([], [], color=_PUBLISHED, marker="D", markersize=4, linestyle="", label="published"))
    figure.legend(handles=handles, loc="outside upper right", ncols=1 if few else 3, fontsize=7, frameon=False)
    paths = [out / "table.png", out / "table.svg"]
    with plt.rc_context({"svg.hashsalt": "qlstm"}):
        for path in paths:
            content, kind = BytesIO(), path.suffix[1:]
            figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            write_atomically(path, content.getvalue())
    plt.close(figure)
    return paths


def _draw_cell(axis: Any, place: int, cell: Cell) -> None:
    finite = [value for value in cell.values if np.isfinite(value)]
    axis.plot(finite, [place] * len(finite), "|", color=_OURS, alpha=0.4, markersize=7)
    if np.isfinite(cell.summary.median):
        low, high = cell.summary.median_interval
        axis.plot([low, min(high, max(finite))], [place, place], color=_OURS, linewidth=1.6)
        axis.plot(cell.summary.median, place, "o", color=_OURS, markersize=4)
    if cell.published is not None:
        axis.plot(cell.published, place, "D", color=_PUBLISHED, markersize=4)


def _grid(
    table: Table, title: str, about: str, text: Callable[[Cell], str], *, sizes: bool = False, sparse: bool = False
) -> TablePart:
    """A row for each model and a column for each series; `sparse`: without rows that have nothing in any."""
    datasets, lines, notes = table.datasets, [], {}
    for row in table.rows:
        spec = table.study.rows[row]
        cells = [table.cells.get((row, dataset)) for dataset in datasets]
        texts, known = ["" if cell is None else text(cell) for cell in cells], [cell for cell in cells if cell is not None]
        if sparse and not any(texts):
            continue
        size = [_or_dash(known[0].n_parameters), _or_dash(known[0].n_circuits)] if sizes else []
        lines.append([row, *size, *texts])
        if sizes and spec.note:
            notes[row] = spec.note
    return TablePart(title, about, ["model", *(["parameters", "circuits"] if sizes else []), *datasets], lines, notes)


def _evaluated(cell: Cell, name: str) -> str:
    found = cell.evaluated.get(name)
    return "" if found is None else _number(found.median) + _interval(found.median_interval)


def _ratio(cell: Cell, name: str) -> str:
    return f"{cell.measured[name]:.2f}" if name in cell.measured else ""


def _restarted(cell: Cell) -> str:
    return _number(cell.restarted) if cell.restarted is not None and len(cell.values) > 1 else ""


def _test(test: Test) -> list[str]:
    found = test.comparison
    numbers = [str(found.n), _number(found.ratio), f"{found.p_holm:.2g}", f"{found.delta:+.2f}"]
    numbers.append("" if test.effect.detectable is None else _number(test.effect.detectable))
    return [test.first, test.second, test.dataset, *numbers, _VERDICTS[found.verdict]]


def _count(table: Table, dataset: str) -> str:
    counts = {len(cell.values) for (_, name), cell in table.cells.items() if name == dataset}
    if not counts:
        return "0"
    return str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _fewest(table: Table) -> int:
    return min((len(cell.values) for cell in table.cells.values()), default=0)


def _ranges(table: Table) -> str:
    """What is added where some intervals are ranges."""
    reasons = [f"there are fewer than {LEAST} seeds"] * (_fewest(table) < LEAST) + ["a run diverged"] * bool(table.diverged)
    return f"; the range where {' or '.join(reasons)}" if reasons else ""


def _number(value: float) -> str:
    return "inf" if np.isinf(value) else f"{value:.2g}"


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return "" if low == high else f" [{_number(low)}, {_number(high)}]"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _scaled(found: Summary | None) -> str:
    """A MASE with its interval: about 1, so two decimals."""
    if found is None:
        return "-"
    low, high = found.median_interval
    return f"{found.median:.2f}" + (f" [{low:.2f}, {high:.2f}]" if low != high else "")
