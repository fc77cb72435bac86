"""Jobs that survive: every fault that a service can have, and death at any moment; nothing is lost and nothing done twice."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.primitives import StatevectorSampler

from qlstm_qiskit.errors import JobError, LedgerError, QLSTMError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.executor import Request, Values
from qlstm_qiskit.hardware.executors.primitives import SamplerExecutor
from qlstm_qiskit.hardware.jobs.fetch import ATTEMPTS, GIVEN_UP, LOOKS, Jobs
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.pending import fetch_pending, retry_ended
from qlstm_qiskit.hardware.jobs.runner import JobRunner
from tests.hardware.mock_service import Fault, MockService, Server
from tests.hardware.work import SHOTS, SPEC, STEPS, Clock, assert_nothing_twice, circuit, do, do_in, runner
from tests.speed import slow_but

DROP, DROP_AFTER = Fault(), Fault(after=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")  # else the client reads its whole stack for each request
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "service")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "run.jobs.sqlite") as ledger:
        yield ledger


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Values:
    """The numbers of an uninterrupted run."""
    return do_in(tmp_path_factory.mktemp("whole"))


def statuses(ledger: Ledger) -> dict[str, int]:
    return dict(Counter(entry.status for entry in ledger.entries()))


def test_an_uninterrupted_run(server: Server, ledger: Ledger, expected: Values) -> None:
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert_nothing_twice(server)
    entries = ledger.entries()
    assert [entry.step for entry in entries] == list(range(2 * STEPS))
    for entry, accepted in zip(entries, server.log(), strict=True):
        assert (entry.status, entry.job, entry.usage, entry.error) == ("done", accepted["job"], 2.0, None)
        assert (entry.run, entry.backend, entry.device) == ("train", "ibm", "ibm_small")
        assert (entry.shots, entry.attempt) == (SHOTS, 0)
        assert accepted["tags"] == ["study", entry.tag]
    assert [(entry.pubs, entry.circuits) for entry in entries[:2]] == [(2, 4), (2, 2)]


def test_a_finished_run_is_answered_from_the_record(server: Server, ledger: Ledger, expected: Values) -> None:
    do(runner(server, ledger))
    server.requests.clear()
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert "submit" not in server.requests
    assert "results" not in server.requests


def test_jobs_of_one_call_are_all_submitted_before_the_first_is_waited_for(server: Server, ledger: Ledger) -> None:
    server.polls = 2
    do(runner(server, ledger), steps=1)
    asked = [name for name in server.requests if name in {"submit", "job", "results"}]
    assert asked == ["submit", "submit", *["job"] * 3, "results", *["job"] * 3, "results"]


PASSING = [
    ("submit", [DROP]),
    ("submit", [DROP_AFTER]),
    ("submit", [Fault(500)]),
    ("submit", [Fault(504, after=True)]),
    ("submit", [Fault(429)] * (ATTEMPTS - 1)),
    ("submit", [DROP_AFTER, None, DROP, Fault(429), DROP_AFTER]),
    ("account", [DROP]),
    ("device", [None] * 4 + [DROP]),
    ("job", [DROP, Fault(500), Fault(429)]),
    ("results", [DROP, Fault(502), Fault(503)]),
    ("find", [DROP]),
    ("usage", [DROP]),
]


@pytest.mark.parametrize(
    ("operation", "faults"),
    slow_but([PASSING[5], *PASSING[8:11]], PASSING),
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
def test_faults_that_pass_change_nothing(
    server: Server, ledger: Ledger, expected: Values, operation: str, faults: list[Fault | None]
) -> None:
    server.faults[operation].extend(faults)
    server.faults["submit"].extend([DROP_AFTER] if operation == "find" else [])
    jobs = runner(server, ledger)
    np.testing.assert_array_equal(do(jobs), expected)
    assert_nothing_twice(server)
    assert statuses(ledger) == {"done": 2 * STEPS}


def test_a_list_that_lags_for_a_minute_is_waited_for(server: Server, ledger: Ledger, expected: Values) -> None:
    server.faults["submit"].append(DROP_AFTER)
    server.lag = len(LOOKS) - 1
    jobs = runner(server, ledger)
    np.testing.assert_array_equal(do(jobs), expected)
    assert_nothing_twice(server)
    assert jobs._clock.now == sum(LOOKS) >= 60  # type: ignore[attr-defined]


def assert_first_of_two(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    log = server.log()
    assert log[0]["tags"] == log[1]["tags"]
    assert len(log) == 2 * STEPS + 1
    assert len({entry["content"] for entry in log}) == 2 * STEPS
    assert server.job("job-1")["status"] == "Cancelled"
    assert "job 1 was accepted twice; job-0 is kept and job-1 cancelled" in caplog.text


@pytest.mark.parametrize("second", slow_but([DROP_AFTER], [None, DROP_AFTER]))
def test_of_two_jobs_with_one_tag_the_first_is_kept(
    server: Server, ledger: Ledger, expected: Values, caplog: pytest.LogCaptureFixture, second: Fault | None
) -> None:
    server.faults["submit"].extend([DROP_AFTER, second])
    server.lag = len(LOOKS)
    server.polls = 2
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert_first_of_two(server, caplog)
    assert ledger.entry(1).job == "job-0"


def test_a_job_that_shows_up_after_a_resume_is_kept(
    server: Server, ledger: Ledger, expected: Values, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults["submit"].extend([DROP_AFTER])
    server.faults["find"].extend([DROP] * ATTEMPTS)
    with pytest.raises(JobError):
        do(runner(server, ledger))
    ledger._execute("UPDATE jobs SET updated = '2020-01-01T00:00:00.000+00:00'", ())
    server.lag = 1  # an hour later it is looked for once
    server.polls = 2
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert_first_of_two(server, caplog)


def test_pauses_between_reads_grow(server: Server, ledger: Ledger) -> None:
    jobs = runner(server, ledger)
    server.faults["results"].extend([DROP] * (ATTEMPTS - 1))
    do(jobs, steps=1)
    pauses = jobs._sleep.__self__.pauses  # type: ignore[attr-defined]
    assert len(pauses) == ATTEMPTS - 1
    for attempt, pause in enumerate(pauses):
        assert 2**attempt <= pause <= 1.5 * 2**attempt


Prepare = Callable[[Server], Any]
LASTING: list[tuple[str, Prepare, str, str]] = [
    ("the network is gone at submit", lambda s: s.faults["submit"].extend([DROP] * 99), "cannot be reached", "prepared"),
    ("it stays gone", lambda s: [s.faults[n].extend([DROP_AFTER] * 99) for n in ("submit", "find")], "be reached", "prepared"),
    ("the network is gone at poll", lambda s: s.faults["job"].extend([DROP] * ATTEMPTS), "cannot be reached", "submitted"),
    ("the network is gone at fetch", lambda s: s.faults["results"].extend([DROP] * ATTEMPTS), "be reached", "submitted"),
    ("429 at submit", lambda s: s.faults["submit"].extend([Fault(429)] * 99), "no more requests", "prepared"),
    ("429 at fetch", lambda s: s.faults["results"].extend([Fault(429)] * ATTEMPTS), "no more requests", "submitted"),
    ("maintenance at submit", lambda s: s.faults["submit"].extend([Fault(503)]), "maintenance", "prepared"),
    ("the device is offline", lambda s: setattr(s, "online", False), "offline or in maintenance", "prepared"),
    ("no QPU time left", lambda s: setattr(s, "used_up", True), "budget of the account is used up", "prepared"),
    ("over quota", lambda s: s.faults["submit"].append(Fault(403, text="quota exceeded")), "budget of the acc", "prepared"),
    ("not authorised at submit", lambda s: s.faults["submit"].append(Fault(401)), "credentials", "prepared"),
    ("not authorised at poll", lambda s: s.faults["job"].append(Fault(401)), "credentials", "submitted"),
    ("refused", lambda s: s.faults["submit"].append(Fault(400, text="bad circuit")), "refused (.*bad circuit", "prepared"),
    ("not known", lambda s: s.faults["job"].append(Fault(404)), "does not know it; check account", "submitted"),
    ("it never ends", lambda s: setattr(s, "polls", 10**9), "timeout_s=30 seconds; it lives on", "submitted"),
]


QUICK = [
    case
    for case in LASTING
    if case[0] in ("the network is gone at submit", "429 at fetch", "refused", "not known", "it never ends")
]


@pytest.mark.parametrize(("case", "prepare", "message", "status"), slow_but(QUICK, LASTING), ids=[case[0] for case in LASTING])
def test_faults_that_last_say_what_to_do_and_lose_nothing(
    server: Server, ledger: Ledger, expected: Values, case: str, prepare: Prepare, message: str, status: str
) -> None:
    spec = SPEC.model_copy(update={"timeout_s": 30.0})
    jobs = runner(server, ledger, spec)
    prepare(server)
    with pytest.raises(JobError, match=message.replace("(.", r"\(.")) as caught:
        do(jobs)
    text = str(caught.value)
    assert text.startswith("job 1 ")
    assert "on ibm_small: " in text
    assert f"Continue with: qlstm resume {ledger.path.parent}" in text  # type: ignore[union-attr]
    assert "--retry" not in text
    assert ledger.entries()[0].status == status
    assert ledger.entries()[0].error

    server.faults.clear()
    server.online, server.used_up, server.polls = True, False, 0
    for accepted in server.log():
        server._save(accepted["job"], server.job(accepted["job"]) | {"polls": 0})
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert_nothing_twice(server)


ENDINGS = [
    ("Failed", "failed", "it failed at the service .*lost the qubits"),
    ("Cancelled", "cancelled", "it was cancelled"),
    ("Ran too long", "failed", "maximum execution time"),
]


@pytest.mark.parametrize(("outcome", "status", "message"), ENDINGS)
def test_ended_jobs_are_tried_again_only_on_purpose(
    server: Server, ledger: Ledger, expected: Values, outcome: str, status: str, message: str
) -> None:
    server.outcomes.extend(["Completed", outcome])
    for _ in range(2):  # the second time it is known from the record
        with pytest.raises(JobError, match=message) as caught:
            do(runner(server, ledger))
        assert "qlstm resume" in str(caught.value)
        assert "--retry" in str(caught.value)
        assert len(server.log()) == 2
        assert statuses(ledger) == {"done": 1, status: 1}
    retry_ended(ledger)
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    log = server.log()
    assert len(log) == 2 * STEPS + 1
    assert log[1]["content"] == log[2]["content"]
    assert log[1]["tags"] != log[2]["tags"]
    assert [(e.step, e.attempt, e.status) for e in ledger.entries()[:3]] == [(0, 0, "done"), (1, 0, status), (1, 1, "done")]


def test_a_retry_can_be_prepared_without_the_work(server: Server, ledger: Ledger, expected: Values) -> None:
    server.outcomes.extend(["Failed"])
    with pytest.raises(JobError):
        do(runner(server, ledger))
    assert [entry.attempt for entry in retry_ended(ledger)] == [1]
    assert retry_ended(ledger) == []
    server.requests.clear()
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert "find" not in server.requests, "a new attempt was certainly never submitted"
    assert statuses(ledger) == {"done": 2 * STEPS, "failed": 1}


def test_pending_jobs_are_fetched_without_the_work(server: Server, ledger: Ledger, expected: Values) -> None:
    server.faults["job"].extend([DROP] * ATTEMPTS)
    server.faults["submit"].extend([None, DROP_AFTER])
    server.faults["find"].extend([DROP] * ATTEMPTS)
    with pytest.raises(JobError):
        do(runner(server, ledger))
    assert statuses(ledger) == {"submitted": 1, "prepared": 1}
    server.faults.clear()
    server.outcomes.clear()
    clock = Clock()
    fetched, errors = fetch_pending(ledger, MockService(server), SPEC, sleep=clock.sleep, clock=clock)
    assert ([entry.id for entry in fetched], errors) == ([1, 2], [])
    assert fetch_pending(ledger, MockService(server), SPEC) == ([], [])
    np.testing.assert_array_equal(do(runner(server, ledger)), expected)
    assert_nothing_twice(server)


def test_fetching_reports_each_job_that_has_no_result(server: Server, ledger: Ledger) -> None:
    server.outcomes.extend(["Failed", "Completed"])
    server.faults["job"].extend([DROP] * ATTEMPTS)
    with pytest.raises(JobError):
        do(runner(server, ledger))
    clock = Clock()
    fetched, errors = fetch_pending(ledger, MockService(server), SPEC, sleep=clock.sleep, clock=clock)
    assert [entry.id for entry in fetched] == [2]
    assert [str(error).partition(":")[0] for error in errors] == ["job 1 (job-0) on ibm_small"]


def test_cancelling(server: Server, ledger: Ledger) -> None:
    server.polls = 10**9
    with pytest.raises(JobError):
        do(runner(server, ledger, SPEC.model_copy(update={"timeout_s": 5.0})))
    jobs = Jobs(ledger, MockService(server), SPEC)
    assert jobs.cancel(ledger.entry(1)).status == "cancelled"
    assert [server.job(f"job-{i}")["status"] for i in range(2)] == ["Cancelled", "Queued"]
    server.faults["cancel"].append(Fault(500))
    server._save("job-1", server.job("job-1") | {"polls": 0, "status": "Completed"})
    jobs._sleep = Clock().sleep
    assert jobs.cancel(ledger.entry(2)).status == "done"  # too late: its result is kept
    assert jobs.cancel(ledger.entry(2)).status == "done"
    server.faults["cancel"].append(Fault(401))
    prepared = ledger.again(ledger.entry(1))
    assert jobs.cancel(prepared).status == "cancelled"  # the service has never heard of it


def test_a_changed_run_is_refused(server: Server, ledger: Ledger) -> None:
    do(runner(server, ledger), steps=1)
    spec = SPEC.model_copy(update={"mitigation": SPEC.mitigation.model_copy(update={"twirling": True})})
    with pytest.raises(LedgerError, match=r"step 0 of 'train' on ibm_small, was made for other.*Undo the change"):
        do(runner(server, ledger, spec))
    assert len(server.log()) == 2
    with pytest.raises(LedgerError, match="was made for other"):
        do(runner(server, ledger, SPEC.model_copy(update={"rep_delay_us": 100.0})))
    other = runner(server, ledger, spec)
    other.run = "another"
    do(other, steps=1)
    assert len(server.log()) == 4


def test_without_a_ledger_reads_are_repeated_and_nothing_is_kept(server: Server, expected: Values) -> None:
    server.faults["submit"].append(DROP_AFTER)
    server.faults["results"].append(DROP)
    jobs = runner(server, None)
    np.testing.assert_array_equal(do(jobs), expected)
    assert jobs.ledger.entries() == []
    server.outcomes.append("Failed")
    with pytest.raises(JobError, match=r"not recorded on disk; fetch it from the service by its id job-\d+"):
        do(jobs)


def local(kind: str, ledger: Ledger, **options: Any) -> tuple[JobRunner, SamplerExecutor]:
    where = {"device": "manila"} if kind == "fake" else {"provider": "a:b"}
    spec = BackendSpec.model_validate({"name": kind, "kind": kind, **where})
    jobs = JobRunner(ledger, None, spec, "train", **options)
    return jobs, SamplerExecutor(lambda number, tags: StatevectorSampler(seed=number), SHOTS, submit=jobs)


def test_local_jobs_that_died_with_their_process_run_again_and_remote_ones_only_on_purpose(ledger: Ledger) -> None:
    asked = [Request(circuit("c"), np.array([[0.1, 0.2]]))]
    _, run = local("fake", ledger)
    (whole,) = run.expect(asked)
    np.testing.assert_array_equal(local("fake", ledger)[1].expect(asked)[0], whole)
    ledger._update(ledger.entry(1), status="submitted", result=None)
    np.testing.assert_array_equal(local("fake", ledger)[1].expect(asked)[0], whole)
    ledger.forget(ledger.entry(1))
    _, run = local("provider", ledger)
    run.expect(asked)
    assert ledger.entry(1).job is None  # its id is of this process
    ledger._update(ledger.entry(1), status="submitted", result=None)
    with pytest.raises(JobError, match="it may have run.*--retry"):
        local("provider", ledger)[1].expect(asked)
    assert Jobs(ledger, None, run.submit.spec).cancel(ledger.entry(1)).error == GIVEN_UP
    with pytest.raises(JobError, match="given up by the user, and may have run at the provider.*--retry"):
        local("provider", ledger)[1].expect(asked)
    retry_ended(ledger)
    np.testing.assert_array_equal(local("provider", ledger)[1].expect(asked)[0], whole)


def test_a_local_job_that_fails_is_recorded(ledger: Ledger) -> None:
    jobs, _ = local("fake", ledger)

    def broken(number: int, tags: Any) -> Any:
        raise ValueError("no such gate")

    with pytest.raises(JobError, match="refused .no such gate"):
        SamplerExecutor(broken, 10, submit=jobs).expect([Request(circuit("c"), np.zeros((1, 2)))])
    assert statuses(ledger) == {"prepared": 1}


def test_a_runner_cannot_be_pickled_or_copied(server: Server, ledger: Ledger) -> None:
    with pytest.raises(TypeError, match="connection"):
        pickle.dumps(runner(server, ledger))


def test_errors_are_of_the_package(server: Server, ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    server.faults["submit"].append(Fault(400, text="Bearer abcdefghijklmnopqrstuvwxyz is wrong"))
    with caplog.at_level(logging.DEBUG), pytest.raises(QLSTMError) as caught:
        do(runner(server, ledger))
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "Bearer *** is wrong" in str(caught.value)
    assert "abcdefghij" not in (ledger.entry(1).error or "")
    assert "submitting job 1: step 0, 4 circuits" in caplog.text
