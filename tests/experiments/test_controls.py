"""Controls: closed forms, the same errors and roll-outs as models, as many parameters as they are said to have."""

import numpy as np

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
