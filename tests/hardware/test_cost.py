"""Cost by arithmetic: one batch of ten windows, four steps, depth 1, the guard before submission, and plans."""

import json
from dataclasses import replace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import BudgetError, OptionError, QLSTMError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.executors.cost import (
    CIRCUIT_US,
    JOB_SECONDS,
    MeteredExecutor,
    Plan,
    Workload,
    duration,
    qpu_seconds,
    work_of,
)

N, BATCH, STEPS, GATES = 4, 10, 4, 4
X = ParameterVector("x", 2 * N)


def request(rows: int, labels: tuple[str, ...] = ("IIIZ", "IIZI", "IZII", "ZIII")) -> Request:
    circuit = QuantumCircuit(N)
    for qubit in range(N):
        circuit.ry(X[qubit], qubit)
        circuit.rz(X[N + qubit], qubit)
    return Request(ISACircuit("c", circuit, tuple(X), tuple(map(SparsePauliOp, labels))), np.zeros((rows, 2 * N)))


def device(shots: int = 4000, **guard: object) -> BackendSpec:
    return BackendSpec(name="qpu", kind="ibm", shots=shots, guard=guard)


class Inner:
    """Counts calls and returns ones."""

    def __init__(self) -> None:
        self.calls = 0

    def expect(self, requests):
        self.calls += 1
        return [np.ones((len(r.values), len(r.circuit.observables))) for r in requests]


# Parameter sets of each request, for each job. The shift rule takes two for each of 4 inputs and 4 weights, at all steps
# and samples, in one job after the forward pass.
FORWARD = [BATCH] * STEPS
TRAIN = [*FORWARD, 2 * 2 * N * STEPS * BATCH]
SPSA = [*FORWARD, *FORWARD]
# name, candidates, shots, rows, circuits, seconds
TABLE = [
    ("36 candidates, inference", 36, 4000, FORWARD, 5_760, 1.6 * 3600),
    ("36 candidates, parameter shift", 36, 4000, TRAIN, 97_920, 27 * 3600),
    ("36 candidates, SPSA", 36, 4000, SPSA, 11_520, 3.2 * 3600),
    ("36 candidates, SPSA at 500 shots", 36, 500, SPSA, 11_520, 24 * 60),
    ("pruned to 3, inference", 3, 4000, FORWARD, 480, 8 * 60),
    ("pruned to 3, parameter shift", 3, 4000, TRAIN, 8_160, 2.3 * 3600),
    ("pruned to 3, SPSA", 3, 4000, SPSA, 960, 16 * 60),
    ("pruned to 3, SPSA at 500 shots", 3, 500, SPSA, 960, 2.3 * 60),
    ("derived, inference", 1, 4000, FORWARD, 160, 2.8 * 60),
    ("derived, parameter shift", 1, 4000, TRAIN, 2_720, 45 * 60),
    ("derived, SPSA", 1, 4000, SPSA, 320, 5.6 * 60),
    ("derived, SPSA at 500 shots", 1, 500, SPSA, 320, 56),
]


@pytest.mark.parametrize(("name", "candidates", "shots", "rows", "circuits", "seconds"), TABLE, ids=[row[0] for row in TABLE])
def test_the_cost_table(name: str, candidates: int, shots: int, rows: list[int], circuits: int, seconds: float) -> None:
    spec = device(shots, max_pubs=10_000, max_executions=10**9)  # uncut: the jobs of the table
    meter = MeteredExecutor(None, spec)
    for n in rows:
        out = meter.expect([request(n)] * (GATES * candidates))
        assert [value.shape for value in out] == [(n, N)] * (GATES * candidates)
    assert meter.work == Workload(len(rows), len(rows) * GATES * candidates, circuits, circuits * shots)
    # by hand: a second for 4000 shots and two for a job; the table has two digits and leaves out a circuit's own time (1 %)
    by_hand = circuits * shots / 4000 + 2 * len(rows)
    assert qpu_seconds(meter.work, spec) == pytest.approx(by_hand + 3e-6 * circuits * shots, rel=1e-12)
    assert by_hand == pytest.approx(seconds, rel=0.04)


def test_the_formula() -> None:
    assert (JOB_SECONDS, CIRCUIT_US) == (2.0, 3.0)
    assert qpu_seconds(Workload(3, 5, 7, 1000), device()) == pytest.approx(1000 * 253e-6 + 6)
    slow = BackendSpec(name="q", kind="ibm", rep_delay_us=1000.0)
    assert qpu_seconds(Workload(0, 0, 1, 1000), slow) == pytest.approx(1.003)
    zne = BackendSpec(name="q", kind="ibm", primitive="estimator", mitigation={"resilience_level": 2})
    assert qpu_seconds(Workload(0, 0, 1, 1000), zne) == pytest.approx(3 * 0.253)
    for kind in ("statevector", "aer"):
        assert qpu_seconds(Workload(3, 5, 7, 1000), BackendSpec(name="q", kind=kind)) == 0


def test_work_counts_bases_and_cuts() -> None:
    two_bases = request(10, ("ZZII", "XIII", "IIZI"))
    assert work_of([request(10), two_bases], device(100)) == Workload(1, 3, 30, 3000)
    assert work_of([], device()) == Workload()
    assert work_of([request(10)] * 120, device(100)).jobs == 3  # 50 PUBs a job
    assert work_of([request(10)] * 40, device(100, max_executions=10_000)) == Workload(4, 40, 400, 40_000)
    estimator = BackendSpec(name="q", kind="ibm", primitive="estimator", shots=100)
    assert work_of([two_bases], estimator) == Workload(1, 1, 20, 2000)
    exact = BackendSpec(name="a", kind="aer")
    assert work_of([request(10)] * 120, exact) == Workload(1, 120, 1200, 1200)  # one call is one job on this machine
    with pytest.raises(OptionError, match="max_executions"):
        work_of([request(1)], device(100, max_executions=99))
    own = [replace(request(10), shots=20), request(10), replace(two_bases, shots=300)]
    assert work_of(own, device(100)) == Workload(1, 4, 40, 200 + 1000 + 6000)
    assert work_of([replace(request(10), shots=20)] * 2, device(100, max_executions=200)).jobs == 2


def test_the_guard_refuses_before_anything_is_submitted() -> None:
    inner = Inner()
    meter = MeteredExecutor(inner, device(100, max_circuits=25))
    assert meter.expect([request(10)])[0].sum() == 40
    assert meter.expect([request(15)])[0].shape == (15, N)  # exactly at the limit
    with pytest.raises(BudgetError) as caught:
        meter.expect([request(1)])
    assert (inner.calls, meter.work.circuits) == (2, 25)
    message = str(caught.value)
    for part in ("'qpu'", "asks for 1 circuits in 1 jobs", "after 25 circuits in 2 jobs", "26 circuits", "max_circuits is 25"):
        assert part in message
    for advice in ("pack: auto", "fewer shots", "raise the limit", "guard.confirm: true", "Nothing of this call was submitted"):
        assert advice in message
    assert "\n" not in message
    assert isinstance(caught.value, QLSTMError)


def test_the_guard_knows_seconds() -> None:
    inner = Inner()
    meter = MeteredExecutor(inner, device(4000, max_qpu_seconds=20.0))
    meter.expect([request(10)])  # 10 circuits and a job: 12.1 s
    with pytest.raises(BudgetError, match=r"24.2 s of QPU time, and guard.max_qpu_seconds is 20 s"):
        meter.expect([request(10)])
    with pytest.raises(BudgetError):
        MeteredExecutor(inner, device(4000, max_qpu_seconds=12.0)).expect([request(10)])
    assert inner.calls == 1


@pytest.mark.parametrize("way", ["confirm", "dry_run"])
def test_confirmed_and_dry_runs_go_on_and_are_counted(way: str) -> None:
    inner = Inner()
    meter = MeteredExecutor(inner, device(100, max_circuits=1, max_qpu_seconds=0.1, **{way: True}))
    meter.expect([request(10)])
    assert (inner.calls, meter.work.circuits) == (1, 10)


def test_a_plan_is_never_refused_and_tells_all() -> None:
    meter = MeteredExecutor(None, device(4000, max_qpu_seconds=300.0))
    for _ in range(STEPS):
        out = meter.expect([request(BATCH, ("ZZII", "XIII"))] * GATES)
    assert all(value.shape == (BATCH, 2) for value in out)
    assert len(np.unique(out)) == np.size(out), "values that coincide would have a model ask for less"
    plan = Plan(meter.spec, meter.work, unpacked=meter.work + meter.work)
    facts = plan.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["jobs"], facts["pubs"], facts["circuits"], facts["shots"]) == (4, 32, 320, 4000)
    assert facts["executions"] == 1_280_000
    assert facts["qpu_seconds"] == pytest.approx(1_280_000 * 253e-6 + 8)
    assert facts["monthly_share"] == pytest.approx(facts["qpu_seconds"] / 600)
    assert facts["unpacked"]["circuits"] == 640
    rows = dict(plan.rows())
    assert rows["executions"] == "1,280,000"
    assert rows["QPU time"] == "5.53 min"
    assert rows["share of 10 min per month"] == "55.3%"
    assert rows["without packing"] == "640 circuits, 11.1 min"
    assert rows["guard"] == "would be refused: 5.53 min of QPU time, and guard.max_qpu_seconds is 5 min"
    exact = Plan(BackendSpec(name="a", kind="aer"), Workload(1, 2, 3, 3))
    assert dict(exact.rows())["shots per circuit"] == "exact"
    assert dict(exact.rows())["guard"] == "within its limits"
    assert "unpacked" not in exact.facts()
    confirmed = Plan(device(max_circuits=1, confirm=True), Workload(1, 2, 3, 3))
    assert dict(confirmed.rows())["guard"] == "confirmed: 3 circuits, and guard.max_circuits is 1"


def test_durations_as_a_reader_says_them() -> None:
    said = [
        (0.0, "0 s"),
        (56, "56 s"),
        (99.4, "99.4 s"),
        (100, "1.67 min"),
        (480, "8 min"),
        (5940, "99 min"),
        (97930, "27.2 h"),
    ]
    assert [duration(seconds) for seconds, _ in said] == [text for _, text in said]
    assert duration(36_000_000) == "10,000.0 h"
