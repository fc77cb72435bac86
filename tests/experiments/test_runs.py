"""Run folders: what they hold, reading them back, damage, interruption."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from qlstm_qiskit.errors import CapacityError, DataError, OptionError, RunError, TrainingError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, load_run, predict_table, roll_out, train_run
from qlstm_qiskit.experiments.runs import recording
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.experiments.runs.training import folder as training_folder
from qlstm_qiskit.report.figures import forecast_columns
from qlstm_qiskit.report.pages.run_figures import forecast_plot
from qlstm_qiskit.storage import write_atomically

SERIES = np.sin(np.arange(60) / 3) * 40 + 100


def spec(csv: Path, **options) -> RunSpec:
    data = DataSpec(csv=str(csv), target="value", **options.pop("data", {}))
    return RunSpec(**({"data": data, "model": "config1", "hidden_size": 2, "depth": 1, "epochs": 2} | options))


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "wave.csv"
    pd.DataFrame({"time": np.arange(60), "value": SERIES, "other": SERIES**2}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(spec(csv, model="diffqas"), tmp_path_factory.mktemp("runs") / "wave")


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "copy"))


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_training_error_is_of_what_trained(horizon: int, tmp_path: Path) -> None:
    """A validation part is chosen by; its error must not be in what chooses."""
    spec = RunSpec(data=DataSpec(dataset="narma5", horizon=horizon), model="lstm", hidden_size=1, epochs=1, valid_fraction=0.2)
    run = train_run(spec, tmp_path / "run")
    data = run.dataset
    errors = (run.predict(data.x_train) - data.y_train) ** 2
    n = len(errors) - int(0.2 * len(errors))
    assert run.metrics["train_mse"] == pytest.approx(errors[: n - horizon + 1].mean(), rel=1e-12)
    assert run.metrics["valid_mse"] == pytest.approx(errors[n:].mean(), rel=1e-12)


def test_a_run_of_several_rows_ahead(tmp_path: Path) -> None:
    """Its figures have a gap where windows do not train; one that was cut otherwise is refused."""
    spec = RunSpec(data=DataSpec(dataset="nile", horizon=3), model="lstm", hidden_size=1, epochs=1)
    run = train_run(spec, tmp_path / "run")
    data, columns, plot = run.dataset, forecast_columns(run), forecast_plot(run)
    np.testing.assert_allclose(columns["truth"], data.values[columns["row"]])
    n = len(data.x_train)
    assert list(columns["row"][[n - 1, n]]) == [data.n_known - 3, data.n_known]
    assert plot.views["test part"][0] == data.n_known - 0.5
    config = json.loads((run.path / "config.json").read_text())
    config["data"] |= {"train_fraction": 0.3}
    (run.path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="nile was cut or scaled differently when .* was trained"):
        forecast_columns(load_run(run.path))


def test_folder_holds_what_the_contract_names(trained: Run) -> None:
    assert {path.name for path in trained.path.iterdir()} == {
        "config.json",
        "metrics.json",
        "history.jsonl",
        "architecture.jsonl",
        "model.safetensors",
    }
    assert {
        "dataset", "model", "seed", "epochs", "hidden_size", "depth", "backend", "train_mse", "test_mse",
        "n_parameters", "n_circuits", "wall_seconds", "versions",
    } <= set(trained.metrics)  # fmt: skip
    assert trained.metrics["n_parameters"] == 4 * 36 * 3 + 4 * 36 + 3
    assert trained.metrics["n_circuits"] == 144
    assert [line["epoch"] for line in trained.history] == [1, 2]
    assert trained.history[-1]["test_mse"] == trained.metrics["test_mse"]
    assert set(load_file(trained.path / "model.safetensors")) == {
        "recurrent.cells.0.bank.angles",
        "recurrent.cells.0.bank.structural_weights",
        "head.weight",
        "head.bias",
    }


def test_config_is_enough_to_train_the_same_bits_again(trained: Run, tmp_path: Path) -> None:
    config = json.loads((trained.path / "config.json").read_text())
    again = train_run(RunSpec.model_validate(config), tmp_path / "again")
    for name in ("model.safetensors", "config.json"):
        assert (again.path / name).read_bytes() == (trained.path / name).read_bytes()
    strip = lambda run: [{k: v for k, v in line.items() if k != "seconds"} for line in run.history]  # noqa: E731
    assert strip(again) == strip(trained)


def test_reading_back_predicts_the_same(trained: Run) -> None:
    data = trained.dataset
    read = load_run(trained.path)
    np.testing.assert_array_equal(read.predict(data.x_test), trained.predict(data.x_test))
    assert np.mean((read.predict(data.x_test) - data.y_test) ** 2) == trained.metrics["test_mse"]
    assert not read.forecaster.training


def test_one_step_predictions_in_original_units(trained: Run, csv: Path) -> None:
    table = predict_table(trained, csv)
    assert list(table.columns) == ["time", "value", "other", "prediction", "persistence"]
    assert table["prediction"].isna().sum() == table["persistence"].isna().sum() == 4
    scaled = trained.header.input_scaler.transform(SERIES[10:14, None])
    own = trained.header.target_scaler.inverse(trained.predict(scaled[None]))
    assert table["prediction"][14] == pytest.approx(own[0, 0], abs=1e-9)
    assert table["persistence"][14] == pytest.approx(SERIES[13])


def test_roll_out_feeds_predictions_back(trained: Run, csv: Path) -> None:
    table = roll_out(trained, csv, 5)
    assert table["step"].tolist() == [1, 2, 3, 4, 5]
    known = list(SERIES)
    for value in table["prediction"]:
        scaled = trained.header.input_scaler.transform(np.array(known[-4:])[:, None])
        assert value == pytest.approx(trained.header.target_scaler.inverse(trained.predict(scaled[None]))[0, 0], abs=1e-9)
        known.append(value)
    assert table["persistence"].tolist() == pytest.approx([SERIES[-1]] * 5)


def test_direct_horizon_and_exogenous_features(csv: Path, tmp_path: Path) -> None:
    data = {"features": ("value", "other"), "horizon": 3}
    run = train_run(spec(csv, data=data), tmp_path / "run")
    assert roll_out(run, csv, 3)["prediction"].notna().all()
    with pytest.raises(OptionError, match="whose future is unknown; ask for a horizon of at most 3"):
        roll_out(run, csv, 4)
    with pytest.raises(OptionError, match="horizon is 0"):
        roll_out(run, csv, 0)


def test_columns_of_the_result_must_be_free(trained: Run, csv: Path, tmp_path: Path) -> None:
    for name in ("prediction", "persistence"):
        path = tmp_path / f"{name}.csv"
        pd.DataFrame({"value": SERIES, name: SERIES}).to_csv(path, index=False)
        with pytest.raises(DataError, match=f"has a column '{name}' already"):
            predict_table(trained, path)


def test_prediction_needs_the_columns_and_enough_rows(trained: Run, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("value\n1\n2\n3\n4\n")
    assert len(roll_out(trained, short, 1)) == 1
    with pytest.raises(DataError, match="has 4 rows; a window of 4 needs at least 5"):
        predict_table(trained, short)
    short.write_text("velue\n1\n")
    with pytest.raises(OptionError, match="Did you mean 'velue'"):
        predict_table(trained, short)


def test_a_changed_csv_is_noticed(tmp_path: Path, csv: Path) -> None:
    own = Path(shutil.copy(csv, tmp_path / "own.csv"))
    run = train_run(spec(own), tmp_path / "run")
    own.write_text(own.read_text() + "60,1,2\n")
    with pytest.raises(DataError, match="has changed since this run was made"):
        _ = load_run(run.path).dataset
    own.unlink()
    with pytest.raises(DataError, match="is no file"):
        _ = load_run(run.path).dataset


def rewrite_header(run: Path, text: str | None, **changes) -> None:
    path = run / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["qlstm_qiskit"])
    save_file(load_file(path), path, metadata={"qlstm_qiskit": text or json.dumps(header | changes)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "config.json").unlink(), "config.json cannot be read"),
        (lambda run: (run / "config.json").write_text("{"), "config.json is damaged"),
        (lambda run: (run / "config.json").write_text("[]"), "does not hold a JSON object"),
        (
            lambda run: (run / "config.json").write_text('{"data": {}, "lr": "fast"}'),
            "config.json is damaged or of another version: lr",
        ),
        (
            lambda run: (run / "config.json").write_text('{"data": {}, "rate": 1}'),
            "config.json is damaged or of another version: rate",
        ),
        (lambda run: (run / "config.json").write_text("[" * 10**5), "config.json is damaged"),
        (lambda run: rewrite_header(run, "[]"), "is damaged or of another version"),
        (lambda run: rewrite_header(run, '{"format": 2}'), "is damaged or of another version: format"),
        (lambda run: rewrite_header(run, None, window=0), "is damaged or of another version: window"),
        (lambda run: rewrite_header(run, None, input_scaler={"low": "x"}), "another version: input_scaler"),
        (lambda run: (run / "model.safetensors").unlink(), "there is no file"),
        (lambda run: (run / "model.safetensors").write_bytes(b"junk"), "is damaged"),
        (lambda run: os.truncate(run / "model.safetensors", 400), "is damaged"),
        (lambda run: save_file({"a": torch.zeros(1)}, run / "model.safetensors"), "was not written by this package"),
        (
            lambda run: (run / "config.json").write_text(
                (run / "config.json").read_text().replace('"hidden_size": 2', '"hidden_size": 3')
            ),
            "parameters of another model",
        ),
    ],
)
def test_damaged_folders_are_refused(copied: Path, damage, message: str) -> None:
    damage(copied)
    with pytest.raises(RunError, match=message):
        load_run(copied)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run folder"):
        load_run(tmp_path / "nothing")


def test_existing_run_is_not_overwritten(trained: Run, csv: Path) -> None:
    before = (trained.path / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="already holds a run"):
        train_run(spec(csv), trained.path)
    assert (trained.path / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "confg1"}, OptionError),
        ({"backend": "aer"}, OptionError),
        ({"epochs": 0}, OptionError),
        ({"batch_size": -1}, OptionError),
        ({"model": "diffqas", "hidden_size": 40, "depth": 2}, CapacityError),
        ({"data": {"window": 200}}, DataError),
        ({"data": {"dataset": "bessel"}}, OptionError),
    ],
)
def test_what_can_be_refused_is_refused_before_a_folder_is_made(csv: Path, tmp_path: Path, options: dict, error: type) -> None:
    with pytest.raises(error):
        train_run(spec(csv, **options), tmp_path / "deep" / "run")
    assert list(tmp_path.iterdir()) == []


def test_work_that_does_not_fit_in_memory_is_refused_before_a_folder_is_made(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single sample would fit as a state; a batch over all time steps, with what the gradient keeps, does not."""
    monkeypatch.setattr("qlstm_qiskit.exact.rotation_form.STEP_LIMIT", 0)  # no multilinear form
    monkeypatch.setattr("qlstm_qiskit.exact.memory.psutil.virtual_memory", lambda: type("M", (), {"available": 10**6}))
    with pytest.raises(CapacityError, match="4 qubits need"):
        train_run(spec(csv, model="diffqas", hidden_size=3), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/run", "/proc/run"])
def test_unwritable_folder(csv: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the folder"):
        train_run(spec(csv), tmp_path / place)


def test_divergence_before_the_first_epoch_leaves_nothing(csv: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lower the learning rate"):
        train_run(spec(csv, lr=1e300), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def interrupt_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Ctrl-C in the middle of the epoch that follows."""

    def on_batch_end(self, net, batch=None, training=None, **kwargs) -> None:
        if training and len(net.history) == epochs + 1 and len(net.history[-1]["batches"]) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Recorder, "on_batch_end", on_batch_end)


def test_ctrl_c_leaves_a_usable_run(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train_run(spec(csv, epochs=2), tmp_path / "whole")
    interrupt_after(monkeypatch, 2)
    run = train_run(spec(csv, epochs=9), tmp_path / "stopped")
    assert run.metrics["interrupted"]
    assert run.epochs == run.metrics["epochs"] == len(run.history) == 2
    np.testing.assert_array_equal(run.predict(run.dataset.x_test), whole.predict(whole.dataset.x_test))


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("moment", ["evaluation", "weights"])
def test_ctrl_c_while_an_epoch_is_written(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, moment
) -> None:
    """The epoch is trained already: it is kept, and weights, history and metrics agree."""
    calls = []
    name = {"evaluation": "predict_windows", "weights": "write_tensors"}[moment]
    plain = getattr(recording, name)

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == epoch:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(*arguments)

    monkeypatch.setattr(recording, name, interrupted)
    run = train_run(spec(csv, epochs=5), tmp_path / "run")
    assert run.epochs == run.metrics["epochs"] == len(run.history) == epoch
    assert run.metrics["interrupted"]
    test = np.mean((run.predict(run.dataset.x_test) - run.dataset.y_test) ** 2)
    assert test == run.metrics["test_mse"] == run.history[-1]["test_mse"]


def test_ctrl_c_while_results_are_computed_keeps_the_run(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training_folder, "run_metrics", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_run(spec(csv), tmp_path / "run")
    assert load_run(tmp_path / "run").epochs == 2


def test_divergence_later_keeps_the_epochs_before(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(self, net, **kwargs) -> None:
        if len(net.history) == 3:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(float("inf"))

    monkeypatch.setattr(Recorder, "on_epoch_begin", spoil)
    with pytest.raises(TrainingError, match="diverged in epoch 3.*keeps the earlier epochs"):
        train_run(spec(csv, epochs=5), tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.epochs == run.metrics["epochs"] == 2
    assert run.metrics["interrupted"]


def test_a_folder_that_was_there_stays(csv: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(TrainingError):
        train_run(spec(csv, lr=1e300), tmp_path / "mine")
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]
    with pytest.raises(TrainingError):
        train_run(spec(csv, lr=1e300), tmp_path / "deep" / "er")
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that another user may not enter")
def test_a_folder_that_may_not_be_entered(tmp_path: Path, csv: Path) -> None:
    """Run as another user: root may enter everything."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[2])\n"
        "from qlstm_qiskit.storage import exists; from pathlib import Path\n"
        "from qlstm_qiskit.errors import RunError\nos.seteuid(65534)\n"
        "try: exists(Path(sys.argv[1]))\n"
        "except RunError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(closed / "run"), str(Path(__file__).parents[2])]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Permission denied; choose a folder that can be read" in result.stdout


def test_ctrl_c_before_the_first_epoch_leaves_nothing(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        train_run(spec(csv), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_keeps_the_old_file_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
