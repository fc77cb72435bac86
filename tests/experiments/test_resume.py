"""A training that is interrupted goes on to the bits of one that was not; what does not belong to it is refused."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from skorch.callbacks import Callback

from qlstm_qiskit import QLSTMRegressor, load_backend, load_dataset, storage
from qlstm_qiskit.errors import DataError, RunError
from qlstm_qiskit.experiments import is_unfinished, load_run, resume_run, train_run
from qlstm_qiskit.experiments.runs import recording
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.experiments.runs.training import folder as training_folder
from qlstm_qiskit.search import make_strategy
from qlstm_qiskit.storage import claimed
from qlstm_qiskit.training import fitting
from qlstm_qiskit.training.checkpoint import read_progress
from tests.experiments.resumable import KINDS, outcome, small, train_to_the_end, write_series
from tests.speed import slow_but

DATA = load_dataset("damped_shm")
X, Y = DATA.x_train[:40], DATA.y_train[:40]


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("data") / "wave.csv")


def ctrl_c_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Ctrl-C in the middle of an epoch, after random numbers were drawn and the optimiser has moved."""

    def on_batch_end(self, net, batch=None, training=None, **kwargs) -> None:
        if training and len(net.history) == epoch and len(net.history[-1]["batches"]) == min(2, 40 // net.batch_size):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Recorder, "on_batch_end", on_batch_end)


@pytest.mark.parametrize("kind", slow_but(("lstm", "plain"), KINDS))
def test_goes_on_to_the_same_bits(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    train_run(small(csv, kind), tmp_path / "whole")
    for epoch in (2, 3):
        ctrl_c_in_epoch(monkeypatch, epoch)
        train_to_the_end(small(csv, kind), tmp_path / "cut")
        assert is_unfinished(tmp_path / "cut") == (epoch <= small(csv, kind).epochs)
        assert (tmp_path / "cut" / "checkpoint.safetensors").exists() == is_unfinished(tmp_path / "cut")
    monkeypatch.undo()
    train_to_the_end(small(csv, kind), tmp_path / "cut")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_the_best_epoch_is_kept_over_an_interruption(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third is the best and the fourth the last: Ctrl-C in it, and a crash after it, before anything was concluded."""
    spec = small(csv, "patient")
    train_run(spec, tmp_path / "whole")
    assert load_run(tmp_path / "whole").epochs == len(outcome(tmp_path / "whole")["history"]) == 3
    ctrl_c_in_epoch(monkeypatch, 4)
    train_run(spec, tmp_path / "cut")
    monkeypatch.undo()
    assert is_unfinished(tmp_path / "cut")
    assert load_run(tmp_path / "cut").epochs == 3
    with monkeypatch.context() as patch:
        patch.setattr(training_folder, "run_metrics", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume_run(tmp_path / "cut")
    assert read_progress(tmp_path / "cut" / "checkpoint.safetensors").epoch == 4
    seen: list[int] = []
    monkeypatch.setattr(Recorder, "on_batch_begin", lambda self, net, **kwargs: seen.append(1))
    train_to_the_end(spec, tmp_path / "cut")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    assert seen == [], "it was over"


def test_goes_on_where_it_was(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished epochs are not trained again."""
    ctrl_c_in_epoch(monkeypatch, 4)
    train_run(small(csv, "plain"), tmp_path / "run")
    monkeypatch.undo()
    seen = []
    monkeypatch.setattr(Recorder, "on_epoch_begin", lambda self, net, **kwargs: seen.append(len(net.history)))
    resume_run(tmp_path / "run")
    assert seen == [4, 5]
    with pytest.raises(RunError, match="finished run"):
        resume_run(tmp_path / "run")


@pytest.mark.slow
def test_trials_are_not_tried_again(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_run(small(csv, "best-of-random"), tmp_path / "whole")
    tried: list[int] = []
    plain = fitting.Fit._try

    def interrupted(self, seed: int, name: str):
        if len(tried) == 2:
            tried.append(0)
            raise KeyboardInterrupt
        tried.append(seed)
        return plain(self, seed, name)

    monkeypatch.setattr(fitting.Fit, "_try", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_run(small(csv, "best-of-random"), tmp_path / "cut")
    resume_run(tmp_path / "cut")
    assert len(tried) == 4, "two, the one that was interrupted, and the third"
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_killed_before_the_first_epoch(csv: Path, tmp_path: Path) -> None:
    train_run(small(csv, "plain"), tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "whole" / "config.json", tmp_path / "cut")
    train_to_the_end(small(csv, "plain"), tmp_path / "cut")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


class Stop(Callback):
    """Ctrl-C at the beginning of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs) -> None:
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"dtype": "float32"}, {"seed": None}])
def test_the_estimator_goes_on_too(tmp_path: Path, options: dict) -> None:
    def model(**more) -> QLSTMRegressor:
        return QLSTMRegressor("config1", 2, 1, max_epochs=4, **(options | more))

    file = tmp_path / "fit.safetensors"
    cut = model(checkpoint=file, callbacks=[Stop(3)]).fit(X, Y)
    assert cut.interrupted_
    resumed = model(checkpoint=file).fit(X, Y)
    assert [row["epoch"] for row in resumed.history_] == [1, 2, 3, 4]
    if options.get("seed", 0) is None:  # the seed that was drawn is the one that it goes on with
        assert resumed.history_[:2] == cut.history_
        return
    whole = model().fit(X, Y)
    assert (resumed.predict(X) == whole.predict(X)).all()
    assert [row["train_loss"] for row in resumed.history_] == [row["train_loss"] for row in whole.history_]


@pytest.mark.slow
def test_a_refused_resume_keeps_what_is_there(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first epoch, when the disk is full: the config is all that there is."""
    train_run(small(csv, "plain"), tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "whole" / "config.json", tmp_path / "cut")

    def full(*arguments) -> None:
        raise RunError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recording, "write_tensors", full)
        with pytest.raises(RunError, match="No space left"):
            resume_run(tmp_path / "cut")
    resume_run(tmp_path / "cut")
    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_trials_share_the_shots_of_a_backend_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def model(**more) -> QLSTMRegressor:
        search = make_strategy("best-of-random", {"k": 2})
        return QLSTMRegressor(
            "diffqas", 1, 1, max_epochs=1, search=search, valid_fraction=0.2, backend=load_backend("aer-shots", seed=4), **more
        )

    whole = model().fit(X, Y)
    plain, tried = fitting.Fit._try, []

    def interrupted(self, seed: int, name: str):
        if tried:
            raise KeyboardInterrupt
        tried.append(seed)
        return plain(self, seed, name)

    with monkeypatch.context() as patch:
        patch.setattr(fitting.Fit, "_try", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model(checkpoint=tmp_path / "fit.safetensors").fit(X, Y)
    resumed = model(checkpoint=tmp_path / "fit.safetensors").fit(X, Y)
    assert [row["train_loss"] for row in resumed.history_] == [row["train_loss"] for row in whole.history_]


def test_lbfgs_goes_on_where_it_has_seen_no_curvature(tmp_path: Path) -> None:
    """The gradient of a model that has converged changes by nothing; its optimiser has empty lists of what it has seen."""

    def model(**more) -> QLSTMRegressor:
        return QLSTMRegressor("lstm", 1, optimizer="lbfgs", batch_size=0, lr=1e-12, **more)

    def fit(**more) -> QLSTMRegressor:
        found = model(max_epochs=1).fit(X, 0 * Y)
        start = {name: torch.zeros_like(value) for name, value in found.module_.state_dict().items()}
        return model(max_epochs=3, start=start, **more).fit(X, 0 * Y + 1e-9)

    file = tmp_path / "fit.safetensors"
    assert fit(checkpoint=file, callbacks=[Stop(2)]).interrupted_
    assert any(name.endswith("/old_dirs/empty") for name in load_file(file)), "or this shows nothing"
    assert (fit(checkpoint=file).predict(X) == fit().predict(X)).all()


@pytest.fixture
def cut(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unfinished run."""
    with monkeypatch.context() as patch:
        ctrl_c_in_epoch(patch, 3)
        train_run(small(csv, "plain"), tmp_path / "run")
    return tmp_path / "run"


def other_training(run: Path, csv: Path) -> None:
    shutil.rmtree(run.parent / "other", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        ctrl_c_in_epoch(patch, 3)
        train_run(small(csv, "plain").model_copy(update={"seed": 7}), run.parent / "other")
    shutil.copy(run.parent / "other" / "checkpoint.safetensors", run)


def truncated(run: Path, csv: Path) -> None:
    path = run / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def empty(run: Path, csv: Path) -> None:
    (run / "checkpoint.safetensors").write_bytes(b"")


def foreign(run: Path, csv: Path) -> None:
    save_file({"a": torch.zeros(3)}, run / "checkpoint.safetensors")


def history(run: Path, csv: Path) -> None:
    (run / "history.jsonl").write_text('{"loss": 1}\n{"loss": 2}\n')


def weights(run: Path, csv: Path) -> None:
    shutil.copy(run / "model.safetensors", run / "checkpoint.safetensors")


def pickled(run: Path, csv: Path) -> None:
    torch.save(load_file(run / "model.safetensors"), run / "checkpoint.safetensors")


FOREIGN = [
    (other_training, "checkpoint of another training: seed is 7 there and 0 here"),
    (truncated, "damaged or was not written by this package"),
    (empty, "damaged or was not written by this package"),
    (foreign, "damaged or was not written by this package"),
    (weights, "not a training checkpoint"),
    (history, "history.jsonl is damaged: a line is not that of an epoch"),
    (pickled, "damaged or was not written by this package"),
]


@pytest.mark.parametrize(("damage", "message"), slow_but([FOREIGN[1], FOREIGN[4], FOREIGN[5]], FOREIGN))
def test_what_does_not_belong_is_refused(csv: Path, cut: Path, damage, message: str) -> None:
    damage(cut, csv)
    before = {path.name: path.read_bytes() for path in cut.iterdir()}
    with pytest.raises(RunError, match=message):
        resume_run(cut)
    assert {path.name: path.read_bytes() for path in cut.iterdir()} == before, "a refusal changes nothing"


def test_changed_data_is_refused(cut: Path, csv: Path, tmp_path: Path) -> None:
    file = tmp_path / "fit.safetensors"
    QLSTMRegressor("config1", 2, 1, max_epochs=4, checkpoint=file, callbacks=[Stop(3)]).fit(X, Y)
    with pytest.raises(RunError, match="other data"):
        QLSTMRegressor("config1", 2, 1, max_epochs=4, checkpoint=file).fit(X, Y + 1)
    content = csv.read_text()
    try:
        csv.write_text(content.replace("0.0\n", "0.5\n", 1))
        with pytest.raises(DataError, match="has changed"):
            resume_run(cut)
    finally:
        csv.write_text(content)


@pytest.mark.slow
def test_leftovers_of_a_killed_write_are_not_read(csv: Path, cut: Path, tmp_path: Path) -> None:
    for name in ("checkpoint.safetensors", "model.safetensors", "history.jsonl"):
        (cut / f".{name}.0badf00d.qlstm-writing").write_bytes(b"half")
    mine = [cut / ".env.20240101", cut / ".cache.deadbeef"]
    mine[0].write_text("somebody's")
    mine[1].mkdir()
    resume_run(cut)
    assert all(path.exists() for path in mine), "what is not ours stays"
    mine[0].unlink()
    mine[1].rmdir()
    train_run(small(csv, "plain"), tmp_path / "whole")
    assert outcome(cut) == outcome(tmp_path / "whole")


def test_only_one_process_writes_into_a_folder(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PATIENCE", 0.2)
    with claimed(cut), pytest.raises(RunError, match="another process writes into"):
        resume_run(cut)
    resume_run(cut)
