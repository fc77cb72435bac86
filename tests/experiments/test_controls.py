"""Controls: closed forms, the same errors and roll-outs as models, as many parameters as they are said to have."""

from dataclasses import replace

import numpy as np
import pytest

from qlstm_qiskit.data.errors import forecast_errors
from qlstm_qiskit.data.rollout import rolled_errors
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.experiments.studies.controls import Control


def test_the_control_has_the_parameters_of_the_search() -> None:
    from qlstm_qiskit.training.models import build_forecaster

    def size(model: str, hidden: int, depth: int | None = None) -> int:
        return sum(p.numel() for p in build_forecaster(model, 1, 1, hidden_size=hidden, depth=depth).parameters())

    wanted = size("diffqas", 5, 5)
    assert min(range(20, 40), key=lambda hidden: abs(size("lstm", hidden) - wanted)) == 32


def test_controls_are_what_they_say() -> None:
    data = DataSpec(dataset="damped_shm")
    dataset = data.load()
    assert Control(control="persistence", data=data).errors(dataset)["test"] == forecast_errors(dataset, dataset.persistence())
    predict, count = Control(control="ridge", data=data).fit(dataset)
    assert count == 5
    x = np.c_[dataset.x_train[:, :, 0], np.ones(len(dataset.x_train))]
    exact = np.c_[dataset.x_test[:, :, 0], np.ones(len(dataset.x_test))] @ np.linalg.lstsq(x, dataset.y_train, rcond=None)[0]
    np.testing.assert_allclose(predict(dataset.x_test), exact, atol=1e-4)
    first, again, other = (Control(control="esn", data=data, seed=seed).errors(dataset)["test_mse"] for seed in (1, 1, 2))
    assert first == again != other
    assert first < np.mean((dataset.persistence() - dataset.y_test) ** 2) / 100


def test_controls_roll_out_like_models() -> None:
    data = DataSpec(dataset="sunspots", window=12)
    dataset = data.load()
    naive, seasonal, ridge = (
        Control(control=name, data=data).errors(dataset, 3)["rolled_out"]["mase"]
        for name in ("persistence", "seasonal-naive", "ridge")
    )
    expected = rolled_errors(Control(control="ridge", data=data).fit(dataset)[0], dataset, 3)
    assert (naive, seasonal, ridge) == tuple(expected[name]["mase"] for name in ("persistence", "seasonal_naive", "model"))
    assert len({naive[0], seasonal[0], ridge[0]}) == 3
    nile = DataSpec(dataset="nile")
    assert Control(control="seasonal-naive", data=nile).errors(nile.load(), 2)["rolled_out"]["mase"][0] > 0


def test_products_are_those_of_the_best_degree() -> None:
    """The Henon map is a polynomial of degree 2 of the last two values: found, and exactly so."""
    data = DataSpec(dataset="henon", window=2)
    dataset = data.load()
    control = Control(control="ridge-products", data=data, valid_fraction=0.25)
    found = control.errors(dataset)
    assert found["test_mse"] < 1e-15
    assert found["n_parameters"] == 6, "1, x, y, x^2, xy, y^2"
    x, y = dataset.validation(0.25)
    predict, _ = control.fit(dataset)
    assert found["valid_mse"] == np.mean((predict(x) - y) ** 2)
    line = Control(control="ridge", data=data, valid_fraction=0.25)
    alone = Control(control="ridge-products", data=data, valid_fraction=0.25, degree=1)
    assert line.errors(dataset) == alone.errors(dataset)
    n = len(dataset.x_train) - len(x)
    from sklearn.linear_model import RidgeCV

    stock = RidgeCV(alphas=np.logspace(-10, 2, 25)).fit(dataset.x_train[:n, :, 0], dataset.y_train[:n])
    np.testing.assert_allclose(
        line.fit(dataset)[0](dataset.x_test)[:, 0], stock.predict(dataset.x_test[:, :, 0]).ravel(), atol=1e-12
    )


def test_what_validates_does_not_train() -> None:
    data = DataSpec(dataset="henon", window=3, lead=2)
    dataset = data.load()
    n = len(dataset.validation(0.25)[0])
    targets = dataset.y_train.copy()
    targets[-n:] += np.random.default_rng(0).normal(size=(n, 1))
    other = replace(dataset, y_train=targets)
    for name in ("ridge", "esn"):
        control = Control(control=name, data=data, valid_fraction=0.25)
        first, second = (control.fit(one)[0](dataset.x_test) for one in (dataset, other))
        np.testing.assert_array_equal(first, second)


def test_a_perceptron_is_the_one_of_its_best_epoch() -> None:
    data = DataSpec(dataset="henon", window=4, lead=2)
    dataset = data.load()
    options = {"control": "mlp", "data": data, "units": 8, "valid_fraction": 0.25}
    found, again = (Control(**options, epochs=6, seed=3).errors(dataset) for _ in range(2))
    assert found == again
    assert found["n_parameters"] == 4 * 8 + 8 + 8 + 1
    errors = [Control(**options, epochs=epochs, seed=3, patience=99).errors(dataset)["valid_mse"] for epochs in range(1, 7)]
    assert errors == sorted(errors, reverse=True), "more epochs keep what is best"
    assert found["valid_mse"] == errors[-1] < errors[0]
    other = Control(**options, epochs=6, seed=4).errors(dataset)
    assert other["test_mse"] != found["test_mse"]
    assert found["test_mse"] < Control(control="ridge", data=data, valid_fraction=0.25).errors(dataset)["test_mse"] / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": "mlp"}, "the control mlp is chosen by a validation part; give it a valid_fraction"),
        ({"control": "ridge-products"}, "the control ridge-products is chosen by a validation part"),
        ({"control": "persistence", "valid_fraction": 0.2}, "the control persistence has nothing to train"),
    ],
)
def test_controls_that_need_a_validation_part_or_have_none(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Control(data=DataSpec(dataset="henon"), **options)
