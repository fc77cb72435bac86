"""The exact interpreter is what the package means by it, whatever a file of backends says."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit import QLSTM
from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import SpecError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, derive_run, load_run, train_run
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.report.pages.write import write_report


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run in a folder where a file says that `statevector` draws ten shots."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"y": np.sin(np.arange(30) / 3)}).to_csv("s.csv", index=False)
    data = DataSpec(csv="s.csv", target="y")
    run = train_run(RunSpec(data=data, model="diffqas", hidden_size=1, depth=1, epochs=1, batch_size=0), Path("run"))
    Path("backends.yaml").write_text("statevector: {kind: aer, shots: 10}\nmine: {kind: aer}\n")
    return run


@pytest.mark.slow
def test_nothing_of_the_package_asks_for_it_by_name(trained: Run, tmp_path: Path) -> None:
    known = trained.predict(trained.dataset.x_test)
    for backend in (None, EXACT):
        np.testing.assert_array_equal(load_run("run", backend=backend).predict(trained.dataset.x_test), known)
    other = load_run("run", backend=BackendSpec(name="mine", kind="aer"))
    other.predict(trained.dataset.x_test)
    assert other.difference.predictions < 1e-20
    derived = derive_run("run", "derived")
    assert derived.spec.backend_options == EXACT
    assert export_run("run", "multilinear", "exported").difference < 1e-9
    write_report("run", "page.html")
    spec = RunSpec.model_validate_json(Path("run/config.json").read_text())
    assert train_run(spec, "again").metrics["test_mse"] == trained.metrics["test_mse"]


def test_the_name_is_refused_to_others(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for use in (lambda: QLSTM(1, 1), lambda: load_run("run", backend="statevector"), lambda: load_run("run", backend="mine")):
        with pytest.raises(SpecError, match=r"backends.yaml:1: statevector is the exact interpreter"):
            use()
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "run", "--backend", "mine"])
    assert ended.value.code == 2
    assert "Give this entry another name." in capsys.readouterr().err
    Path("backends.yaml").write_text("statevector: {kind: statevector}\nmine: {kind: aer}\n")
    assert load_run("run", backend="statevector").exact is None
    load_run("run", backend="mine")


def test_a_run_that_was_trained_under_that_name(trained: Run) -> None:
    """When it could be given to others: it is evaluated as it was trained, and compared with the exact interpreter."""
    config = json.loads(Path("run/config.json").read_text())
    config["backend_options"] = {"name": "statevector", "kind": "aer", "shots": 10}
    Path("run/config.json").write_text(json.dumps(config))
    run = load_run("run")
    run.predict(run.dataset.x_test)
    assert run.difference.predictions > 1e-12


def test_a_backend_that_is_named_alone(trained: Run) -> None:
    """A config without the entry: it is looked up, and not taken for the exact interpreter."""
    Path("backends.yaml").write_text("mine: {kind: aer, shots: 10}\n")
    config = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps(config | {"backend": "mine", "backend_options": None}))
    run = load_run("run")
    assert run.exact is not None
    assert run.spec.backend == "mine"
