"""Mean ranks of a study as text and as a critical-difference diagram."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from qlstm_qiskit.experiments.studies.ranks import PairOverTasks, Ranks
from qlstm_qiskit.experiments.studies.table import Table
from qlstm_qiskit.report.names import drawn
from qlstm_qiskit.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours of models with circuits, and of others.
_CIRCUITS, _OTHERS = "#1f5fa8", "#333333"

#: What verdicts of a comparison say of the first, in a sentence.
_VERDICTS = {
    "better": "lower errors",
    "worse": "higher errors",
    "undecided": "no significant difference",
    "too few": "too few tasks",
}

_ABOUT = (
    "Models are ranked on each of {n} series by the median test error over seeds, 1 for the lowest. Friedman's test that all "
    "{k} are alike: chi-square {statistic:.3g}, p = {p:.2g}. By Nemenyi's test mean ranks differ that are more than {cd:.2f} "
    "apart (5 %). What it says of a pair depends on the other models that are ranked; Wilcoxon's signed-rank test of the pair, "
    "on log errors paired by series and corrected by Holm for all {pairs} pairs, does not (Benavoli et al., JMLR 17 (2016) 5). "
    "Tasks on one series are not independent, so these p are too small for a claim about other series."
)

_FAMILY = (
    "The pairs of that family by their median test errors, paired by series: exact Wilcoxon signed-rank test on log errors, "
    "corrected by Holm's method for the {} pairs. The ratio is the median over tasks. Detectable: the factor that the "
    "strictest of these tests finds with a probability of 80 %. Tasks on one series are not independent."
)

_PAIRS = "p of each pair: above the diagonal Wilcoxon's test with Holm's correction, below it Nemenyi's."


def ranked_rows(found: Ranks) -> list[tuple[str, float]]:
    """Rows and their mean ranks, the lowest first."""
    return sorted(found.mean.items(), key=lambda item: item[1])


def about_ranks(found: Ranks) -> str:
    """What was ranked, how, and what Friedman's test says."""
    numbers: dict[str, Any] = {"n": len(found.tasks), "k": len(found.rows), "cd": found.critical_difference}
    about = _ABOUT.format(statistic=found.statistic, p=found.p, pairs=len(found.pairs), **numbers)
    if found.left_out:
        about += f" Left out, as not all of the models have been run there: {', '.join(found.left_out)}."
    return about if found.p < 0.05 else f"{about} As Friedman's p is not below 0.05, no pair is to be told apart."


def about_choice(found: Ranks) -> str:
    """What validation errors choose, and how that compares with its rival; empty where nothing was to choose."""
    own = found.choice
    if own is None:
        return ""
    return (
        f"Of the models that have a rival of equal size and recipe ({len(own.by_validation)}) validation errors choose "
        f"{own.row} (mean rank {own.by_validation[own.row]:.2f} among them). By test errors its mean rank is "
        f"{found.mean[own.row]:.2f}, that of its rival {own.rival} {found.mean[own.rival]:.2f}: {own.ratio:.2f} times as "
        f"high. Wilcoxon's test of these two alone: p = {own.comparison.p:.2g}, {_VERDICTS[own.comparison.verdict]}; the "
        f"median ratio of errors is {own.comparison.ratio:.2g}."
    )


def rank_rows(found: Ranks) -> tuple[list[str], list[list[str]]]:
    """A table of mean ranks: its header and rows, the lowest rank first."""
    choice = {} if found.choice is None else found.choice.by_validation
    header = ["model", "mean rank", *(["mean rank by validation"] if choice else [])]
    rows = []
    for row, mean in ranked_rows(found):
        by_validation = [f"{choice[row]:.2f}" if row in choice else ""] if choice else []
        rows.append([row, f"{mean:.2f}", *by_validation])
    return header, rows


def pair_rows(found: Ranks) -> tuple[str, list[str], list[list[str]]]:
    """A table of the tests of all pairs: how it is read, its header and rows."""
    order = [row for row, _ in ranked_rows(found)]
    rows = []
    for place, first in enumerate(order):
        cells = []
        for other, second in enumerate(order):
            pair = (first, second) if (first, second) in found.pairs else (second, first)
            cells.append("" if first == second else f"{found.pairs[pair].p_holm if place < other else found.nemenyi[pair]:.2g}")
        rows.append([first, *cells])
    return _PAIRS, ["model", *order], rows


def rank_tables(found: Ranks | None) -> list[tuple[str, str, list[str], list[list[str]]]]:
    """The tables of mean ranks: title, how it is read, header and rows of each; none without ranks."""
    if found is None:
        return []
    about = " ".join(filter(None, (about_ranks(found), about_choice(found))))
    parts = [("Mean ranks", about, *rank_rows(found)), ("Mean ranks: tests of pairs", *pair_rows(found))]
    return parts + [(f"Over all series: {name}", *family_rows(own)) for name, own in found.families.items()]


def family_rows(pairs: list[PairOverTasks]) -> tuple[str, list[str], list[list[str]]]:
    """A table of a family's pairs over all series: how it is read, its header and rows."""
    rows = []
    for pair in pairs:
        own, size = pair.comparison, pair.effect.detectable
        numbers = [str(own.n), f"{own.ratio:.2g}", f"{own.p_holm:.2g}", "" if size is None else f"{size:.2g}"]
        rows.append([pair.first, pair.second, *numbers, _VERDICTS[own.verdict]])
    return _FAMILY.format(len(pairs)), ["first", "second", "tasks", "ratio", "p (Holm)", "detectable", "the first has"], rows


def draw_ranks(table: Table, out: Path) -> list[Path]:
    """Draw the critical-difference diagram into a folder, as ranks.png and ranks.svg; return their paths.

    Args:
        table: Of a study; nothing is drawn where it has no ranks.
        out: The folder.
    """
    if table.ranks is None:
        return []
    paths = [out / "ranks.png", out / "ranks.svg"]
    for path in paths:
        write_atomically(path, _image(table, path.suffix[1:]))
    return paths


def ranks_svg(table: Table) -> str:
    """The same diagram as SVG, of a table that has ranks."""
    text = _image(table, "svg").decode()
    return text[text.index("<svg") :]


def _image(table: Table, kind: str) -> bytes:
    import matplotlib.pyplot as plt

    content = BytesIO()
    with plt.rc_context({"svg.hashsalt": "qlstm-ranks"}):
        figure = ranks_figure(table)
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()


def ranks_figure(table: Table) -> Figure:
    """Mean ranks on an axis, twice: bars join what Nemenyi's test does not tell apart, and what Wilcoxon's does not.

    Args:
        table: Of a study, with ranks.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from scikit_posthocs import critical_difference_diagram

    found = table.ranks
    assert found is not None
    circuits = {row for (row, _), cell in table.cells.items() if cell.n_circuits}
    colours = {drawn(row): _CIRCUITS if row in circuits else _OTHERS for row in found.rows}
    mean = {drawn(row): found.mean[row] for row in found.rows}
    tests = {
        f"Bars: not told apart by Nemenyi's test, critical difference {found.critical_difference:.2f}": found.nemenyi,
        "Bars: not told apart by Wilcoxon's test with Holm's correction": {key: one.p_holm for key, one in found.pairs.items()},
    }
    figure = Figure(figsize=(8, 2.2 + 0.42 * len(mean)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, p) in enumerate(tests.items(), 1):
        axes = figure.add_subplot(2, 1, place)
        matrix = pd.DataFrame(1.0, list(mean), list(mean))
        for pair, value in p.items():
            first, second = map(drawn, pair)
            matrix.loc[first, second] = matrix.loc[second, first] = value
        critical_difference_diagram(
            mean,
            matrix,
            ax=axes,
            label_fmt_left="{label} ({rank:.2f})",
            label_fmt_right="({rank:.2f}) {label}",
            label_props={"fontsize": 8},
            elbow_props={"linewidth": 1.0, "clip_on": False},  # of a row that is always the first or the last, too
            marker_props={"s": 18, "clip_on": False},
            crossbar_props={"color": "0.1", "marker": "o", "markersize": 3, "linewidth": 1.6, "clip_on": False},
            color_palette=colours,
            text_h_margin=0.02 * len(mean),
        )
        axes.set_xlim(1, len(mean))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
    figure.suptitle(
        f"Mean ranks over {len(found.tasks)} series, 1 for the lowest error; blue: models with circuits", fontsize=10
    )
    return figure
