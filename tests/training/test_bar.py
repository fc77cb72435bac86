"""What is shown of a training while it runs, and what a long one is advised."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.training import bar, outlook, propose_batch_size
from qlstm_qiskit.training.bar import ProgressBar
from qlstm_qiskit.training.outlook import duration

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.sin(X.sum(1))


class Clock:
    """A clock in place of `time.monotonic`, which counts its readings; each batch takes a number of seconds."""

    def __init__(self) -> None:
        self.now, self.readings = 1000.0, 0

    def __call__(self) -> float:
        self.readings += 1
        return self.now


class Slow(Callback):
    """Lets time pass: so many seconds for each batch that trains, and at an epoch's end."""

    def __init__(self, clock: Clock, seconds: float, between: float = 0.0) -> None:
        self.clock, self.seconds, self.between = clock, seconds, between

    def on_batch_begin(self, net, batch=None, training=False, **kwargs) -> None:
        self.clock.now += self.seconds * training

    def on_epoch_end(self, net, **kwargs) -> None:
        net.history[-1]["dur"] = self.seconds * 6
        self.clock.now += self.between


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(bar.time, "monotonic", made)
    return made


def shown(capsys: pytest.CaptureFixture[str], model: QLSTMRegressor) -> list[str]:
    """The lines on standard error of a fit with 6 batches in an epoch."""
    model.fit(X, Y)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def lstm(**options) -> QLSTMRegressor:
    return QLSTMRegressor(**({"model": "lstm", "hidden_size": 2, "max_epochs": 10, "verbose": 1} | options))


def test_a_short_training_says_nothing_without_a_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, lstm(callbacks=[Slow(clock, 0.9)])) == []


def test_a_line_each_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    model = lstm(valid_fraction=0.2, batch_size=8, callbacks=[Slow(clock, 8)])  # 6 batches, 48 s in an epoch
    lines = shown(capsys, model)
    assert 6 <= len(lines) <= 480 / 60
    assert all(re.match(r"lstm: (epoch \d+ of 10, \d+ %|\d+ of 10 epochs): train MSE [\d.]+", line) for line in lines)
    first = lines[0]
    assert first.startswith("lstm: epoch 2 of 10, ")
    assert f"valid {model.history_[0]['valid_loss']:.3g}" in first
    assert re.search(r"64 s so far, about 7 min left$", first)


def test_the_mean_of_an_epoch_so_far(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """With a learning rate of nothing the mean of all batches of an epoch is its loss, at its last batch too."""
    model = lstm(max_epochs=1, lr=1e-12, batch_size=25, callbacks=[Slow(clock, 61)])  # batches of 25, 25 and 10
    lines = [line for line in shown(capsys, model) if "epoch 1 of 1, 100 %" in line]
    assert f"train MSE {model.history_[0]['train_loss']:.3g}" in lines[0]


def test_the_estimate_comes_from_the_first_batches(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """6 batches of 30 s, 100 epochs: 5 h, said before the first epoch is over."""
    lines = shown(capsys, lstm(max_epochs=100, callbacks=[Slow(clock, 30)]))
    assert lines[0].startswith("lstm: about 5 h 0 min for 100 epochs; 60 s so far. Shorter would be: ")
    assert sum("Shorter would be" in line for line in lines) == 1
    assert "20 epochs" not in lines[0]
    assert "10 epochs (30 min)" in lines[0]
    assert "the last 6 of 60 windows (30 min)" in lines[0]


def test_what_happens_between_epochs_counts(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, lstm(callbacks=[Slow(clock, 1, 54)]))  # a minute for each epoch, 6 s of them batches
    assert re.search(r"so far, about 4 min left$", lines[5]), lines


class Stop(Callback):
    def on_epoch_begin(self, net, **kwargs) -> None:
        if len(net.history) == 5:
            raise KeyboardInterrupt


def test_a_resumed_training_begins_with_the_time_before(
    clock: Clock, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """4 epochs of 3 min are over: the estimate is there at once, and the time so far holds them."""
    options = {"checkpoint": tmp_path / "fit", "seed": 0}
    shown(capsys, lstm(callbacks=[Slow(clock, 30), Stop()], **options))
    lines = shown(capsys, lstm(callbacks=[Slow(clock, 30)], **options))
    assert lines[0].startswith("lstm: about 30 min for 10 epochs; 12 min so far.")


def test_the_training_is_the_same_to_the_bit(clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Also where advice is measured, which trains models of its own; with dropout, which draws."""
    options = {"model": "config1", "depth": 1, "num_layers": 2, "dropout": 0.2, "max_epochs": 2}
    plain = lstm(**options, verbose=0).fit(X, Y)
    monkeypatch.setattr(outlook, "ENOUGH_STEPS", 3)
    monkeypatch.setattr(outlook, "_WORTH", 1000)  # the machine may be busy
    before = torch.random.get_rng_state()
    model = lstm(**options, callbacks=[Slow(clock, 300)])
    assert "Shorter would be: batch size 20 (" in "".join(shown(capsys, model))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, value in plain.module_.state_dict().items():
        assert torch.equal(value, model.module_.state_dict()[name])
    assert [row["train_loss"] for row in plain.history_] == [row["train_loss"] for row in model.history_]


def test_a_batch_costs_a_reading_of_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(ProgressBar, "_look", lambda self, *_: looks.append(self) or setattr(self, "due_", clock.now + 0.5))
    lstm(max_epochs=2, batch_size=1, callbacks=[Slow(clock, 0.01)]).fit(X, Y)  # 120 batches in 1.2 s
    assert len(looks) <= 2 + 3
    assert clock.readings <= 120 + 2 + 1


def test_one_line_of_a_terminal_is_rewritten(clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name, value in {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "COLUMNS": "80", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    model = lstm(model="config1", depth=1, valid_fraction=0.2, callbacks=[Slow(clock, 7)])
    model.fit(X, Y)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    last = text.rstrip().splitlines()[-1].split("\r")[-1]
    assert len(last.rstrip()) <= 80
    assert "10/10" in last
    row = model.history_[-1]
    assert f"train MSE {row['train_loss']:.3g}, valid {row['valid_loss']:.3g}" in last
    assert len(text.strip("\n").split("\n")) <= 2, text


@pytest.mark.parametrize(
    ("windows", "size"), [(1, 10), (5000, 10), (5001, 20), (13_400, 50), (200_000, 500), (670_000, 1000), (10**8, 1000)]
)
def test_batch_sizes_are_round(windows: int, size: int) -> None:
    assert propose_batch_size(windows) == size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (120, "2 min"),
        (5300, "88 min"),
        (5399, "1 h 30 min"),
        (7800, "2 h 10 min"),
        (3 * 86400, "3 days"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("model", "smaller"), [("config1", "depth 1"), ("lstm", "hidden size 100")])
def test_smaller_models_are_measured(model: str, smaller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that is said is the part that a step of the changed model takes; a change that saves nothing is not named."""
    estimator = QLSTMRegressor(model, 200 if model == "lstm" else 2, batch_size=20)
    advice = outlook.Advice(outlook.CheckedOptions.of(estimator), X[:, :, None], Y[:, None])
    times = iter([1.0, 0.9, 0.5])  # as it is; float32; smaller
    monkeypatch.setattr(outlook.Advice, "_step", lambda *_, **__: next(times))
    text = advice(3600)
    assert text.startswith(f"Shorter would be: {smaller} (30 min), 16 epochs (10 min), the last 10 of 60 windows (10 min).")


def test_a_step_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    advice = outlook.Advice(outlook.CheckedOptions.of(QLSTMRegressor("config1", 2, 1)), X[:, :, None], Y[:, None])
    assert advice._step(10) > 0
    assert advice._step(10, dtype="float32") > 0
    assert advice._step(10, hidden_size=10**9) is None, "a model that does not fit has no step"


def test_losses_of_batches_are_kept_for_one_epoch() -> None:
    """Those of all epochs of a long series would fill the memory."""
    kept = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs) -> None:
            kept.append([len(row["batches"]) for row in net.history])

    lstm(max_epochs=3, verbose=0, callbacks=[Look()]).fit(X, Y)
    assert kept == [[6], [0, 6], [0, 0, 6]]
