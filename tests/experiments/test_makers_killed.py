"""kill -9 while jobs run at another maker's device: the same command goes on, and nothing is sent twice."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import QLSTMWarning
from qlstm_qiskit.experiments import resume_run, train_run
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.jobs.ledger import FILE, Ledger
from tests import forked
from tests.experiments.device_work import WINDOW, spec, write_series
from tests.forked import ended
from tests.hardware.maker_service import MOMENTS, Forgetful, Remote
from tests.speed import slow_but

LAB = BackendSpec(name="lab", kind="provider", provider="lab_of_tests:device", shots=64)
ENTRY = "lab: {kind: provider, provider: 'lab_of_tests:device', shots: 64}\n"
EVALUATE = ("evaluate", "run", "--backend", "lab", "--json")
PREDICT = ("predict", "run", "--csv", "wave.csv", "--last", 2, "--backend", "lab", "--out", "predictions.csv")
EPOCHS = 2
TRAINED = 2 * WINDOW * EPOCHS  # by SPSA, one batch an epoch


def in_child(folder: Path, work: Callable[[], Any], kill: tuple[int, str] | None, kind: type[Remote] = Remote) -> bool:
    """Do the work in `folder`, in a process of its own that may be killed at a job; whether it came to its end."""

    def child() -> None:
        patch = pytest.MonkeyPatch()
        patch.chdir(folder)
        patch.setenv("QLSTM_STATE", str(folder / "state"))
        device = kind(folder / "service")
        device.polls, device.kill = 1, kill
        patch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", QLSTMWarning)
        work()

    return ended(forked.child(child))


def command(*arguments: object) -> Callable[[], None]:
    """A command whose code, output and errors are kept in files."""

    def work() -> None:
        out, err = io.StringIO(), io.StringIO()
        code: Any = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main([str(argument) for argument in arguments])
            except SystemExit as error:
                code = error.code or 0
        Path("said.json").write_text(json.dumps([code, out.getvalue(), err.getvalue()]))

    return work


def said(folder: Path) -> tuple[int, str, str]:
    code, out, err = json.loads((folder / "said.json").read_text())
    return code, out, err


def train() -> None:
    """Train on the device, or go on with it."""
    run = Path("run")
    if (run / "config.json").exists():
        resume_run(run, trust=True)
    else:
        train_run(spec(Path("wave.csv"), LAB, optimizer="spsa", epochs=EPOCHS), run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that was trained exactly, and an entry for the device."""
    folder = tmp_path_factory.mktemp("trained")
    csv = write_series(folder, 12)
    train_run(spec(csv).on("statevector"), folder / "run")
    (folder / "backends.yaml").write_text(ENTRY)
    return folder


def copied(trained: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(trained, folder))


def accepted(folder: Path) -> list[str]:
    return [job["content"] for job in Remote(folder / "service").log()]


def jobs_of(folder: Path) -> list[tuple[str, str | None]]:
    with Ledger(folder / "run" / FILE) as ledger:
        return [(entry.status, entry.job) for entry in ledger.entries()]


@pytest.fixture(scope="module")
def evaluated(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """What an evaluation comes to that nobody kills, and the jobs that it sends."""
    folder = copied(trained, tmp_path_factory.mktemp("whole") / "a")
    assert in_child(folder, command(*EVALUATE), None)
    assert said(folder)[0] == 0, said(folder)[2]
    return said(folder)[1], accepted(folder)


@pytest.mark.parametrize("moment", slow_but(("status", "accepted"), MOMENTS))
def test_an_evaluation_goes_on(trained: Path, evaluated: tuple[str, list[str]], tmp_path: Path, moment: str) -> None:
    folder = copied(trained, tmp_path / "a")
    assert len(evaluated[1]) == WINDOW
    assert not in_child(folder, command(*EVALUATE), (2, moment))
    assert in_child(folder, command(*EVALUATE), None)
    sent = evaluated[1]
    if moment in ("before", "accepted"):  # nobody can tell the two apart but the provider
        code, out, err = said(folder)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "before its id was noted; it may have run" in err
        assert accepted(folder) == sent[: 2 if moment == "before" else 3]
        assert in_child(folder, command("resume", "run", "--retry"), None)
        assert said(folder)[0] == 0, said(folder)[2]
        assert accepted(folder) == sent[: 2 if moment == "before" else 3]
        assert in_child(folder, command(*EVALUATE), None)
        sent = sent if moment == "before" else [*sent[:3], *sent[2:]]
    assert said(folder)[:2] == (0, evaluated[0]), said(folder)[2]
    assert accepted(folder) == sent
    again = in_child(folder, command(*EVALUATE), None)
    assert again
    assert said(folder)[1] == evaluated[0]
    assert accepted(folder) == sent, "it is answered from the record"


def test_the_commands_for_jobs(trained: Path, evaluated: tuple[str, list[str]], tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "a")
    assert not in_child(folder, command(*EVALUATE), (1, "status"))
    assert jobs_of(folder) == [("done", "job-0"), ("submitted", "job-1")]
    assert in_child(folder, command("jobs", "list", "run"), None)
    assert "job-1" in said(folder)[1]
    assert in_child(folder, command("jobs", "show", "run", 2), None)
    assert "device: lab\nstatus: submitted\njob: job-1\n" in said(folder)[1]
    (folder / "backends.yaml").rename(folder / "theirs.yaml")
    for name in ("resume", "cancel"):
        assert in_child(folder, command("jobs", name, "run"), None)
        assert said(folder)[0] == 2
        assert "names the provider 'lab_of_tests:device'" in said(folder)[2], "a folder from somebody else calls nothing"
    assert in_child(folder, command("resume", "run", "--trust-provider"), None)
    assert said(folder)[:2] == (
        0,
        "1 results fetched, 2 done\nNow run qlstm evaluate again: what is done is answered from the record\n",
    )
    (folder / "theirs.yaml").rename(folder / "backends.yaml")
    assert not in_child(folder, command(*EVALUATE), (2, "status"))
    assert in_child(folder, command("jobs", "cancel", "run"), None)
    assert said(folder) == (0, "1 jobs cancelled\n", "")
    assert in_child(folder, command("resume", "run", "--retry"), None)
    assert in_child(folder, command(*EVALUATE), None)
    assert said(folder)[:2] == (0, evaluated[0])
    assert accepted(folder) == [*evaluated[1][:3], *evaluated[1][2:]], "only what was cancelled is sent again"


@pytest.mark.parametrize("moment", slow_but(("status",), ("status", "result")))
def test_a_prediction_goes_on(trained: Path, tmp_path: Path, moment: str) -> None:
    whole, cut = copied(trained, tmp_path / "whole"), copied(trained, tmp_path / "cut")
    assert in_child(whole, command(*PREDICT), None)
    assert not in_child(cut, command(*PREDICT), (1, moment))
    assert not (cut / "predictions.csv").exists()
    assert in_child(cut, command(*PREDICT), None)
    assert (cut / "predictions.csv").read_text() == (whole / "predictions.csv").read_text()
    assert accepted(cut) == accepted(whole)


def test_a_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()
        write_series(folder, 12)
    whole, cut = folders
    assert in_child(whole, train, None)
    assert len(accepted(whole)) == TRAINED
    for job, moment in ((1, "status"), (TRAINED // 2, "result"), (TRAINED - 1, "status")):
        assert not in_child(cut, train, (job, moment))
        assert len(accepted(cut)) == job + 1
    assert in_child(cut, train, None)
    assert accepted(cut) == accepted(whole)
    assert len(set(accepted(cut))) == TRAINED
    for name in ("model.safetensors", "history.jsonl"):
        kept = [_without_seconds((folder / "run" / name).read_bytes()) for folder in folders]
        assert kept[0] == kept[1]


def _without_seconds(content: bytes) -> Any:
    try:
        lines = [json.loads(line) for line in content.decode().splitlines()]
    except ValueError:
        return content
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_where_jobs_end_with_their_process_the_commands_say_so_first(trained: Path, tmp_path: Path) -> None:
    folder, words = copied(trained, tmp_path / "a"), "cannot be fetched again (neither lab nor its provider has retrieve_job)"
    assert not in_child(folder, command(*EVALUATE), (1, "accepted"), Forgetful)
    assert in_child(folder, command(*EVALUATE), None, Forgetful)
    code, _, err = said(folder)
    assert (code, err.count("\n")) == (2, 2)
    assert err.startswith(f"warning: backend lab: a job that is under way when this process ends {words}")
    assert "no way to fetch its result; it may have run" in err
    assert len(accepted(folder)) == 2
    for arguments in (("backends", "check", "lab"), ("backends", "plan", "run", "--backend", "lab"), EVALUATE):
        assert in_child(folder, command(*arguments), None, Forgetful)
        assert words in "".join(said(folder)[1:])
    assert in_child(folder, command("backends", "plan", "run", "--backend", "lab", "--json"), None, Forgetful)
    assert json.loads(said(folder)[1])["jobs_survive"] is False


@pytest.mark.parametrize("most", [None, 1, 5])
def test_the_plan_has_the_jobs_that_are_sent(trained: Path, tmp_path: Path, most: int | None, monkeypatch) -> None:
    class Small(Remote):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder, most)

    folder = copied(trained, tmp_path / "a")
    assert in_child(folder, command("backends", "plan", "run", "--backend", "lab", "--json"), None, Small)
    planned = json.loads(said(folder)[1])
    assert accepted(folder) == []
    assert planned["jobs_survive"] is True
    assert in_child(folder, command(*EVALUATE), None, Small)
    assert said(folder)[0] == 0, said(folder)[2]
    sent = Remote(folder / "service").log()
    assert (len(sent), sum(job["circuits"] for job in sent)) == (planned["jobs"], planned["circuits"])
    assert len(jobs_of(folder)) == len(sent)
    assert max(job["circuits"] for job in sent) <= (most or planned["circuits"])
