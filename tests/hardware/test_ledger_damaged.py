"""Records of jobs that are damaged, locked, full or read-only: one line that fits, and nothing is submitted twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import LedgerError, QLSTMError
from qlstm_qiskit.hardware.jobs import fetch, ledger_file, runtime
from qlstm_qiskit.hardware.jobs.answers import readout_of, result_of
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.lock import lock_of
from qlstm_qiskit.hardware.jobs.pinned import PinnedDevice, calibration_of
from tests.hardware.mock_service import Fault, MockService, Server
from tests.hardware.work import do, runner
from tests.speed import slow_but

#: Damaged records for each kind of damage; of every so many of them the commands are run, and of half of those the work.
EACH, EVERY = 60, 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a service and a record: jobs that are done, one with an id, one prepared, a calibration."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "run").mkdir()
    server = Server(folder / "service")
    server.faults["submit"].extend([None, None, None, Fault(after=True)])
    server.faults["find"].extend([Fault()] * 6)
    with pytest.MonkeyPatch.context() as patch, Ledger(folder / "run" / "jobs.sqlite") as ledger, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        patch.setenv("USAGE_DATA_OPT_OUT", "True")
        patch.setattr(fetch, "FIRST_PAUSE", 0.0)
        device = MockService(server).backend("ibm_small")
        ledger.pinned("train", device.name, calibration_of(device.target))
        with pytest.raises(QLSTMError):
            do(runner(server, ledger))
    assert Ledger(folder / "run" / "jobs.sqlite").next_step("train") == 4
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it in the working folder."""
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")
    monkeypatch.setattr(fetch, "LOOKS", (0.0,))
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(runtime, "open_service", lambda spec: MockService(Server(tmp_path / "service")))
    monkeypatch.chdir(tmp_path)
    restore(whole, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield tmp_path


def restore(whole: Path, folder: Path) -> None:
    for name in ("run", "service"):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(whole / name, folder / name)


def on_the_line(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and standard error of `qlstm jobs`."""
    with pytest.raises(SystemExit) as caught:
        main(["jobs", *map(str, arguments)])
    return int(caught.value.code or 0), capsys.readouterr().err


Damage = Callable[[Path, np.random.Generator], None]


def flip_bytes(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), rng.integers(1, 6)):
        content[place] ^= int(rng.integers(1, 256))
    path.write_bytes(bytes(content))


def cut(path: Path, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(0, len(content)))])


ODD = [
    None,
    "",
    "x",
    b"\xff\xfe",
    b"",
    -1,
    2**62,
    1.5,
    9e999,
    "2026-13-45",
    "9999-12-31",
    "{}",
    "[1]",
    '{"positions": [[[',
    "\ud800",
]


def set_column(path: Path, rng: np.random.Generator) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        table = str(rng.choice(["jobs", "jobs", "jobs", "pins", "specs"]))
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        value = ODD[int(rng.integers(len(ODD)))]
        database.execute("PRAGMA ignore_check_constraints = ON")
        where = f"WHERE rowid = {int(rng.integers(1, 5))}"
        try:
            database.execute(f"UPDATE {table} SET {rng.choice(columns)} = ? {where}", (value,))
        except (sqlite3.IntegrityError, UnicodeEncodeError, sqlite3.Error):
            flip_bytes(path, rng)


def cut_a_text(path: Path, rng: np.random.Generator) -> None:
    """A pin, a backend, a readout or a result that ends too early."""
    table, column = [("pins", "content"), ("specs", "spec"), ("jobs", "readout"), ("jobs", "result")][int(rng.integers(4))]
    with closing(sqlite3.connect(path)) as database, database:
        share = float(rng.uniform())
        database.execute(f"UPDATE {table} SET {column} = substr({column}, 1, CAST(length({column}) * ? AS INTEGER))", (share,))


def lose_a_part(path: Path, rng: np.random.Generator) -> None:
    statements = ["DROP TABLE jobs", "DROP TABLE pins", "DROP TABLE specs", "DELETE FROM jobs WHERE id = 2", "DELETE FROM pins"]
    statements += [f"ALTER TABLE jobs DROP COLUMN {name}" for name in ("usage", "error", "readout", "result", "circuits")]
    statements += [f"PRAGMA user_version = {version}" for version in (0, 7, -3)]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statements[int(rng.integers(len(statements)))])


DAMAGES: dict[str, Damage] = {item.__name__: item for item in (flip_bytes, cut, set_column, cut_a_text, lose_a_part)}


@pytest.mark.parametrize("name", slow_but(["cut"], DAMAGES))
def test_a_damaged_record_is_told_in_a_line_and_nothing_is_submitted_twice(
    folder: Path, whole: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, rng = folder / "run" / "jobs.sqlite", np.random.default_rng(sorted(DAMAGES).index(name))
    restore(whole, folder)
    refused = 0
    for number in range(EACH):
        shutil.copy(whole / "run" / "jobs.sqlite", path)
        DAMAGES[name](path, rng)
        damaged = path.read_bytes()
        refused += is_refused(path)
        if number % EVERY:
            continue
        for command in (("list", "run"), ("show", "run", 1), ("show", "run", 3), ("resume", "run"), ("cancel", "run")):
            path.write_bytes(damaged)
            code, err = on_the_line(capsys, *command)
            assert code in {0, 2}, (number, command)
            assert err == "" if code == 0 else err.startswith("error: ") and err.count("\n") == 1, (number, command, err)
        if number % (2 * EVERY):
            continue
        restore(whole, folder)
        path.write_bytes(damaged)
        server = Server(folder / "service")
        with suppress(QLSTMError), Ledger(path) as ledger:
            do(runner(server, ledger), steps=3)
        contents = [entry["content"] for entry in server.log()]
        assert len(contents) == len(set(contents)), (number, "a job was submitted twice")
    assert refused > EACH / 4


def is_refused(path: Path) -> bool:
    """Whether anything is said against a record by reading all of it; all else but an error of the package is a fault."""
    try:
        with Ledger(path, create=False) as ledger:
            for entry in ledger.entries():
                readout_of(ledger, entry)
                ledger.remembered(entry)
                if entry.status == "done":
                    result_of(ledger, entry)
            ledger.pinned("train", "ibm_small", "")
    except QLSTMError as error:
        return "\n" not in str(error)
    return False


WRONG = [
    ("result = NULL", "the result of job 1 is damaged"),
    ("result = X''", "the result of job 1 is damaged"),
    ("pubs = 3", "the result of job 1 is damaged"),
    ("readout = 'cut'", "job 1 does not say how its result is read"),
    ("readout = '{}'", "job 1 does not say how its result is read"),
    ("readout = replace(readout, '[[[0]]', '[[[0], [0]]')", "job 1 is not what was asked for: PUB 0 has values"),
    ("readout = replace(readout, '\"sets\": [2', '\"sets\": [9')", "job 1 is not what was asked for: PUB 0 has values"),
    ("status = 'finished'", "no job has such a value of status as job 1"),
    ("step = 'first'", "no job has such a value of step as job 1"),
    ("updated = '2026-02-30'", "no job has such a value of updated as job 1"),
    ("usage = 9e999", "no job has such a value of usage as job 1"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[change for change, _ in WRONG])
def test_what_is_wrong_with_a_job_is_named(folder: Path, change: str, message: str) -> None:
    path = folder / "run" / "jobs.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(f"UPDATE jobs SET {change} WHERE id = 1").rowcount == 1
    with Ledger(path) as ledger, pytest.raises(LedgerError, match=message) as caught:
        result_of(ledger, ledger.entry(1))
    assert "restore a copy of the file: without its record jobs would be submitted, and paid for, again" in str(caught.value)


def test_values_that_no_measurement_gives_are_refused(folder: Path) -> None:
    with Ledger(folder / "run" / "jobs.sqlite") as ledger:
        entry = ledger.entry(1)
        values = result_of(ledger, entry)
        for wrong in (1.5, np.nan, -np.inf):
            values[0][0, 0] = wrong
            ledger.done(entry, values)
            with pytest.raises(LedgerError, match="job 1"):
                result_of(ledger, entry)


def test_jobs_that_are_missing_are_not_taken_for_new_ones(folder: Path) -> None:
    path = folder / "run" / "jobs.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM jobs WHERE step = 1")
    with Ledger(path) as ledger, pytest.raises(LedgerError, match="jobs of 'train' are missing"):
        runner(Server(folder / "service"), ledger)


def test_an_empty_file_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    path.touch()
    for create in (True, False):
        with pytest.raises(LedgerError, match="is empty; restore a copy .* If nothing was ever submitted"):
            Ledger(path, create)
    assert path.stat().st_size == 0
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE mine (a)")
    with pytest.raises(LedgerError, match="an SQLite file of something else"):
        Ledger(path)


def test_a_record_is_made_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.sqlite"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)
        with pytest.raises(KeyboardInterrupt):
            Ledger(path)
    assert list(tmp_path.iterdir()) == []

    def other_process(source: Path, target: Path) -> None:
        with Ledger(tmp_path / "other.sqlite") as other:
            other.prepare("train", 0, "r", "b", "d", "{}", 1, 1, 1)
        shutil.copy(tmp_path / "other.sqlite", target)
        raise FileExistsError

    link = os.link
    with monkeypatch.context() as patch:
        patch.setattr(ledger_file.os, "link", lambda *names: other_process(*names) if names[1] == path else link(*names))
        with Ledger(path) as ledger:
            assert len(ledger.entries()) == 1, "the record that another process made meanwhile"


def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(ledger_file.sqlite3, "connect", lambda *a, **k: connect(*a, **(k | {"timeout": 0.05})))


def test_a_locked_record_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "run" / "jobs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        short_wait(monkeypatch)
        with pytest.raises(LedgerError, match=rf"process {os.getpid()} was the last .*; wait until it has ended") as caught:
            Ledger(path)
        assert "move" not in str(caught.value)
        other.execute("ROLLBACK")
        with Ledger(path) as ledger:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LedgerError, match="another process is using it"):
                ledger.note(Ledger(None).prepare("a", 0, "r", "b", "d", "{}", 1, 1, 1), "x")


def fill(ledger: Ledger) -> None:
    """Write until there is no room for an entry."""
    for step in range(1000):
        ledger.prepare("fill", step, "", "", "", "", 1, 1, 1)


@pytest.mark.parametrize(
    ("pragma", "advice"),
    [("query_only = ON", "may read and write the file and its folder"), ("max_page_count = 1", "free some space on the disk")],
)
def test_what_cannot_be_recorded_is_not_submitted(folder: Path, whole: Path, pragma: str, advice: str) -> None:
    server = Server(folder / "service")
    before = len(server.log())
    with Ledger(folder / "run" / "jobs.sqlite") as ledger:
        jobs = runner(server, ledger)
        jobs.run = "other"
        ledger._db.execute(f"PRAGMA {pragma}")
        with pytest.raises(LedgerError, match=advice) as caught:
            fill(ledger)
        assert "move" not in str(caught.value)
        with pytest.raises(LedgerError, match=advice):
            do(jobs, steps=1)
    assert len(server.log()) == before


def test_a_job_whose_id_cannot_be_recorded_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(folder / "service")

    def full(*_: object, **__: object) -> None:
        raise LedgerError("the disk is full.")

    with Ledger(folder / "run" / "jobs.sqlite") as ledger:
        jobs = runner(server, ledger)
        jobs.run = "other"
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "submitted", full)
            with pytest.raises(LedgerError, match=r"submitted as job-4.*full.*found by its tag"):
                do(jobs, steps=1)
        again = runner(server, ledger)
        again.run = "other"
        do(again, steps=1)
    assert len(server.log()) == 6, "the job was found, and the other one submitted"


def test_a_folder_without_a_lock_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite.lock").mkdir()
    with pytest.raises(LedgerError, match="cannot lock .*: Is a directory; nothing is submitted without the lock"):
        lock_of(tmp_path / "jobs.sqlite")


@pytest.mark.parametrize("change", ["", "{}", "[]", '{"qubits": 1, "instructions": {}}', "half", "digit"])
def test_a_damaged_calibration_is_refused(folder: Path, change: str) -> None:
    device = MockService(Server(folder / "service")).backend("ibm_small")
    text = calibration_of(device.target)
    place = next(k for k in range(len(text) // 2, len(text)) if text[k] in "12345678")
    damaged = {"half": text[: len(text) // 2], "digit": f"{text[:place]}9{text[place + 1 :]}"}.get(change, change)
    assert PinnedDevice(device, text).target.num_qubits == device.num_qubits
    with pytest.raises(LedgerError, match=f"the calibration of {device.name} in the record of jobs is damaged; restore"):
        PinnedDevice(device, damaged)
