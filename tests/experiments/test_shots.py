"""Error against shots: the split, the shots that are needed, and the figure."""

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.experiments import DataSpec, RunSpec, load_run, train_run
from qlstm_qiskit.experiments.runs.shots import ShotCurve, expected_errors, shot_curve
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.nn import predict_windows
from qlstm_qiskit.report.shots import draw_shots
from tests.speed import slow_but

SPEC = RunSpec(data=DataSpec(dataset="damped_shm"), model="config1", hidden_size=2, depth=1, epochs=2)
#: Of the device that tests have.
NOISE = {"noise": BackendSpec.model_validate({"name": "n", "kind": "aer", "noise": {"device": "manila"}}).noise, "device": None}
CURVE = ShotCurve(
    backend="exact-shots",
    metric="mse",
    shots=(100, 200, 400, 800),
    errors=(0.8, 0.4, 0.2, 0.105),
    standard_errors=(0.01,) * 4,
    model=0.1,
    device=0.0,
    naive={"persistence": 0.4, "seasonal_naive": 0.6},
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_run(SPEC, tmp_path_factory.mktemp("shots") / "run").path


def test_the_noise_that_shots_add_falls_as_they_grow(run: Path) -> None:
    """With many shots the error is that of the exact values, and the rest is in proportion to 1 / shots."""
    curve = shot_curve(run, (100, 400, 1600, 10**9), repeats=30)
    exact = load_run(run)
    assert curve.model == pytest.approx(exact.metrics["test_mse"], rel=1e-9)
    assert curve.device == 0
    assert curve.errors[-1] == pytest.approx(curve.model, rel=1e-3)
    added = np.array(curve.errors) - curve.model
    assert added[0] / added[1] == pytest.approx(4, rel=0.35)
    assert curve.naive["persistence"] == exact.metrics["persistence"]["mse"]
    assert all(error > 0 for error in curve.standard_errors)


def test_it_is_what_aer_measures(run: Path) -> None:
    """The error that jobs of as many shots have, drawn by Aer, bit string by bit string."""
    from qlstm_qiskit.hardware import find_spec

    curve = shot_curve(run, (256,), repeats=40)
    measured = []
    data = load_run(run).dataset
    for seed in range(12):
        spec = find_spec("aer-shots").model_copy(update={"shots": 256, "seed": seed})
        aer = load_run(run, backend=spec)
        measured.append(SPEC.task.error(predict_windows(aer.forecaster, data.x_test), data.y_test))
    spread = np.hypot(curve.standard_errors[0], np.std(measured, ddof=1) / len(measured) ** 0.5)
    assert abs(curve.errors[0] - np.mean(measured)) < 5 * spread


@pytest.mark.parametrize("backend", slow_but(["aer"], ["aer", "fake"]))
def test_with_noise_it_is_what_a_noisy_simulation_measures(run: Path, backend: str) -> None:
    """Aer with the noise of the device, or IBM Runtime's sampler in local testing mode on it."""
    noise = {"device": "manila"} if backend == "fake" else {"noise": {"device": "manila"}}
    spec = BackendSpec.model_validate({"name": "noisy", "kind": backend, "shots": 256} | noise)
    curve = shot_curve(run, (256,), backend=spec.inside(), repeats=40)
    assert (curve.noise_of, curve.where) == ("manila", "and the noise of manila")
    ideal = shot_curve(run, (256,))
    assert curve.model == ideal.model
    assert abs(curve.device) > 1e-6
    exact = load_run(run, backend=spec.model_copy(update={"kind": "aer", "shots": None} | NOISE))
    data = exact.dataset
    noisy = SPEC.task.error(predict_windows(exact.forecaster, data.x_test), data.y_test)
    assert curve.without_shots == pytest.approx(noisy, rel=1e-7)
    measured = []
    for seed in range(6):
        own = load_run(run, backend=spec.model_copy(update={"seed": seed}))
        measured.append(SPEC.task.error(predict_windows(own.forecaster, data.x_test), data.y_test))
    spread = np.hypot(curve.standard_errors[0], np.std(measured, ddof=1) / len(measured) ** 0.5)
    assert abs(curve.errors[0] - np.mean(measured)) < 5 * spread


def test_errors_of_ideal_circuits_where_noise_is_not_taken(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = BackendSpec.model_validate({"name": "noisy", "kind": "aer", "noise": {"device": "manila"}}).inside()

    def refused(*given: object, **options: object) -> None:
        raise CircuitError("a circuit reads the same angle of the data twice")

    assert expected_errors(run, spec, (64,)).noise_of == "manila"
    monkeypatch.setattr("qlstm_qiskit.hardware.interpreter.sampled.NoisyBank", refused)
    assert expected_errors(run, spec, (64,)) == shot_curve(run, (64,))


def test_the_same_seed_gives_the_same_numbers(run: Path) -> None:
    first, again, other = (shot_curve(run, (64, 128), repeats=2, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.errors != other.errors


def test_shots_that_are_needed() -> None:
    assert CURVE.beats_naive == pytest.approx(200)
    assert CURVE.within_tenth == pytest.approx(800 * 2 ** (-np.log(0.11 / 0.105) / np.log(0.2 / 0.105)), rel=1e-9)
    assert CURVE.below(0.5) == pytest.approx(100 * 2 ** (np.log(0.8 / 0.5) / np.log(2)))
    assert CURVE.below(1) == 100
    assert CURVE.below(0.1) is None
    assert replace(CURVE, errors=(0.3, 0.5, 0.2, 0.1)).beats_naive > 200  # it must stay below
    assert replace(CURVE, naive={}).beats_naive is None
    assert CURVE.fewest(0.45) == 178  # 100 * 0.8 / 0.45, rounded up
    for bound in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="give a positive number"):
            CURVE.fewest(bound)


def test_the_figure(tmp_path: Path) -> None:
    draw_shots(tmp_path / "shots.png", replace(CURVE, device=0.02))
    assert matplotlib.image.imread(tmp_path / "shots.png").shape[2] == 4


def test_what_cannot_be_answered_is_refused(run: Path, tmp_path: Path) -> None:
    for numbers in ((), (64, 64), (128, 64)):
        with pytest.raises(OptionError, match="give numbers in rising order"):
            shot_curve(run, numbers)
    for numbers, match in (((0,), "shots"), ((1.5,), "shots")):
        with pytest.raises(OptionError, match=match):
            shot_curve(run, numbers)
    for backend in ("statevector", "aer-shots", "fake-fez"):
        with pytest.raises(OptionError, match=rf"backend {backend} has no shots that could be varied here"):
            shot_curve(run, backend=backend)
    lstm = train_run(SPEC.model_copy(update={"model": "lstm", "depth": None, "epochs": 1}), tmp_path / "lstm")
    with pytest.raises(OptionError, match="the model lstm of .* has no circuits"):
        shot_curve(lstm.path)
