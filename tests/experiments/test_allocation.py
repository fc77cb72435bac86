"""Shots where predictions are sensitive to them: the closed form, what it is made from, and what it gains."""

from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit.providers.fake_provider import GenericBackendV2

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments import DataSpec, RunSpec, allocate_shots, load_run, train_run
from qlstm_qiskit.experiments.runs.allocation import _variances, best_shots
from qlstm_qiskit.hardware import Backend, BackendSpec, load_backend
from qlstm_qiskit.nn import QGRU, QLSTM, Forecaster, predict_windows
from qlstm_qiskit.space import SearchSpace
from tests.speed import slow_but

F64 = torch.float64
SPEC = RunSpec(data=DataSpec(dataset="damped_shm"), model="config1", hidden_size=2, depth=1, epochs=2, angle_std=1.0)
NOISY = {"name": "noisy", "shots": 400, "noise": {"device": "manila"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(SPEC, tmp_path_factory.mktemp("allocated") / "run").path


def with_shots(number: int) -> Backend:
    return load_backend(BackendSpec(name="here", kind="statevector", shots=number), seed=3)


def head(features: int, outputs: int) -> torch.nn.Linear:
    made = torch.nn.Linear(features, outputs, dtype=F64)
    torch.nn.init.uniform_(made.weight, -2, 2, generator=torch.Generator().manual_seed(1))
    return made


def test_the_closed_form() -> None:
    ones = np.ones(4, dtype=np.int64)
    assert best_shots(np.array([1.0, 4.0, 9.0, 36.0]), ones, 3000).tolist() == [1000, 2000, 3000, 6000]
    assert best_shots(np.array([1.0, 4.0, 9.0, 36.0]), np.array([1, 4, 1, 1]), 700).tolist() == [350, 350, 1050, 2100]
    assert best_shots(np.array([0.0, 0.0, 1.0, 1.0]), ones, 3200).tolist() == [100, 100, 6300, 6300]
    assert best_shots(np.array([1e-9, 1.0]), ones[:2], 32).tolist() == [1, 63]
    assert best_shots(np.array([0.3, 7.0, 2.0]), ones[:3], 1).tolist() == [1, 1, 1]
    assert best_shots(np.zeros(4), ones, 100).tolist() == [100] * 4  # nothing matters


@pytest.mark.parametrize("seed", range(5))
def test_no_other_allocation_is_better(seed: int) -> None:
    """The whole budget is spent, and a shot that goes elsewhere makes the variance larger."""
    generator = np.random.default_rng(seed)
    variances, equal = generator.lognormal(0, 2, 12), int(generator.integers(100, 2000))
    shots = best_shots(variances, np.ones(12, dtype=np.int64), equal)
    assert shots.sum() == 12 * equal
    assert shots.min() >= equal // 32
    least = (variances / shots).sum()
    for giver, taker in generator.permuted(np.tile(np.arange(12), (40, 1)), axis=1)[:, :2]:
        moved = shots.copy()
        moved[giver] -= equal // 20
        moved[taker] += equal // 20
        if moved[giver] >= equal / 32:
            assert (variances / moved).sum() > least


def test_one_step_of_an_lstm_by_hand() -> None:
    """h = sigmoid(o) tanh(sigmoid(i) tanh(g)), since c starts at zero; <Z> of one shot has the variance 1 - <Z>^2."""
    shots, generator = 10**9, torch.Generator().manual_seed(0)
    options = {"depth": 1, "space": SearchSpace.product(["RY"], ["linear-RX"]), "batch_first": True, "angle_std": 1.0}
    layer = QLSTM(1, 1, backend=with_shots(shots), generator=generator, **options)
    exact = QLSTM(1, 1, generator=torch.Generator().manual_seed(0), **options)
    read_out = head(1, 2)
    window = torch.full((1, 1, 1), 0.7, dtype=F64)
    z = exact.cells[0].bank(torch.tensor([[0.7, 0.0]], dtype=F64)).detach().flatten().requires_grad_()
    h = torch.sigmoid(z[3]) * torch.tanh(torch.sigmoid(z[0]) * torch.tanh(z[2]))
    (slope,) = torch.autograd.grad(h, z)
    by_hand = (slope.square() * (1 - z.square()) * read_out.weight.square().sum()).detach().numpy()
    n = 40_000
    (found,) = _variances(Forecaster(layer, read_out), window.expand(n, -1, -1).numpy(), shots)
    assert by_hand[1] == 0 < by_hand.max()
    assert found.shape == (1, 4)
    np.testing.assert_allclose(found[0], by_hand, rtol=5 * (2 / n) ** 0.5, atol=1e-12)


@pytest.mark.parametrize("kind", slow_but(["gru"], ["gru", "lstm", "layers", "sum"]))
def test_it_is_the_variance_that_one_gate_causes_in_one_step(kind: str) -> None:
    """With next to no noise but of that gate, by its own allocation; all cells, stages and directions, and sums."""
    blocks = (["RY"], ["linear-RY"]) if kind != "sum" else (["RY", "RX"], ["linear-RY", "cyclic-RX"])
    options = {"depth": 1, "space": SearchSpace.product(*blocks), "batch_first": True, "angle_std": 1.0, "n_qubits": 3}
    if kind == "layers":
        options |= {"num_layers": 2, "bidirectional": True}
    few, many, n = 10**4, 10**16, 4000
    layer = (QGRU if kind == "gru" else QLSTM)(
        1, 2, backend=with_shots(few), generator=torch.Generator().manual_seed(4), **options
    )
    forecaster = Forecaster(layer, head(4 if kind == "layers" else 2, 1))
    windows = np.tile(np.linspace(0.1, 0.9, 3)[:, None], (n, 1, 1))
    found = _variances(forecaster, windows, few)
    cells = list(layer.layers())
    assert [own.shape for own in found] == [(3, cell.bank.n_gates) for cell in cells]
    for place in [(0, 0, 0), (len(cells) - 1, 2, 2), (0, 1, 2), (len(cells) // 2, 1, 1)]:
        number, step, gate = place
        for k, cell in enumerate(cells):
            rows = np.full((3, cell.bank.n_gates), many)
            rows[step, gate] = few if k == number else many
            cell.bank.allocate(rows)
        measured = predict_windows(forecaster, windows).var() * few
        assert found[number][step, gate] == pytest.approx(
            measured, rel=0.05 + 5 * (4 / n) ** 0.5, abs=1e-6 * found[number].max()
        )
    assert max(own.max() for own in found) > 1e-4


def test_a_run_has_less_noise_for_as_many_shots(run: Path) -> None:
    """By what was expected, at this little noise."""
    spec = BackendSpec(name="here", kind="statevector", shots=4096, seed=1)
    loaded, data = load_run(run, backend=spec), load_run(run).dataset
    exact, repeats = predict_windows(load_run(run).forecaster, data.x_test), 100
    windows = np.tile(data.x_test, (repeats, 1, 1))

    def noise() -> float:
        return float(((predict_windows(loaded.forecaster, windows).reshape(repeats, -1) - exact.ravel()) ** 2).mean())

    equal, allocation = noise(), allocate_shots(loaded)
    assert allocation.equal == 4096
    assert allocation.per_window == 4096 * 4 * 4 == sum(own.sum() for own in allocation.shots)
    assert allocation.expected_gain > 1.2
    assert equal / noise() == pytest.approx(allocation.expected_gain, rel=0.15)


@pytest.mark.slow
def test_the_same_run_and_backend_give_the_same_allocation(run: Path) -> None:
    """The exact interpreter with its noise stands for Aer."""
    inside, aer = (BackendSpec.model_validate(NOISY | {"kind": kind, "seed": 2}) for kind in ("statevector", "aer"))
    first = load_run(run, backend=inside)
    facts = allocate_shots(first).facts()
    assert facts == allocate_shots(load_run(run, backend=inside)).facts()
    again = load_run(run, backend=aer)
    assert facts == allocate_shots(again).facts()
    assert facts["shots"][0][0][1] == 400 // 32  # what is forgotten of nothing
    x = first.dataset.x_test[:20]
    assert not np.array_equal(again.predict(x), load_run(run, backend=aer).predict(x))
    other = load_run(run, backend=aer)
    other.forecaster.circuits.cells[0].bank.allocate(facts["shots"][0])
    again.forecaster.circuits.cells[0].bank.backend.draws.count = 0
    np.testing.assert_array_equal(again.predict(x), other.predict(x))


def test_windows_that_predict_nothing_new_are_not_looked_at(run: Path) -> None:
    """The test part decides nothing."""
    loaded = load_run(run, backend="exact-shots")
    before = allocate_shots(loaded).facts()
    again = load_run(run, backend="exact-shots")
    again.dataset.x_test[:] = 0.0
    assert allocate_shots(again).facts() == before


def test_what_has_no_shots_to_allocate_is_refused(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("statevector", "aer-exact"):
        with pytest.raises(OptionError, match=f"backend {backend} draws no shots; give one with shots"):
            allocate_shots(load_run(run, backend=backend))
    local = BackendSpec(name="mine", kind="ibm", channel="local", device="manila", primitive="estimator", shots=100)
    with pytest.raises(OptionError, match="takes one precision for all circuits of a job; set primitive: sampler"):
        allocate_shots(load_run(run, backend=local))
    lstm = train_run(SPEC.model_copy(update={"model": "lstm", "depth": None, "angle_std": 0.01}), tmp_path / "lstm")
    with pytest.raises(OptionError, match="the model lstm of .* has no circuits"):
        allocate_shots(load_run(lstm.path, backend="exact-shots"))
    device = GenericBackendV2(5, seed=1)
    device.options.set_validator("shots", (1, 1200))
    monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
    maker = BackendSpec(name="mine", kind="provider", provider="a:b", shots=1000)
    with pytest.raises(OptionError, match=r"backend mine: shots is \d+; generic_backend_5q takes at most 1200"):
        allocate_shots(load_run(run, backend=maker))
