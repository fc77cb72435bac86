"""Runs of classes: what their folders hold, resuming, searches, and files that contradict one another."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from qlstm_qiskit.errors import DataError, OptionError, RunError
from qlstm_qiskit.experiments import (
    DataSpec,
    Run,
    RunSpec,
    allocate_shots,
    derive_run,
    load_run,
    load_spec,
    plan_run,
    predict_table,
    roll_out,
    start_from,
    train_run,
)
from qlstm_qiskit.experiments.runs.plan import plan_work
from qlstm_qiskit.experiments.studies.study import load_study
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.search import make_strategy
from tests.experiments.resumable import interrupted_in, outcome, train_to_the_end
from tests.speed import slow_but

N = 60
STATE = (np.arange(N) // 3) % 3


def write(path: Path, labels: object = None) -> DataSpec:
    """A short file of three classes in turn, told by one column, and what reads it."""
    mood = np.array(["b", "a", "c"])[STATE] if labels is None else labels
    pd.DataFrame({"x": STATE + np.sin(np.arange(N)) / 3, "mood": mood}).to_csv(path, index=False)
    return DataSpec(csv=str(path), target="mood", features=("x",), window=2, task="classification")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    return write(tmp_path_factory.mktemp("data") / "moods.csv")


@pytest.fixture(scope="module")
def search(data: DataSpec, tmp_path_factory: pytest.TempPathFactory) -> Run:
    spec = RunSpec(data=data, hidden_size=1, depth=1, epochs=3, valid_fraction=0.25, search=make_strategy("softmax"))
    return train_run(spec, tmp_path_factory.mktemp("runs") / "search")


KINDS = {
    "lstm": {"model": "lstm"},
    "patient": {"model": "lstm", "valid_fraction": 0.25, "patience": 2, "lr": 0.1, "epochs": 12},
    "circuits": {"model": "config1", "depth": 1},
    "search": {"depth": 1, "valid_fraction": 0.25, "search": make_strategy("shrinking", {"convex": True})},
}


@pytest.mark.parametrize("kind", slow_but(["lstm"], KINDS))
def test_an_interrupted_training_goes_on_to_the_same_bits(data: DataSpec, tmp_path: Path, kind: str) -> None:
    spec = RunSpec(data=data, **({"hidden_size": 2, "epochs": 4} | KINDS[kind]))
    train_to_the_end(spec, tmp_path / "whole")
    with interrupted_in(2):
        train_to_the_end(spec, tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / "metrics.json").read_text())["interrupted"]
    train_to_the_end(spec, tmp_path / "cut")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    assert load_run(tmp_path / "cut").header.classes == load_run(tmp_path / "whole").header.classes


def test_patience_goes_by_the_log_loss_of_the_last_windows(data: DataSpec, tmp_path: Path) -> None:
    spec = RunSpec(data=data, hidden_size=2, **KINDS["patient"])
    run = train_run(spec, tmp_path / "run")
    windows, targets = run.dataset.validation(0.25)
    own = -np.log(run.predict_proba(windows)[targets > 0]).mean()
    assert run.metrics["valid_log_loss"] == pytest.approx(own, rel=1e-12)
    losses = [line["valid_log_loss"] for line in run.history]
    assert losses[-1] == pytest.approx(own, rel=1e-9)
    assert min(losses) == losses[-1]


def test_files_of_forecasts_say_nothing_of_a_task(tmp_path: Path, data: DataSpec) -> None:
    assert "task" not in RunSpec(data=DataSpec(dataset="nile")).model_dump_json()
    assert DataSpec(dataset="nile", task="regression") == DataSpec(dataset="nile")
    spec = RunSpec(data=data)
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.lasting()["data"]["task"] == "classification"
    assert DataSpec(dataset="italy_power_demand", task="classification").window == 24
    with pytest.raises(ValueError, match=r"unknown task 'classify'"):
        DataSpec(dataset="nile", task="classify")


@pytest.mark.parametrize(
    ("labels", "dtype", "classes"),
    [
        (STATE * 5, np.int64, [0, 5, 10]),
        (STATE == 1, np.bool_, [False, True]),
        (np.array(["+1", "0", "-1"])[STATE], np.int64, [-1, 0, 1]),
        (np.array(["1", "two", "3.5"])[STATE], np.str_, ["1", "3.5", "two"]),
        (np.array(["$x_1$", "Ω <b>", "=1+1"])[STATE], np.str_, ["$x_1$", "=1+1", "Ω <b>"]),
    ],
)
def test_labels_of_all_kinds_come_back(tmp_path: Path, labels: np.ndarray, dtype: type, classes: list) -> None:
    run = train_run(RunSpec(data=write(tmp_path / "s.csv", labels), model="lstm", hidden_size=1, epochs=1), tmp_path / "run")
    loaded = load_run(run.path)
    assert loaded.header.classes is not None
    assert loaded.header.classes.array.tolist() == classes
    found = loaded.predict(loaded.dataset.x_test)
    assert np.issubdtype(found.dtype, dtype)
    assert set(found.tolist()) <= set(classes)
    truth = np.asarray(labels if dtype is not np.int64 else np.asarray(labels).astype(int))[-len(found) :]
    assert loaded.metrics["test"]["accuracy"] == np.mean(found == truth)
    table = predict_table(loaded, tmp_path / "s.csv")
    assert table["prediction"].tolist()[-len(found) :] == found.tolist()
    assert table[[f"p_{label}" for label in classes]].iloc[1:].sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_a_search_becomes_circuits_by_its_log_loss(search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qlstm_qiskit.experiments.runs import derive as module

    seen, derive = {}, module.derive
    monkeypatch.setattr(module, "derive", lambda *given, **options: (seen.update(options), derive(*given, **options))[1])
    derived = derive_run(search.path, tmp_path / "derived")
    assert type(seen["loss"]).__name__ == "CrossEntropyLoss"
    stages = derived.metrics["stages"]
    assert stages["search"]["test_log_loss"] == pytest.approx(search.metrics["test_log_loss"], rel=1e-12)
    assert stages["derived"]["test_log_loss"] == derived.metrics["test_log_loss"]
    assert load_run(derived.path).header.classes == search.header.classes
    tuned = train_run(
        derived.spec.model_copy(update={"start": start_from(derived.path), "epochs": 2, "valid_fraction": 0.0}),
        tmp_path / "tuned",
    )
    assert tuned.metrics["stages"]["fine_tuned"]["test_log_loss"] == tuned.metrics["test_log_loss"]
    assert tuned.metrics["classes"] == ["a", "b", "c"]


def test_a_plan_has_as_many_circuits_as_one_of_a_forecast(search: Run) -> None:
    """All outputs are read from the same circuits, and no windows are left out between those that train and that validate."""
    backend = find_spec("fake-fez")
    forecast = search.spec.model_copy(update={"data": DataSpec(dataset="nile", window=2)})
    for task in ("predict", "train"):
        found, expected = (
            plan_work(spec, backend, task, 12, (2, 1, outputs)).work for spec, outputs in ((search.spec, 3), (forecast, 1))
        )
        assert found == expected
    assert plan_run(search.path, backend).work.circuits > 0


def test_shots_go_where_scores_need_them(search: Run) -> None:
    run = load_run(search.path, backend="exact-shots")
    allocation = allocate_shots(run)
    assert allocation.per_window <= allocation.equal * sum(own.size for own in allocation.shots) * 36
    assert allocation.expected_gain >= 1
    np.testing.assert_allclose(run.predict_proba(run.dataset.x_test).sum(axis=1), 1.0)


@pytest.fixture
def run(data: DataSpec, tmp_path: Path) -> Path:
    return train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1), tmp_path / "run").path


def test_files_that_contradict_one_another_are_refused(run: Path, data: DataSpec) -> None:
    config, metrics = (json.loads((run / name).read_text()) for name in ("config.json", "metrics.json"))
    del config["data"]["task"]
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=r"config\.json says data\.task 'regression', and .* says 'classification'"):
        load_run(run)
    config["data"]["task"] = "classify"
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="unknown task 'classify'"):
        load_spec(run)
    config["data"]["task"] = "classification"
    (run / "config.json").write_text(json.dumps(config))
    (run / "metrics.json").write_text(json.dumps(metrics | {"frequencies": {"log_loss": "low"}}))
    with pytest.raises(RunError, match=r"metrics\.json is damaged"):
        load_run(run)
    (run / "metrics.json").write_text(json.dumps(metrics))
    lines = (run / "history.jsonl").read_text()
    (run / "history.jsonl").write_text(lines.replace("train_log_loss", "train_mse"))
    with pytest.raises(RunError, match="train_log_loss"):
        load_run(run)
    (run / "history.jsonl").write_text(lines)
    loaded = load_run(run)
    table = pd.read_csv(str(data.csv))
    with pytest.raises(OptionError, match="has no horizon; leave --horizon out"):
        roll_out(loaded, table, 2)
    with pytest.raises(DataError, match="has a column 'p_a' already"):
        predict_table(loaded, table.assign(p_a=0))


def test_classes_in_the_weights_are_those_of_the_data(run: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    file = run / "model.safetensors"
    with safe_open(file, "pt") as opened:
        header = dict(opened.metadata())
    for old, new, message in (
        ('"values":["a","b","c"]', '"values":["a","b","d"]', "has the classes"),
        ('["a","b","c"]', '["b","a","c"]', "not sorted"),
        ('["a","b","c"]', '["a","b","b"]', "not each there once"),
        ('["a","b","c"]', '["a","b",3]', "of several kinds"),
        ('["a","b","c"]', f"[1,2,{10**30}]", "of several kinds"),
        ('"dtype":"<U1"', '"dtype":"foo"', "of several kinds"),
        ('["a","b","c"]', '["a"]', "at least 2"),
    ):
        changed = {name: re.sub(r"\s*([,:])\s*", r"\1", value).replace(old, new) for name, value in header.items()}
        assert changed != {name: re.sub(r"\s*([,:])\s*", r"\1", value) for name, value in header.items()}
        save_file(load_file(file), run / "other.safetensors", changed)
        kept = file.read_bytes()
        (run / "other.safetensors").replace(file)
        with pytest.raises(RunError, match=message):
            _ = load_run(run).dataset
        file.write_bytes(kept)
    assert load_run(run).dataset.n_outputs == 3


def test_a_run_that_forecasts_has_no_probabilities(tmp_path: Path) -> None:
    run = train_run(RunSpec(data=DataSpec(dataset="nile"), model="lstm", hidden_size=1, epochs=1), tmp_path / "run")
    with pytest.raises(OptionError, match="has no classes; use predict"):
        run.predict_proba(run.dataset.x_test)


@pytest.mark.parametrize(
    "series",
    [
        {"italy_power_demand": {}},
        {"italy_power_demand": {"task": "classification"}},
        {"own": {"dataset": "basic_motions"}},
        {"own": {"csv": "s.csv", "target": "mood", "task": "classification"}},
    ],
)
def test_studies_are_of_forecasts(tmp_path: Path, series: dict) -> None:
    study = {"name": "own", "datasets": series, "rows": {"LSTM": {"run": {"model": "lstm", "hidden_size": 1, "epochs": 1}}}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(study | {"seeds": 2}))
    with pytest.raises(
        OptionError, match=f"series '{next(iter(series))}' has classes, and studies compare forecasts; train models"
    ):
        load_study(tmp_path / "own.yaml")
