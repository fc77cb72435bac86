"""`qlstm shots`, and what is said of shots after a training."""

import json
from pathlib import Path

import pytest

from qlstm_qiskit.experiments import DataSpec, RunSpec, load_run, train_run
from qlstm_qiskit.experiments.runs.shots import shot_curve
from qlstm_qiskit.hardware import find_spec


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = RunSpec(data=DataSpec(dataset="damped_shm"), model="config1", hidden_size=2, depth=1, epochs=2)
    return train_run(spec, tmp_path_factory.mktemp("shots") / "run").path


def test_the_command(qlstm, run: Path) -> None:
    code, out, err = qlstm("shots", str(run), "--shots", "64,256", "--repeats", 2)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines() if line.strip()[:1].isdigit()] == ["64", "256"]
    assert "No model, persistence: 0.00322" in out
    assert (run / "shots.png").is_file()
    code, out, err = qlstm("shots", str(run), "--shots", "64,256", "--repeats", 2, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["shots"] == [64, 256]
    assert found["errors"] == list(shot_curve(run, (64, 256), repeats=2).errors)
    assert load_run(run).metrics  # the folder is as it was
    for options, said in (
        (("--shots", "many"), "'many'"),
        (("--backend", "aer-shots"), "exact-shots"),
        (("--seed", "-1"), "seed"),
    ):
        code, _, err = qlstm("shots", str(run), *options)
        assert code == 2
        assert said in err
        assert len(err.splitlines()) == 1


def test_a_training_says_what_shots_would_cost(qlstm, tmp_path: Path) -> None:
    options = ("--dataset", "nile", "--model", "config1", "--hidden-size", 1, "--depth", 1, "--epochs", 1)
    code, out, _ = qlstm("train", *options, "--out", str(tmp_path / "run"))
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("With shots on an ideal device"))
    assert all(text in line for text in ("with 256", "with 1,024", "with 4,096", "without"))
    code, out, _ = qlstm("train", "--dataset", "nile", "--model", "lstm", "--epochs", 1, "--out", str(tmp_path / "lstm"))
    assert (code, "With shots" in out) == (0, False)
    code, out, _ = qlstm("train", *options, "--backend", "exact-noise-fez", "--out", str(tmp_path / "noisy"))
    assert (code, "With shots and the noise of fez (" in out) == (0, True)


def test_a_plan_says_what_error_to_expect_and_finds_the_shots_for_one(qlstm, run: Path) -> None:
    plan = ("backends", "plan", str(run), "--backend", "ibm", "--device", "fez", "--windows", 2)
    code, out, err = qlstm(*plan)
    assert (code, err) == (0, "")
    noisy = find_spec("ibm").inside("fez")
    expected = shot_curve(run, (4096,), backend=noisy)
    said = f"Expected mean squared error on the test part (scaled units): {expected.errors[0]:.3g} with 4,096 shots"
    assert f"{said} and the noise of fez" in out
    bound = 1.5 * expected.without_shots
    found = json.loads(qlstm(*plan, "--for-mse", bound, "--json")[1])
    assert found["shots"] == shot_curve(run, backend=noisy).fewest(bound) < 4096
    assert found["expected_error"] == pytest.approx(bound, rel=0.2)
    for options, said in (
        (("--for-mse", expected.without_shots / 2), "without shot noise it is"),
        (("--for-mse", 1, "--task", "train"), "predict"),
    ):
        code, _, err = qlstm(*plan, *options)
        assert code == 2
        assert said in err
        assert len(err.splitlines()) == 1


def test_allocated_shots(qlstm, run: Path) -> None:
    """Said in a line, written with the result, and the same each time; nothing is said of it where it was not asked for."""
    evaluate = ("evaluate", str(run), "--backend", "exact-shots")
    code, out, err = qlstm(*evaluate, "--allocate-shots")
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if line.startswith("Shots: 32 to "))
    assert " for each circuit, 16,384 per window, as with 1,024 for each; the variance of predictions" in line
    found = [json.loads(qlstm(*evaluate, "--allocate-shots", "--json")[1]) for _ in range(2)]
    assert found[0]["allocation"] == found[1]["allocation"]
    assert found[0]["allocation"]["per_window"] == 16384 == sum(map(sum, found[0]["allocation"]["shots"][0]))
    assert set(found[0]["allocation"]) == {"equal", "shots", "per_window", "expected_gain"}
    assert "allocation" not in json.loads(qlstm(*evaluate, "--json")[1])
    assert "Shots: " not in qlstm(*evaluate)[1]
    Path("series.csv").write_text("\n".join([load_run(run).header.target, *(f"{0.1 * row}" for row in range(9))]))
    code, out, _ = qlstm(
        "predict", str(run), "--csv", "series.csv", "--out", "p.csv", *evaluate[2:], "--allocate-shots", "--json"
    )
    assert (code, json.loads(out)["allocation"]) == (0, found[0]["allocation"])
    for backend in ((), ("--backend", "aer-exact")):
        code, out, err = qlstm("evaluate", str(run), *backend, "--allocate-shots")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "draws no shots; give one with shots, such as aer-noise-fez" in err
