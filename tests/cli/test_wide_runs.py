"""A run of 100 qubits through the commands: what works on small ones works, or says in a line why it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import load_dataset
from qlstm_qiskit.training import QLSTMRegressor

Command = Callable[..., tuple[int, str, str]]

TRAIN = ("train", "--dataset", "damped_shm", "--n-qubits", 100, "--hidden-size", 5, "--epochs", 1)


@pytest.mark.slow
def test_a_run_of_100_qubits_from_training_to_its_page(qlstm: Command, tmp_path: Path) -> None:
    code, out, err = qlstm(*TRAIN, "--model", "config1", "--depth", 2, "--out", "run")
    assert (code, err) == (0, ""), err
    assert "takes a while on 100 qubits: qlstm shots run" in out
    trained = json.loads((tmp_path / "run" / "metrics.json").read_text())
    code, out, err = qlstm("evaluate", "run", "--json")
    assert code == 0, err
    assert json.loads(out)["test"]["mse"] == pytest.approx(trained["test_mse"], rel=1e-9)
    code, out, err = qlstm("export", "run", "--format", "qpy", "--out", "export")
    assert code == 0, err
    assert "read back, they predict as the run does" in out
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
