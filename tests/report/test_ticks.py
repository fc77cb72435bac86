"""Labels of logarithmic axes, in panels as wide as those of a study's figure."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qlstm_qiskit.report.ticks import few_ticks


@pytest.mark.parametrize(
    ("low", "high"),
    [(4e-5, 8e-4), (4e-5, 3e-4), (2.1e-4, 4.4e-4), (1.01e-4, 1.02e-4), (1e-4, 1e-4), (3e-3, 6e-2), (1e-12, 1e2), (0.98, 1.2)],
)
def test_labels_lie_side_by_side_and_there_are_two(low: float, high: float) -> None:
    figure = Figure(figsize=(2.6, 2), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([low, high], [0, 1], "o")
    axes.set_xscale("log")
    few_ticks(axes)
    axes.tick_params(labelsize=7)
    canvas.draw()
    left, right = axes.get_xlim()
    assert left <= low <= high <= right
    assert not [text for text in axes.get_xticklabels(minor=True) if text.get_text()]
    shown = [
        text.get_window_extent()
        for place, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if text.get_text() and left <= place <= right
    ]
    assert 2 <= len(shown) <= 9
    ends = sorted((box.x0, box.x1) for box in shown)
    assert all(before < after for (_, before), (after, _) in itertools.pairwise(ends)), ends
