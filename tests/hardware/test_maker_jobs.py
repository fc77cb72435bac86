"""Jobs of other makers' devices survive their process where they can be fetched by their ids, and are never sent twice."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers import JobStatus, JobV1
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import JobError, LedgerError, OptionError, QLSTMWarning
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.check import check_backend
from qlstm_qiskit.hardware.contract.executor import Request, Values
from qlstm_qiskit.hardware.executors.cost import MeteredExecutor, work_of
from qlstm_qiskit.hardware.jobs import fetch, lock
from qlstm_qiskit.hardware.jobs.failures import MakerError
from qlstm_qiskit.hardware.jobs.fetch import GIVEN_UP, Jobs
from qlstm_qiskit.hardware.jobs.ledger import Entry, Ledger
from qlstm_qiskit.hardware.jobs.maker_jobs import Asked, MakerJob, ids_of, maker_service
from qlstm_qiskit.hardware.jobs.pending import fetch_pending, retry_ended
from tests.hardware.maker_service import Forgetful, Remote

SPEC = BackendSpec(name="mine", kind="provider", provider="a:b", shots=64)
STEPS = 3


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetch, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(fetch, "FIRST_POLL", 0.0)
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Values]:
    """A few steps, each of which depends on the answer of the one before; a new process each time, as far as jobs know."""

    parameters = [Parameter("a"), Parameter("b")]
    small = QuantumCircuit(2)
    for parameter in parameters:
        small.rx(parameter, 0)
    small.cx(0, 1)

    def done(device: Remote, spec: BackendSpec = SPEC, steps: int = STEPS) -> Values:
        monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
        backend = load_backend(spec, record=tmp_path / "run", run="work", seed=3)
        angles, history = np.array([[0.3, -0.2], [1.1, 0.7]]), []
        try:
            isa = backend.prepare("c", small, parameters, [SparsePauliOp("IZ"), SparsePauliOp("XX")])
            for _ in range(steps):
                history.append(backend.executor.expect([Request(isa, angles)])[0])
                angles = angles + 0.1 * history[-1] + 0.01
        finally:
            backend.close()
        return np.array(history)

    return done


def entries(tmp_path: Path) -> list[Entry]:
    with Ledger(tmp_path / "run" / "jobs.sqlite", create=False) as ledger:
        return ledger.entries()


def test_jobs_are_recorded_with_the_makers_ids_and_answered_from_the_record(work, tmp_path: Path) -> None:
    device = Remote(tmp_path / "service")
    device.polls = 3
    whole = work(device)
    assert [entry.job for entry in entries(tmp_path)] == ["job-0", "job-1", "job-2"]
    assert [entry.circuits for entry in entries(tmp_path)] == [job["circuits"] for job in device.log()] == [4] * STEPS
    assert all(job["name"].startswith(entry.tag) for job, entry in zip(device.log(), entries(tmp_path), strict=True))
    np.testing.assert_array_equal(work(Remote(tmp_path / "service")), whole)
    assert len(device.log()) == STEPS
    forgetful = Forgetful(tmp_path / "other")
    with pytest.warns(QLSTMWarning, match="cannot be fetched again"):
        np.testing.assert_array_equal(work_in(work, tmp_path, forgetful), whole)


def work_in(work: Callable[..., Values], tmp_path: Path, device: Remote) -> Values:
    """In a folder of its own."""
    (tmp_path / "run").rename(tmp_path / "before")
    return work(device)


@pytest.mark.parametrize("what", ["status", "result"])
def test_a_lost_connection_loses_nothing(work, tmp_path: Path, what: str) -> None:
    device = Remote(tmp_path / "service")
    device.faults[what] = [ConnectionError("reset")] * fetch.ATTEMPTS
    with pytest.raises(JobError, match=r"job 1 .job-0. on lab: the service cannot be reached .reset.. Nothing is lost"):
        work(device)
    assert entries(tmp_path)[0].status == "submitted"
    again = Remote(tmp_path / "service")
    again.faults["retrieve"] = [ConnectionError("reset")] * 2
    values = work(again)
    assert len(again.log()) == STEPS
    np.testing.assert_array_equal(values, work_in(work, tmp_path, Remote(tmp_path / "other")))


def test_a_maker_that_cannot_give_a_job_back_is_asked_again_later(work, tmp_path: Path) -> None:
    device = Remote(tmp_path / "service")
    device.faults["status"] = [ConnectionError("reset")] * fetch.ATTEMPTS
    with pytest.raises(JobError):
        work(device)
    for fault, text in ((KeyError("down"), "the device failed: KeyError: 'down'"), (ValueError("no"), r"refused \(no\)")):
        again = Remote(tmp_path / "service")
        again.faults["retrieve"] = [fault]
        with pytest.raises(JobError, match=text) as caught:
            work(again)
        assert caught.value.__cause__ is None
        assert entries(tmp_path)[0].status == "submitted"
    work(Remote(tmp_path / "service"))
    assert len(device.log()) == STEPS


def test_another_answer_than_the_job_is_refused(work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Remote(tmp_path / "service")
    device.faults["status"] = [ConnectionError("reset")] * fetch.ATTEMPTS
    with pytest.raises(JobError):
        work(device)
    again, other = Remote(tmp_path / "service"), Remote(tmp_path / "other")
    work_elsewhere(other)
    for answer, text in (
        (None, "NoneType, which is no job"),
        (again.run(_measured(), shots=64), "job job-1, which is another"),
    ):
        monkeypatch.setattr(again, "retrieve_job", lambda name, answer=answer: answer, raising=False)
        with pytest.raises(JobError, match=text):
            work(again)
    monkeypatch.setattr(again, "retrieve_job", other.retrieve_job)  # whose first job has the same id
    with pytest.raises(JobError, match="there is no usable result: its circuits are of another job"):
        work(again)


def work_elsewhere(device: Remote) -> None:
    named = _measured()
    named.name = "qlstm-0123456789abcdef01234567-0"
    device.run([named], shots=64)


def _measured() -> QuantumCircuit:
    own = QuantumCircuit(1, 1)
    own.measure(0, 0)
    return own


@pytest.mark.parametrize("outcome", [JobStatus.ERROR, "Failed", "ABORTED", JobStatus.CANCELLED, "canceled"])
def test_a_job_that_failed_is_sent_again_on_purpose_only(work, tmp_path: Path, outcome: Any) -> None:
    device = Remote(tmp_path / "service")
    device.outcome = outcome
    device.faults["result"] = [RuntimeError("the trap lost its ions")]
    with pytest.raises(JobError, match="the trap lost its ions.*--retry"):
        work(device)
    cancelled = "ancel" in str(getattr(outcome, "name", outcome)).lower()
    assert entries(tmp_path)[0].status == ("cancelled" if cancelled else "failed")
    with pytest.raises(JobError, match="in an earlier attempt"):
        work(Remote(tmp_path / "service"))
    assert len(device.log()) == 1
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        retry_ended(ledger)
    work(Remote(tmp_path / "service"))
    assert len(device.log()) == 1 + STEPS


class NotFoundError(ValueError):
    """As HTTP clients have it."""

    status_code = 404


@pytest.mark.parametrize("what", ["retrieve", "result"])
@pytest.mark.parametrize("fault", [KeyError("job-0"), NotFoundError("no such job")], ids=repr)
def test_a_job_that_a_maker_never_gives_can_be_given_up(work, tmp_path: Path, what: str, fault: Exception) -> None:
    device = Remote(tmp_path / "service")
    device.faults["status"] = [ConnectionError("reset")] * fetch.ATTEMPTS
    with pytest.raises(JobError):
        work(device)
    again = Remote(tmp_path / "service")
    again.faults[what] = [fault] * 9
    with pytest.raises(JobError, match=f"give it up: qlstm jobs cancel {tmp_path / 'run'} 1$"):
        work(again)
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        jobs = Jobs(ledger, maker_service(SPEC, again), SPEC)
        assert jobs.cancel(ledger.entries()[0]).error == GIVEN_UP
        retry_ended(ledger)
    work(Remote(tmp_path / "service"))
    assert len(device.log()) == 1 + STEPS


@pytest.mark.parametrize("outcome", [JobStatus.ERROR, JobStatus.CANCELLED])
def test_a_job_that_has_ended_is_not_asked_for_again_whatever_its_result_raises(work, tmp_path: Path, outcome: Any) -> None:
    device = Remote(tmp_path / "service")
    device.outcome = outcome
    device.faults["result"] = [NotFoundError("no result")]
    with pytest.raises(JobError, match="no result.*--retry$"):
        work(device)
    assert entries(tmp_path)[0].status == ("failed" if outcome is JobStatus.ERROR else "cancelled")


def test_an_unclear_submission_is_not_repeated(work, tmp_path: Path) -> None:
    device = Remote(tmp_path / "service")
    device.faults["run"] = [ConnectionError("reset")]
    with pytest.raises(JobError, match="could not be submitted, or may have been in part.*--retry"):
        work(device)
    with pytest.raises(JobError, match="before its id was noted; it may have run.*--retry"):
        work(Remote(tmp_path / "service"))
    assert device.log() == []
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        fetched, errors = fetch_pending(ledger, maker_service(SPEC, device), SPEC)
        assert (fetched, len(errors)) == ([], 1)
        fetch_pending(ledger, maker_service(SPEC, device), SPEC, give_up=True)
        retry_ended(ledger)
    work(device)
    assert len(device.log()) == STEPS


def test_a_time_to_wait_and_the_fetching_later(work, tmp_path: Path) -> None:
    device, spec = Remote(tmp_path / "service"), SPEC.model_copy(update={"timeout_s": 1e-6})
    device.polls = 10**6
    with pytest.raises(JobError, match="no result after timeout_s=1e-06 seconds; it lives on at the service, queued"):
        work(device, spec)
    job = json.loads((device.folder / "job-0.json").read_text())
    (device.folder / "job-0.json").write_text(json.dumps(job | {"polls": 0}))
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        fetched, errors = fetch_pending(ledger, maker_service(SPEC, Remote(tmp_path / "service")), SPEC)
    assert ([entry.status for entry in fetched], errors) == (["done"], [])
    whole = work(Remote(tmp_path / "service"))
    assert len(device.log()) == STEPS
    np.testing.assert_array_equal(whole, work_in(work, tmp_path, Remote(tmp_path / "other")))


def test_cancelling(work, tmp_path: Path) -> None:
    def cancelled(device: Remote) -> Entry:
        with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
            return Jobs(ledger, maker_service(SPEC, device), SPEC).cancel(ledger.entries()[-1])

    def stopped() -> Remote:
        device = Remote(tmp_path / "service")
        device.polls = 10**6
        with pytest.raises(JobError):
            work(device, SPEC.model_copy(update={"timeout_s": 1e-6}))
        with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
            ledger._update(ledger.entries()[-1], updated="2026-01-01T00:00:00+00:00")
        return device

    assert cancelled(stopped()).error == "it was cancelled by the user"
    assert json.loads((tmp_path / "service" / "job-0.json").read_text())["outcome"] == "CANCELLED"
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        retry_ended(ledger)
    device = stopped()
    device.faults["cancel"] = [RuntimeError("too late")]
    assert cancelled(device).error == GIVEN_UP
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        retry_ended(ledger)
    device = stopped()
    device.faults["retrieve"] = [KeyError("job-2")]
    assert cancelled(device).error == GIVEN_UP, "a job that nobody knows any more does not stand in the way"
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        retry_ended(ledger)
    device = stopped()
    job = json.loads((device.folder / "job-3.json").read_text())
    (device.folder / "job-3.json").write_text(json.dumps(job | {"polls": 0}))
    assert cancelled(device).status == "done", "its result is there"


def test_another_device_or_provider_is_not_asked(work, tmp_path: Path) -> None:
    device = Remote(tmp_path / "service")
    device.faults["status"] = [ConnectionError("reset")] * fetch.ATTEMPTS
    with pytest.raises(JobError):
        work(device)
    with pytest.raises(LedgerError, match="was submitted by provider 'a:b', and backend mine has 'c:d' now") as told:
        work(Remote(tmp_path / "service"), SPEC.model_copy(update={"provider": "c:d"}))
    assert told.tb is not None
    assert not list(lock._locks.values()), "the record is given back while its error is shown"
    other = Remote(tmp_path / "other")
    other.name = "bench"
    with pytest.raises(LedgerError, match="was begun on lab"):
        work(other)
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        _, (error,) = fetch_pending(ledger, maker_service(SPEC, other), SPEC)
    assert "backend mine is bench now" in str(error)
    assert other.log() == []


def test_where_jobs_are_lost_it_is_said_before(work, tmp_path: Path) -> None:
    device = Forgetful(tmp_path / "service")
    words = (
        "a job that is under way when this process ends cannot be fetched again .neither lab nor its provider has retrieve_job"
    )
    device.faults["status"] = [ConnectionError("reset")] * fetch.ATTEMPTS  # which nobody asks for
    with pytest.warns(QLSTMWarning, match=words):
        work(device, steps=0)
    assert device.log() == []
    with pytest.warns(QLSTMWarning):
        work(device)
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        assert {entry.job for entry in ledger.entries()} == {None}
        ledger._update(ledger.entries()[-1], status="submitted", result=None)
    with pytest.warns(QLSTMWarning), pytest.raises(JobError, match="no way to fetch its result; it may have run.*--retry"):
        work(device)
    with pytest.raises(OptionError, match="lab would ignore timeout_s, as its jobs cannot be fetched later"):
        work(device, SPEC.model_copy(update={"timeout_s": 5.0}))
    estimator = SPEC.model_copy(update={"primitive": "estimator"})
    with pytest.warns(QLSTMWarning, match="primitive estimator works inside the process, primitive: sampler does not"):
        work(Remote(tmp_path / "fetched"), estimator, steps=0)
    with pytest.warns(QLSTMWarning, match="neither lab nor its provider has retrieve_job"):
        work(device, estimator, steps=0)
    impatient = estimator.model_copy(update={"timeout_s": 5.0})
    with pytest.raises(OptionError, match="primitive estimator works .*; set primitive: sampler, or leave timeout_s out.$"):
        work(Remote(tmp_path / "fetched"), impatient)
    with pytest.raises(OptionError, match="has retrieve_job.; leave timeout_s out.$"):
        work(device, impatient)


def test_check_and_plan_say_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qlstm_qiskit.hardware import plan_backend

    for kind, survive in ((Remote, True), (Forgetful, False)):
        device = kind(tmp_path / kind.__name__)
        monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path, device=device: device)
        assert (check_backend(SPEC)["jobs"] == "are fetched by their ids after a crash") is survive
        assert (plan_backend(SPEC).lost == "") is survive
        assert len(device.log()) == 1


def test_a_job_holds_what_the_device_takes(work, tmp_path: Path) -> None:
    """Four circuits, two sets in two bases: three in a job are one set in each; one in a job cuts a set into two jobs."""
    for most, jobs in ((3, ["job-0", "job-1"]), (1, ['["job-0", "job-1"]', '["job-2", "job-3"]'])):
        device = Remote(tmp_path / f"service{most}", most)
        values = work(device, steps=1)
        assert [entry.job for entry in entries(tmp_path)] == jobs
        assert [job["circuits"] for job in device.log()] == ([2, 2] if most == 3 else [1] * 4)
        with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
            for entry in ledger.entries():
                ledger._update(entry, status="submitted", result=None)
        np.testing.assert_array_equal(work(Remote(device.folder, most), steps=1), values)
        assert len(device.log()) == (2 if most == 3 else 4)
        (tmp_path / "run").rename(tmp_path / f"run{most}")


@pytest.mark.parametrize("most", [None, 1, 2, 3, 4])
def test_the_plan_has_the_jobs_of_a_set_in_two_bases(work, tmp_path: Path, most: int | None, monkeypatch) -> None:
    planned = []
    plain = MeteredExecutor.expect

    def counted(self: MeteredExecutor, requests: Any) -> list[Values]:
        planned.append(work_of(requests, self.spec, self.takes))
        return plain(self, requests)

    monkeypatch.setattr(MeteredExecutor, "expect", counted)
    device = Remote(tmp_path / "service", most)
    work(device, steps=2)
    assert sum(own.jobs for own in planned) == len(device.log())
    assert sum(own.circuits for own in planned) == sum(job["circuits"] for job in device.log()) == 8


def test_a_device_without_a_name_has_that_of_its_class(work, tmp_path: Path, monkeypatch) -> None:
    """As `BackendV2` has it by default."""
    device = Remote(tmp_path / "service")
    device.name = None
    whole = work(device)
    assert {entry.device for entry in entries(tmp_path)} == {"Remote"}
    with Ledger(tmp_path / "run" / "jobs.sqlite") as ledger:
        ledger._update(ledger.entries()[-1], status="submitted", result=None)
    again = Remote(tmp_path / "service")
    again.name = None
    np.testing.assert_array_equal(work(again), whole)
    assert len(device.log()) == STEPS
    monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: again)
    assert check_backend(SPEC)["device"] == "Remote, 5 qubits"


@pytest.mark.parametrize("holder", ["provider", "_provider"])
def test_a_provider_may_know_the_jobs(tmp_path: Path, holder: str) -> None:
    class Provider:
        def get_job(self, job_id: str) -> str:
            return f"{job_id} of {holder}"

    device = Forgetful(tmp_path)
    monkey = {"_provider": Provider()} if holder == "_provider" else {}
    device.__dict__.update(monkey)
    if holder == "provider":
        device = type("Own", (Forgetful,), {"provider": property(lambda self: Provider())})(tmp_path)
    service = maker_service(SPEC, device)
    assert service is not None
    assert service.retrieve("x") == f"x of {holder}"
    assert maker_service(SPEC.model_copy(update={"guard": SPEC.guard.model_copy(update={"dry_run": True})}), device) is None
    with pytest.raises(TypeError, match="credentials"):
        pickle.dumps(service)


def test_ids_and_states_of_several_jobs() -> None:
    class Part:
        def __init__(self, id: Any, status: Any) -> None:
            self.job_id, self.status = id, lambda: status

        def result(self) -> None: ...

    assert MakerJob([Part("a;b", "DONE")]).job_id() == "a;b"
    assert ids_of(MakerJob([Part("a", "x"), Part('b"c', "x")]).job_id() or "") == ["a", 'b"c']
    assert MakerJob([Part("a", "x"), Part("", "x")]).job_id() is None
    for states, whole in (
        ((JobStatus.DONE, "COMPLETED"), "DONE"),
        (("Done", "RUNNING"), "RUNNING"),
        ((JobStatus.QUEUED, "FAILED"), "ERROR"),
        (("success", "Cancelled"), "CANCELLED"),
        (("transferring",), "TRANSFERRING"),
        (("INCOMPLETE",), "INCOMPLETE"),
    ):
        assert MakerJob([Part("a", state) for state in states]).status() == whole
    assert MakerJob([object()]).status() == "DONE"


def test_a_job_that_gives_no_state_is_asked_whether_it_has_ended() -> None:
    def part(status: Any, kind: type = object, **more: Any) -> Any:
        own = {name: lambda self, answer=answer: answer for name, answer in more.items()}
        own |= {"status": lambda self: status, "result": lambda self: None, "submit": lambda self: None}
        return type("Part", (kind,), own)(*(() if kind is object else (None, "id")))

    assert MakerJob([part(None)]).status() == "DONE", "its result is waited for"
    assert MakerJob([part("")]).status() == "DONE"
    assert MakerJob([part(None, JobV1)]).status() == "DONE", "Qiskit's own methods know the state alone"
    assert MakerJob([part(None, done=False)]).status() == "RUNNING"
    assert MakerJob([part(None, done=True)]).status() == "DONE"
    assert MakerJob([part(None, in_final_state=False, done=True)]).status() == "RUNNING"
    assert MakerJob([part("archived")]).status() == "ARCHIVED"
    assert MakerJob([part("archived", JobV1)]).status() == "ARCHIVED"
    assert MakerJob([part("archived", in_final_state=False)]).status() == "ARCHIVED"
    assert MakerJob([part("archived", in_final_state=True)]).status() == "DONE"
    assert MakerJob([part("failed", in_final_state=True)]).status() == "ERROR"


def test_all_parts_are_cancelled_whatever_one_of_them_raises() -> None:
    class Part:
        def __init__(self, error: Exception | None) -> None:
            self.error, self.asked = error, 0

        def cancel(self) -> bool:
            self.asked += 1
            if self.error is not None:
                raise self.error
            return True

    parts = [Part(KeyError("first")), Part(None), Part(OSError("third")), Part(None)]
    with pytest.raises(MakerError, match="first"):
        MakerJob(parts).cancel()
    assert [part.asked for part in parts] == [1] * 4
    assert MakerJob([Part(None), Part(None)]).cancel()


def test_a_result_needs_to_be_of_what_was_asked(tmp_path: Path) -> None:
    from qlstm_qiskit.hardware.executors.results import Readout, ResultError

    found = Remote(tmp_path).run(_measured(), shots=10).result()
    readout = Readout(positions=(((0,),),), sets=(1,), shots=10)
    assert readout.values(Asked.of(readout, "qlstm-1").read([found]))[0].tolist() == [[1.0]]
    for wrong in (Readout(), Readout(positions=(((0,),),), sets=(2,), shots=10), Readout(positions=(((0,),),), shots=10)):
        with pytest.raises(ResultError):
            Asked.of(wrong, "qlstm-1").read([found])
    with pytest.raises(ResultError):
        Asked.of(readout, "qlstm-1").read([found, found])


def test_a_key_in_what_a_maker_raises_is_written_nowhere(work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "canary-of-a-maker-5e6f"
    monkeypatch.setenv("LAB_API_KEY", key)
    for what in ("run", "status", "retrieve", "result"):
        device = Remote(tmp_path / what)
        if what == "retrieve":
            device.faults["status"] = [ConnectionError(key)] * fetch.ATTEMPTS
            with pytest.raises(JobError):
                work(device)
        device.faults[what] = [KeyError(key)]
        with pytest.raises(JobError, match=r"KeyError: '\*\*\*'") as caught:
            work(device)
        assert key not in str(caught.value)
        assert caught.value.__cause__ is None
        assert key.encode() not in (tmp_path / "run" / "jobs.sqlite").read_bytes()
        (tmp_path / "run").rename(tmp_path / f"run-{what}")


def test_a_dry_run_asks_for_nothing(work, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    device = Forgetful(tmp_path / "service")
    work(device, SPEC.model_copy(update={"guard": SPEC.guard.model_copy(update={"dry_run": True})}))
    assert device.log() == []
    assert not [own for own in recwarn if issubclass(own.category, QLSTMWarning)]
    assert not (tmp_path / "run").exists()
