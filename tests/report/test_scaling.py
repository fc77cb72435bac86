"""Figure and tables of a scaling: what they show is what was measured."""

import re
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.experiments.scaling.measure import Point, ScalingPlan, ScalingRecord
from qlstm_qiskit.report.scaling import axes_of, scaling_figure, scaling_report, write_scaling
from tests.experiments.scaled import records_of

PLAN = ScalingPlan(axes={"depth": (1, 2, 8), "window": (2, 4, 64)})


@pytest.fixture
def records() -> list[ScalingRecord]:
    return records_of(PLAN, commit="abc", changed=True, processor="a fast one", versions={"torch": "2"})


def test_a_row_of_panels_for_each_axis(records: list[ScalingRecord]) -> None:
    figure = scaling_figure(PLAN, records)
    assert len(figure.axes) == 6
    for row, axis in enumerate(("depth", "window")):
        own = axes_of(PLAN, records)[axis]
        time, memory, error = figure.axes[3 * row : 3 * row + 3]
        for axes, name in ((time, "step_ms"), (memory, "memory_mib")):
            ours, theirs = axes.lines
            assert list(ours.get_xdata()) == [getattr(record.point, axis) for record in own]
            assert list(ours.get_ydata()) == [getattr(record.qlstm, name) for record in own]
            assert list(theirs.get_ydata()) == [getattr(record.lstm, name) for record in own]
            assert (ours.get_linestyle(), theirs.get_linestyle()) == ("-", "--")
        assert list(error.lines[0].get_ydata()) == [record.qlstm.test_mse[1] for record in own], "the median of three"
        assert [axes.get_yscale() for axes in (time, memory, error)] == ["log", "linear", "log"]
        assert axis in time.get_xlabel()
        assert all(axes.get_ylabel() for axes in (time, memory, error))
    for column in range(3):
        low, high = figure.axes[column].get_ylim()
        for axes in (figure.axes[column], figure.axes[column + 3]):
            assert low <= axes.dataLim.y0 < axes.dataLim.y1 <= high, "one scale for all"
            assert axes.get_ylim() == (low, high)
    assert "hidden size 3, depth 2, 36 candidates, window 4" in figure.get_supxlabel()


def test_an_axis_needs_two_points_unless_it_was_asked_for(records: list[ScalingRecord]) -> None:
    assert list(axes_of(PLAN, records)) == ["depth", "window"], "not those that meet the others in the base point only"
    fewer = PLAN.model_copy(update={"axes": {"depth": (1, 2, 8)}})
    assert list(axes_of(fewer, records)) == ["depth", "window"], "what was measured before is shown too"
    one = ScalingPlan(axes={"hidden": (5,)})
    assert len(scaling_figure(one, records_of(one)).axes) == 3


def test_what_has_diverged_is_said_and_not_drawn(records: list[ScalingRecord]) -> None:
    plan = ScalingPlan(axes={"depth": (1, 2)})
    first, second = records_of(plan)
    some = first.qlstm.model_copy(update={"test_mse": (0.2, None, 0.4)})
    none = second.qlstm.model_copy(update={"test_mse": (None,) * 3})
    changed = [first.model_copy(update={"qlstm": some}), second.model_copy(update={"qlstm": none})]
    again = [ScalingRecord.model_validate_json(record.model_dump_json()) for record in changed]
    text = scaling_report(plan, again)
    assert "| 0.3 (0.2 to 0.4), 1 diverged |" in text
    assert "| diverged |" in text
    axes = scaling_figure(plan, again).axes[2]
    assert axes.lines[0].get_ydata()[0] == pytest.approx(0.3)
    assert np.isnan(axes.lines[0].get_ydata()[1])
    assert np.isfinite(axes.get_ylim()).all()


def test_the_report_has_a_row_for_each_point(records: list[ScalingRecord]) -> None:
    text = scaling_report(PLAN, records)
    assert re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE) == ["1", "2", "8", "2", "4", "64"]
    row = next(line for line in text.splitlines() if line.startswith("| 8 |"))
    grows = 8 * 36 * 3 * 4
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:8] == ["8", f"{grows:.3g}", "0.5", f"{2 * grows:.2f}", f"{grows / 8:.1f}", "0.2", "120.0", "80.0"]
    assert cells[8:] == ["1.2e-05 (2.9e-06 to 2.6e-05)"] * 2 + ["144", f"{10 * grows:,}", "7"]
    assert "- 5 points: commit abc, with changes; a fast one; torch 2" in text
    assert "## Candidates" not in text
    few = ScalingPlan(base=Point(candidates=1), axes={"depth": (1,)}, seeds=1)
    text = scaling_report(few, records_of(few))
    assert "- 1: `H-RY|linear-RY`" in text
    assert "over 1 seed," in text
    assert "- 1 point: no checkout" in text


@pytest.mark.slow
def test_the_files(tmp_path: Path, records: list[ScalingRecord]) -> None:
    paths = write_scaling(PLAN, records, tmp_path)
    assert [path.name for path in paths] == ["scaling.md", "scaling.png", "scaling.svg"]
    assert paths[0].read_text() == scaling_report(PLAN, records)
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in paths[2].read_text()
