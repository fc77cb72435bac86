"""A run of 100 qubits through the commands: what works on small ones works, or says in a line why it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from qiskit import qasm3, qpy

from qlstm_qiskit import load_run
from qlstm_qiskit.data import load_dataset
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.space import Candidate
from qlstm_qiskit.training import QLSTMRegressor

Command = Callable[..., tuple[int, str, str]]

TRAIN = ("train", "--dataset", "damped_shm", "--n-qubits", 100, "--hidden-size", 5, "--epochs", 1)


def check_read_by_qiskit(run: Path, circuits: Path) -> None:
    """The program with parameters, read by Qiskit, has the values of the run's own circuit."""
    assert sum(path.stat().st_size for path in circuits.iterdir()) < 2**18, "200 rotations and 198 CX in each of five programs"
    [own] = next(iter(load_run(run).forecaster.circuits.layers())).bank.candidates
    [path] = (path for path in circuits.glob("*.qasm") if "bound" not in path.name)
    circuit = qasm3.load(path)
    there = {parameter.name: parameter for parameter in circuit.parameters}
    read = Candidate("read", circuit, [there[f"x{k}"] for k in range(100)], [there[f"w{k}"] for k in range(200)])
    inputs, weights = (torch.rand(1, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in (100, 200))
    values = [StatevectorBackend().bank([candidate]).bind(weights)(inputs) for candidate in (own, read)]
    assert values[0].std() > 0.1
    torch.testing.assert_close(values[1], values[0], rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_run_of_100_qubits_from_training_to_its_page(qlstm: Command, tmp_path: Path) -> None:
    code, out, err = qlstm(*TRAIN, "--model", "config1", "--depth", 2, "--out", "run")
    assert (code, err) == (0, ""), err
    assert "takes a while on 100 qubits: qlstm shots run" in out
    trained = json.loads((tmp_path / "run" / "metrics.json").read_text())
    code, out, err = qlstm("evaluate", "run", "--json")
    assert code == 0, err
    assert json.loads(out)["test"]["mse"] == pytest.approx(trained["test_mse"], rel=1e-9)
    for kind in ("qpy", "qasm3"):
        code, out, err = qlstm("export", "run", "--format", kind, "--out", kind)
        assert code == 0, err
        assert "read back, they predict as the run does" in out
    check_read_by_qiskit(tmp_path / "run", tmp_path / "qasm3" / "circuits")
    code, _, err = qlstm("report", "run", "--out", "run.html")
    assert code == 0, err
    assert "On 100 qubits it takes minutes" in (tmp_path / "run.html").read_text()
    code, _, err = qlstm("evaluate", "run", "--backend", "exact-noise-fez")
    assert code == 2
    assert err == (
        "error: 100 qubits are too many for the exact interpreter with noise, which takes 31 at most. Use fewer qubits "
        "(hidden_size, or n_qubits), a backend without noise, or one that runs circuits (aer-noise-fez).\n"
    )


@pytest.mark.slow
def test_a_run_of_100_qubits_on_the_couplers_of_a_device_needs_no_swaps_there(qlstm: Command, tmp_path: Path) -> None:
    wide = ("--entangler", "device:fez", "--n-qubits", 100, "--hidden-size", 5, "--depth", 2, "--epochs", 1)
    code, out, err = qlstm("train", "--dataset", "sunspots", "--model", "config1", *wide, "--out", "run")
    assert (code, err) == (0, ""), err
    assert "Circuits evaluated as: multilinear form" in out
    trained = json.loads((tmp_path / "run" / "metrics.json").read_text())
    code, out, err = qlstm("evaluate", "run", "--json")
    assert code == 0, err
    assert json.loads(out)["test"]["mse"] == pytest.approx(trained["test_mse"], rel=1e-9)
    for kind in ("qpy", "qasm3"):
        code, out, err = qlstm("export", "run", "--format", kind, "--out", kind)
        assert code == 0, err
        assert "read back, they predict as the run does" in out
    code, out, err = qlstm("transpile", "run", "--device", "fez", "--json")
    assert code == 0, err
    ((report,),) = (layer["candidates"] for layer in json.loads(out)["layers"])
    assert (report["swaps"], report["two_qubit_gates"]) == (0, [202, 202])
    couplers = find_device("fez").target["cz"]
    with (tmp_path / "qpy" / "circuits" / "layer1-H-RY_device_fez-RY.qpy").open("rb") as file:  # by stock Qiskit
        (circuit,) = qpy.load(file)
    place = report["qubits"]
    used = {tuple(place[circuit.find_bit(q).index] for q in item.qubits) for item in circuit.data if len(item.qubits) == 2}
    assert len(used) == 101
    assert all(couplers[pair].error < 1 for pair in used)


@pytest.mark.slow
def test_candidates_whose_terms_explode_are_refused_and_nothing_is_left(qlstm: Command, tmp_path: Path) -> None:
    code, out, err = qlstm(*TRAIN, "--model", "diffqas", "--depth", 2, "--out", "run")
    assert (code, out) == (2, "")
    assert "12 of 36 candidates (H-RY|cyclic-RY, H-RY|cyclic-RX, " in err
    assert "are sums of at least 2^100 terms" in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_space_of_60_qubits_is_analysed_without_states(qlstm: Command, tmp_path: Path) -> None:
    """What is proven of a brickwork does not depend on how far it goes on: as on 12 qubits, where states fit."""
    (tmp_path / "own.py").write_text(
        "from qlstm_qiskit import SearchSpace\n"
        "def space():\n    return SearchSpace.product(['H-RY', 'RZ'], ['linear-RY', 'linear-RZ', 'linear-RX'])\n"
    )
    found = {}
    for n in (12, 60):
        code, out, err = qlstm("space", "analyze", "own.py:space", "--n-qubits", n, "--depth", 1, "--outputs", 4, "--json")
        assert code == 0, err
        found[n] = json.loads(out)
    assert found[12]["samples"] == 400
    assert found[60]["samples"] == 0
    assert found[60]["counts"] == found[12]["counts"]
    for wide, narrow in zip(found[60]["candidates"], found[12]["candidates"], strict=True):
        for name in ("zero", "zero_outputs", "blind", "equal_to", "complete", "n_frequencies", "degree"):
            assert wide[name] == narrow[name], (name, wide["name"])
        for name, columns in (("unseen_inputs", 12), ("inert_weights", 12)):
            assert [column for column in wide[name] if column < columns - 2] == [c for c in narrow[name] if c < columns - 2]
        assert wide["entangling_capability"] is None
        assert narrow["entangling_capability"] is not None
    code, out, err = qlstm("space", "analyze", "own.py:space", "--n-qubits", 60, "--depth", 1, "--outputs", 4, "--out", "s.png")
    assert code == 0, err
    assert "left out, since random states of 60 qubits do not fit in memory" in " ".join(out.split())
    assert (tmp_path / "s.png").stat().st_size > 0


@pytest.mark.slow
def test_an_estimator_of_156_qubits_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    data = load_dataset("damped_shm")
    model = QLSTMRegressor("config1", n_qubits=156, hidden_size=5, depth=2, max_epochs=3, seed=0)
    model.fit(data.x_train, data.y_train)
    losses = [row["train_loss"] for row in model.history_]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model")
    loaded = QLSTMRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(data.x_test), model.predict(data.x_test))
    assert np.isfinite(pd.Series(model.predict(data.x_test).ravel())).all()
