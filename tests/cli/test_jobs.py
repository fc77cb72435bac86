"""`qlstm jobs` as a user meets it, on the record of a run that a fault has stopped."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.errors import JobError
from qlstm_qiskit.experiments import train_run
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.jobs import fetch, runtime
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.runner import JobRunner
from tests.experiments.device_work import connect, spec, write_series
from tests.hardware.mock_service import Fault, MockService, Server
from tests.hardware.work import SPEC, STEPS, do, runner

NO_NETWORK = [Fault()] * 6


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A service at which the run in the folder `run` has two jobs, one of them with an id, after one that is done."""
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")
    monkeypatch.setattr(runtime, "open_service", lambda spec: MockService(server))
    monkeypatch.setattr(fetch, "LOOKS", (0.0,))
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    server = Server(tmp_path / "service")
    (tmp_path / "run").mkdir()
    server.faults["submit"].extend([None, None, None, Fault(after=True)])
    server.faults["find"].extend(NO_NETWORK)
    start(server, tmp_path, stopped=True)
    return server


def start(server: Server, folder: Path, stopped: bool = False) -> None:
    """Begin the run, or go on with it."""
    with Ledger(folder / "run" / "jobs.sqlite") as ledger, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jobs = runner(server, ledger)
        if stopped:
            with pytest.raises(JobError):
                do(jobs)
        else:
            do(jobs)
    server.faults.clear()


def test_list(qlstm, server: Server) -> None:
    code, out, err = qlstm("jobs", "list", "run")
    assert (code, err) == (0, "")
    assert "4 jobs of run, 2 done, 1 submitted, 1 prepared, 4 QPU seconds" in out
    rows = [line.split() for line in out.splitlines() if "ibm_small" in line]
    assert [row[:6] for row in rows[:3]] == [
        ["1", "train", "0", "ibm_small", "done", "job-0"],
        ["2", "train", "1", "ibm_small", "done", "job-1"],
        ["3", "train", "2", "ibm_small", "submitted", "job-2"],
    ]
    assert rows[3][:5] == ["4", "train", "3", "ibm_small", "prepared"]
    jobs = json.loads(qlstm("jobs", "list", "run", "--json")[1])["jobs"]
    assert [job["status"] for job in jobs] == ["done", "done", "submitted", "prepared"]
    assert jobs[0]["usage"] == 2.0
    assert "cannot be reached" in jobs[3]["error"]


def test_show(qlstm, server: Server) -> None:
    code, out, err = qlstm("jobs", "show", "run", 1)
    assert (code, err) == (0, "")
    assert "status: done\njob: job-0\n" in out
    assert "error: -\nresult: 2 x 1, 2 x 1 values" in out
    shown = json.loads(qlstm("jobs", "show", "run", 1, "--json")[1])
    assert np.shape(shown["result"]) == (2, 2, 1)
    assert json.loads(qlstm("jobs", "show", "run", 4, "--json")[1])["result"] is None


def test_resume_fetches_and_the_run_goes_on(qlstm, server: Server, tmp_path: Path) -> None:
    code, out, err = qlstm("jobs", "resume", "run")
    assert (code, err) == (0, "")
    assert out == "2 results fetched, 4 done, 8 QPU seconds\n"
    assert len(server.log()) == 4
    again = json.loads(qlstm("resume", "run", "--json")[1])
    assert (again["fetched"], again["errors"]) == ([], [])
    start(server, tmp_path)
    assert len(server.log()) == len({entry["content"] for entry in server.log()}) == 2 * STEPS


def test_resume_says_what_has_no_result(qlstm, server: Server, tmp_path: Path) -> None:
    server._save("job-2", server.job("job-2") | {"outcome": "Failed"})
    code, out, err = qlstm("jobs", "resume", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert out == "1 results fetched, 3 done, 1 failed, 6 QPU seconds\n"
    assert "error: job 3 (job-2) on ibm_small: it failed at the service" in err
    assert "Continue with: qlstm resume run --retry" in err
    code, out, err = qlstm("jobs", "resume", "run", "--retry")
    assert (code, err) == (0, "")
    assert "1 failed or cancelled jobs will be submitted again" in out
    assert "2 (try 2)" in qlstm("jobs", "list", "run")[1]
    start(server, tmp_path)
    assert len(server.log()) == 2 * STEPS + 1


def test_resume_without_the_service(qlstm, server: Server) -> None:
    server.faults["find"].extend(NO_NETWORK)
    server.faults["job"].extend(NO_NETWORK)
    code, out, err = qlstm("jobs", "resume", "run", "--json")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be reached" in err
    assert len(json.loads(out)["errors"]) == 2


def test_cancel(qlstm, server: Server) -> None:
    for name in ("job-2", "job-3"):
        server._save(name, server.job(name) | {"polls": 10})
    assert qlstm("jobs", "cancel", "run", 1, 3) == (0, "1 jobs cancelled\njob 1 had ended: done\n", "")
    assert server.job("job-2")["status"] == "Cancelled"
    assert json.loads(qlstm("jobs", "cancel", "run", "--json")[1])["cancelled"] == [4]
    assert server.job("job-3")["status"] == "Cancelled"
    assert "2 done, 2 cancelled" in qlstm("jobs", "list", "run")[1]


def test_local_jobs_have_nothing_to_fetch(qlstm, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        ledger.prepare("train", 0, "r", "fake-manila", "fake_manila", "{}", 1, 1, 1)
    assert qlstm("jobs", "resume", "run") == (0, "0 results fetched, 1 prepared\n", "")
    assert qlstm("jobs", "cancel", "run") == (0, "1 jobs cancelled\n", "")


def test_an_evaluation_is_fetched_without_its_backends_file(qlstm, server: Server, tmp_path: Path) -> None:
    qpu = SPEC.model_copy(update={"name": "qpu"})
    server.faults["job"].extend(NO_NETWORK)
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        service = MockService(server)
        device = service.backend("ibm_small")
        jobs = JobRunner(ledger, service, qpu, "evaluate qpu 01234567", device, ordered=False, sleep=lambda seconds: None)
        with pytest.raises(JobError):
            do(jobs, steps=1)
    assert json.loads(remembered(tmp_path / "run", 5))["name"] == "qpu"
    code, out, err = qlstm("jobs", "resume", "run")
    assert (code, err) == (0, "")
    assert out.startswith("4 results fetched")
    assert out.endswith("Now run qlstm evaluate again: what is done is answered from the record\n")


def remembered(run: Path, id: int) -> str:
    with Ledger(run / "jobs.sqlite") as ledger:
        return ledger.remembered(ledger.entry(id)) or ""


def test_jobs_of_a_provider_are_given_up_in_the_record_only(qlstm, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    other = BackendSpec(name="other", kind="provider", provider="a:b")
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        JobRunner(ledger, None, other, "train")
        ledger.submitted(ledger.prepare("train", 0, "r", "other", "device", "{}", 1, 1, 1), None)
    code, out, err = qlstm("jobs", "cancel", "run")
    assert (code, err) == (0, "")
    assert out == ("0 jobs cancelled\n1 jobs given up in the record only: they may still run, cancel them at the provider\n")


@pytest.mark.slow
def test_a_training_goes_on_with_the_access_and_limits_of_today(qlstm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(tmp_path / "service")
    connect(server, monkeypatch)
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(fetch, "LOOKS", (0.0,))
    server.faults["submit"].extend([None, *[Fault(503)] * 6])
    with pytest.raises(JobError):
        train_run(spec(write_series(tmp_path, 12)), Path("run"))
    server.faults.clear()
    monkeypatch.delenv("MY_TOKEN")
    assert "MY_TOKEN is not set" in qlstm("jobs", "resume", "run")[2]
    monkeypatch.setenv("NEW_TOKEN", "a-token")
    Path("mine.yaml").write_text(
        "ibm: {token_env: NEW_TOKEN, device: ibm_smaller, shots: 99, tags: [new], guard: {max_pubs: 1, max_circuits: 9999}}"
    )
    code, out, err = qlstm("jobs", "resume", "run", "--backends", "mine.yaml")
    assert code == 0, err
    assert "Training went on to its end" in out
    assert len(server.log()) == len({entry["content"] for entry in server.log()})
    assert {server.job(entry["job"])["backend"] for entry in server.log()} == {"ibm_small"}
    assert ["new" in entry["tags"] for entry in server.log()] == [False] + [True] * (len(server.log()) - 1)
    options = json.loads(Path("run/config.json").read_text())["backend_options"]
    assert (options["token_env"], options["device"], options["shots"]) == ("NEW_TOKEN", "ibm_small", 64)
    assert options["guard"]["max_circuits"] == 9999
    assert "max_pubs" not in options["guard"], "it decides the cut into jobs"


def test_a_backend_of_another_kind_is_refused(qlstm, server: Server) -> None:
    Path("mine.yaml").write_text("ibm: {kind: fake, device: manila}")
    code, out, err = qlstm("jobs", "resume", "run", "--backends", "mine.yaml")
    assert (code, out) == (2, "")
    assert "backend ibm was of kind ibm and is fake now" in err


MISTAKES = [
    (["list", "nowhere"], "there is no run folder nowhere"),
    (["show", "run", "9"], "there is no job 9 in run/jobs.sqlite; it has 4 jobs"),
    (["show", "run", "one"], "Invalid value for 'ID'"),
    (["show", "run"], "Missing argument 'ID'"),
    (["resume", "empty"], "no record of jobs"),
    (["cancel", "run", "1", "9"], "there is no job 9"),
    (["resume", "run", "--backends", "none.yaml"], "none.yaml"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_mistakes_are_one_line(qlstm, server: Server, arguments: list[str], message: str) -> None:
    Path("empty").mkdir()
    code, out, err = qlstm("jobs", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(Path("empty").iterdir())


def test_a_folder_without_a_record_has_no_jobs(qlstm) -> None:
    Path("empty").mkdir()
    code, out, _ = qlstm("jobs", "list", "empty", "--json")
    assert (code, json.loads(out)["jobs"]) == (0, [])
    assert not list(Path("empty").iterdir())


def test_a_training_on_this_machine_is_not_resumed_beside_itself(qlstm) -> None:
    Path("local").mkdir()
    Path("local/config.json").write_text('{"data": {"dataset": "bessel"}}')
    code, _, err = qlstm("jobs", "resume", "local")
    assert code == 2
    assert "on this machine, where there are no jobs" in err


def test_help_is_light_and_every_command_has_an_example() -> None:
    script = (
        "import sys\nfrom qlstm_qiskit.cli import main\n"
        "for name in ('list', 'show', 'resume', 'cancel'):\n"
        "    try: main(['jobs', name, '--help'])\n"
        "    except SystemExit as e: assert not e.code\n"
        "print([name for name in ('torch', 'qiskit', 'numpy', 'yaml', 'sqlite3') if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"
    for name in ("list", "show", "resume", "cancel"):
        assert f"Example: qlstm jobs {name} " in result.stdout
