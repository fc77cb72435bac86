"""Estimators that are saved and read back: the same predictions, to the bit; or one line that says what is wrong."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.exceptions import NotFittedError

from qlstm_qiskit import QLSTMClassifier, QLSTMRegressor, SearchSpace, load_backend
from qlstm_qiskit.errors import OptionError, QLSTMError, RunError
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.training.inputs import describe
from qlstm_qiskit.training.plain import CheckedOptions

RNG = np.random.default_rng(3)
X = RNG.random((24, 3, 1))
Y = RNG.random((24, 2))
SMALL = {"hidden_size": 1, "depth": 1, "max_epochs": 1, "seed": 4}


def own_circuits() -> SearchSpace:
    circuits = []
    x, w = ParameterVector("x", 2), ParameterVector("w", 1)
    for k in range(3):
        circuit = QuantumCircuit(2, name=f"own {k}")
        for qubit in range(2):
            circuit.ry(x[qubit], qubit)
        circuit.rx(w[0], k % 2)
        circuit.cx(0, 1)
        circuits.append(circuit)
    return SearchSpace.from_circuits(circuits)


FITTED = {
    "regressor": lambda: QLSTMRegressor("config1", **SMALL).fit(X, Y),
    "flat": lambda: QLSTMRegressor("lstm", hidden_size=2, max_epochs=1, dtype="float32").fit(X[:, :, 0], Y[:, 0]),
    "two layers": lambda: QLSTMRegressor("config2", num_layers=2, bidirectional=True, **SMALL).fit(X, Y),
    "gru": lambda: QLSTMRegressor("config1", cell="gru", n_qubits=2, **SMALL).fit(X, Y),
    "fast-weight": lambda: QLSTMRegressor("config1", cell="fast-weight", n_qubits=2, **SMALL).fit(X, Y),
    "own circuits": lambda: QLSTMRegressor("diffqas", space=own_circuits(), **(SMALL | {"depth": None})).fit(X, Y),
    "a space of the package": lambda: QLSTMRegressor("diffqas", space=SearchSpace.handcrafted(2), **SMALL).fit(X, Y),
    "a search that drops": lambda: QLSTMRegressor(
        "diffqas", space=own_circuits(), search="shrinking", hidden_size=1, max_epochs=4
    ).fit(X, Y),
    "shots": lambda: QLSTMRegressor("config1", backend="exact-shots", **SMALL).fit(X, Y),
    "an entry": lambda: QLSTMRegressor("config1", backend=find_spec("exact-noise-fez"), **SMALL).fit(X, Y),
    "frame": lambda: QLSTMRegressor("config1", **SMALL).fit(pd.DataFrame(X[:, :, 0], columns=["a", "b", "c"]), Y),
    "classes": lambda: QLSTMClassifier("config1", **SMALL).fit(X, np.where(Y[:, 0] > 0.5, "up", "down")),
    "maps in place of circuits": lambda: QLSTMRegressor("config1", bank="frozen", **SMALL).fit(X, Y),
    "maps in place of own circuits": lambda: QLSTMRegressor(
        "diffqas", space=own_circuits(), bank="products", **(SMALL | {"depth": None})
    ).fit(X, Y),
    "numbers of classes": lambda: QLSTMClassifier("lstm", hidden_size=1, max_epochs=1).fit(X, (Y[:, 0] > 0.5) + 3),
}  # fmt: skip


@pytest.mark.parametrize("kind", FITTED)
def test_what_is_read_back_predicts_the_same(tmp_path: Path, kind: str) -> None:
    model = FITTED[kind]()
    model.save(tmp_path / "a" / "model")
    read = type(model).load(tmp_path / "a" / "model")
    windows = pd.DataFrame(X[:, :, 0], columns=["a", "b", "c"]) if kind == "frame" else X
    windows = X[:, :, 0] if kind == "flat" else windows
    if kind in ("shots", "an entry"):  # of which each call is another draw
        read.save(tmp_path / "b")
        model = type(model).load(tmp_path / "b")
    np.testing.assert_array_equal(read.predict(windows), model.predict(windows))
    assert read.predict(windows).dtype == model.predict(windows).dtype
    assert (read.history_, read.interrupted_) == (model.history_, model.interrupted_)
    assert read.n_features_in_ == model.n_features_in_
    for name in ("model", "hidden_size", "cell", "bank", "seed", "lr", "dtype"):
        assert getattr(read, name) == getattr(model, name)
    if kind == "frame":
        assert list(read.feature_names_in_) == ["a", "b", "c"]
    if "classes" in kind:
        np.testing.assert_array_equal(read.classes_, model.classes_)
        np.testing.assert_array_equal(read.predict_proba(windows), model.predict_proba(windows))
    again = read.fit(windows, model.classes_[[0, 1] * 12] if "classes" in kind else Y[:, 0])  # an estimator like any other
    assert len(again.history_) == model.max_epochs


def test_an_option_of_later_versions_is_left_out_where_it_is_the_default(tmp_path: Path) -> None:
    for bank, kept in (("circuits", False), ("tanh", True)):
        model = QLSTMRegressor("config1", bank=bank, **SMALL).fit(X, Y)
        model.save(tmp_path / bank)
        (file,) = (tmp_path / bank).iterdir()
        with safe_open(file, "pt") as content:
            assert ('"bank"' in "".join(content.metadata().values())) == kept
        assert ("bank" in describe(CheckedOptions.of(model))) == kept


def test_intervals_are_kept(tmp_path: Path) -> None:
    model = FITTED["regressor"]().calibrate(X, Y)
    model.save(tmp_path)
    ends, wanted = (one.predict_interval(X, level=0.8) for one in (QLSTMRegressor.load(tmp_path), model))
    np.testing.assert_array_equal(ends, wanted)


def test_an_object_as_the_backend_is_given_again(tmp_path: Path) -> None:
    backend = load_backend("statevector")
    model = QLSTMRegressor("config1", backend=backend, **SMALL).fit(X, Y)
    model.save(tmp_path)
    with pytest.raises(OptionError, match="backend="):
        QLSTMRegressor.load(tmp_path)
    np.testing.assert_array_equal(QLSTMRegressor.load(tmp_path, backend=backend).predict(X), model.predict(X))
    exact = QLSTMRegressor.load(tmp_path, backend="aer-exact").predict(X)
    np.testing.assert_allclose(exact, model.predict(X), atol=1e-9)


def test_reading_runs_nobodys_code(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('was run')")
    options = find_spec("statevector").model_dump(exclude_defaults=True)
    spec = type(find_spec("statevector")).model_validate(options | {"kind": "provider", "provider": "mine:get"})
    model = QLSTMRegressor("config1", **SMALL).fit(X, Y).set_params(backend=spec)
    model.save(tmp_path / "model")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(RunError, match="mine:get"):
            QLSTMRegressor.load(tmp_path / "model")
    finally:
        sys.path.remove(str(tmp_path))
    assert QLSTMRegressor.load(tmp_path / "model", backend="statevector").predict(X).shape == Y.shape


def test_an_unfitted_one_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        QLSTMRegressor().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_failed_write_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FITTED["regressor"](), FITTED["flat"]()
    first.save(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(RunError):
            second.save(tmp_path)
    np.testing.assert_array_equal(QLSTMRegressor.load(tmp_path).predict(X), first.predict(X))
    assert [path.name for path in tmp_path.iterdir()] == ["estimator.safetensors"]


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no folder"):
        QLSTMRegressor.load(tmp_path / "none")
    with pytest.raises(RunError, match="give a folder that `save` has written"):
        QLSTMRegressor.load(tmp_path)
    FITTED["own circuits"]().save(tmp_path)
    with pytest.raises(RunError, match=r"read it by QLSTMRegressor\.load"):
        QLSTMClassifier.load(tmp_path)
    path = tmp_path / "estimator.safetensors"
    whole = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        header, tensors = json.loads(file.metadata()["qlstm_qiskit"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changes = (
        {"options": header["options"] | {"hidden_size": 2}},
        {"options": header["options"] | {"hidden": 2}},
        {"fitted": {}},
        {"format": 2},
        {"spaces": []},
        {"sizes": [1, 3]},
        {"gates": [[["a"]]]},
    )
    for change in changes:
        save_file(tensors, path, metadata={"qlstm_qiskit": json.dumps(header | change)})
        with pytest.raises(QLSTMError) as caught:
            QLSTMRegressor.load(tmp_path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    damaged = tensors | {"circuits": torch.zeros(20, dtype=torch.uint8)}
    save_file(damaged, path, metadata={"qlstm_qiskit": json.dumps(header)})
    with pytest.raises(RunError, match="damaged"):
        QLSTMRegressor.load(tmp_path)
    for end in (0, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(RunError, match="damaged"):
            QLSTMRegressor.load(tmp_path)
