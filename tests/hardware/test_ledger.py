"""The record of jobs: what is written is there for the next process, whatever happens to this one."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.errors import LedgerError
from qlstm_qiskit.hardware.jobs.ledger import Entry, Ledger

RESULT = [np.array([[0.1, -0.3], [1.0, np.pi]]), np.zeros((0, 3)), np.array([[np.nextafter(1, 0)]])]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


def prepare(ledger: Ledger, step: int = 0, run: str = "train", request: str = "r") -> Entry:
    return ledger.prepare(run, step, request, "fake", "fake_manila", "{}", pubs=3, circuits=30, shots=100)


def test_an_entry_goes_through_its_states_and_is_found_by_the_next_process(path: Path) -> None:
    with Ledger(path) as ledger:
        entry = prepare(ledger)
        assert (entry.id, entry.step, entry.attempt, entry.status, entry.job) == (1, 0, 0, "prepared", None)
        assert (entry.pubs, entry.circuits, entry.shots, entry.usage, entry.error) == (3, 30, 100, None, None)
    with Ledger(path, create=False) as ledger:
        assert ledger.latest("train", 0) == entry
        assert ledger.note(entry, "no network").error == "no network"
        entry = ledger.submitted(entry, "job-1")
        assert (entry.status, entry.job, entry.error) == ("submitted", "job-1", None)
    with Ledger(path) as ledger:
        entry = ledger.done(entry, RESULT, usage=2.5)
        assert (entry.status, entry.usage) == ("done", 2.5)
    with Ledger(path) as ledger:
        for stored, value in zip(ledger.result(entry), RESULT, strict=True):
            np.testing.assert_array_equal(stored, value)
            assert stored.dtype == np.float64


def test_steps_runs_and_attempts_are_apart(path: Path) -> None:
    with Ledger(path) as ledger:
        first, other, second = prepare(ledger), prepare(ledger, run="predict"), prepare(ledger, step=1)
        assert len({first.tag, other.tag, second.tag}) == 3
        assert ledger.latest("train", 2) is None
        ledger.ended(first, "failed", "it failed")
        again = ledger.again(first)
        assert (again.attempt, again.status, again.request) == (1, "prepared", "r")
        assert again.tag != first.tag
        assert ledger.latest("train", 0) == again
        assert ledger.latest("predict", 0) == other
        assert [e.id for e in ledger.entries()] == [1, 2, 3, 4]
        assert [e.id for e in ledger.entries("train", ["prepared"])] == [3, 4]
        assert [e.status for e in ledger.entries("train")] == ["failed", "prepared", "prepared"]
        ledger.forget(again)
        assert ledger.latest("train", 0) == ledger.entry(1)


def test_a_missing_or_foreign_file_is_named(path: Path) -> None:
    with pytest.raises(LedgerError, match="has no record of jobs"):
        Ledger(path, create=False)
    assert not path.exists()
    path.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(LedgerError, match=r"cannot open .*jobs\.sqlite"):
        Ledger(path)
    path.unlink()
    Ledger(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="later version"):
        Ledger(path)
    with pytest.raises(LedgerError, match="cannot open"):
        Ledger(path / "below" / "jobs.sqlite")


def test_unknown_entries_and_damaged_results_are_named(path: Path) -> None:
    with Ledger(path) as ledger:
        entry = ledger.done(prepare(ledger), RESULT)
        with pytest.raises(LedgerError, match="there is no job 7"):
            ledger.entry(7)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE jobs SET result = substr(result, 1, 40)")
    with Ledger(path) as ledger, pytest.raises(LedgerError, match="is damaged"):
        ledger.result(entry)


def test_objects_are_never_unpickled(path: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", **{"0": np.array([{"a": 1}], dtype=object)})
    with Ledger(path) as ledger:
        entry = ledger.done(prepare(ledger), RESULT)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE jobs SET result = ?", ((tmp_path / "evil.npz").read_bytes(),))
    with Ledger(path) as ledger:
        with pytest.raises(LedgerError, match="is damaged"):
            ledger.result(entry)
        with pytest.raises(TypeError, match="open file"):
            pickle.dumps(ledger)


def test_only_one_process_submits_for_a_run(path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from qlstm_qiskit.hardware.jobs.ledger import Ledger
        ledger = Ledger(Path({str(path)!r}))
        ledger.claim()
        print("claimed", flush=True)
        sys.stdin.read()
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    with Ledger(path) as ledger:
        prepare(ledger)  # reading and noting goes on
        with pytest.raises(LedgerError, match=rf"another process \({process.pid}\)"):
            ledger.claim()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        ledger.claim()
        ledger.claim()
        with Ledger(path) as other:
            other.claim()  # a process may read a run twice
        assert refused(path) == f"another process ({os.getpid()})"
    assert refused(path) == ""


def refused(path: Path) -> str:
    """What another process that claims the ledger is told first."""
    script = textwrap.dedent(f"""
        from pathlib import Path
        from qlstm_qiskit.errors import LedgerError
        from qlstm_qiskit.hardware.jobs.ledger import Ledger
        try:
            Ledger(Path({str(path)!r})).claim()
        except LedgerError as error:
            print(str(error).split(" submits")[0])
    """)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_a_killed_writer_leaves_a_whole_record(path: Path) -> None:
    script = textwrap.dedent(f"""
        import numpy as np
        from pathlib import Path
        from qlstm_qiskit.hardware.jobs.ledger import Ledger
        ledger = Ledger(Path({str(path)!r}))
        for step in range(10**6):
            entry = ledger.prepare("train", step, "r", "ibm", "device", "{{}}", 1, 1, 1)
            print(step, flush=True)
            ledger.done(ledger.submitted(entry, str(step)), [np.full((50, 50), float(step))])
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(40):
        announced = int(process.stdout.readline())
    process.kill()
    announced = max([announced, *map(int, process.stdout.read().split())])
    process.wait()
    with Ledger(path) as ledger:
        entries = ledger.entries()
        assert [entry.step for entry in entries] == list(range(len(entries)))
        assert announced < len(entries) <= announced + 2
        assert all(entry.status == "done" for entry in entries[:-2])
        for entry in entries:
            if entry.status == "done":
                np.testing.assert_array_equal(ledger.result(entry)[0], np.full((50, 50), float(entry.step)))
