"""Estimators that are trained side by side, against each trained by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from qlstm_qiskit import QLSTMClassifier, QLSTMRegressor, load_dataset
from qlstm_qiskit.errors import OptionError, TrainingError
from qlstm_qiskit.exact import adjoint
from qlstm_qiskit.training import train_together
from qlstm_qiskit.training.together import reason_apart

DATA = load_dataset("damped_shm")
X, Y = DATA.x_train[:60], DATA.y_train[:60]

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
    "patience": {"valid_fraction": 0.3, "patience": 1, "max_epochs": 30, "lr": 0.2, "optimizer": "adam"},
    "arctangent, 3 outputs": {"input_map": "arctan"},
    "more qubits than a word": {"n_qubits": 34, "max_epochs": 1},
}


def estimators(n: int = 3, **options: Any) -> list[QLSTMRegressor]:
    return [QLSTMRegressor(**SMALL | options, seed=seed) for seed in range(n)]


def numbers(estimator: Any) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in estimator.module_.parameters()])


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_what_it_is_by_itself(kind: str) -> None:
    y = np.column_stack([Y, Y**2, Y**3]) if kind.endswith("outputs") else Y
    together = estimators(**KINDS[kind])
    assert reason_apart(together[0]._begin(X, y, None)) is None
    train_together(together, X, y)
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


def test_classes_and_float32() -> None:
    labels = np.where(Y.mean() < Y, "up", "down")
    for dtype, atol in (("float64", 1e-10), ("float32", 1e-4)):
        together = [QLSTMClassifier(**SMALL, dtype=dtype, seed=seed) for seed in range(2)]
        train_together(together, X, labels)
        for seed, joint in enumerate(together):
            alone = QLSTMClassifier(**SMALL, dtype=dtype, seed=seed).fit(X, labels)
            np.testing.assert_allclose(joint.predict_proba(X), alone.predict_proba(X), atol=atol)
            assert next(joint.module_.parameters()).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("options", [{}, {"model": "diffqas"}, {"n_qubits": 5, "optimizer": "adam"}], ids=str)
def test_others_change_no_bit(options: dict[str, Any]) -> None:
    """Neither how many there are, nor that one stops early or diverges."""
    alone = estimators(1, **options)
    train_together(alone, X, Y)
    five = estimators(5, **options)
    train_together(five, X, Y)
    assert torch.equal(numbers(alone[0]), numbers(five[0]))
    broken = estimators(3, **options)
    broken[1].set_params(callbacks=[Breaks(2)])
    with pytest.raises(
        TrainingError, match=r"1 of 3 trainings ended early \(seed 1\), the first one: training diverged in epoch 2"
    ):
        train_together(broken, X, Y)
    assert not hasattr(broken[1], "module_")
    for place in (0, 2):
        assert torch.equal(numbers(broken[place]), numbers(five[place]))
        assert len(broken[place].history_) == SMALL["max_epochs"]


class Breaks(Callback):
    """Makes a number of the model none."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == self.epoch:
            net.module_.head.bias.data.fill_(torch.nan)


class Ends(Callback):
    """What a process that is killed leaves: nothing runs after the given epoch's end."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == self.epoch:
            raise SystemExit


@pytest.mark.parametrize("killed", [0, 2])
@pytest.mark.parametrize("options", [{}, {"optimizer": "adam", "valid_fraction": 0.3, "patience": 2, "max_epochs": 6}], ids=str)
def test_a_killed_training_goes_on_to_the_same_bits(killed: int, options: dict[str, Any], tmp_path: Path) -> None:
    """Also where some have written the checkpoint of an epoch, and others have not."""

    def all_of(folder: str) -> list[QLSTMRegressor]:
        (tmp_path / folder).mkdir(exist_ok=True)
        made = estimators(**options)
        return [each.set_params(checkpoint=str(tmp_path / folder / f"{n}.safetensors")) for n, each in enumerate(made)]

    whole, cut = all_of("whole"), all_of("cut")
    train_together(whole, X, Y)
    cut[killed].set_params(callbacks=[Ends(2)])
    with pytest.raises(SystemExit):
        train_together(cut, X, Y)
    assert not hasattr(cut[0], "module_")
    again = all_of("cut")
    train_together(again, X, Y)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(numbers(one), numbers(other))
        losses = [[row["train_loss"] for row in each.history_] for each in (one, other)]
        assert losses[0] == losses[1]


def test_a_step_forms_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    run = adjoint._run

    def counted(form: Any, weights: torch.Tensor, mixing: torch.Tensor) -> Any:
        built.append(len(weights))
        return run(form, weights, mixing)

    monkeypatch.setattr(adjoint, "_run", counted)
    train_together(estimators(4, max_epochs=1), X, Y)
    assert built == [16] * 6  # 4 replicas with 4 gates, in 6 batches


APART: dict[str, tuple[dict[str, Any], str]] = {
    "L-BFGS": ({"optimizer": "lbfgs", "batch_size": 0}, "lbfgs looks at all parameters together"),
    "a search": ({"model": "diffqas", "search": "bilevel", "valid_fraction": 0.3}, "has steps of its own"),
    "noise of a choice": ({"model": "diffqas", "mixing": "gumbel-softmax"}, "draws noise"),
    "dropout": ({"num_layers": 2, "dropout": 0.2}, "dropout=0.2 draws noise"),
    "shots": ({"backend": "exact-shots"}, "backend exact-shots does not give exact values"),
    "no circuits": ({"model": "lstm", "depth": None}, "has no circuits"),
}


@pytest.mark.parametrize("kind", APART)
def test_what_cannot_run_side_by_side_runs_one_after_another(kind: str) -> None:
    options, reason = APART[kind]
    options = {name: value for name, value in (SMALL | {"max_epochs": 2} | options).items() if value is not None}
    together = [QLSTMRegressor(**options, seed=seed) for seed in range(2)]
    assert reason in str(reason_apart(together[0]._begin(X, Y, None)))
    train_together(together, X, Y)
    for seed, joint in enumerate(together):
        assert torch.equal(numbers(joint), numbers(QLSTMRegressor(**options, seed=seed).fit(X, Y)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "there is no estimator to train"),
        (
            lambda: [QLSTMRegressor(**SMALL, lr=0.1), QLSTMRegressor(**SMALL, lr=0.2)],
            "these estimators differ in lr; give ones",
        ),
        (lambda: [QLSTMRegressor(**SMALL), QLSTMClassifier(**SMALL)], "are of different classes"),
    ],
)
def test_what_is_no_set_of_replicas(make: Callable[[], list[Any]], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        train_together(make(), X, Y)
