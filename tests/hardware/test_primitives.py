"""Every V2 primitive behind one interface, against the exact expectation values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2, StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import EstimatorV2, SamplerV2
from qiskit_ibm_runtime.executor_estimator import Estimator

from qlstm_qiskit.hardware.config.parts import GuardSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request, Values
from qlstm_qiskit.hardware.executors.primitives import (
    Direct,
    EstimatorExecutor,
    PreparedJob,
    Readout,
    SamplerExecutor,
    precision_of,
)
from qlstm_qiskit.hardware.executors.results import ResultError

SHOTS = 2000
BASIS = frozenset({"rz", "sx", "x", "cz"})


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # IBM's own deprecations and remarks on local mode
        yield


def prepared(name: str = "mixed") -> ISACircuit:
    """Parameters whose order by name is not their order; observables in three bases, with constants and shared qubits."""
    w, x = [Parameter(f"w[{i}]") for i in range(3)], [Parameter(f"x[{i}]") for i in range(3)]
    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(x[qubit], qubit)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    for qubit in range(3):
        circuit.rx(w[qubit], qubit)
    circuit.rz(w[0], 2)
    observables = (
        SparsePauliOp("IIZ"),
        SparsePauliOp(["ZZI", "III", "IIX"], [0.5, 0.25, -1.0]),
        SparsePauliOp(["YIX", "IZI"], [2.0, 1.0]),
    )
    isa = transpile(circuit, basis_gates=sorted(BASIS), optimization_level=1)
    return ISACircuit(name, isa, (*x, *w), observables, (), BASIS)


def angles(rows: int, seed: int, columns: int = 6) -> Values:
    return np.random.default_rng(seed).uniform(-3, 3, (rows, columns))


def exact(request: Request) -> Values:
    circuit = request.circuit
    rows = []
    for row in request.values:
        state = Statevector(circuit.circuit.assign_parameters(dict(zip(circuit.parameters, row, strict=True))))
        rows.append([float(state.expectation_value(o).real) for o in circuit.observables])
    return np.array(rows)


def requests() -> list[Request]:
    constant = QuantumCircuit(2)
    constant.x(0)
    fixed = ISACircuit("fixed", constant, (), (SparsePauliOp("IZ"), SparsePauliOp("ZI", [3.0])), (), BASIS)
    trivial = ISACircuit("trivial", constant, (), (SparsePauliOp("II", [0.5]),), (), BASIS)
    return [
        Request(prepared("a"), angles(3, 0)),
        Request(fixed, np.zeros((2, 0))),
        Request(trivial, np.zeros((4, 0))),
        Request(prepared("b"), angles(2, 1)),
    ]


def seed_of(number: int) -> int:
    return 1 + number


SIMULATOR = AerSimulator(basis_gates=sorted(BASIS))
SAMPLERS: dict[str, Callable[[int, Sequence[str]], Any]] = {
    "statevector": lambda number, tags: StatevectorSampler(seed=seed_of(number)),
    "backend": lambda number, tags: BackendSamplerV2(backend=SIMULATOR, options={"seed_simulator": seed_of(number)}),
    "runtime": lambda number, tags: SamplerV2(SIMULATOR, options={"simulator": {"seed_simulator": seed_of(number)}}),
}
ESTIMATORS: dict[str, Callable[[int, Sequence[str]], Any]] = {
    "backend": lambda number, tags: BackendEstimatorV2(backend=SIMULATOR, options={"seed_simulator": seed_of(number)}),
    "legacy": lambda number, tags: EstimatorV2(SIMULATOR, options={"simulator": {"seed_simulator": seed_of(number)}}),
    "executor": lambda number, tags: Estimator(
        SIMULATOR, options={"resilience_level": 0, "simulator": {"seed_simulator": seed_of(number)}}
    ),
}


def assert_within_five_errors(values: list[Values], asked: list[Request], shots: int) -> None:
    for value, request in zip(values, asked, strict=True):
        weight = np.array([np.abs(o.coeffs).sum() for o in request.circuit.observables])
        assert value.shape == (len(request.values), len(request.circuit.observables))
        assert value.dtype == np.float64
        assert np.all(np.abs(value - exact(request)) <= 5 * weight / math.sqrt(shots) + 1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers(name: str) -> None:
    asked = requests()
    assert_within_five_errors(SamplerExecutor(SAMPLERS[name], SHOTS).expect(asked), asked, SHOTS)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators(name: str) -> None:
    asked = requests()
    assert_within_five_errors(EstimatorExecutor(ESTIMATORS[name], SHOTS).expect(asked), asked, SHOTS)


def test_an_exact_estimator_is_exact() -> None:
    asked = requests()
    values = EstimatorExecutor(lambda number, tags: StatevectorEstimator()).expect(asked)
    for value, request in zip(values, asked, strict=True):
        np.testing.assert_allclose(value, exact(request), atol=1e-12)


class Recorded(Direct):
    """Keeps what is submitted."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[PreparedJob] = []

    def __call__(self, jobs: Sequence[PreparedJob]) -> list[list[Values]]:
        self.jobs += jobs
        return super().__call__(jobs)


def test_one_call_is_one_job_with_a_pub_for_each_circuit_and_basis() -> None:
    asked = requests()
    sampled, estimated = Recorded(), Recorded()
    SamplerExecutor(SAMPLERS["statevector"], 10, submit=sampled).expect(asked)
    EstimatorExecutor(lambda number, tags: StatevectorEstimator(), submit=estimated).expect(asked)
    bases = len(asked[0].circuit.measurement.bases)
    assert bases == 2
    assert [(work.pubs, work.circuits, work.shots) for work in sampled.jobs] == [(2 * bases + 1, 5 * bases + 2, 10)]
    assert [(work.pubs, work.circuits, work.shots) for work in estimated.jobs] == [(3, 5 * bases + 2, 0)]


def test_limits_cut_a_call_into_jobs_with_the_same_answer() -> None:
    asked = requests()
    submit = Recorded()
    guard = GuardSpec(max_pubs=2, max_executions=4 * SHOTS)
    values = SamplerExecutor(SAMPLERS["statevector"], SHOTS, guard, submit).expect(asked)
    assert all(work.pubs <= 2 and work.circuits * SHOTS <= 4 * SHOTS for work in submit.jobs)
    assert submit.draws.count == len(submit.jobs) == 4
    assert_within_five_errors(values, asked, SHOTS)
    cut = EstimatorExecutor(lambda number, tags: StatevectorEstimator(), guard=GuardSpec(max_executions=2)).expect(asked)
    whole = EstimatorExecutor(lambda number, tags: StatevectorEstimator()).expect(asked)
    for a, b in zip(cut, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_each_job_has_its_own_noise_and_the_same_numbers_every_time() -> None:
    asked = [Request(prepared(), angles(3, 0))]
    first, again = (SamplerExecutor(SAMPLERS["backend"], 100) for _ in range(2))
    a, b = first.expect(asked)[0], first.expect(asked)[0]
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, again.expect(asked)[0])
    np.testing.assert_array_equal(b, again.expect(asked)[0])


def test_measured_circuits_are_built_once_and_measure_their_own_qubits_only() -> None:
    wide = QuantumCircuit(9)
    wide.sx(4)
    isa = ISACircuit("wide", wide, (), (SparsePauliOp.from_sparse_list([("X", [4], 1), ("Z", [7], 1)], 9),), (), BASIS)
    executor = SamplerExecutor(SAMPLERS["statevector"], 10)
    (circuit,) = executor.measured(isa)
    assert executor.measured(isa)[0] is circuit
    measures = [item for item in circuit.data if item.operation.name == "measure"]
    assert [circuit.find_bit(item.qubits[0]).index for item in measures] == [4, 7]
    assert circuit.num_clbits == 2
    assert {item.operation.name for item in circuit.data} <= BASIS | {"measure"}
    assert wide.num_clbits == 0


def test_a_fingerprint_says_what_is_asked() -> None:
    def fingerprint(shots: int, *asked: Request) -> str:
        submit = Recorded()
        SamplerExecutor(SAMPLERS["statevector"], shots, submit=submit).expect(asked)
        return submit.jobs[0].fingerprint

    values = angles(2, 0)
    known = fingerprint(10, Request(prepared(), values))
    assert known == fingerprint(10, Request(prepared("another name"), values.copy()))
    assert known != fingerprint(11, Request(prepared(), values))
    assert known != fingerprint(10, Request(prepared(), np.nextafter(values, 9)))
    assert known != fingerprint(10, Request(prepared(), values), Request(prepared(), values))


def test_a_readout_survives_as_text() -> None:
    for readout in (Readout(), Readout((((0,), (0, 2)), ()))):
        assert Readout.from_json(readout.to_json()) == readout


@pytest.mark.parametrize("shots", [1, 3, 100, 1000, 4096, 99_999])
def test_precision_gives_the_shots_that_were_asked(shots: int) -> None:
    assert math.ceil(1 / precision_of(shots) ** 2) == shots


class Kept:
    """A primitive that keeps the PUBs of each job."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.jobs = inner, []

    def run(self, pubs: Any) -> Any:
        self.jobs.append(list(pubs))
        return self.inner.run(pubs)


def with_shots(asked: list[Request], *shots: int | None) -> list[Request]:
    return [replace(request, shots=own) for request, own in zip(asked, shots, strict=True)]


def test_each_pub_has_the_shots_of_its_request() -> None:
    """In one job still; results with other shots than were asked for are refused."""
    asked = with_shots(requests(), 4 * SHOTS, None, 30, SHOTS // 4)
    sampler, estimator, submit = Kept(StatevectorSampler(seed=1)), Kept(BackendEstimatorV2(backend=SIMULATOR)), Recorded()
    values = SamplerExecutor(lambda number, tags: sampler, SHOTS, submit=submit).expect(asked)
    assert [[pub[2] for pub in job] for job in sampler.jobs] == [[4 * SHOTS] * 2 + [SHOTS] + [SHOTS // 4] * 2]
    (job,) = submit.jobs
    assert job.readout.shots == (4 * SHOTS, 4 * SHOTS, SHOTS, SHOTS // 4, SHOTS // 4)
    assert Readout.from_json(job.readout.to_json()) == job.readout
    assert job.shots == round((6 * 4 * SHOTS + 2 * SHOTS + 4 * SHOTS / 4) / 12)
    for value, request in zip(values, asked, strict=True):
        assert_within_five_errors([value], [request], request.shots or SHOTS)
    EstimatorExecutor(lambda number, tags: estimator, SHOTS).expect(asked)
    assert [[pub[3] for pub in job] for job in estimator.jobs] == [
        [precision_of(number) for number in (4 * SHOTS, SHOTS, SHOTS // 4)]
    ]
    with pytest.raises(ResultError, match=f"PUB 0 has {SHOTS} shots, and {4 * SHOTS} were asked for"):
        job.readout.values(StatevectorSampler(default_shots=SHOTS).run([pub[:2] for pub in sampler.jobs[0]]).result())


def test_the_fingerprint_knows_shots_of_requests() -> None:
    def fingerprint(*shots: int | None) -> str:
        submit = Recorded()
        SamplerExecutor(SAMPLERS["statevector"], 10, submit=submit).expect(with_shots(requests()[:2], *shots))
        return submit.jobs[0].fingerprint

    assert len({fingerprint(*shots) for shots in ((None, None), (20, None), (None, 20), (20, 30), (30, 20))}) == 5
