"""Unconnected parts of a circuit are simulated apart; where a backend keeps its record; plans; checks."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp, Statevector

from qlstm_qiskit.errors import JobError, LedgerError, OptionError
from qlstm_qiskit.hardware import BackendSpec, load_backend, plan_backend
from qlstm_qiskit.hardware.check import check_backend
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request, Values
from qlstm_qiskit.hardware.device.named import find_device
from qlstm_qiskit.hardware.executors.aer import AerExecutor
from qlstm_qiskit.hardware.executors.local import LocalExecutor, split_apart
from qlstm_qiskit.hardware.interpreter.backend import PlanBackend, PrimitiveBackend
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.space import SearchSpace
from tests.hardware.mock_service import Fault, Server, install

DEVICE = find_device("manila")


def sparse(*terms: tuple[str, list[int], float]) -> SparsePauliOp:
    return SparsePauliOp.from_sparse_list(list(terms), 5)


def circuit() -> ISACircuit:
    """Three parts on five qubits: 0 and 1 by a gate, 2 alone, 3 and 4 by an observable only."""
    a, b, c, d = (Parameter(name) for name in "dcba")
    result = QuantumCircuit(5)
    result.ry(a, 0)
    result.cx(0, 1)
    result.rx(b + 0.5 * a, 1)
    result.barrier()
    result.ry(c, 2)
    result.ry(d, 3)
    result.rx(2 * d, 4)
    observables = (
        sparse(("Z", [2], 1.0), ("", [], 0.25)),
        sparse(("ZX", [0, 1], 0.7), ("Z", [1], -0.2)),
        sparse(("ZZ", [3, 4], 1.0)),
        sparse(("", [], 0.5)),
        sparse(("Z", [0], 1.0)),
    )
    return ISACircuit("three", result, (a, b, c, d), observables, tuple(range(5)))


POINTS = np.array([[0.3, -0.8, 1.9, 0.4], [1.2, 0.6, -0.1, 2.2], [0.0, 0.1, 0.2, 0.3]])


def stock(isa: ISACircuit, points: Values) -> Values:
    states = [Statevector(isa.circuit.assign_parameters(dict(zip(isa.parameters, point, strict=True)))) for point in points]
    return np.array([[state.expectation_value(item).real for item in isa.observables] for state in states])


class TestParts:
    def test_gates_and_observables_tie_qubits(self) -> None:
        parts = split_apart(circuit())
        assert sorted(tuple(part.observables) for part in parts) == [(0, 3), (1, 4), (2,)]
        by_first = {int(part.observables[0]): part for part in parts}
        assert list(by_first[1].columns) == [0, 1]
        assert list(by_first[0].columns) == [2]
        assert list(by_first[2].columns) == [3]
        assert sum(part.circuit.circuit.size() for part in parts) == 6
        assert all(part.circuit.circuit.num_qubits == 5 for part in parts)
        assert all(part.circuit.qubits == tuple(range(5)) for part in parts)

    def test_each_part_gives_its_observables(self) -> None:
        isa = circuit()
        expected = stock(isa, POINTS)
        seen: list[int] = []
        for part in split_apart(isa):
            np.testing.assert_allclose(
                stock(part.circuit, POINTS[:, part.columns]), expected[:, part.observables], rtol=0, atol=1e-12
            )
            seen += map(int, part.observables)
        assert sorted(seen) == list(range(5))

    def test_one_part_is_the_circuit_itself(self) -> None:
        isa = circuit()
        joined = QuantumCircuit(5)
        joined.compose(isa.circuit, inplace=True)
        joined.cx(3, 4)
        tied = ISACircuit("tied", joined, isa.parameters, (sparse(("ZZZ", [0, 2, 3], 1.0)),), isa.qubits)
        (part,) = split_apart(tied)
        assert part.circuit is tied
        assert list(part.columns) == [0, 1, 2, 3]

    def test_qubits_that_nobody_reads_are_left_out(self) -> None:
        isa = circuit()
        lonely = ISACircuit("one", isa.circuit, isa.parameters, (sparse(("Z", [2], 1.0)), sparse(("Z", [0], 1.0))), isa.qubits)
        parts = split_apart(lonely)
        assert sorted(list(part.columns) for part in parts) == [[0, 1], [2]]


class TestLocalExecutor:
    def test_equals_direct_evaluation(self) -> None:
        made: list[BackendV2] = []
        calls: list[int] = []

        class Ideal(AerExecutor):
            def expect(self, requests: Sequence[Request]) -> list[Values]:
                calls.append(len(requests))
                return super().expect(requests)

        def make(device: BackendV2) -> AerExecutor:
            made.append(device)
            return Ideal()

        executor, isa, other = LocalExecutor(DEVICE, make), circuit(), circuit()
        asked = [Request(isa, POINTS), Request(other, POINTS[:2] + 1)]
        for _ in range(2):
            for request, values in zip(asked, executor.expect(asked), strict=True):
                np.testing.assert_allclose(values, stock(request.circuit, request.values), rtol=0, atol=1e-10)
        assert calls == [6, 6]  # all parts of all requests stay one call
        assert [device.num_qubits for device in made] == [5]

    def test_only_the_qubits_in_use_are_simulated(self) -> None:
        made: list[BackendV2] = []
        torino, theta = find_device("torino"), Parameter("t")
        large = QuantumCircuit(133)
        large.ry(theta, 77)
        large.cz(77, 78)
        observable = SparsePauliOp.from_sparse_list([("Z", [77], 1.0)], 133)
        isa = ISACircuit("large", large, (theta,), (observable,), tuple(range(133)))

        def make(device: BackendV2) -> AerExecutor:
            made.append(device)
            return AerExecutor()

        (values,) = LocalExecutor(torino, make).expect([Request(isa, np.array([[0.4], [1.0]]))])
        np.testing.assert_allclose(values[:, 0], np.cos([0.4, 1.0]), atol=1e-12)
        assert [device.num_qubits for device in made] == [2]

    @pytest.mark.parametrize(("n_qubits", "noisy", "warned"), [(12, True, 0), (13, True, 1), (13, False, 0)])
    def test_what_takes_long_is_said_once_and_before(self, n_qubits: int, noisy: bool, warned: int) -> None:
        isas = []
        for _ in range(2):
            chain = QuantumCircuit(20)
            for qubit in range(n_qubits - 1):
                chain.cx(qubit, qubit + 1)
            last = SparsePauliOp.from_sparse_list([("Z", [n_qubits - 1], 1.0)], 20)  # which depends on all
            isas.append(ISACircuit("chain", chain, (), (last,), tuple(range(20))))
        device, begun = GenericBackendV2(20, seed=1), []

        def make(part: BackendV2) -> AerExecutor:
            begun.append(len(caught))
            return AerExecutor()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            executor = LocalExecutor(device, make, noisy)
            for isa in isas:
                executor.expect([Request(isa, np.empty((1, 0)))])
        said = f"{device.name} is simulated on this machine, 13 qubits with noise"
        assert [str(one.message).startswith(said) for one in caught] == warned * [True]
        assert begun[0] == warned, "said before the first is simulated"

    def test_nothing_asked(self) -> None:
        assert LocalExecutor(DEVICE, lambda device: AerExecutor()).expect([]) == []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(tmp_path / "service")
    install(server, monkeypatch)
    monkeypatch.setenv("MY_TOKEN", "a-token")
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield server


def ibm(**options: Any) -> BackendSpec:
    return BackendSpec.model_validate(
        {"name": "ibm", "kind": "ibm", "token_env": "MY_TOKEN", "device": "ibm_small", "shots": 500, **options}
    )


def one(backend: PrimitiveBackend, angle: float = 0.3) -> Request:
    theta = Parameter("theta")
    turned = QuantumCircuit(1)
    turned.ry(theta, 0)
    return Request(backend.prepare("turned", turned, [theta], [SparsePauliOp("Z")]), np.array([[angle]]))


class TestRecords:
    def test_each_backend_has_a_folder_of_its_own(self, server: Server, tmp_path: Path) -> None:
        values = []
        for _ in range(2):
            backend = load_backend(ibm())
            assert isinstance(backend, PrimitiveBackend)
            values.append(backend.executor.expect([one(backend)])[0])
            backend.close()
        assert len(server.log()) == 2  # nothing is answered from the past
        folders = sorted((tmp_path / "state").iterdir())
        assert len(folders) == 2
        for folder in folders:
            with Ledger(folder / "jobs.sqlite", create=False) as ledger:
                assert [(entry.run, entry.status) for entry in ledger.entries()] == [("run", "done")]

    def test_a_named_record_answers(self, server: Server, tmp_path: Path) -> None:
        found = []
        for _ in range(2):
            backend = load_backend(ibm(), record=tmp_path, run="mine")
            assert isinstance(backend, PrimitiveBackend)
            found.append(backend.executor.expect([one(backend)])[0])
            backend.close()
        np.testing.assert_array_equal(*found)
        assert len(server.log()) == 1
        assert not (tmp_path / "state").exists()

    def test_its_folder_is_made_where_it_can_be(self, server: Server, tmp_path: Path) -> None:
        load_backend(ibm(), record=tmp_path / "deep" / "er").close()  # type: ignore[attr-defined]
        assert (tmp_path / "deep" / "er" / "jobs.sqlite").is_file()
        (tmp_path / "file").write_text("")
        with pytest.raises(LedgerError, match="cannot make the folder.*QLSTM_STATE"):
            load_backend(ibm(), record=tmp_path / "file" / "run")

    def test_without_order_a_job_is_known_by_what_it_asks(self, server: Server, tmp_path: Path) -> None:
        def ask(*angles: float) -> None:
            backend = load_backend(ibm(), record=tmp_path, run="mine", ordered=False)
            assert isinstance(backend, PrimitiveBackend)
            for angle in angles:
                backend.executor.expect([one(backend, angle)])
            backend.close()

        ask(0.1, 0.2)
        ask(0.2, 0.3, 0.1)
        assert len(server.log()) == 3
        ask(0.1, 0.1)  # twice in one process: the second is new
        assert len(server.log()) == 4
        ask(0.1, 0.1, 0.3, 0.2)
        assert len(server.log()) == 4

    def test_simulations_leave_no_record(self, server: Server, tmp_path: Path) -> None:
        for spec in (
            BackendSpec.model_validate({"name": "f", "kind": "fake", "device": "manila", "shots": 10}),
            ibm(guard={"dry_run": True}),
        ):
            backend = load_backend(spec, record=tmp_path / "record")
            assert isinstance(backend, PrimitiveBackend)
            backend.executor.expect([one(backend)])
        assert not (tmp_path / "record").exists()
        assert not (tmp_path / "state").exists()
        assert "submit" not in server.requests


class TestPlans:
    def test_values_that_differ_and_counts(self) -> None:
        planned = plan_backend(ibm(pack=3), device="fez")
        assert isinstance(planned, PrimitiveBackend)
        request = one(planned)
        (values,) = planned.executor.expect([Request(request.circuit, np.zeros((10, 1)))])
        assert values.shape == (10, 1)
        assert len(np.unique(values)) == 10, "equal ones would have a model ask for less"
        packed, unpacked = planned.work()
        assert (packed.jobs, packed.pubs, packed.circuits) == (1, 1, 4)
        assert (unpacked.jobs, unpacked.pubs, unpacked.circuits) == (1, 1, 10)

    @pytest.mark.parametrize(("dry_run", "widest"), [(True, 14), (False, 4)])
    def test_a_dry_run_simulates_more_qubits_at_once(self, dry_run: bool, widest: int) -> None:
        """Without noise, circuits are whole up to 24 qubits, not 12."""
        options = {"name": "x", "kind": "fake", "device": "fez", "shots": 500, "guard": {"dry_run": dry_run}}
        planned = plan_backend(BackendSpec.model_validate(options))
        assert isinstance(planned, PlanBackend)
        (made,) = SearchSpace.handcrafted(1).candidates(14, 1)
        isa = planned.prepare("wide", made.circuit, (*made.inputs, *made.weights), made.observables())
        planned.executor.expect([Request(isa, np.zeros((1, len(isa.parameters))))])
        assert planned.widest == widest

    def test_what_costs_nothing_has_no_plan(self) -> None:
        for kind in ("statevector", "aer"):
            with pytest.raises(OptionError, match="costs nothing"):
                plan_backend(BackendSpec.model_validate({"name": "x", "kind": kind}))

    def test_a_plan_submits_nothing(self, server: Server) -> None:
        planned = plan_backend(ibm())
        planned.executor.expect([one(planned)])
        assert "submit" not in server.requests


class TestChecks:
    def test_a_device_that_works(self, server: Server) -> None:
        facts = check_backend(ibm())
        assert list(facts) == ["backend", "kind", "account", "device", "transpiled", "<Z> of |0>", "<Z> of |1>"]
        assert (facts["account"], facts["device"]) == ("ok", "ibm_small, 5 qubits")
        assert (facts["<Z> of |0>"], facts["<Z> of |1>"]) == (1.0, -1.0)
        assert len(server.log()) == 1

    @pytest.mark.parametrize("kind", [{"kind": "fake", "device": "manila"}, {"kind": "aer"}, {"kind": "statevector"}])
    def test_simulations(self, kind: dict[str, str]) -> None:
        facts = check_backend(BackendSpec.model_validate({"name": "x", **kind}))
        assert facts["kind"] == kind["kind"]
        json.dumps(facts)

    def test_a_device_that_does_not(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        server.faults["submit"].append(Fault(403))
        with pytest.raises(JobError):
            check_backend(ibm())
        monkeypatch.setattr(
            "qlstm_qiskit.hardware.executors.packing.PackingExecutor.expect", lambda *_: [np.array([[0.3], [0.1]])]
        )
        with pytest.raises(JobError, match="came out as 0.300 and 0.100"):
            check_backend(ibm())
