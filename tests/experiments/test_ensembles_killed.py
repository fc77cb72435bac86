"""kill -9 while jobs of an ensemble run at a device: the same command goes on, and nothing is sent twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qlstm_qiskit.errors import BudgetError
from qlstm_qiskit.experiments import resume_run, train_run
from qlstm_qiskit.experiments.runs.ensemble import member_folder
from qlstm_qiskit.experiments.runs.settle import settle
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.config.parts import GuardSpec
from qlstm_qiskit.hardware.jobs.ledger import FILE, Ledger
from tests.experiments.device_work import IBM, WINDOW, connect, spec, write_series
from tests.experiments.test_makers_killed import ENTRY, EVALUATE, LAB, accepted, command, in_child, said
from tests.hardware.mock_service import Server

R, EPOCHS = 2, 2
TRAINED = R * 2 * WINDOW * EPOCHS  # by SPSA, one batch an epoch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an ensemble that was trained exactly, and an entry for the device."""
    folder = tmp_path_factory.mktemp("trained")
    train_run(spec(write_series(folder, 12), replicas=R).on("statevector"), folder / "run")
    (folder / "backends.yaml").write_text(ENTRY)
    return folder


def test_an_evaluation_goes_on(trained: Path, tmp_path: Path) -> None:
    whole, cut = (Path(shutil.copytree(trained, tmp_path / name)) for name in ("whole", "cut"))
    assert in_child(whole, command(*EVALUATE), None)
    assert said(whole)[0] == 0, said(whole)[2]
    assert len(accepted(whole)) == R * WINDOW
    for job in (1, WINDOW + 1):  # of the first member, and of the second
        assert not in_child(cut, command(*EVALUATE), (job, "status"))
        assert len(accepted(cut)) == job + 1
    assert in_child(cut, command("jobs", "list", "run"), None)
    assert "submitted" in said(cut)[1]
    assert in_child(cut, command("resume", "run"), None)
    assert said(cut)[1].startswith("1 results fetched"), said(cut)
    assert in_child(cut, command(*EVALUATE), None)
    assert said(cut)[:2] == (0, said(whole)[1])
    assert accepted(cut) == accepted(whole)
    for place in range(R):
        with Ledger(member_folder(cut / "run", place) / FILE) as ledger:
            assert [entry.status for entry in ledger.entries()] == ["done"] * WINDOW
    assert not (cut / "run" / FILE).exists()


def train() -> None:
    run = Path("run")
    if (run / "config.json").exists():
        resume_run(run, trust=True)
    else:
        train_run(spec(Path("wave.csv"), LAB, optimizer="spsa", epochs=EPOCHS, replicas=R), run)


def test_the_guard_counts_all_members_when_it_begins_and_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path / "service")
    connect(server, monkeypatch)
    csv = write_series(tmp_path, 12)

    def limited(most: int) -> BackendSpec:
        return IBM.model_copy(update={"guard": GuardSpec(max_circuits=most)})

    with pytest.raises(BudgetError) as caught:
        train_run(spec(csv, limited(1)), tmp_path / "one")
    one = int(str(caught.value).split(" would take ")[1].split()[0].replace(",", ""))
    with pytest.raises(BudgetError, match=f"training 2 models on 'ibm' would take {2 * one} circuits"):
        train_run(spec(csv, limited(one), replicas=R), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()  # what a process leaves that was killed before its first member
    begun = settle(spec(csv, limited(2 * one), replicas=R))[0]
    (tmp_path / "run" / "config.json").write_text(begun.model_dump_json())
    with pytest.raises(BudgetError, match=f"training 2 models on 'ibm' would take {2 * one} circuits"):
        resume_run(tmp_path / "run", options=limited(one))
    assert "submit" not in server.requests


def test_a_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        write_series(folder, 12)
    assert in_child(whole, train, None)
    assert len(accepted(whole)) == TRAINED
    for job, moment in ((1, "status"), (TRAINED // 2 + 1, "result")):
        assert not in_child(cut, train, (job, moment))
        assert len(accepted(cut)) == job + 1
    assert in_child(cut, command("resume", "run", "--trust-provider"), None)
    assert said(cut)[0] == 0, said(cut)
    assert accepted(cut) == accepted(whole)
    for place in range(R):
        files = [member_folder(folder / "run", place) / "model.safetensors" for folder in (whole, cut)]
        assert files[0].read_bytes() == files[1].read_bytes()
