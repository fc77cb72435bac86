"""Runs with an entangler: the folder keeps the circuits, so that a device may have another calibration later, or be gone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.providers.fake_provider import GenericBackendV2

from qlstm_qiskit import QLSTMRegressor, SearchSpace
from qlstm_qiskit.circuits.place import place_of
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, derive_run, load_run, load_spec, train_run
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.export.write import export_model
from qlstm_qiskit.experiments.runs.settle import require_same
from qlstm_qiskit.experiments.runs.transpile import transpile_run
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.space import entanglers

DATA = DataSpec(dataset="nile")


def spec(**changes: Any) -> RunSpec:
    small = {"n_qubits": 6, "hidden_size": 2, "epochs": 1}
    return RunSpec(**{"data": DATA, "model": "config1", "entangler": "device:fez", **small} | changes)


@pytest.fixture
def another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name is that of a device with other couplers."""
    monkeypatch.setattr(entanglers, "find_device", lambda name: GenericBackendV2(9, seed=1))
    entanglers._named_region.cache_clear()
    yield
    entanglers._named_region.cache_clear()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(spec(), tmp_path_factory.mktemp("entangled") / "run")


def test_it_is_what_the_estimator_is(run: Run) -> None:
    data = run.dataset
    options: dict[str, Any] = {"n_qubits": 6, "hidden_size": 2, "max_epochs": 1}
    by_name = QLSTMRegressor("config1", entangler="device:fez", **options).fit(data.x_train, data.y_train[:, 0])
    space = SearchSpace.handcrafted(1, "device:fez")
    by_space = QLSTMRegressor("config1", space=space, **options).fit(data.x_train, data.y_train[:, 0])
    linear = QLSTMRegressor("config1", **options).fit(data.x_train, data.y_train[:, 0])
    for fitted in (by_name, by_space):
        np.testing.assert_array_equal(fitted.predict(data.x_test), run.predict(data.x_test)[:, 0])
    assert not np.array_equal(linear.predict(data.x_test), by_name.predict(data.x_test))


def test_a_folder_does_not_depend_on_the_device(run: Run, tmp_path: Path, another_device: None) -> None:
    (candidate,) = next(run.forecaster.circuits.layers()).bank.candidates
    moved = load_run(shutil.copytree(run.path, tmp_path / "moved"))
    np.testing.assert_array_equal(moved.predict(run.dataset.x_test), run.predict(run.dataset.x_test))
    (kept,) = next(moved.forecaster.circuits.layers()).bank.candidates
    assert str(kept.draw()) == str(candidate.draw())
    assert place_of(kept.circuit) == place_of(candidate.circuit) is not None
    found = load_spec(run.path)
    assert (found.title, found.entangler, found.depth) == ("config1, device:fez", "device:fez", 2)
    with pytest.raises(RunError, match="it differs in space"):  # what the name stands for now
        require_same(run.path, spec())
    report = transpile_run(run.path, "fake-fez", cache=tmp_path).layers[0][0]
    assert (report.swaps, report.two_qubit_gates[0]) == (0, report.two_qubit_gates[1])


def test_the_same_command_is_the_same_run_and_another_is_not(run: Run) -> None:
    require_same(run.path, spec())
    with pytest.raises(RunError, match="it differs in"):
        require_same(run.path, spec(entangler="grid"))
    assert "--entangler device:fez" in again(run.spec, run.path)
    assert "--space" not in again(run.spec, run.path)
    assert json.loads((run.path / "config.json").read_text())["entangler"] == "device:fez"


def test_a_run_without_says_nothing_of_it(tmp_path: Path) -> None:
    made = train_run(spec(entangler=None, n_qubits=3), tmp_path / "run")
    content = json.loads((made.path / "config.json").read_text())
    assert "entangler" not in content
    assert content["space"] is None
    assert not (made.path / "space.qpy").exists()


def test_an_export_keeps_the_place(run: Run, tmp_path: Path) -> None:
    export_model(run.forecaster, run.header, tmp_path / "out", "qpy")
    layer = load_exported(tmp_path / "out").forecaster.circuits
    (there,) = next(layer.layers()).bank.candidates
    (here,) = next(run.forecaster.circuits.layers()).bank.candidates
    assert place_of(there.circuit) == place_of(here.circuit)


def test_a_search_takes_several_and_what_is_derived_keeps_circuits(tmp_path: Path, another_device: None) -> None:
    made = train_run(
        spec(model="diffqas", entangler="linear, device:x", search={"name": "softmax"}, n_qubits=3, hidden_size=1, depth=1),
        tmp_path / "run",
    )
    names = [candidate.name for candidate in next(made.forecaster.circuits.layers()).bank.candidates]
    assert names == list(SearchSpace.paper(("linear", "device:x")).names)
    derived = derive_run(made.path, tmp_path / "derived")
    assert derived.spec.entangler is None
    np.testing.assert_array_equal(
        load_run(tmp_path / "derived").predict(made.dataset.x_test), derived.predict(made.dataset.x_test)
    )


def test_an_estimator_is_saved_with_its_circuits(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = run.dataset
    model = QLSTMRegressor("config1", entangler="device:fez", n_qubits=6, hidden_size=2, max_epochs=1)
    model.fit(data.x_train, data.y_train[:, 0]).save(tmp_path)
    monkeypatch.setattr(entanglers, "_named_region", None)
    loaded = QLSTMRegressor.load(tmp_path)
    assert (loaded.entangler, loaded.model) == (None, "config1")
    np.testing.assert_array_equal(loaded.predict(data.x_test), model.predict(data.x_test))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entangler": "ring"}, "unknown entangler 'ring'"),
        ({"entangler": "device:fezz"}, "Did you mean 'fez'"),
        ({"entangler": "device:"}, "unknown entangler 'device:'"),
        ({"entangler": "device:fez,"}, "entangler is 'device:fez,', with an empty name; give names separated by single commas"),
        ({"entangler": "linear,grid"}, "config1 has one circuit per gate, and entangler names 2"),
        ({"entangler": "device:manila"}, "fake_manila has no 6 qubits in one piece: working couplers join 5 at most"),
        ({"model": "lstm", "n_qubits": None}, "the model 'lstm' has no circuits; leave out entangler=device:fez"),
        ({"model": "diffqas", "space": SearchSpace.handcrafted(1)}, "has no meaning for given circuits; leave it out"),
    ],
)
def test_what_does_not_go_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=message):
        train_run(spec(**changes), tmp_path / "run")
    assert not list(tmp_path.iterdir())
    if "space" in changes:
        with pytest.raises(OptionError, match="has no meaning for given circuits"):
            QLSTMRegressor("diffqas", entangler="grid", space=changes["space"]).fit(np.zeros((9, 2, 1)), np.zeros(9))
