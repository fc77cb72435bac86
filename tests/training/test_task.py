"""The task says what is trained and how results are called; nobody else knows which one it is."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import qlstm_qiskit
from qlstm_qiskit import QLSTMClassifier, QLSTMRegressor
from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.experiments import DataSpec, RunSpec
from qlstm_qiskit.experiments.runs.reading import history_line, metrics_model
from qlstm_qiskit.training.task import CLASSIFICATION, REGRESSION, TASKS

PACKAGE = Path(qlstm_qiskit.__file__).parent
#: Scaling measures one thing, the test error of a forecast, whatever a user's task is.
FREE = {PACKAGE / "training" / "task.py", *(PACKAGE / "experiments" / "scaling").iterdir(), PACKAGE / "report" / "scaling.py"}
X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.sin(X.sum(1))


def test_nobody_else_knows_the_loss_and_its_names() -> None:
    wanted = re.compile(r"MSELoss|mse_loss|[\"'.](train|valid|test)_mse\b|\[\"mse\"\]|NeuralNetRegressor")
    knowing = [path for path in PACKAGE.rglob("*.py") if path not in FREE and wanted.search(path.read_text())]
    assert knowing == []
    assert wanted.search((PACKAGE / "training" / "task.py").read_text())


@pytest.mark.parametrize(("criterion", "of"), [(nn.MSELoss, np.square), (nn.L1Loss, np.abs)])
def test_a_fit_takes_loss_and_head_from_it(criterion: type, of, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of an epoch of one step is that of the model as it begins, whose head has a bias of 3 here."""

    def head(*sizes: int, **made) -> nn.Linear:
        layer = REGRESSION.head(*sizes, **made)
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, 3.0)
        return layer

    task = dataclasses.replace(REGRESSION, criterion=criterion, head=head)
    monkeypatch.setattr("qlstm_qiskit.training.task.REGRESSION", task)
    fitted = QLSTMRegressor("lstm", hidden_size=1, max_epochs=1, batch_size=0).fit(X, Y)
    assert fitted.history_[0]["train_loss"] == pytest.approx(of(3.0 - Y).mean(), rel=1e-12)


def test_files_have_its_names() -> None:
    assert (REGRESSION.train, REGRESSION.valid, REGRESSION.test) == ("train_mse", "valid_mse", "test_mse")
    for name, task in TASKS.items():
        assert (task.name, RunSpec(data=DataSpec(task=name)).task) == (name, task)
        required = {field for field, own in history_line(task).model_fields.items() if own.is_required()}
        assert required == {"epoch", task.train, task.test}
        assert {task.train, task.valid, task.test, *task.naive} <= set(metrics_model({task.test: 0.0}).model_fields)
    assert RunSpec(data=DataSpec()).task is QLSTMRegressor().task is REGRESSION


def test_it_reads_targets_and_measures() -> None:
    assert REGRESSION.targets(np.arange(3), np.float32).dtype == np.float32
    assert REGRESSION.targets(np.arange(6).reshape(3, 2), np.float64).shape == (3, 2)
    assert REGRESSION.error(np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]])) == 2.0
    layer = REGRESSION.head(3, 2, generator=torch.Generator().manual_seed(0), device="cpu", dtype=torch.float64)
    torch.manual_seed(0)
    own = nn.Linear(3, 2, dtype=torch.float64)
    assert torch.equal(layer.weight, own.weight)
    assert torch.equal(layer.bias, own.bias)
    with pytest.raises(dataclasses.FrozenInstanceError):
        REGRESSION.name = "another"


def test_classes_are_measured_by_log_loss_and_accuracy() -> None:
    @dataclasses.dataclass
    class Parts:
        y_train: np.ndarray
        y_test: np.ndarray

    data = Parts(np.eye(3)[[0, 0, 0, 1, 2]], np.eye(3)[[0, 1, 2, 0]])
    scores = np.log([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.4, 0.4]])
    expected = -np.log([0.5, 0.25, 0.8, 0.2]).mean()
    assert CLASSIFICATION.errors(data, scores + 7) == {"log_loss": pytest.approx(expected, rel=1e-12), "accuracy": 0.5}
    naive = {"log_loss": pytest.approx(-np.log([0.6, 0.2, 0.2, 0.6]).mean(), rel=1e-12), "accuracy": 0.5}
    assert CLASSIFICATION.references(data) == {"frequencies": naive}
    assert CLASSIFICATION.error(np.zeros((2, 4)), np.eye(4)[:2]) == pytest.approx(np.log(4), rel=1e-12)
    assert set(CLASSIFICATION.figures) == {"log_loss", "accuracy"}
    assert set(CLASSIFICATION.naive) == {"frequencies"}
    assert (CLASSIFICATION.train, CLASSIFICATION.test, CLASSIFICATION.shown) == ("train_log_loss", "test_log_loss", "log loss")
    assert CLASSIFICATION is QLSTMClassifier().task
    with pytest.raises(ShapeError, match=r"scores have the shape \(4, 2\)"):
        CLASSIFICATION.errors(data, scores[:, :2])


def test_nobody_asks_which_task_it_is() -> None:
    wanted = re.compile(r"CrossEntropyLoss|cross_entropy|log_loss|[\"']classification[\"']|is CLASSIFICATION")
    free = [
        PACKAGE / "training" / "task.py",
        PACKAGE / "cli" / "completion.py",
    ]  # the latter has the names that a shell completes
    assert [path for path in PACKAGE.rglob("*.py") if path not in free and wanted.search(path.read_text())] == []
    assert all(wanted.search(path.read_text()) for path in free)


def test_the_best_naive_forecast_is_the_one_with_the_lowest_error() -> None:
    errors = {"persistence": {"mse": 2.0}, "seasonal_naive": {"mse": 1.0}, "test": {"mse": 0.5}}
    assert REGRESSION.best_naive(errors) == ("seasonal naive", 1.0)
    assert REGRESSION.best_naive(errors | {"seasonal_naive": None}) == ("persistence", 2.0)
    assert REGRESSION.best_naive({"persistence": {"mse": 3.0}}) == ("persistence", 3.0)
