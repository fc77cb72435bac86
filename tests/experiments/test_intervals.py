"""Intervals of a run: calibrated on rows that neither trained nor tested, on any backend, and read back from the folder."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import Intervals, conformal_radius
from qlstm_qiskit.errors import BudgetError, DataError, RunError
from qlstm_qiskit.experiments import (
    DataSpec,
    Run,
    RunSpec,
    load_run,
    plan_run,
    predict_table,
    require_affordable_evaluation,
    roll_out,
    train_run,
)
from qlstm_qiskit.experiments.runs.intervals import (
    calibrate,
    calibrated,
    calibration_windows,
    interval_facts,
    without_interval,
)
from qlstm_qiskit.experiments.runs.plan import circuits_of_evaluation
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.executors.aer import AerExecutor
from qlstm_qiskit.report import draw_run, forecast_figure
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.report.pages.run_figures import forecast_plot

N, WINDOW, SPLIT = 100, 3, Intervals(0.9, method="split")
#: Of 97 windows the first 64 are before the test part; the last 12 of these calibrate.
CALIBRATING, FIRST_TESTED = range(52 + WINDOW, 64 + WINDOW), 64 + WINDOW


def series() -> pd.DataFrame:
    noise = np.random.default_rng(3).normal(size=N)
    values = 40 + 10 * np.sin(np.arange(N) / 3) + noise
    values[[7, 8]] = 25, 55  # the range of the scalers
    return pd.DataFrame({"tide": values})


def trained(folder: Path, table: pd.DataFrame, interval: Intervals | None = SPLIT, **options) -> Run:
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "tide.csv", index=False)
    model = {"model": "lstm", "hidden_size": 2, "epochs": 3} | options
    horizon = model.pop("horizon", 1)
    data = DataSpec(csv=str(folder / "tide.csv"), target="tide", window=WINDOW, horizon=horizon, interval=interval)
    return train_run(RunSpec(data=data, **model), folder / "run")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("split"), series())


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("adaptive"), series(), Intervals(0.9), horizon=2)


@pytest.fixture(scope="module")
def quantum(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("quantum"), series(), model="config1", hidden_size=1, depth=1, epochs=1)


@contextmanager
def edited(path: Path, change: Callable[[dict], object]) -> Iterator[None]:
    """A JSON file with a change, put back afterwards."""
    text = path.read_text()
    content = json.loads(text)
    change(content)
    path.write_text(json.dumps(content))
    try:
        yield
    finally:
        path.write_text(text)


def residuals(run: Run, rows: range) -> np.ndarray:
    """Absolute residuals of one-step forecasts of these rows, from the file's values alone."""
    values = series()["tide"].to_numpy()
    windows = np.stack([values[row - WINDOW : row, None] for row in rows])
    predicted = run.header.target_scaler.inverse(run.predict(run.header.input_scaler.transform(windows))[:, 0])
    return np.abs(predicted - values[rows.start : rows.stop])


def test_half_width_and_coverage_are_those_by_hand(split: Run) -> None:
    own = np.sort(residuals(split, CALIBRATING))[math.ceil(13 * 0.9) - 1]
    tested = residuals(split, range(FIRST_TESTED, N))
    facts = split.metrics["interval"]
    assert facts["radius"] == [pytest.approx(own, rel=1e-12)]
    assert facts["width"] == [pytest.approx(2 * own, rel=1e-12)]
    assert facts["coverage"] == [float(np.mean(tested <= own))]
    assert (facts["level"], facts["method"], facts["windows"]) == (0.9, "split", 12)


def test_adaptive_ones_are_those_by_hand(adaptive: Run) -> None:
    """Step 1. Of 96 windows with two rows to predict 64 are before the test part, and 12 of the 63 that may train calibrate."""
    facts, radius, hits, widths = adaptive.metrics["interval"], 0.0, [], []
    radius = facts["radius"][0]
    assert radius == pytest.approx(np.sort(residuals(adaptive, range(51 + WINDOW, 63 + WINDOW)))[11])
    for score in residuals(adaptive, range(64 + WINDOW, N - 1)):
        hits.append(score <= radius)
        widths.append(2 * radius)
        radius *= math.exp(0.25 * ((score > radius) - (1 - 0.9)))
    assert facts["coverage"][0] == pytest.approx(np.mean(hits))
    assert facts["width"][0] == pytest.approx(np.mean(widths))


def test_the_test_part_changes_neither_model_nor_half_width(split: Run, tmp_path: Path) -> None:
    other = series()
    other.loc[FIRST_TESTED:, "tide"] = np.random.default_rng(8).normal(40, 3, N - FIRST_TESTED)
    again_ = trained(tmp_path, other)
    for name, value in split.forecaster.state_dict().items():
        assert (again_.forecaster.state_dict()[name] == value).all(), name
    assert again_.metrics["interval"]["radius"] == split.metrics["interval"]["radius"]
    assert again_.metrics["interval"]["coverage"] != split.metrics["interval"]["coverage"]


def test_the_calibration_part_does_not_train(split: Run, tmp_path: Path) -> None:
    other = series()
    other.loc[CALIBRATING, "tide"] = np.random.default_rng(8).normal(40, 3, len(CALIBRATING))  # within the range of the others
    again_ = trained(tmp_path, other)
    assert again_.header.target_scaler == split.header.target_scaler
    for name, value in split.forecaster.state_dict().items():
        assert (again_.forecaster.state_dict()[name] == value).all(), name
    assert again_.metrics["interval"]["radius"] != split.metrics["interval"]["radius"]


def test_it_is_apart_from_what_early_stopping_looks_at(tmp_path: Path) -> None:
    run = trained(tmp_path, series(), valid_fraction=0.25, patience=1)
    windows, _ = run.dataset.validation(0.25)
    assert run.dataset.calibration is not None
    np.testing.assert_array_equal(windows[-1, 1:], run.dataset.calibration[0][0, :-1], "they come just before it")
    assert len(windows) == 13
    assert run.metrics["interval"]["windows"] == 12


def test_nothing_is_said_of_them_where_there_are_none(tmp_path: Path) -> None:
    run = trained(tmp_path, series(), None)
    assert "interval" not in run.metrics
    assert "interval" not in json.loads((run.path / "config.json").read_text())["data"]
    assert run.weights is not None
    assert run.weights.config is not None
    assert "interval" not in run.weights.config["data"]
    assert list(predict_table(run, series())) == ["tide", "prediction", "persistence"]
    assert list(roll_out(run, series(), 2)) == ["step", "prediction", "persistence"]


def test_a_file_gets_both_ends(split: Run) -> None:
    table, (radius,) = predict_table(split, series()), split.metrics["interval"]["radius"]
    assert list(table) == ["tide", "prediction", "lower", "upper", "persistence"]
    assert table[["lower", "upper"]].isna().sum().tolist() == [WINDOW, WINDOW]
    np.testing.assert_allclose(table["upper"] - table["prediction"], np.where(np.arange(N) < WINDOW, np.nan, radius))
    np.testing.assert_allclose(table["prediction"] - table["lower"], table["upper"] - table["prediction"])
    with pytest.raises(DataError, match="has a column 'lower' already"):
        predict_table(split, series().assign(lower=1))


def test_adaptive_ends_follow_the_rows_of_the_file(adaptive: Run) -> None:
    quiet, wild = series(), series()
    wild.loc[60:, "tide"] += 30 * (-1) ** np.arange(N - 60)
    first, second = predict_table(adaptive, quiet), predict_table(adaptive, wild)
    width = [table["upper"] - table["lower"] for table in (first, second)]
    np.testing.assert_array_equal(width[0][:61], width[1][:61], "row 60 itself is not known before it")
    assert (width[1][62:] > width[0][62:]).all()
    ahead = [roll_out(adaptive, table, 2)["upper"] - roll_out(adaptive, table, 2)["lower"] for table in (quiet, wild)]
    assert (ahead[1] > 2 * ahead[0]).all()


def test_the_last_rows_have_followed_those_before_them(adaptive: Run, split: Run) -> None:
    """As many as calibrate, from the width of the calibration part on: as in a file that begins so many rows before."""
    table = series()
    for last, wild in ((1, 4), (5, 12)):
        changed = table.assign(tide=table["tide"] + np.where(np.arange(N) >= N - last - wild, 30.0, 0.0))
        found = predict_table(adaptive, changed, last)
        own = predict_table(adaptive, changed[N - last - len(CALIBRATING) - WINDOW :])[-last:].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, own)
        (radius, _) = adaptive.metrics["interval"]["radius"]
        assert (found["upper"] - found["lower"] > 2.5 * radius).all(), "it has seen what was missed"
    pd.testing.assert_frame_equal(
        predict_table(adaptive, table, N - 15), predict_table(adaptive, table)[15:].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(predict_table(split, table, 3), predict_table(split, table)[-3:].reset_index(drop=True))


def test_steps_beyond_the_horizon_are_calibrated_by_feeding_back(split: Run) -> None:
    values = series()["tide"].to_numpy()
    scores = np.full((12, 3), np.nan)
    for place, row in enumerate(CALIBRATING):
        known = values[row - WINDOW : row].tolist()
        for step in range(3):
            scaled = split.header.input_scaler.transform(np.array(known[-WINDOW:])[None, :, None])
            known.append(float(split.header.target_scaler.inverse(split.predict(scaled)[0])[0]))
            if row + step < FIRST_TESTED:
                scores[place, step] = abs(known[-1] - values[row + step])
    expected = conformal_radius(scores, 0.9)
    table = roll_out(split, series(), 6)
    np.testing.assert_allclose((table["upper"] - table["prediction"])[:3], expected, rtol=1e-9)
    assert table["upper"].notna().tolist() == [True] * 4 + [False] * 2, "of 12 windows 9 reach four steps ahead"
    assert without_interval(split, 4) == ""
    assert without_interval(split, 6) == (
        "Steps 5 to 6 have no interval: fewer than 9 of the 12 calibration windows, which level 0.9 needs, reach so far"
    )


@pytest.mark.parametrize("method", ["split", "adaptive"])
def test_the_folder_alone_is_enough_within_the_horizon(tmp_path: Path, method: str) -> None:
    run = trained(tmp_path, series(), Intervals(0.9, method=method))
    (tmp_path / "tide.csv").unlink()
    moved = load_run(run.path)
    table = roll_out(moved, series(), 2)
    assert table["upper"].notna().tolist() == [True, False]
    assert "cannot be read" in without_interval(moved, 2)
    assert calibration_windows(moved, 2) == 0


class TestBackends:
    def test_another_backend_is_calibrated_with_its_own_predictions(self, quantum: Run) -> None:
        spec = BackendSpec(name="few-shots", kind="statevector", shots=1, seed=7)
        one, two = load_run(quantum.path, backend=spec), load_run(quantum.path, backend=spec)
        found = calibrated(one)
        assert found is not None
        assert not found.recorded
        assert calibration_windows(one) == 12
        expected = np.sort(residuals(two, CALIBRATING))[11]
        assert found.radius.tolist() == [pytest.approx(expected)]
        assert found.radius[0] > 1.05 * quantum.metrics["interval"]["radius"][0], "shots are part of the spread"

    def test_its_own_backend_reads_what_training_wrote(self, quantum: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        own = load_run(quantum.path)
        monkeypatch.setattr(Run, "predict_scaled", None)
        found = calibrated(own)
        assert found is not None
        assert found.recorded
        assert found.radius.tolist() == quantum.metrics["interval"]["radius"]
        assert calibration_windows(own) == 0

    def test_what_an_earlier_epoch_wrote_is_not_read(self, quantum: Run) -> None:
        stale = {"epochs": 7, "interrupted": True}
        with edited(quantum.path / "metrics.json", lambda content: content.update(stale)):
            found = calibrated(load_run(quantum.path))
        assert found is not None
        assert not found.recorded
        np.testing.assert_allclose(found.radius, quantum.metrics["interval"]["radius"])

    def test_the_circuits_that_are_named_are_those_that_are_run(self, quantum: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        count, expect = [0], AerExecutor.expect

        def counted(self: AerExecutor, requests) -> list:
            count[0] += sum(len(request.values) * len(request.circuit.measurement.bases) for request in requests)
            return expect(self, requests)

        monkeypatch.setattr(AerExecutor, "expect", counted)
        with closing(load_run(quantum.path, backend="aer-shots")) as run:
            named = circuits_of_evaluation(run, calibration_windows(run))
            calibrate(run)
        assert count[0] == named
        assert named is not None
        assert named > 12
        assert circuits_of_evaluation(quantum, 12) is None

    def test_the_guard_counts_what_calibrates(self, quantum: Run) -> None:
        n_test = len(quantum.dataset.x_test)
        options = {"name": "rehearsal", "kind": "ibm", "channel": "local", "device": "manila", "shots": 64}
        assert (
            plan_run(quantum.path, BackendSpec(**options)).work
            == plan_run(quantum.path, BackendSpec(**options), windows=n_test).work
        )
        with closing(load_run(quantum.path, backend=BackendSpec(**options))) as run:
            alone = circuits_of_evaluation(run, n_test)
        spec = BackendSpec(**options, guard={"max_circuits": alone})
        with closing(load_run(quantum.path, backend=spec)) as run:
            require_affordable_evaluation(run, n_test)
            with pytest.raises(BudgetError, match=f"evaluating {n_test + 12} windows on 'rehearsal'"):
                require_affordable_evaluation(run, n_test, besides=calibration_windows(run))
            with pytest.raises(BudgetError, match="Nothing was submitted"):
                predict_table(run, series()[: n_test + WINDOW])
            assert run.n_jobs == 0

    @pytest.mark.parametrize("horizon", [None, 2])
    @pytest.mark.parametrize("method", ["split", "adaptive"])
    def test_a_plan_is_what_is_submitted(self, method: str, horizon: int | None, tmp_path: Path) -> None:
        """Calibration on the backend, windows, and, with a horizon, the rows that adaptive intervals follow."""
        model = {"model": "config1", "hidden_size": 1, "depth": 1, "epochs": 1}
        own = trained(tmp_path, series(), Intervals(0.9, method=method), **model)
        spec = BackendSpec(name="rehearsal", kind="ibm", channel="local", device="manila", shots=16)
        planned = plan_run(own.path, spec, windows=None if horizon else 2, horizon=horizon).work.jobs
        with closing(load_run(own.path, backend=spec)) as run:
            if horizon:
                roll_out(run, series(), horizon)
            else:
                calibrate(run)
                run.outputs(run.dataset.x_test[:2])
            assert run.n_jobs == planned


class TestReadBack:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda data: data.pop("interval"), r"says data\.interval"),
            (lambda data: data["interval"].update(level=0.5), r"says data\.interval"),
            (lambda data: data["interval"].update(calibration_fraction=0.3), r"says data\.interval"),
            (
                lambda data: data["interval"].update(level=2.0),
                r"damaged .* data\.interval.* between 0 and 1",
            ),
        ],
        ids=["none", "level", "part", "no level"],
    )
    def test_a_config_that_was_changed_is_refused(self, split: Run, change: Callable[[dict], object], said: str) -> None:
        with (
            edited(split.path / "config.json", lambda content: change(content["data"])),
            pytest.raises(RunError, match=said),
        ):
            load_run(split.path)

    @pytest.mark.parametrize(
        ("radius", "said"), [(["wide"], r"interval\.radius\.0"), ([], "radius, coverage and width are not of the same steps")]
    )
    def test_a_damaged_record_is_refused(self, split: Run, radius: list, said: str) -> None:
        with (
            edited(split.path / "metrics.json", lambda content: content["interval"].update(radius=radius)),
            pytest.raises(RunError, match=f"damaged or of another version: .*{said}"),
        ):
            load_run(split.path)

    def test_the_command_that_makes_it_again_has_them(self, adaptive: Run) -> None:
        said = again(adaptive.spec, adaptive.path)
        assert "--interval 0.9 --calibration-fraction 0.2 --interval-method adaptive" in said


class TestFigures:
    def test_a_band_is_drawn_over_the_test_part(self, adaptive: Run) -> None:
        (axes,) = forecast_figure(adaptive).axes
        (band,) = axes.collections
        (lower, upper) = (band.get_paths()[0].vertices[:, 0].min(), band.get_paths()[0].vertices[:, 0].max())
        assert (lower, upper) == (64 + WINDOW, N - 2)
        assert axes.get_legend_handles_labels()[1][0] == "0.9 interval, test part"
        assert draw_run(adaptive)

    def test_the_page_has_it_and_its_numbers(self, adaptive: Run, split: Run) -> None:
        plot = forecast_plot(adaptive)
        low, high = plot.figure["data"][:2]
        assert high["fill"] == "tonexty"
        assert len(low["x"]) == len(high["x"]) == len(adaptive.dataset.x_test)
        widths = np.array(high["y"]) - np.array(low["y"])
        assert widths.mean() == pytest.approx(adaptive.metrics["interval"]["width"][0])
        share = adaptive.metrics["interval"]["coverage"][0]
        assert plot.caption.endswith(f"an interval of level 0.9 (adaptive), holds {share:.1%} of the test values.")
        assert "12 calibration and 33 test windows" in forecast_plot(split).caption
        assert forecast_plot(split).download.text.splitlines()[0] == "row,part,truth,prediction,persistence,lower,upper"

    def test_of_other_runs_nothing_changes(self, tmp_path: Path) -> None:
        run = trained(tmp_path, series(), None)
        assert not forecast_figure(run).axes[0].collections
        assert [trace["name"] for trace in forecast_plot(run).figure["data"]] == ["tide", "persistence", "prediction"]


def test_facts_are_of_the_predictions_that_are_given(split: Run) -> None:
    found = calibrated(split)
    assert found is not None
    far = interval_facts(split, found, split.predict(split.dataset.x_test) + 100)
    assert far["coverage"] == [0.0]
