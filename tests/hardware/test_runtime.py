"""Accounts, devices and primitives: the real classes of qiskit-ibm-runtime against a mocked server, and in local mode."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import transpile
from qiskit.primitives import BackendEstimatorV2
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import Batch, EstimatorV2, IBMBackend, QiskitRuntimeService, SamplerV2, Session
from qiskit_ibm_runtime.accounts import Account
from qiskit_ibm_runtime.executor_estimator import Estimator

from qlstm_qiskit.errors import JobError, OptionError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.executors.primitives import EstimatorExecutor, SamplerExecutor
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.makers import MakerSampler
from qlstm_qiskit.hardware.jobs.runner import JobRunner
from qlstm_qiskit.hardware.jobs.runtime import Connection, connect, make_primitive, seed_of_job
from tests.hardware.mock_service import CRN, Fault, MockService, Server, install
from tests.hardware.test_primitives import assert_within_five_errors
from tests.hardware.work import circuit

TOKEN = "canary-0123456789-abcdefghij"


def ibm(**options: Any) -> BackendSpec:
    return BackendSpec.model_validate({"name": "ibm", "kind": "ibm", "shots": 500, **options})


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The real service class: only the list of instances and the HTTP transport are replaced; no account is saved."""
    server = Server(tmp_path / "service")
    install(server, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield server


def test_a_token_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    connection = connect(ibm(token_env="MY_TOKEN", device="ibm_small"), n_qubits=4)
    assert isinstance(connection.service, QiskitRuntimeService)
    assert isinstance(connection.device, IBMBackend)
    assert connection.device.name == "ibm_small"
    assert server.headers[-1]["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(vars(connection))
    with pytest.raises(TypeError, match="credentials"):
        pickle.dumps(connection)


def test_saved_accounts(server: Server) -> None:
    QiskitRuntimeService.save_account(token=TOKEN, name="work")
    QiskitRuntimeService.save_account(token="another-one", set_as_default=True)
    connect(ibm(account="work"))
    assert server.headers[-1]["Authorization"] == f"Bearer {TOKEN}"
    connect(ibm())
    assert server.headers[-1]["Authorization"] == "Bearer another-one"


def test_the_least_busy_device_unless_a_run_was_begun_on_another(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    spec = ibm(token_env="MY_TOKEN")
    assert connect(spec, n_qubits=5).device.name == "ibm_smaller"
    assert connect(spec, device="ibm_small").device.name == "ibm_small"
    assert connect(ibm(token_env="MY_TOKEN", device="ibm_smaller"), device="ibm_small").device.name == "ibm_smaller"


MISTAKES = [
    ({}, {}, OptionError, "there is no saved account. Save one with QiskitRuntimeService.save_account"),
    ({"account": "wrok"}, {}, OptionError, "there is no account 'wrok', and no other"),
    ({"account": "wrok"}, {"saved": True}, OptionError, "unknown account 'wrok'. Did you mean 'work'"),
    ({"token_env": "MY_TOKEN"}, {}, OptionError, "environment variable MY_TOKEN is not set"),
    ({"token_env": "SET", "device": "ibm_smal"}, {}, OptionError, "unknown device 'ibm_smal'. Did you mean 'ibm_small'"),
    ({"token_env": "SET", "device": "ibm_small"}, {"n": 9}, OptionError, "ibm_small has 5 qubits and 9 are needed"),
    ({"token_env": "SET"}, {"n": 9}, OptionError, "no device with 9 qubits is online"),
    ({"token_env": "SET"}, {"offline": True}, OptionError, "no device with 1 qubits is online"),
    ({"token_env": "SET", "instance": CRN.replace("abc", "xyz")}, {}, JobError, "cannot log in.*does not have access"),
    ({"token_env": "SET", "instance": "crn:v1:other"}, {}, OptionError, "is a part of a CRN; give all of it"),
    ({"channel": "local", "device": "manilla"}, {}, OptionError, "Did you mean 'manila'"),
    ({"channel": "local", "device": "manila"}, {"n": 9}, OptionError, "fake_manila has 5 qubits and 9 are needed"),
]


@pytest.mark.parametrize(("options", "state", "error", "message"), MISTAKES, ids=[str(case[:2]) for case in MISTAKES])
def test_mistakes_are_named(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    state: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setenv("SET", TOKEN)
    if state.get("saved"):
        QiskitRuntimeService.save_account(token=TOKEN, name="work")
    server.online = not state.get("offline", False)
    with pytest.raises(error, match=message) as caught:
        connect(ibm(**options), n_qubits=state.get("n", 1))
    assert str(caught.value).startswith("backend ibm: ") or options.get("channel") == "local"
    assert TOKEN not in str(caught.value)
    if options.get("channel") != "local":
        assert caught.value.__context__ is None


def test_a_token_that_is_not_accepted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", TOKEN)

    def refuse(self: Account) -> None:
        raise ValueError(f"Unable to retrieve instances. Please check that you are using a valid API token. {TOKEN}")

    monkeypatch.setattr(Account, "list_instances", refuse)
    with pytest.raises(JobError, match="cannot log in: the service does not accept the credentials") as caught:
        connect(ibm(token_env="SET"))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(("mode", "kind"), [("batch", Batch), ("session", Session)])
def test_batches_and_sessions_open_late_and_close_always(server: Server, mode: str, kind: type) -> None:
    service = MockService(server)
    spec = ibm(mode=mode, device="ibm_small")
    asked = [Request(circuit("c"), np.array([[0.1, 0.2], [0.3, 0.4]]))]
    with Connection(service, service.backend("ibm_small"), spec) as connection:
        assert "session" not in server.requests
        jobs = JobRunner(None, service, spec, device=connection.device)
        executor = SamplerExecutor(connection.make(), 500, submit=jobs)
        assert_within_five_errors(executor.expect(asked), asked, 500)
        executor.expect(asked)
        assert type(connection.mode()) is kind
        assert server.requests.count("session") == 1
    assert server.requests.count("session") == 2
    assert len(server.log()) == 2
    with pytest.raises(OptionError, match="rep_delay_us"), connection:
        make_primitive(ibm(rep_delay_us=9000), connection.mode())
    assert server.requests.count("session") == 4
    connection.close()
    assert server.requests.count("session") == 4


def test_the_open_plan_has_no_sessions(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    service = MockService(server)
    connection = Connection(service, service.backend("ibm_small"), ibm(mode="session"))
    server.faults["session"].append(Fault(400, text="You are not authorized to run a session when using the open plan"))
    with pytest.raises(OptionError, match="mode session is not part of the account's plan.*set mode: job or mode: batch"):
        connection.mode()
    server.faults["session"].append(Fault(500))
    with pytest.raises(JobError, match="cannot open a session: the service cannot be reached"):
        connection.mode()
    connection.mode()
    server.faults["session"].append(Fault(500))
    with caplog.at_level(logging.WARNING):
        connection.close()
    assert "the session was not closed" in caplog.text


def test_options_become_those_of_the_primitive(server: Server) -> None:
    service = MockService(server)
    device = service.backend("ibm_small")
    mitigation = {"dynamical_decoupling": True, "twirling": True}
    common = {"device": "ibm_small", "guard": {"max_execution_time": 77}, "rep_delay_us": 100}
    sampler = make_primitive(ibm(mitigation=mitigation, **common), device, seed=3, tags=["a", "b"])
    assert isinstance(sampler, SamplerV2)
    options = asdict(sampler.options)
    assert options["environment"]["job_tags"] == ["a", "b"]
    assert options["max_execution_time"] == 77
    assert options["execution"]["rep_delay"] == pytest.approx(100e-6)
    assert options["dynamical_decoupling"]["enable"] is True
    assert options["twirling"]["enable_gates"] is options["twirling"]["enable_measure"] is True
    for primitive, kind in (("estimator", Estimator), ("legacy-estimator", EstimatorV2)):
        for level in (0, 2):
            spec = ibm(primitive=primitive, mitigation=mitigation | {"resilience_level": level}, **common)
            estimator = make_primitive(spec, device, tags=["a"])
            assert type(estimator) is kind
            assert estimator.options.resilience_level == level
            assert estimator.options.environment.job_tags == ["a"]
            assert estimator.options.max_execution_time == 77
            assert estimator.options.dynamical_decoupling.enable is True
            assert estimator.options.twirling.enable_gates is True
    with pytest.raises(OptionError, match="rep_delay_us is 9000; ibm_small takes "):
        make_primitive(ibm(rep_delay_us=9000), device)


def test_what_is_not_given_is_not_sent(server: Server) -> None:
    service = MockService(server)
    spec = ibm(device="ibm_small", tags=["mine"])
    connection = Connection(service, service.backend("ibm_small"), spec)
    SamplerExecutor(connection.make(7), 10, submit=JobRunner(None, service, spec)).expect(
        [Request(circuit("c"), np.zeros((1, 2)))]
    )
    body = json.loads(server.job("job-0")["body"])
    assert body["params"].get("options", {}) == {}
    assert body["tags"][0] == "mine"
    assert set(body) == {"program_id", "params", "backend", "tags", "log_level"}


LOCAL = [("fake", "sampler"), ("ibm", "sampler"), ("ibm", "estimator"), ("ibm", "legacy-estimator")]


@pytest.mark.parametrize(("kind", "primitive"), LOCAL)
def test_local_testing_mode(kind: str, primitive: str) -> None:
    where = {"channel": "local", "primitive": primitive} if kind == "ibm" else {}
    spec = BackendSpec.model_validate({"name": "x", "kind": kind, "device": "manila", "shots": 500, **where})
    connection = connect(spec, n_qubits=2)
    assert connection.service is None
    isa = circuit("c")
    ideal = AerSimulator(basis_gates=["rz", "sx", "x", "cx"])  # noise is measured elsewhere
    isa = ISACircuit("c", transpile(isa.circuit, ideal), isa.parameters, isa.observables, (), isa.basis_gates)
    asked = [Request(isa, np.array([[0.1, 0.2], [0.3, 0.4]]))]
    build = SamplerExecutor if primitive == "sampler" else EstimatorExecutor
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # nothing is given that local mode would ignore

        def once() -> Any:
            return build(Connection(None, ideal, spec).make(0), 500)  # type: ignore[operator]

        first, again = once(), once()
        a, b = first.expect(asked), first.expect(asked)
        assert_within_five_errors([*a, *b], asked * 2, 500)
        assert not np.array_equal(a[0], b[0])  # fresh noise for each job
        if primitive != "legacy-estimator":
            np.testing.assert_array_equal(a[0], again.expect(asked)[0])


@pytest.mark.parametrize(("primitive", "kind"), [("sampler", MakerSampler), ("estimator", BackendEstimatorV2)])
def test_any_provider(primitive: str, kind: type) -> None:
    spec = BackendSpec.model_validate(
        {"name": "x", "kind": "provider", "provider": "qiskit_aer:AerSimulator", "primitive": primitive, "shots": 500}
    )
    connection = connect(spec, n_qubits=2)
    made = connection.make(5)(0, ())
    assert isinstance(made, kind)
    assert (made.seed if primitive == "sampler" else made.options.seed_simulator) == seed_of_job(5, 0)
    asked = [Request(circuit("c"), np.array([[0.1, 0.2]]))]
    build = SamplerExecutor if primitive == "sampler" else EstimatorExecutor
    assert_within_five_errors(build(connection.make(5), 500).expect(asked), asked, 500)  # type: ignore[arg-type]


def test_seeds_of_jobs() -> None:
    seeds = [seed_of_job(seed, number) for seed in (0, 1) for number in range(100)]
    assert len(set(seeds)) == 200
    assert all(0 < (seed or 0) < 2**31 + 1 for seed in seeds)
    assert seed_of_job(3, 4) == seed_of_job(3, 4)
    assert seed_of_job(None, 4) is None


def test_a_ledger_names_the_device_that_a_run_was_begun_on(server: Server, tmp_path: Path) -> None:
    service = MockService(server)
    spec = ibm(device="ibm_small")
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        connection = Connection(service, service.backend("ibm_small"), spec)
        runner = JobRunner(ledger, service, spec, device=connection.device)
        SamplerExecutor(connection.make(), 10, submit=runner).expect([Request(circuit("c"), np.zeros((1, 2)))])
        assert ledger.entry(1).device == "ibm_small"
