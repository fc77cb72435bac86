"""A small deterministic piece of work on the mocked service, which tests interrupt in every way they can think of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import SamplerV2

from qlstm_qiskit.hardware.config.parts import GuardSpec
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request, Values
from qlstm_qiskit.hardware.executors.primitives import SamplerExecutor
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.runner import JobRunner
from tests.hardware.mock_service import MockService, Server

STEPS = 5
SHOTS = 64
SPEC = BackendSpec(name="ibm", kind="ibm", device="ibm_small", shots=SHOTS, guard=GuardSpec(max_pubs=2), tags=("study",))
BASIS = frozenset({"rz", "sx", "x", "cx"})


def circuit(name: str) -> ISACircuit:
    """Two qubits of five; <Z>, <XX> in two bases."""
    theta, phi = Parameter("b"), Parameter("a")
    result = QuantumCircuit(5)
    for parameter in (theta, phi):
        result.rz(parameter, 0)
        result.sx(0)
    result.cx(0, 1)
    observables = (SparsePauliOp("IIIIZ"), SparsePauliOp("IIIXX"))
    return ISACircuit(name, result, (theta, phi), observables, (0, 1), BASIS)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


def runner(server: Server, ledger: Ledger | None, spec: BackendSpec = SPEC, **options: Any) -> JobRunner:
    clock = Clock()
    service = MockService(server)
    device = service.backend("ibm_small")
    return JobRunner(ledger, service, spec, "train", device, sleep=clock.sleep, clock=clock, **options)


def executor(jobs: JobRunner) -> SamplerExecutor:
    def sampler(number: int, tags: Sequence[str]) -> SamplerV2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return SamplerV2(jobs.device, options={"environment": {"job_tags": list(tags)}})

    return SamplerExecutor(sampler, SHOTS, SPEC.guard, jobs)


def do(jobs: JobRunner, steps: int = STEPS) -> Values:
    """Each step's angles come from the answer before it, as in a training; a step is two jobs, by the limit on PUBs."""
    run = executor(jobs)
    first, second = circuit("first"), circuit("second")
    angles, history = np.array([[0.3, -0.2], [1.1, 0.7]]), []
    for _ in range(steps):
        answers = run.expect([Request(first, angles), Request(second, angles[:1] + 1)])
        history.append(np.concatenate(answers))
        angles = angles + 0.1 * answers[0] + 0.01
    return np.stack(history)


def do_in(folder: Path, prepare: Callable[[Server], None] = lambda server: None) -> Values:
    """All of it, from what `folder` holds; the result is written at the end."""
    server = Server(folder / "service")
    prepare(server)
    with Ledger(folder / "jobs.sqlite") as ledger:
        values = do(runner(server, ledger))
    np.save(folder / "values.npy", values)
    return values


def assert_nothing_twice(server: Server, jobs: int = 2 * STEPS) -> None:
    """The service accepted all jobs of the work, each once."""
    log = server.log()
    assert len(log) == jobs
    assert len({entry["content"] for entry in log}) == jobs
    assert len({entry["tags"][-1] for entry in log}) == jobs
