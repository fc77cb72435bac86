"""Runs that are trained side by side: their folders, which others are beside them, and what kills them."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from skorch.callbacks import EarlyStopping

from qlstm_qiskit.errors import OptionError, RunError, TrainingError
from qlstm_qiskit.experiments import Run, RunSpec, load_run, resume_run, train_run
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.experiments.runs.training import side_by_side
from qlstm_qiskit.experiments.runs.training.side_by_side import train_runs
from qlstm_qiskit.training import tensors, together
from qlstm_qiskit.training.callbacks import LastEpoch, Watcher, reason_of_callbacks
from qlstm_qiskit.training.checkpoint import read_progress
from tests.experiments.resumable import interrupted_in, outcome, small, write_series
from tests.forked import child, ended
from tests.speed import tries

SIZES: dict[str, dict[str, Any]] = {
    "36 candidates": {},
    "config1, hidden 5": {"model": "config1", "hidden_size": 5, "depth": 2},
    "patient": {"valid_fraction": 0.2, "patience": 1, "lr": 0.1, "epochs": 30, "optimizer": "adam"},
    "GRU, two layers": {"model": "config2", "hidden_size": 3, "cell": "gru", "num_layers": 2},
    "between linear layers": {"model": "config1", "hidden_size": 3, "n_qubits": 5},
    "frozen features": {"bank": "frozen"},
    "LSTM of torch": {"model": "lstm", "hidden_size": 3, "depth": None},
}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("data") / "wave.csv")


def group(csv: Path, n: int = 3, **changes: Any) -> list[RunSpec]:
    fields = dict(small(csv, "plain")) | changes
    return [RunSpec.model_validate(fields | {"seed": seed}) for seed in range(n)]


def folders(parent: Path, n: int = 3) -> list[Path]:
    return [parent / str(seed) for seed in range(n)]


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", SIZES)
def test_a_folder_is_that_of_a_run_by_itself(kind: str, csv: Path, tmp_path: Path) -> None:
    specs = group(csv, **SIZES[kind])
    runs = train_runs(specs, folders(tmp_path / "joint"))
    for spec, run in zip(specs, runs, strict=True):
        assert isinstance(run, Run)
        alone = train_run(spec, tmp_path / f"alone{spec.seed}")
        mine, other = outcome(run.path), outcome(alone.path)
        assert mine["files"] == other["files"]
        assert (run.path / "config.json").read_bytes() == (alone.path / "config.json").read_bytes()
        assert [row["epoch"] for row in lines(run.path)] == [row["epoch"] for row in lines(alone.path)]
        for joint_row, row in zip(lines(run.path), lines(alone.path), strict=True):
            for name in {"train_mse", "valid_mse", "test_mse"} & set(row):
                assert joint_row[name] == pytest.approx(row[name], abs=1e-10)
        assert {**run.metrics, "wall_seconds": 0.0}.keys() == {**alone.metrics, "trained": 0, "wall_seconds": 0.0}.keys()
        assert run.metrics["trained"] == "side by side"
        assert run.metrics["test_mse"] == pytest.approx(alone.metrics["test_mse"], abs=1e-10)
        assert load_run(run.path).epochs == alone.epochs
    total = sum(run.metrics["wall_seconds"] for run in runs if isinstance(run, Run))
    spent = sum(row["seconds"] for spec in specs for row in lines(tmp_path / "joint" / str(spec.seed)))
    assert spent < total


@pytest.mark.parametrize("kind", SIZES)
def test_who_is_beside_it_changes_no_bit(kind: str, csv: Path, tmp_path: Path) -> None:
    """Not even of the errors in its history."""
    specs = group(csv, 5, **SIZES[kind])
    whole = folders(tmp_path / "five", 5)
    train_runs(specs, whole)
    for n, seeds in enumerate(([2], [4, 1], [3, 0, 2])):
        outs = [tmp_path / str(n) / str(seed) for seed in seeds]
        train_runs([specs[seed] for seed in seeds], outs)
        for seed, out in zip(seeds, outs, strict=True):
            assert outcome(out) == outcome(whole[seed])


def test_what_cannot_be_side_by_side_is_trained_by_itself(csv: Path, tmp_path: Path) -> None:
    specs = group(csv, 2, optimizer="spsa")
    runs = train_runs(specs, folders(tmp_path / "group", 2))
    for spec, run in zip(specs, runs, strict=True):
        assert isinstance(run, Run)
        train_run(spec, tmp_path / f"alone{spec.seed}")
        assert outcome(run.path) == outcome(tmp_path / f"alone{spec.seed}")
        assert "trained" not in run.metrics


def test_finished_runs_are_read_and_others_are_refused(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs, outs = group(csv), folders(tmp_path)
    before = [outcome(run.path) for run in train_runs(specs[:2], outs[:2]) if isinstance(run, Run)]
    begun: list[str] = []
    begin = LastEpoch.on_epoch_begin
    monkeypatch.setattr(LastEpoch, "on_epoch_begin", lambda self, net, **kw: begun.append("x") or begin(self, net, **kw))
    train_runs(specs, outs)
    assert len(begun) == specs[0].epochs
    assert [outcome(out) for out in outs[:2]] == before
    with pytest.raises(RunError, match="holds another run: it differs in seed"):
        train_runs(specs[:2], outs[1::-1])
    with pytest.raises(OptionError, match="these runs differ in lr; give ones that differ in seed and start alone"):
        train_runs([specs[0], specs[1].model_copy(update={"lr": 0.5})], outs[:2])
    with pytest.raises(OptionError, match="is given twice"):
        train_runs(specs[:2], [outs[0], tmp_path / "." / "0"])
    with pytest.raises(OptionError, match="replicas=2: each of these runs has one model"):
        train_runs([spec.model_copy(update={"replicas": 2}) for spec in specs[:2]], folders(tmp_path / "new", 2))
    assert not (tmp_path / "new").exists()
    with pytest.raises(OptionError, match="0 runs and 0 folders"):
        train_runs([], [])


def test_one_that_diverges_leaves_the_others(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its first epoch it leaves no folder, later it keeps the epochs before."""
    specs = group(csv)
    train_runs(specs, folders(tmp_path / "whole"))
    for epoch in (1, 3):
        begin, begun = LastEpoch.on_epoch_begin, []

        def breaks(
            self: LastEpoch, net: Any, begin: Any = begin, begun: list[Any] = begun, epoch: int = epoch, **kw: Any
        ) -> None:
            begin(self, net, **kw)
            begun.append(net)
            if len(begun) == 3 * epoch - 1:  # the second of three
                net.module_.head.bias.data.fill_(float("nan"))

        outs = folders(tmp_path / str(epoch))
        with monkeypatch.context() as patch:
            patch.setattr(LastEpoch, "on_epoch_begin", breaks)
            found = train_runs(specs, outs)
        assert isinstance(found[1], TrainingError)
        assert f"training diverged in epoch {epoch}" in str(found[1])
        assert outs[1].exists() == (epoch > 1)
        if epoch > 1:
            assert json.loads((outs[1] / "metrics.json").read_text())["interrupted"]
            assert len(lines(outs[1])) == 2
        for place in (0, 2):
            assert outcome(outs[place]) == outcome(tmp_path / "whole" / str(place))
        train_runs(specs, outs)  # where nothing breaks it
        assert outcome(outs[1]) == outcome(tmp_path / "whole" / "1")


def test_ctrl_c_ends_all_and_a_second_call_goes_on(csv: Path, tmp_path: Path) -> None:
    specs = group(csv)
    train_runs(specs, folders(tmp_path / "whole"))
    outs = folders(tmp_path / "cut")
    with interrupted_in(1), pytest.raises(KeyboardInterrupt):  # others have not finished an epoch
        train_runs(specs, outs)
    assert not any(out.exists() for out in outs[1:])
    with interrupted_in(3):
        runs = train_runs(specs, outs)
    assert all(isinstance(run, Run) and run.metrics["interrupted"] for run in runs)
    train_runs(specs, outs)
    assert [outcome(out) for out in outs] == [outcome(out) for out in folders(tmp_path / "whole")]


@pytest.mark.parametrize("kind", ["36 candidates", "patient"])
@pytest.mark.parametrize("period", [0.0, math.inf], ids=["each", "first and last"])
def test_epochs_wait_to_be_written(
    period: float, kind: str, csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of short epochs would take as long as the epochs; the last of a training is always written."""
    specs = group(csv, **{"epochs": 5} | SIZES[kind])
    train_runs(specs, folders(tmp_path / "whole"))
    written: list[Path] = []
    plain = tensors.write_atomically
    monkeypatch.setattr(tensors, "write_atomically", lambda path, data: written.append(path) or plain(path, data))
    monkeypatch.setattr(together, "PERIOD_S", period)
    train_runs(specs, folders(tmp_path / "paced"))
    for out, whole in zip(folders(tmp_path / "paced"), folders(tmp_path / "whole"), strict=True):
        assert outcome(out) == outcome(whole)
        if kind != "patient":
            assert written.count(out / "checkpoint.safetensors") == (2 if period else 5)


def test_a_folder_that_is_cut_off_between_two_writes_goes_on(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C what waits is written; a process that is killed goes on from what was."""
    specs = group(csv, epochs=6)
    train_runs(specs, folders(tmp_path / "whole"))
    monkeypatch.setattr(together, "PERIOD_S", math.inf)
    cut, killed = folders(tmp_path / "cut"), folders(tmp_path / "killed")
    with interrupted_in(4):  # of the first one
        train_runs(specs, cut)
    assert [len(lines(out)) for out in cut] == [4, 3, 3]

    def dies() -> None:
        begin, begun = LastEpoch.on_epoch_begin, []

        def kills(self: LastEpoch, net: Any, **kwargs: Any) -> None:
            begun.append(net)
            if len(begun) == 11:
                os.kill(os.getpid(), signal.SIGKILL)
            begin(self, net, **kwargs)

        LastEpoch.on_epoch_begin = kills  # type: ignore[method-assign]
        train_runs(specs, killed)

    assert not ended(child(dies))
    assert [len(lines(out)) for out in killed] == [1, 1, 1]
    for outs in (cut, killed):
        train_runs(specs, outs)
        assert [outcome(out) for out in outs] == [outcome(out) for out in folders(tmp_path / "whole")]


@pytest.mark.slow
def test_killed_at_random_moments(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time in another epoch, three times each."""
    monkeypatch.setattr(together, "PERIOD_S", 0.0)
    specs = group(csv, epochs=4)
    train_runs(specs, folders(tmp_path / "whole"))
    expected = [outcome(out) for out in folders(tmp_path / "whole")]
    generator, survived = random.Random(23), 0
    for trial in range(tries(12, least=1)):
        outs = folders(tmp_path / str(trial))
        for _ in range(3):
            pid = child(lambda outs=outs: train_runs(specs, outs) and None)  # type: ignore[misc]
            path, begun = outs[generator.randrange(3)] / "history.jsonl", time.monotonic()
            wanted = generator.randrange(4)
            while time.monotonic() < begun + 60 and wanted and (not path.exists() or len(lines(path.parent)) < wanted):
                time.sleep(0.0005)
            time.sleep(generator.uniform(0, 0.05))
            os.kill(pid, signal.SIGKILL)
            survived += ended(pid)
        train_runs(specs, outs)
        assert [outcome(out) for out in outs] == expected
    assert survived < tries(30)


def test_loggers_are_of_each_run(csv: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train_runs(group(csv, 2, epochs=1), folders(tmp_path, 2), loggers=["tensorboard"])
    assert all(list((out / "tensorboard").iterdir()) for out in folders(tmp_path, 2))
    assert all(json.loads((out / "metrics.json").read_text())["trained"] == "side by side" for out in folders(tmp_path, 2))


def test_which_callbacks_only_look() -> None:
    assert reason_of_callbacks([("mine", Watcher()), Watcher]) is None
    assert reason_of_callbacks(None) is None
    for given in (EarlyStopping(), EarlyStopping, ("stop", EarlyStopping())):
        assert "the callback EarlyStopping may act on a step" in str(reason_of_callbacks([Watcher(), given]))
    assert issubclass(Recorder, Watcher)


def test_what_was_begun_side_by_side_is_resumed_so_and_what_was_begun_alone_alone(csv: Path, tmp_path: Path) -> None:
    """Whichever function, or command, goes on with it."""
    specs, whole, cut = group(csv), folders(tmp_path / "whole"), folders(tmp_path / "cut")
    train_runs(specs, whole)
    for spec in specs:
        train_run(spec, tmp_path / f"alone{spec.seed}")
    assert json.loads((whole[0] / "metrics.json").read_text())["trained"] == "side by side"  # and bits may be other ones
    assert outcome(whole[0]) != outcome(tmp_path / "alone0")
    with interrupted_in(3):
        train_runs(specs, cut)
    for out in cut:
        assert read_progress(out / "checkpoint.safetensors").together
        resume_run(out)
    assert [outcome(out) for out in cut] == [outcome(out) for out in whole]
    mixed = folders(tmp_path / "mixed")
    with interrupted_in(3):
        train_run(specs[1], mixed[1])
    assert not read_progress(mixed[1] / "checkpoint.safetensors").together
    train_runs(specs, mixed)
    assert [outcome(out) for out in mixed] == [outcome(out) for out in (whole[0], tmp_path / "alone1", whole[2])]


def test_circuits_that_say_nothing_and_little_memory(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Circuits of config3 are constants: their matrices have no coefficients."""
    specs = group(csv, model="config3", hidden_size=3, epochs=2)
    train_runs(specs, folders(tmp_path / "whole"))
    sizes, plain = [], side_by_side.fit_side_by_side

    def noted(estimators: Any, *given: Any, **options: Any) -> Any:
        sizes.append(len(estimators))
        return plain(estimators, *given, **options)

    monkeypatch.setattr(side_by_side, "fit_side_by_side", noted)
    room = side_by_side.free_bytes(torch.device("cpu")) // 9
    monkeypatch.setattr(side_by_side, "replica_bytes", lambda *given, **options: room)
    train_runs(specs, folders(tmp_path / "few"))
    assert sizes == [1, 2, 1], "asked once; two fit"
    assert [outcome(out) for out in folders(tmp_path / "few")] == [outcome(out) for out in folders(tmp_path / "whole")]
    sizes.clear()
    monkeypatch.setattr(side_by_side, "replica_bytes", lambda *given, **options: 0)
    monkeypatch.setattr(side_by_side, "_MOST", 2)
    train_runs(specs, folders(tmp_path / "files"))
    assert sizes == [1, 2, 1], "each holds its folder, and files, open"
    assert [outcome(out) for out in folders(tmp_path / "files")] == [outcome(out) for out in folders(tmp_path / "whole")]
