"""Ensembles in a run folder: members that are runs by themselves, and readers that take the mean of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import Intervals
from qlstm_qiskit.data.rollout import horizon_errors, rolled_errors, rolled_out
from qlstm_qiskit.errors import BudgetError, OptionError, RunError, TrainingError
from qlstm_qiskit.experiments import (
    DataSpec,
    Ensemble,
    RunSpec,
    allocate_shots,
    derive_run,
    is_unfinished,
    load_run,
    member_folder,
    plan_run,
    predict_table,
    require_affordable_evaluation,
    require_same,
    resume_run,
    roll_out,
    start_from,
    train_run,
)
from qlstm_qiskit.experiments.export.ensembles import load_ensemble
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.experiments.runs.intervals import calibrate
from qlstm_qiskit.experiments.runs.plan import circuits_of_evaluation
from qlstm_qiskit.experiments.runs.shots import shot_curve
from qlstm_qiskit.experiments.runs.transpile import transpile_run
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.report import draw_run
from qlstm_qiskit.search import make_strategy
from qlstm_qiskit.training import together
from tests.experiments.resumable import outcome
from tests.forked import child, ended

R = 3
SMALL: dict[str, Any] = {"model": "config1", "hidden_size": 2, "depth": 1, "epochs": 3, "seed": 5}


def spec(csv: Path, replicas: int = R, interval: Intervals | None = None, **changes: Any) -> RunSpec:
    data = DataSpec(csv=str(csv), target="value", interval=interval, **changes.pop("data", {}))
    return RunSpec(data=data, replicas=replicas, **SMALL | changes)


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "wave.csv"
    pd.DataFrame({"value": np.sin(np.arange(90) / 3) * 40 + 100}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def path(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ensembles") / "run"
    train_run(spec(csv, interval=Intervals(0.8)), out)
    return out


@pytest.fixture
def run(path: Path) -> Ensemble:
    found = load_run(path)
    assert isinstance(found, Ensemble)
    return found


def each(path: Path, windows: Any, **options: Any) -> np.ndarray:
    """Predictions of members that are loaded by themselves."""
    return np.array([load_run(path / "members" / str(place), **options).predict(windows) for place in range(R)])


def test_a_file_of_one_model_does_not_name_replicas(csv: Path) -> None:
    assert "replicas" not in spec(csv, 1).model_dump()
    assert "replicas" not in spec(csv, 1).lasting()
    assert spec(csv).lasting()["replicas"] == R


def test_members_are_runs_by_themselves(path: Path, csv: Path, tmp_path: Path) -> None:
    for place in range(R):
        alone = train_run(spec(csv, 1, Intervals(0.8), seed=5 + place), tmp_path / str(place))
        mine, other = outcome(path / "members" / str(place)), outcome(alone.path)
        assert mine["files"] == other["files"]
        assert (member_folder(path, place) / "config.json").read_bytes() == (alone.path / "config.json").read_bytes()
        member = load_run(member_folder(path, place))
        np.testing.assert_allclose(member.predict(alone.dataset.x_test), alone.predict(alone.dataset.x_test), atol=1e-9)


def test_it_predicts_the_mean_of_its_members(run: Ensemble, path: Path) -> None:
    windows = run.dataset.x_test
    apart = each(path, windows)
    np.testing.assert_array_equal(run.predict(windows), apart.mean(axis=0))
    mean, spread = run.predict_with_spread(windows)
    np.testing.assert_array_equal(mean, apart.mean(axis=0))
    np.testing.assert_array_equal(spread, apart.std(axis=0))
    assert spread.shape == mean.shape == (len(windows), 1)
    frame = pd.DataFrame({"value": run.dataset.values})
    mean, spread = run.predict_with_spread(frame)
    apart = each(path, frame)
    np.testing.assert_allclose(mean, apart.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(spread, apart.std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(run.predict(frame), mean)


def test_metrics_are_those_of_the_mean(run: Ensemble, path: Path) -> None:
    metrics, data = run.metrics, run.dataset
    apart = each(path, data.x_test)
    assert metrics["test_mse"] == pytest.approx(np.mean((apart.mean(axis=0) - data.y_test) ** 2))
    assert [row["seed"] for row in metrics["members"]] == [5, 6, 7]
    for place, row in enumerate(metrics["members"]):
        assert row["mse"] == load_run(member_folder(path, place)).metrics["test_mse"]
    assert metrics["replicas"] == R
    in_units = data.target_scaler.inverse(apart.reshape(-1, 1)).reshape(apart.shape)
    assert metrics["spread"] == pytest.approx(in_units.std(axis=0).mean())
    one = load_run(member_folder(path, 0)).metrics
    assert metrics["n_circuits"] == R * one["n_circuits"]
    assert metrics["n_parameters"] == R * one["n_parameters"]
    assert metrics["test_mse"] <= np.mean([row["mse"] for row in metrics["members"]]), "squares are convex"


def test_a_table_has_the_spread(run: Ensemble, path: Path, csv: Path) -> None:
    table = predict_table(run, csv)
    tables = [predict_table(load_run(member_folder(path, place)), csv) for place in range(R)]
    apart = np.array([own["prediction"] for own in tables])
    np.testing.assert_allclose(table["prediction"], apart.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["spread"], apart.std(axis=0), rtol=1e-9)
    assert list(table.columns) == ["value", "prediction", "spread", "lower", "upper", "persistence"]
    assert "spread" not in tables[0].columns
    with pytest.raises(Exception, match="has a column 'spread' already"):
        predict_table(run, pd.DataFrame({"value": run.dataset.values, "spread": 0.0}))


def test_each_member_feeds_back_its_own_predictions(run: Ensemble, path: Path, csv: Path) -> None:
    table = roll_out(run, csv, 6)
    apart = np.array([roll_out(load_run(member_folder(path, place)), csv, 6)["prediction"] for place in range(R)])
    np.testing.assert_allclose(table["prediction"], apart.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["spread"], apart.std(axis=0), rtol=1e-9)
    data = run.dataset
    rolled = [rolled_out(load_run(member_folder(path, place)).predict, data, 3) for place in range(R)]
    mean = np.mean([predicted for predicted, _ in rolled], axis=0)
    found = rolled_errors([member.predict for member in run.members], data, 3)["model"]
    assert found["rmse"] == pytest.approx(horizon_errors(mean, rolled[0][1], 1.0)["rmse"])


def test_intervals_are_of_the_mean(run: Ensemble, path: Path) -> None:
    data, found = run.dataset, calibrate(run)
    assert data.calibration is not None
    windows, truth = data.calibration
    scores = np.sort(
        np.abs(data.target_scaler.inverse(each(path, windows).mean(axis=0)) - data.target_scaler.inverse(truth)), 0
    )
    place = int(np.ceil((len(scores) + 1) * 0.8)) - 1
    assert found.radius == pytest.approx(scores[place])
    assert run.metrics["interval"]["radius"] == pytest.approx(found.radius.tolist())


def test_a_logarithm_is_averaged_as_it_is_learned(csv: Path, tmp_path: Path) -> None:
    run = train_run(spec(csv, 2, data={"transform": "log"}, epochs=1), tmp_path / "run")
    frame = pd.DataFrame({"value": run.dataset.values})
    apart = np.array([load_run(member_folder(run.path, place)).predict(frame) for place in range(2)])
    np.testing.assert_allclose(run.predict(frame), np.exp(np.log(apart).mean(axis=0)), rtol=1e-12)
    export_run(run.path, "multilinear", tmp_path / "numbers")
    written = _printed(tmp_path / "numbers", csv)
    np.testing.assert_allclose(written["value+1"], run.predict(frame)[:, 0], rtol=1e-9)
    np.testing.assert_allclose(written["spread+1"], apart.std(axis=0)[:, 0], rtol=1e-6)


def _printed(folder: Path, csv: Path) -> pd.DataFrame:
    done = subprocess.run(
        [sys.executable, "-I", folder / "predict.py", csv], capture_output=True, text=True, check=True, cwd=folder.parent
    )
    rows = [line.split(",") for line in done.stdout.splitlines()]
    return pd.DataFrame(rows[1:], columns=rows[0]).astype(float)


def test_classes_have_the_mean_probability(tmp_path: Path) -> None:
    data = DataSpec(dataset="italy_power_demand", task="classification")
    run = train_run(RunSpec(data=data, replicas=2, **SMALL | {"epochs": 1}), tmp_path / "run")
    windows = run.dataset.x_test
    apart = np.array([load_run(member_folder(run.path, place)).predict_proba(windows) for place in range(2)])
    np.testing.assert_allclose(run.predict_proba(windows), apart.mean(axis=0), atol=1e-12)
    assert run.header.classes is not None
    np.testing.assert_array_equal(run.predict(windows), run.header.classes.array[apart.mean(axis=0).argmax(axis=1)])
    truth = run.dataset.y_test.argmax(axis=1)
    loss = -np.log(apart.mean(axis=0)[np.arange(len(truth)), truth]).mean()
    assert run.metrics["test_log_loss"] == pytest.approx(loss)
    with pytest.raises(OptionError, match="predicts classes"):
        run.predict_with_spread(windows)
    assert {path.name for path in draw_run(run)} == {"confusion.png", "loss.png"}


def test_another_backend_draws_shots_for_each_member(run: Ensemble, path: Path) -> None:
    windows = np.repeat(run.dataset.x_test[:1], 400, axis=0)
    spec = find_spec("exact-shots").model_copy(update={"shots": 64, "seed": 3})
    noise = [own - own.mean() for own in load_run(path, backend=spec).each_scaled(windows)[:, :, 0]]
    correlation = np.corrcoef(noise)[np.triu_indices(R, 1)]
    assert np.abs(correlation).max() < 0.2, "the same draws would give 1 for members that are alike"
    first = load_run(path, backend=spec).predict(windows)
    np.testing.assert_array_equal(first, load_run(path, backend=spec).predict(windows))
    member = load_run(member_folder(path, 1), backend=spec.model_copy(update={"seed": 4}))
    np.testing.assert_array_equal(load_run(path, backend=spec).each_scaled(windows)[1], member.predict(windows))


def test_shots_of_an_ensemble(path: Path, run: Ensemble) -> None:
    curve = shot_curve(path, (64, 4096), repeats=2)
    assert curve.model == pytest.approx(run.metrics["test_mse"])
    assert curve.errors[1] == pytest.approx(curve.model, rel=0.2)
    loaded = load_run(path, backend=find_spec("exact-shots"))
    allocation = allocate_shots(loaded)
    assert len(allocation.shots) == R
    assert allocation.expected_gain >= 1


def test_the_difference_is_the_mean_over_members(path: Path) -> None:
    loaded = load_run(path, backend="exact-shots")
    windows = loaded.dataset.x_test
    assert loaded.compared
    apart = loaded.each_scaled(windows)
    exact = load_run(path).each_scaled(windows)
    assert loaded.difference.n_windows == len(windows)
    assert loaded.difference.predictions == pytest.approx(np.mean((apart - exact) ** 2))


def test_a_plan_is_as_many_times_that_of_a_member(path: Path) -> None:
    device = find_spec("fake-fez")
    for task in ("predict", "train"):
        whole, one = (plan_run(own, device, task, windows=7) for own in (path, member_folder(path, 1)))
        assert whole.work == one.work * R
        assert whole.work.circuits == R * one.work.circuits > 0


def test_members_that_have_kept_different_circuits(csv: Path, tmp_path: Path) -> None:
    """Each is planned as it is, and they are fitted to a device one by one."""
    search = make_strategy("random", {})
    run = train_run(spec(csv, 2, model="diffqas", search=search, epochs=1), tmp_path / "run")
    assert len({member.header.gates for member in run.members}) == 2
    device = find_spec("fake-fez")
    whole, *each = (plan_run(own, device, windows=3).work for own in (run.path, *(member.path for member in run.members)))
    assert whole == each[0] + each[1]
    limit = device.guard.model_copy(update={"max_circuits": whole.circuits, "dry_run": True})
    rehearsed = find_spec("ibm-local").model_copy(update={"guard": limit})
    require_affordable_evaluation(load_run(run.path, backend=rehearsed), 3)
    with pytest.raises(OptionError, match="its members have kept different circuits"):
        transpile_run(run.path, device)


def test_the_guard_counts_all_members(path: Path) -> None:
    spec = find_spec("ibm-local")
    cost = circuits_of_evaluation(load_run(member_folder(path, 0), backend=spec), 4) or 0
    limited = spec.model_copy(update={"guard": spec.guard.model_copy(update={"max_circuits": 2 * cost, "confirm": False})})
    require_affordable_evaluation(load_run(member_folder(path, 0), backend=limited), 4)
    with pytest.raises(BudgetError, match="evaluating 4 windows by 3 models"):
        require_affordable_evaluation(load_run(path, backend=limited), 4)


@pytest.mark.parametrize("kind", ["multilinear", "qpy"])
def test_an_export_predicts_the_mean(kind: str, path: Path, run: Ensemble, csv: Path, tmp_path: Path) -> None:
    out = tmp_path / kind
    written = export_run(path, kind, out)
    assert sorted(written.files) == sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    if kind == "multilinear":
        mean, spread = run.predict_with_spread(pd.DataFrame({"value": run.dataset.values}))
        printed = _printed(out, csv)
        np.testing.assert_allclose(printed["value+1"], mean[:, 0], rtol=1e-9)
        np.testing.assert_allclose(printed["spread+1"], spread[:, 0], rtol=1e-6)
        alone = _printed(out / "members" / "0", csv)
        assert list(alone.columns) == ["after_row", "value+1"]
        (out / "members" / "1" / "multilinear.json").unlink()
        done = subprocess.run([sys.executable, out / "predict.py", csv], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr[:7]) == (2, "", "error: ")
        return
    windows = run.dataset.x_test
    np.testing.assert_allclose(load_ensemble(out).predict(windows), run.predict(windows), atol=1e-12)
    with pytest.raises(RunError, match="holds an ensemble; read it by load_ensemble"):
        load_exported(out)
    with pytest.raises(RunError, match="is not empty"):
        export_run(path, kind, out)


def test_an_export_that_fails_leaves_nothing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qlstm_qiskit.experiments.export import ensembles

    monkeypatch.setattr(ensembles, "_TOLERANCE", -1.0)
    with pytest.raises(Exception, match="its predictions differ"):
        export_run(path, "multilinear", tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_circuits_are_those_of_a_member(path: Path) -> None:
    whole, one = (transpile_run(own, "fake-fez") for own in (path, member_folder(path, 2)))
    assert whole.layers == one.layers


def test_figures_are_of_all(run: Ensemble, path: Path) -> None:
    assert {file.name for file in draw_run(run)} == {"forecast.png", "loss.png"}
    histories = [load_run(member_folder(path, place)).history for place in range(R)]
    assert run.history[2]["test_mse"] == pytest.approx(np.mean([own[2]["test_mse"] for own in histories]))


REFUSED = {
    "derive": (derive_run, "`qlstm derive` derives from one; give a member"),
    "start": (lambda path, _: start_from(path), "a training starts from one"),
    "its one model": (lambda path, _: load_run(path).forecaster, "is an ensemble of 3 models; give a member, such as"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_one_model_names_a_member(name: str, path: Path, tmp_path: Path) -> None:
    work, said = REFUSED[name]
    with pytest.raises(OptionError, match=said) as caught:
        work(path, tmp_path / "out")
    assert str(path / "members" / "0") in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_run_of_one_model_has_no_spread(path: Path) -> None:
    member = load_run(member_folder(path, 0))
    with pytest.raises(OptionError, match="has one model, which has no spread"):
        member.predict_with_spread(member.dataset.x_test)


def test_replicas_of_one_start_are_refused(path: Path, csv: Path, tmp_path: Path) -> None:
    start = start_from(member_folder(path, 0))
    with pytest.raises(OptionError, match="differ in their random start alone"):
        train_run(spec(csv).model_copy(update={"start": start}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_has_none() -> None:
    study = Study(name="s", datasets={"nile": {}}, rows={"row": {"run": {"replicas": 2}}}, seeds=1)
    with pytest.raises(OptionError, match="row 'row' of the study 's' has replicas; leave it out"):
        study.tasks()


def test_the_same_command_is_recognised(path: Path, csv: Path) -> None:
    require_same(path, spec(csv, interval=Intervals(0.8)))
    with pytest.raises(RunError, match="replicas"):
        require_same(path, spec(csv, 2, Intervals(0.8)))


def test_members_that_do_not_belong_to_it_are_refused(path: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(path, tmp_path / "copy")
    config = copied / "members" / "1" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"seed": 9}))
    with pytest.raises(RunError, match="differ in seed, so it is no member of this ensemble"):
        load_run(copied)
    shutil.rmtree(copied / "members" / "1")
    with pytest.raises(RunError, match=r"has no finished epoch yet; go on with: qlstm resume"):
        load_run(copied)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 9}, r"config.json says seed 5, and .*metrics.json says 9"),
        ({"members": [{"member": 0}]}, r"is damaged or of another version: members.0.seed"),
        ({"spread": "wide"}, r"is damaged or of another version: spread"),
    ],
)
def test_metrics_that_do_not_belong_to_it_are_refused(change: dict[str, Any], said: str, path: Path, tmp_path: Path) -> None:
    metrics = shutil.copytree(path, tmp_path / "copy") / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | change))
    with pytest.raises(RunError, match=said):
        load_run(tmp_path / "copy")


def everything(out: Path) -> dict[str, Any]:
    """All that must not depend on interruptions."""
    metrics = json.loads((out / "metrics.json").read_text())
    members = {place: outcome(member_folder(out, place)) for place in range(R)}
    for own in members.values():
        own["metrics"].pop("environment", None)
    return {"members": members, "metrics": {name: own for name, own in metrics.items() if name != "wall_seconds"}}


@pytest.mark.parametrize("options", [{}, {"optimizer": "spsa"}], ids=["side by side", "one after another"])
def test_killed_and_resumed_it_has_the_same_bits(
    options: dict[str, Any], csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "PERIOD_S", 0.0)
    options = {"epochs": 12, **options}
    train_run(spec(csv, **options), tmp_path / "whole")
    generator, reached = np.random.default_rng(0), 0
    for trial in range(12):
        out = tmp_path / str(trial)
        pid = child(lambda out=out: train_run(spec(csv, **options), out))
        late = R - 1 if "optimizer" in options else 0
        history = member_folder(out, generator.integers(late + 1)) / "history.jsonl"
        begun, lines = time.monotonic(), 1 + trial
        while time.monotonic() < begun + 60 and (not history.exists() or len(history.read_text().splitlines()) < lines):
            time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)
        if ended(pid):
            continue
        reached += 1
        assert is_unfinished(out)
        assert ended(child(lambda out=out: resume_run(out)))
        assert everything(out) == everything(tmp_path / "whole")
        if reached == 3:
            return
    assert reached, "all were faster"


def test_ctrl_c_keeps_what_was_finished(csv: Path, tmp_path: Path) -> None:
    from tests.experiments.resumable import interrupted_in

    train_run(spec(csv), tmp_path / "whole")
    with interrupted_in(2), pytest.raises(KeyboardInterrupt):
        train_run(spec(csv), tmp_path / "run")
    assert is_unfinished(tmp_path / "run")
    resume_run(member_folder(tmp_path / "run", 1))  # by itself, and then all
    resume_run(tmp_path / "run")
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")
    with pytest.raises(RunError, match="holds a finished run"):
        resume_run(tmp_path / "run")


def test_members_that_diverge_end_the_ensemble_and_not_the_others(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qlstm_qiskit.experiments.runs.training import entry

    train = entry.train_runs

    def one_fails(specs: Any, folders: Any, **options: Any) -> list[Any]:
        found: list[Any] = list(train(specs, folders, **options))
        found[1] = TrainingError("training diverged: the loss is nan. Lower the learning rate (lr=0.01).")
        (folders[1] / "metrics.json").unlink()
        return found

    monkeypatch.setattr(entry, "train_runs", one_fails)
    with pytest.raises(TrainingError, match=r"1 of the 3 members ended early: 1 \(seed 6\)\. The others are trained, .*/0\. "):
        train_run(spec(csv), tmp_path / "run")
    assert is_unfinished(tmp_path / "run")
    assert load_run(member_folder(tmp_path / "run", 2)).metrics["seed"] == 7


def test_all_that_diverge_at_once_leave_nothing(csv: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="3 of the 3 members ended early"):
        train_run(spec(csv, lr=1e300), tmp_path / "new" / "run")
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_trained_over_another(path: Path, csv: Path) -> None:
    with pytest.raises(RunError, match="already holds a run"):
        train_run(spec(csv), path)
