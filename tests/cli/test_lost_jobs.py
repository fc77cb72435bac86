"""Recorded jobs of other makers that cannot be asked for: the commands say so, and give nothing up by mistake."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.executors.results import Readout
from qlstm_qiskit.hardware.jobs import fetch
from qlstm_qiskit.hardware.jobs.fetch import GIVEN_UP
from qlstm_qiskit.hardware.jobs.ledger import UNSENT, Entry, Ledger

MODULE = "lab_that_loses_jobs"
SPEC = BackendSpec(name="lab", kind="provider", provider=f"{MODULE}:device", shots=64)
DEVICE = "from pathlib import Path\nfrom tests.hardware.maker_service import {0}\ndevice = {0}(Path('service'))\n"
NO_NETWORK = "def device():\n    raise ConnectionError('no route to host')\n"


@pytest.fixture(autouse=True)
def place(qlstm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop(MODULE, None)
    Path("run").mkdir()


def device(code: str) -> None:
    """What the maker's module is from now on."""
    Path(f"{MODULE}.py").write_text(code)
    sys.modules.pop(MODULE, None)
    importlib.invalidate_caches()


def prepared(run: str = "evaluate lab 01234567", submitted: bool = False, job: str | None = None) -> None:
    """A job of an evaluation whose process has died."""
    with Ledger(Path("run/jobs.sqlite")) as ledger:
        ledger.remember(run, "lab", SPEC.model_dump_json())
        readout = Readout(positions=(((0,),),), sets=(1,), shots=64).to_json()
        entry = ledger.prepare(run, ledger.next_step(run), "r", "lab", "lab", readout, 1, 1, 64)
        if submitted:
            ledger.submitted(entry, job)


def jobs() -> list[Entry]:
    with Ledger(Path("run/jobs.sqlite")) as ledger:
        return ledger.entries()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (NO_NETWORK, "failed when called without arguments: ConnectionError: no route to host"),
        ("import a_package_that_is_not_there\n", "cannot import"),
        ("raise AttributeError('device')\n", "cannot import"),
    ],
)
def test_a_job_whose_maker_cannot_be_asked_now_is_not_given_up(qlstm, code: str, said: str) -> None:
    prepared(submitted=True, job="job-0")
    device(code)
    code, out, err = qlstm("jobs", "cancel", "run", "--trust-provider")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert "Nothing was cancelled or given up" in err
    assert [(entry.status, entry.job) for entry in jobs()] == [("submitted", "job-0")]


@pytest.mark.parametrize("code", [None, "other = 3\n"])
def test_a_job_whose_makers_code_is_gone_is_given_up(qlstm, code: str | None) -> None:
    prepared(submitted=True, job="job-0")
    if code is not None:
        device(code)
    code, out, err = qlstm("jobs", "cancel", "run", "--trust-provider")
    assert (code, out.count("given up in the record only")) == (0, 1)
    assert ". Its jobs are given up in the record only." in err
    assert [(entry.status, entry.error) for entry in jobs()] == [("cancelled", GIVEN_UP)]


@pytest.mark.parametrize("submitted", [True, False])
@pytest.mark.parametrize("kind", ["Remote", "Forgetful"])
def test_resume_says_of_an_evaluation_what_is_lost(qlstm, kind: str, submitted: bool) -> None:
    prepared(submitted=submitted)
    device(DEVICE.format(kind))
    code, out, err = qlstm("resume", "run", "--trust-provider")
    assert code == 2
    assert out.startswith("0 results fetched")
    reason = "before its id was noted" if kind == "Remote" else "the provider gives no way to fetch its result"
    assert reason in err
    assert "may have run" in err
    assert err.rstrip().endswith("qlstm resume run --retry")
    code, out, err = qlstm("resume", "run", "--trust-provider", "--retry")
    assert (code, err) == (0, "")
    assert [(entry.status, entry.error) for entry in jobs()] == [
        ("failed", "its process ended before its result was there"),
        ("prepared", UNSENT),
    ]
    device(NO_NETWORK)
    assert qlstm("resume", "run")[0] == 0, "nobody needs to be asked about what was not submitted"
    assert json.loads(qlstm("jobs", "list", "run", "--json")[1])["jobs"][1]["status"] == "prepared"


def test_what_is_lost_is_given_up_without_the_makers_code(qlstm) -> None:
    prepared()
    device(NO_NETWORK)
    assert qlstm("resume", "run", "--retry")[0] == 0
    assert [entry.status for entry in jobs()] == ["failed", "prepared"]
