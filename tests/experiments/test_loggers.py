"""Epochs are logged to the tools that people have: the same numbers as in the run folder, and nothing pickled."""

import json
import sys
from pathlib import Path

import mlflow
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qlstm_qiskit.errors import OptionError, TrainingError
from qlstm_qiskit.experiments import DataSpec, RunSpec, resume_run, train_run
from tests.experiments.resumable import interrupted_in

SPEC = RunSpec(data=DataSpec(dataset="narma5"), model="config1", hidden_size=1, depth=1, epochs=3, valid_fraction=0.2)


def history(out: Path, key: str) -> list[float]:
    return [json.loads(line)[key] for line in (out / "history.jsonl").read_text().splitlines()]


def test_tensorboard(tmp_path: Path) -> None:
    train_run(SPEC, tmp_path / "run", loggers=["tensorboard"])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for part in ("train", "valid"):
        logged = events.Scalars(f"Loss/{part}_loss")
        assert [event.step for event in logged] == [1, 2, 3]
        errors = history(tmp_path / "run", f"{part}_mse")
        assert [event.value for event in logged] == pytest.approx(errors, rel=1e-6), "in float32"


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/store")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # here in place of a server
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    train_run(SPEC, tmp_path / "run", loggers=["mlflow"])
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run"
    assert (run.data.params["model"], run.data.params["epochs"]) == ("config1", "3")
    logged = client.get_metric_history(run.info.run_id, "valid_loss")
    assert [metric.value for metric in logged] == history(tmp_path / "run", "valid_mse")
    assert client.list_artifacts(run.info.run_id) == []


def test_what_goes_on_logs_the_rest(tmp_path: Path) -> None:
    with interrupted_in(2):
        train_run(SPEC, tmp_path / "run")
    resume_run(tmp_path / "run", loggers=["tensorboard"])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("Loss/train_loss")] == [2, 3], "the second epoch was not finished"


def test_a_server_that_fails_does_not_end_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/store")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    calls = []

    def lost(self, *arguments, **options) -> None:
        calls.append(arguments)
        raise mlflow.exceptions.MlflowException("gone")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_metric", lost)
        with pytest.warns(UserWarning, match="mlflow is no longer logged to: gone"):
            run = train_run(SPEC, tmp_path / "run", loggers=["mlflow"])
    assert len(calls) == 1
    assert run.epochs == 3


def test_a_training_that_fails_is_a_failed_run_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/store")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with pytest.raises(TrainingError):
        train_run(SPEC.model_copy(update={"lr": 1e300}), tmp_path / "run", loggers=["mlflow"])
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("qlstm").experiment_id])
    assert run.info.status == "FAILED"
    assert str(tmp_path) not in str(run.data.params)


def test_a_store_that_cannot_be_used_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/store")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(OptionError, match="mlflow cannot be logged to: .*maintenance mode"):
        train_run(SPEC, tmp_path / "run", loggers=["mlflow"])
    assert not (tmp_path / "run").exists()


def test_mistakes_are_one_line_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="unknown logger 'tensorbord'. Did you mean 'tensorboard'"):
        train_run(SPEC, tmp_path / "run", loggers=["tensorbord"])
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(OptionError, match=r"pip install 'qlstm-qiskit\[logging\]'"):
        train_run(SPEC, tmp_path / "run", loggers=["mlflow"])
    assert not (tmp_path / "run").exists()
