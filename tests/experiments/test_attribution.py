"""Attribution to lags and features: completeness, a model in closed form, brute force over coalitions."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.exact import FourierSeries
from qlstm_qiskit.experiments import Attribution, DataSpec, Run, RunSpec, attribute, load_run, train_run
from qlstm_qiskit.nn import CircuitBank, Forecaster, predict_windows
from qlstm_qiskit.report.pages.write import write_report
from qlstm_qiskit.space import SearchSpace


def brute_force(series: FourierSeries, angles: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Shapley values by their definition, over all coalitions: (samples, qubits, gates, outputs)."""
    n = len(baseline)
    found = np.zeros((len(angles), n, *series.coefficients.shape[1:]))
    for player in range(n):
        others = [q for q in range(n) if q != player]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for coalition in itertools.combinations(others, size):
                without, with_it = (np.tile(baseline, (len(angles), 1)) for _ in range(2))
                for mixed, members in ((without, coalition), (with_it, (*coalition, player))):
                    mixed[:, list(members)] = angles[:, list(members)]
                found[:, player] += weight * (series.evaluate(with_it) - series.evaluate(without))
    return found


@pytest.mark.parametrize("n_qubits", [1, 2, 4, 5, 6])
def test_shapley_values_of_a_step_are_those_of_all_coalitions(n_qubits: int) -> None:
    candidates = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"]).candidates(n_qubits, 2)
    bank = CircuitBank(candidates, n_gates=2, angle_std=1.0, generator=torch.Generator().manual_seed(1))
    series, random = bank.fourier(), np.random.default_rng(2)
    angles, baseline = random.uniform(-2, 2, (3, n_qubits)), random.uniform(-2, 2, n_qubits)
    values = series.shapley(angles, baseline)
    np.testing.assert_allclose(values, brute_force(series, angles, baseline), atol=1e-12)
    difference = series.evaluate(angles) - series.evaluate(baseline[None])
    np.testing.assert_allclose(values.sum(1), difference, atol=1e-12)
    assert np.abs(values).max() > 0.01


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = DataSpec(dataset="damped_shm")
    spec = RunSpec(data=data, model="config1", hidden_size=2, depth=1, epochs=2, batch_size=40)
    return train_run(spec, tmp_path_factory.mktemp("attribution") / "run").path


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load_run(folder)


def test_values_add_up_to_predictions(run: Run) -> None:
    found = attribute(run)
    data = run.dataset
    assert isinstance(found, Attribution)
    assert found.values.shape == (len(data.x_test), 4, 1, 1)
    assert found.lags == (4, 3, 2, 1)
    assert found.features == data.features
    np.testing.assert_allclose(found.baseline, data.x_train.mean(0))
    np.testing.assert_allclose(found.predictions, run.predict(data.x_test), atol=1e-12)
    np.testing.assert_allclose(found.reference, run.predict(found.baseline[None])[0], atol=1e-12)
    np.testing.assert_allclose(found.values.sum((1, 2)), found.predictions - found.reference, atol=1e-8)
    assert found.gap < 1e-8, "captum rounds weights of the quadrature to float32"
    assert attribute(run, data.x_test[:3], nodes=1).gap > 1e-6, "one point is no quadrature"


class Weighted(nn.Module):
    """A layer without memory: its last step is a weighted sum over the whole window, squared or not."""

    def __init__(self, weights: torch.Tensor, power: int) -> None:
        super().__init__()
        self.weights, self.power = nn.Parameter(weights), power

    def forward(self, windows: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = torch.einsum("ntf,tfk->nk", windows, self.weights) ** self.power
        return total[:, None].expand(-1, windows.shape[1], -1), None


@pytest.mark.parametrize("power", [1, 2])
def test_a_weighted_sum_has_values_in_closed_form(power: int, folder: Path) -> None:
    """Of w.x each entry has w (x - b); of its square w (x - b) times the mean of 2 w.x at both ends."""
    run, random = load_run(folder), np.random.default_rng(3)
    weights = random.normal(size=(4, 1, 3))
    head = nn.Linear(3, 1, dtype=torch.float64)
    run = replace(run, forecaster=Forecaster(Weighted(torch.from_numpy(weights), power), head))
    windows, baseline = random.normal(size=(5, 4, 1)), random.normal(size=(4, 1))
    found = attribute(run, windows, baseline=baseline)
    ends = [np.einsum("ntf,tfk->nk", values, weights) for values in (windows, baseline[None])]
    slopes = head.weight.detach().numpy()[0] * (1 if power == 1 else ends[0] + ends[1])
    expected = np.einsum("ntf,tfk,nk->ntf", windows - baseline, weights, np.broadcast_to(slopes, (5, 3)))
    np.testing.assert_allclose(found.values[..., 0], expected, atol=1e-6)


def test_fast_weights_and_classes_are_attributed_too(tmp_path: Path) -> None:
    spec = RunSpec(
        data=DataSpec(dataset="damped_shm", horizon=2), cell="fast-weight", hidden_size=1, depth=1, epochs=1, batch_size=60
    )
    run = train_run(spec, tmp_path / "run")
    run = load_run(run.path, backend="aer-exact")
    found = attribute(run, run.dataset.x_test[:4])
    assert found.values.shape == (4, 4, 1, 2)
    assert found.gap < 1e-7
    np.testing.assert_allclose(found.predictions, predict_windows(run.forecaster, run.dataset.x_test[:4]), atol=1e-9)


def test_values_of_an_ensemble_are_the_mean_of_its_members(tmp_path: Path) -> None:
    small = {"model": "config1", "hidden_size": 1, "depth": 1, "epochs": 1, "batch_size": 60, "replicas": 2}
    run = load_run(train_run(RunSpec(data=DataSpec(dataset="damped_shm"), **small), tmp_path / "run").path)
    windows = run.dataset.x_test[:5]
    found, each = attribute(run, windows), [attribute(member, windows).values for member in run.members]
    np.testing.assert_allclose(found.values, np.mean(each, axis=0), atol=1e-15)
    assert np.abs(each[0] - each[1]).max() > 1e-4
    np.testing.assert_allclose(found.predictions, run.predict_scaled(windows), atol=1e-12)
    assert found.gap < 1e-8
    assert write_report(tmp_path / "run", tmp_path / "page.html").kind == "run"
    labelled = DataSpec(dataset="italy_power_demand", task="classification")
    run = load_run(train_run(RunSpec(data=labelled, **small), tmp_path / "classes").path)
    with pytest.raises(OptionError, match="attribution of classes needs one; give a member"):
        attribute(run)
    assert write_report(tmp_path / "classes", tmp_path / "classes.html").kind == "run"


def test_mistakes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ShapeError, match=r"shape \(2, 3, 1\); expected \(n, 4, 1\)"):
        attribute(run, np.zeros((2, 3, 1)))
    with pytest.raises(ShapeError, match=r"baseline has the shape \(4,\); expected \(4, 1\)"):
        attribute(run, baseline=np.zeros(4))
    with pytest.raises(OptionError, match="nodes"):
        attribute(run, nodes=0)
    monkeypatch.setattr("qlstm_qiskit.experiments.runs.attribution.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"needs captum: .*\[explain\]"):
        attribute(run)
