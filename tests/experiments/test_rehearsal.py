"""Local testing mode rehearses the record too: an evaluation that is interrupted goes on, and asks for nothing twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import BudgetError, RunError
from qlstm_qiskit.experiments import Run, load_run, require_affordable_evaluation, resume_run, train_run
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.contract.executor import Request
from qlstm_qiskit.hardware.executors.rehearsal import Rehearsal
from qlstm_qiskit.hardware.jobs.ledger import FILE, Entry, Ledger
from qlstm_qiskit.hardware.jobs.runner import JobRunner
from tests.experiments.device_work import WINDOW, spec, write_series
from tests.experiments.resumable import interrupted_in

LOCAL = BackendSpec.model_validate({"name": "rehearsal", "kind": "ibm", "channel": "local", "device": "manila", "shots": 64})


@pytest.fixture
def trained(tmp_path: Path) -> Run:
    return train_run(spec(write_series(tmp_path)).on("statevector"), tmp_path / "run")


def predict(path: Path) -> np.ndarray:
    run = load_run(path, backend=LOCAL)
    try:
        return run.predict(run.dataset.x_test)
    finally:
        run.close()


def test_a_simulation_that_cuts_a_job_is_not_counted_twice() -> None:
    class Cutting:
        def __init__(self, submit: Any) -> None:
            self._submit = submit

        def expect(self, requests: Any) -> Any:
            return self._submit([None, None])

    isa = load_backend("aer-shots").prepare("c", QuantumCircuit(1), [], [SparsePauliOp("Z")])
    rehearsal = Rehearsal(Cutting, lambda jobs: pytest.fail("it was submitted"), 64, 100, 10**6)
    with pytest.raises(RuntimeError, match="a rehearsed job was cut into 2"):
        rehearsal.expect([Request(isa, np.zeros((1, 0)))])


def entries(path: Path) -> list[Entry]:
    with Ledger(path / FILE, create=False) as ledger:
        return ledger.entries()


def test_an_interrupted_evaluation_goes_on(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict(Path(shutil.copytree(trained.path, tmp_path / "whole")))
    plain, begun = JobRunner._begin, []

    def interrupted(self, work):
        if len(begun) == 2:
            raise KeyboardInterrupt
        begun.append(work)
        return plain(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(JobRunner, "_begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            predict(trained.path)
    before = entries(trained.path)
    assert [entry.status for entry in before] == ["done", "done"]
    np.testing.assert_array_equal(predict(trained.path), whole)
    after = entries(trained.path)
    assert after[:2] == before
    assert len(after) == WINDOW
    assert len({entry.job for entry in after} - {None}) == WINDOW
    np.testing.assert_array_equal(predict(trained.path), whole)
    assert entries(trained.path) == after, "the same question is answered from the record"


def test_the_guard_refuses_a_rehearsal_as_a_whole(trained: Run) -> None:
    tight = LOCAL.model_copy(update={"guard": LOCAL.guard.model_copy(update={"max_qpu_seconds": 0.1})})
    run = load_run(trained.path, backend=tight)
    with pytest.raises(BudgetError, match="Nothing was submitted"):
        require_affordable_evaluation(run, 1)
    assert run.n_jobs == 0
    run.close()


def test_without_a_folder_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))
    assert load_backend(LOCAL).ledger is None
    dry = LOCAL.model_copy(update={"guard": LOCAL.guard.model_copy(update={"dry_run": True})})
    assert load_backend(dry, record=tmp_path / "dry").ledger is None
    assert not list(tmp_path.iterdir())


def test_the_package_is_a_command_too() -> None:
    found = subprocess.run([sys.executable, "-m", "qlstm_qiskit", "--version"], capture_output=True, text=True, check=True)
    assert found.stdout


@pytest.mark.slow
def test_a_training_here_is_not_recorded_and_goes_on_as_such(tmp_path: Path) -> None:
    """What it is evaluated on in the end leaves no record that would be mistaken for one of its jobs."""
    local = spec(write_series(tmp_path), LOCAL).model_copy(update={"optimizer": "spsa", "epochs": 3})
    with interrupted_in(2):
        train_run(local, tmp_path / "run")
    assert not (tmp_path / "run" / FILE).exists()
    predict(tmp_path / "run")  # asked for, and recorded
    assert (tmp_path / "run" / FILE).exists()
    with pytest.raises(RunError, match="go on with: qlstm resume"):
        train_run(local, tmp_path / "run")
    assert not resume_run(tmp_path / "run").metrics["interrupted"]
