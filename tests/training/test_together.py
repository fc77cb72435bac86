"""Estimators that are trained side by side, against each trained by itself."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import EarlyStopping

from qlstm_qiskit import QLSTMClassifier, QLSTMRegressor, SearchSpace, load_dataset
from qlstm_qiskit.errors import OptionError, TrainingError
from qlstm_qiskit.exact import replicas
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.training import together, train_together
from qlstm_qiskit.training.callbacks import LastEpoch
from qlstm_qiskit.training.checkpoint import Checkpoint
from tests.forked import child, ended

DATA = load_dataset("damped_shm")
X, Y = DATA.x_train[:60], DATA.y_train[:60]

LSTM: dict[str, Any] = {"model": "lstm", "depth": None}
MAPS: dict[str, Any] = {"model": "diffqas", "bank": "frozen"}
SMALL: dict[str, Any] = {"model": "config1", "hidden_size": 2, "depth": 1, "max_epochs": 3, "batch_size": 10}
KINDS: dict[str, dict[str, Any]] = {
    "config1": {},
    "one batch": {"batch_size": 0, "max_epochs": 6},
    "a part of a batch at the end": {"batch_size": 17},
    "36 candidates": {"model": "diffqas"},
    "candidates by softmax": {"model": "diffqas", "mixing": "softmax"},
    "between linear layers": {"n_qubits": 5, "depth": 2},
    "a GRU": {"cell": "gru"},
    "two layers, both directions": {"num_layers": 2, "bidirectional": True},
    "Adam, cosine": {"optimizer": "adam", "schedule": "cosine"},
    "shuffled": {"shuffle": True, "valid_fraction": 0.3},
    "patience": {"valid_fraction": 0.3, "patience": 1, "max_epochs": 30, "lr": 0.2, "optimizer": "adam"},
    "arctangent, 3 outputs": {"input_map": "arctan"},
    "more qubits than a word": {"n_qubits": 34, "max_epochs": 1},
    "dropout": {"num_layers": 2, "dropout": 0.3, "shuffle": True},
    "noise of a choice": {"model": "diffqas", "mixing": "gumbel-softmax"},
    "shots": {"backend": "exact-shots", "valid_fraction": 0.3},
    "shots, often, 36 candidates": {"model": "diffqas", "backend": "exact-shots", "repeats": 3, "max_epochs": 2},
    "shots, two layers, dropout": {"backend": "exact-shots", "num_layers": 2, "dropout": 0.3},
    "bit strings": {"backend": BackendSpec(name="bits", kind="statevector", shots=64, sampling="multinomial")},
    "noise": {"backend": BackendSpec(name="noise", kind="statevector", noise={"device": "torino"})},
    "a layer of tanh, shuffled": {"bank": "tanh", "shuffle": True, "valid_fraction": 0.3},
    "products, a GRU": {"bank": "products", "cell": "gru", "depth": 2},
    "frozen features, two layers, both directions, dropout": {
        "bank": "frozen",
        "model": "diffqas",
        "num_layers": 2,
        "bidirectional": True,
        "dropout": 0.3,
    },
    "LSTM of torch": LSTM,
    "LSTM of torch, two layers, both directions, dropout": LSTM | {"num_layers": 2, "bidirectional": True, "dropout": 0.3},
    "LSTM of torch, two layers, shuffled": LSTM | {"num_layers": 2, "shuffle": True},
    "LSTM of torch, patience": LSTM | {"valid_fraction": 0.3, "patience": 1, "max_epochs": 30, "lr": 0.2, "optimizer": "adam"},
    "GRU of torch, shuffled": LSTM | {"model": "gru", "shuffle": True, "valid_fraction": 0.3},
    "GRU of torch, two layers, both directions": LSTM | {"model": "gru", "num_layers": 2, "bidirectional": True},
    "recipe device": {"backend": "exact-noise-torino", "optimizer": "adam", "lr": 0.03, "schedule": "cosine"},
}


def estimators(n: int = 3, **options: Any) -> list[QLSTMRegressor]:
    return [QLSTMRegressor(**SMALL | options, seed=seed) for seed in range(n)]


def numbers(estimator: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in estimator.module_.parameters()])


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_what_it_is_by_itself(kind: str) -> None:
    y = np.column_stack([Y, Y**2, Y**3]) if kind.endswith("outputs") else Y
    together = estimators(**KINDS[kind])
    assert train_together(together, X, y) is None
    lengths = set()
    for joint, alone in zip(together, estimators(**KINDS[kind]), strict=True):
        alone.fit(X, y)
        lengths.add(len(alone.history_))
        assert [row["epoch"] for row in joint.history_] == [row["epoch"] for row in alone.history_]
        for name in {"train_loss", "valid_loss"} & set(alone.history_[0]):
            np.testing.assert_allclose([row[name] for row in joint.history_], [row[name] for row in alone.history_], atol=1e-10)
        torch.testing.assert_close(numbers(joint), numbers(alone), rtol=0, atol=1e-9)
        np.testing.assert_allclose(joint.predict(X), alone.predict(X), atol=1e-9)
    assert kind != "patience" or len(lengths) > 1  # they end in different epochs


@pytest.mark.parametrize(
    "options",
    [{"model": "config1"}, {"model": "config1", "n_qubits": 5, "valid_fraction": 0.3}, {}, LSTM, MAPS],
    ids=str,
)
def test_line_searches_are_those_of_each(options: dict[str, Any]) -> None:
    """Rounding grows from iteration to iteration, so that parameters, on which the loss hardly depends, agree less."""
    options = LBFGS | {"max_epochs": 2} | options  # 40 iterations
    if options["model"] == "lstm":
        del options["angle_std"]
    together = estimators(**options)
    assert train_together(together, X, Y) is None
    counts = set()
    for joint, alone in zip(together, estimators(**options), strict=True):
        alone.fit(X, Y)
        for name in {"train_loss", "valid_loss"} & set(alone.history_[0]):
            np.testing.assert_allclose([row[name] for row in joint.history_], [row[name] for row in alone.history_], atol=1e-10)
        np.testing.assert_allclose(joint.predict(X), alone.predict(X), atol=1e-5)
        evaluations = [next(iter(own._net.optimizer_.state.values()))["func_evals"] for own in (joint, alone)]
        assert evaluations[0] == evaluations[1]
        counts.add(evaluations[0])
    assert len(counts) > 1  # some were left by others


def test_classes_and_float32() -> None:
    labels = np.where(Y.mean() < Y, "up", "down")
    for dtype, atol in (("float64", 1e-10), ("float32", 1e-4)):
        together = [QLSTMClassifier(**SMALL, dtype=dtype, seed=seed) for seed in range(2)]
        train_together(together, X, labels)
        for seed, joint in enumerate(together):
            alone = QLSTMClassifier(**SMALL, dtype=dtype, seed=seed).fit(X, labels)
            np.testing.assert_allclose(joint.predict_proba(X), alone.predict_proba(X), atol=atol)
            assert next(joint.module_.parameters()).dtype == getattr(torch, dtype)


LBFGS = {"optimizer": "lbfgs", "batch_size": 0, "angle_std": 0.5, "model": "diffqas"}
SHOTS = {"backend": "exact-shots", "num_layers": 2, "dropout": 0.2, "valid_fraction": 0.3, "repeats": 2}
NOISY = {"backend": "exact-noise-torino", "optimizer": "adam", "schedule": "cosine"}
SPSA = SMALL | {"optimizer": "spsa"}
GRU = LSTM | {"model": "gru", "num_layers": 2, "dropout": 0.2, "bidirectional": True}
SHUFFLED = {"shuffle": True, "valid_fraction": 0.3, "patience": 2, "max_epochs": 4}


@pytest.mark.parametrize(
    "options",
    [{}, {"model": "diffqas"}, {"n_qubits": 5, "optimizer": "adam"}, SHUFFLED, SHOTS, NOISY, LBFGS, LSTM, GRU, MAPS],
    ids=str,
)
def test_others_change_no_bit(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither how many there are, nor in which order, nor that one stops early or diverges."""
    alone = estimators(1, **options)
    train_together(alone, X, Y)
    five = estimators(5, **options)
    train_together(five, X, Y)
    assert torch.equal(numbers(alone[0]), numbers(five[0]))
    turned = estimators(3, **options)[::-1]
    train_together(turned, X, Y)
    assert torch.equal(numbers(turned[2]), numbers(five[0]))
    broken, begin = estimators(3, **options), LastEpoch.on_epoch_begin
    begun: list[Any] = []

    def breaks(self: LastEpoch, net: Any, **kwargs: Any) -> None:
        begin(self, net, **kwargs)
        begun.append(net)
        if len(begun) == 5:  # the second of three, in its second epoch
            net.module_.head.bias.data.fill_(torch.nan)

    monkeypatch.setattr(LastEpoch, "on_epoch_begin", breaks)
    with pytest.raises(
        TrainingError, match=r"1 of 3 trainings ended early \(seed 1\), the first one: training diverged in epoch 2"
    ):
        train_together(broken, X, Y)
    assert not hasattr(broken[1], "module_")
    for place in (0, 2):
        assert torch.equal(numbers(broken[place]), numbers(five[place]))
        assert len(broken[place].history_) == len(five[place].history_)


@pytest.mark.parametrize(("killed", "period"), [(0, 0.0), (2, 0.0), (2, math.inf)])
@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": "adam", "valid_fraction": 0.3, "patience": 2, "max_epochs": 6}, SHUFFLED, SHOTS, NOISY, LBFGS],
    ids=str,
)
def test_a_killed_training_goes_on_to_the_same_bits(
    killed: int, period: float, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where some have written the checkpoint of an epoch, and others have not."""
    monkeypatch.setattr(together, "PERIOD_S", period)

    def all_of(folder: str) -> list[QLSTMRegressor]:
        (tmp_path / folder).mkdir(exist_ok=True)
        made = estimators(**options)
        return [each.set_params(checkpoint=str(tmp_path / folder / f"{n}.safetensors")) for n, each in enumerate(made)]

    whole, cut = all_of("whole"), all_of("cut")
    train_together(whole, X, Y)
    write = Checkpoint.on_epoch_end

    def ends(self: Checkpoint, net: Any, **kwargs: Any) -> None:
        """What a process that is killed leaves."""
        write(self, net, **kwargs)
        if self.path.stem == str(killed) and len(net.history) == 2:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "on_epoch_end", ends)
        with pytest.raises(SystemExit):
            train_together(cut, X, Y)
    assert not hasattr(cut[0], "module_")
    again = all_of("cut")
    train_together(again, X, Y)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(numbers(one), numbers(other))
        losses = [[row["train_loss"] for row in each.history_] for each in (one, other)]
        assert losses[0] == losses[1]


@pytest.mark.parametrize("options", [SHOTS, LBFGS], ids=str)
def test_what_sigkill_has_ended_goes_on_to_the_same_bits(options: dict[str, Any], tmp_path: Path) -> None:
    def all_of(folder: Path) -> list[QLSTMRegressor]:
        folder.mkdir(exist_ok=True)
        made = estimators(**options)
        return [each.set_params(checkpoint=str(folder / f"{n}.safetensors")) for n, each in enumerate(made)]

    def dies() -> None:
        write = Checkpoint.on_epoch_end

        def kills(self: Checkpoint, net: Any, **kwargs: Any) -> None:
            write(self, net, **kwargs)
            if self.path.stem == "1" and len(net.history) == 2:
                os.kill(os.getpid(), signal.SIGKILL)

        Checkpoint.on_epoch_end, together.PERIOD_S = kills, 0.0  # type: ignore[method-assign]
        train_together(all_of(tmp_path / "cut"), X, Y)

    assert not ended(child(dies))
    again, whole = all_of(tmp_path / "cut"), all_of(tmp_path / "whole")
    train_together(again, X, Y)
    train_together(whole, X, Y)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(numbers(one), numbers(other))
        assert [row["train_loss"] for row in one.history_] == [row["train_loss"] for row in other.history_]


def test_a_step_forms_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    run = replicas._run

    def counted(form: Any, weights: torch.Tensor, mixing: torch.Tensor) -> Any:
        built.append(weights.shape[:2].numel())
        return run(form, weights, mixing)

    monkeypatch.setattr(replicas, "_run", counted)
    train_together(estimators(4, max_epochs=1), X, Y)
    assert built == [16] * 6  # 4 replicas with 4 gates, in 6 batches


APART: dict[str, tuple[dict[str, Any], str]] = {
    "SPSA": ({"optimizer": "spsa"}, "the optimizer spsa has steps of its own"),
    "a search": ({"model": "diffqas", "search": "bilevel", "valid_fraction": 0.3}, "has steps of its own"),
    "circuits that are run": ({"backend": "aer-exact", "max_epochs": 1}, "backend aer-exact runs circuits"),
    "callbacks": (
        {"callbacks": [EarlyStopping(monitor="train_loss", patience=1, threshold=1e9)]},
        "the callback EarlyStopping may act on a step",
    ),
    "a fast weight programmer": ({"cell": "fast-weight"}, "evaluates the circuits of all steps at once"),
    "a large LSTM of torch": (LSTM | {"hidden_size": 410}, "layers of torch of this size take no less time side by side"),
    "line searches with shots": (
        {"optimizer": "lbfgs", "batch_size": 0, "backend": "exact-shots"},
        "lbfgs evaluates some replicas without the others",
    ),
    "line searches with noise of a choice": (
        {"optimizer": "lbfgs", "batch_size": 0, "model": "diffqas", "mixing": "gumbel-softmax"},
        "lbfgs evaluates some replicas without the others",
    ),
}


@pytest.mark.parametrize("kind", APART)
def test_what_cannot_run_side_by_side_runs_one_after_another(kind: str) -> None:
    options, reason = APART[kind]
    options = {name: value for name, value in (SMALL | {"max_epochs": 2} | options).items() if value is not None}
    together = [QLSTMRegressor(**options, seed=seed) for seed in range(2)]
    assert reason in str(train_together(together, X, Y))
    for seed, joint in enumerate(together):
        assert torch.equal(numbers(joint), numbers(QLSTMRegressor(**options, seed=seed).fit(X, Y)))


def test_one_after_another_goes_on_from_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> list[QLSTMRegressor]:
        return [QLSTMRegressor(**SPSA, seed=seed, checkpoint=str(tmp_path / f"{seed}.safetensors")) for seed in range(2)]

    write = Checkpoint.on_epoch_end

    def ends(self: Checkpoint, net: Any, **kwargs: Any) -> None:
        write(self, net, **kwargs)
        if self.path.stem == "1" and len(net.history) == 2:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "on_epoch_end", ends)
        with pytest.raises(SystemExit):
            train_together(both(), X, Y)
    again = both()
    train_together(again, X, Y)
    for seed, one in enumerate(again):
        assert torch.equal(numbers(one), numbers(QLSTMRegressor(**SPSA, seed=seed).fit(X, Y)))


def test_one_backend_of_all_counts_their_draws_one_after_another() -> None:
    def three() -> list[QLSTMRegressor]:
        own = load_backend("exact-shots", seed=3)
        return [QLSTMRegressor(**SMALL, backend=own, seed=seed) for seed in range(2)]

    together, apart = three(), three()
    assert "exact-shots is one object" in str(train_together(together, X, Y))
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(numbers(one), numbers(other.fit(X, Y)))


@pytest.mark.parametrize("options", [SMALL, SPSA], ids=["side by side", "one after another"])
def test_ctrl_c_ends_all_and_keeps_finished_epochs(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    together, begin, begun = [QLSTMRegressor(**options, seed=seed) for seed in range(3)], LastEpoch.on_epoch_begin, []

    def presses(self: LastEpoch, net: Any, **kwargs: Any) -> None:
        begin(self, net, **kwargs)
        begun.append(net)
        if len(net.history) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(LastEpoch, "on_epoch_begin", presses)
    if options is SPSA:
        with pytest.raises(KeyboardInterrupt):
            train_together(together, X, Y)
        assert not hasattr(together[1], "module_")
    else:
        train_together(together, X, Y)
        assert [len(each.history_) for each in together] == [2, 2, 2]
    assert len(together[0].history_) == 2
    assert together[0].interrupted_


def test_a_refitted_model_has_no_intervals_of_the_one_before() -> None:
    model = estimators(1)[0].fit(X, Y).calibrate(DATA.x_test[:30], DATA.y_test[:30])
    train_together([model], X, Y)
    with pytest.raises(NotFittedError):
        model.predict_interval(X)


@pytest.mark.parametrize("options", [SMALL, SPSA, SMALL | LSTM], ids=str)
def test_what_diverged_is_as_before(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    options = {name: value for name, value in options.items() if value is not None}
    model = QLSTMClassifier(**options, seed=0).fit(X, np.where(Y > 0, "a", "b"))
    before = numbers(model).clone()
    monkeypatch.setattr(LastEpoch, "note", raises_divergence)
    with pytest.raises(TrainingError, match="1 of 1"):
        train_together([model], X, np.where(Y > 0, "x", "y"))
    assert list(model.classes_) == ["a", "b"]
    assert torch.equal(numbers(model), before)


def raises_divergence(self: LastEpoch, net: Any) -> None:
    raise TrainingError("training diverged")


SPACE = SearchSpace.handcrafted(2)
START = {name: value.clone() for name, value in QLSTMRegressor(**SMALL).build_module(1, 1).state_dict().items()}
REFUSED: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "none": (list, "there is no estimator to train"),
    "rates": (lambda: [QLSTMRegressor(**SMALL, lr=lr) for lr in (0.1, 0.2)], "these estimators differ in lr; give ones"),
    "classes": (lambda: [QLSTMRegressor(**SMALL), QLSTMClassifier(**SMALL)], "are of different classes"),
    "twice": (lambda: [QLSTMRegressor(**SMALL)] * 2, "an estimator is given twice"),
    "a file twice": (lambda: [QLSTMRegressor(**SMALL, checkpoint="a.pt") for _ in range(2)], "a checkpoint is given twice"),
    "ensembles": (
        lambda: [QLSTMRegressor(**SMALL, replicas=2, seed=seed) for seed in (0, 2)],
        "replicas=2: each training",
    ),
    "spaces": (
        lambda: [QLSTMRegressor(hidden_size=2, space=SearchSpace.handcrafted(n), depth=1) for n in (1, 2)],
        "these estimators differ in space",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_set_of_replicas(kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(OptionError, match=message):
        train_together(make(), X, Y)


def test_equal_starts_and_one_space_are_no_difference() -> None:
    train_together((QLSTMRegressor(**SMALL, seed=seed, start=dict(START)) for seed in range(2)), X, Y)  # type: ignore[arg-type]
    own = {name: value for name, value in SMALL.items() if name != "model"}
    train_together([QLSTMRegressor(**own, space=SPACE, seed=seed) for seed in range(2)], X, Y)
