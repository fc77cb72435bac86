"""A run of 100 qubits on simulated backends, from the command line: trained, exported, transpiled and sampled."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]

TRAIN = ("train", "--dataset", "sunspots", "--model", "config1", "--hidden-size", 5, "--epochs", 1, "--window", 2)


def evaluated(qlstm: Command, *arguments: object) -> dict[str, float]:
    code, out, err = qlstm("evaluate", "run", "--windows", 1, "--json", *arguments)
    assert code == 0, err
    return json.loads(out)["test"]


@pytest.mark.slow
@pytest.mark.parametrize("entangler", ["linear", "device:fez"])
def test_100_qubits_trained_exported_transpiled_without_swaps_and_sampled(
    entangler: str, qlstm: Command, tmp_path: Path
) -> None:
    code, _, err = qlstm(*TRAIN, "--n-qubits", 100, "--depth", 1, "--entangler", entangler, "--out", "run")
    assert code == 0, err
    code, out, err = qlstm("export", "run", "--format", "qpy", "--out", "export")
    assert code == 0, err
    assert "read back, they predict as the run does" in out
    code, out, err = qlstm("transpile", "run", "--backend", "fake-fez", "--json")
    assert code == 0, err
    (report,) = json.loads(out)["layers"][0]["candidates"]
    assert report["swaps"] == 0
    assert len(report["qubits"]) == 100
    exact = evaluated(qlstm)
    (tmp_path / "backends.yaml").write_text("jointly: {kind: aer, shots: 1024, method: matrix_product_state}\n")
    joint = ("jointly",) if entangler == "linear" else ()  # a minute on a device's couplers
    for backend in ("aer-exact", "aer-shots", *joint):
        sampled = evaluated(qlstm, "--backend", backend)
        if backend == "aer-exact":
            assert sampled["mse"] == pytest.approx(exact["mse"], rel=1e-9)
        else:
            assert sampled["mse"] != exact["mse"]
            assert sampled["mse"] == pytest.approx(exact["mse"], abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aer-noise-fez", "ibm-local"])
def test_a_device_of_100_qubits_is_simulated(backend: str, qlstm: Command, tmp_path: Path) -> None:
    """No warning that it takes minutes; noise moves the forecast, and not far."""
    code, _, err = qlstm(*TRAIN, "--n-qubits", 100, "--depth", 1, "--out", "run")
    assert code == 0, err
    exact = evaluated(qlstm)
    code, out, err = qlstm("evaluate", "run", "--windows", 1, "--json", "--backend", backend)
    assert code == 0, err
    assert "shot by shot" not in err
    noisy = json.loads(out)["test"]
    assert noisy["mse"] != exact["mse"]
    assert noisy["mse"] == pytest.approx(exact["mse"], abs=0.5)


@pytest.mark.slow
def test_wide_cones_are_refused_before_anything_is_made(qlstm: Command, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from qlstm_qiskit import SearchSpace\ndef space():\n    return SearchSpace.product(['H-RY'], ['cyclic-RY'])\n"
    )
    given = [item for item in TRAIN if item not in ("--model", "config1")]
    code, out, err = qlstm(
        *given, "--space", "own.py:space", "--n-qubits", 40, "--depth", 1, "--backend", "aer-shots", "--out", "run"
    )
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "H-RY|cyclic-RY has 40 qubits, and an output of it depends on 40 of them" in err
    assert "method: matrix_product_state" in err
    assert not (tmp_path / "run").exists()
