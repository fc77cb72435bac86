"""Cutting by limits and putting together again: nothing lost, nothing twice, order kept."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.hardware.contract.executor import ISACircuit, Request
from qlstm_qiskit.hardware.executors.chunks import Chunk, Takes, chunks, unchunk

X = ParameterVector("x", 2)
CIRCUIT = QuantumCircuit(2)
CIRCUIT.ry(X[0], 0)
CIRCUIT.ry(X[1], 1)
OBSERVABLES = {1: ("ZI", "IZ"), 2: ("ZZ", "XI"), 3: ("ZZ", "XX", "YY"), 0: ("II",)}


def request(n_rows: int, n_bases: int = 1, name: str = "c") -> Request:
    isa = ISACircuit(name, CIRCUIT, tuple(X), tuple(SparsePauliOp(label) for label in OBSERVABLES[n_bases]))
    assert len(isa.measurement.bases) == n_bases
    return Request(isa, np.arange(2.0 * n_rows).reshape(n_rows, 2))


def answer(piece: Chunk) -> np.ndarray:
    """A number for each row and observable that says where it belongs."""
    rows = piece.request.values[:, :1]
    return 1e6 * piece.index + rows + 0.1 * np.arange(len(piece.request.circuit.observables))


def sizes(jobs: list[list[Chunk]]) -> list[list[int]]:
    return [[len(piece.request.values) for piece in job] for job in jobs]


@pytest.mark.parametrize("seed", range(40))
def test_random_requests_come_back_whole_and_within_the_limits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    requests = [request(int(rng.integers(1, 30)), int(rng.integers(0, 4))) for _ in range(rng.integers(0, 12))]
    shots = int(rng.integers(1, 9))
    max_pubs = int(rng.integers(3, 9))
    max_executions = int(rng.integers(3 * shots, 100 * shots))
    jobs = chunks(requests, shots, max_pubs, max_executions)
    for job in jobs:
        assert job
        assert sum(piece.pubs for piece in job) <= max_pubs
        assert shots * sum(piece.circuits for piece in job) <= max_executions
    pieces = [piece for job in jobs for piece in job]
    assert [(p.index, p.start) for p in pieces] == sorted((p.index, p.start) for p in pieces)
    assert all(p.request.circuit is requests[p.index].circuit for p in pieces)
    back = unchunk(jobs, [[piece.request.values for piece in job] for job in jobs], len(requests))
    assert len(back) == len(requests)
    for got, wanted in zip(back, requests, strict=True):
        assert np.array_equal(got, wanted.values)
    for index, got in enumerate(unchunk(jobs, [[answer(piece) for piece in job] for job in jobs], len(requests))):
        assert np.array_equal(got, answer(Chunk(requests[index], index, 0)))


@pytest.mark.parametrize("seed", range(10))
def test_no_job_could_have_taken_the_next_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    requests = [request(int(rng.integers(1, 30)), int(rng.integers(1, 4))) for _ in range(12)]
    jobs = chunks(requests, 10, 5, 300)
    for job, following in pairwise(jobs):
        first = following[0]
        full = sum(piece.pubs for piece in job) + first.pubs > 5
        assert full or 10 * (sum(piece.circuits for piece in job) + first.pubs) > 300


def test_without_need_nothing_is_cut() -> None:
    requests = [request(7), request(3, 2), request(5)]
    for limits in ((None, None), (4, 18), (50, 5_000_000)):
        jobs = chunks(requests, None, *limits)
        assert sizes(jobs) == [[7, 3, 5]]
        assert all(piece.request.values is not None and piece.start == 0 for piece in jobs[0])


def test_each_limit_cuts() -> None:
    requests = [request(7), request(3, 2), request(5)]
    assert sizes(chunks(requests, 10, 3, None)) == [[7, 3], [5]]
    assert sizes(chunks(requests, 10, 2, None)) == [[7], [3], [5]]  # a circuit in two bases is two PUBs
    assert sizes(chunks(requests, 10, None, 40)) == [[4], [3], [2], [1, 2], [3]]
    assert sizes(chunks([request(25)], 100, 50, 1000)) == [[10], [10], [5]]
    assert sizes(chunks([request(1)] * 7, 100, 3, 1000)) == [[1, 1, 1], [1, 1, 1], [1]]
    assert chunks([], 10, 3, 100) == []


def test_what_can_never_fit_is_refused() -> None:
    with pytest.raises(OptionError, match=r"named is measured in 3 bases.*max_pubs=2; raise guard.max_pubs"):
        chunks([request(1), request(1, 3, "named")], 10, 2, None)
    with pytest.raises(OptionError, match=r"takes 2 x 10 executions.*max_executions=19; lower shots"):
        chunks([request(1, 2)], 10, None, 19)
    with pytest.raises(ShapeError, match=r"request 1 \(c\) has no parameter sets"):
        chunks([request(1), request(0)], 10, None, None)


def test_a_result_of_another_size_is_refused() -> None:
    jobs = chunks([request(5)], 10, None, 30)
    with pytest.raises(ShapeError, match="3 parameter sets were asked, 2 came back"):
        unchunk(jobs, [[np.zeros((2, 2))], [np.zeros((2, 2))]], 1)


def test_a_device_says_how_many_circuits_a_job_holds() -> None:
    def cut(given: list[Request], most: int | None, shots: bool = False, limit: int | None = None) -> list[list[int]]:
        return sizes(chunks(given, 10, None, limit, Takes(most, shots)))

    requests = [request(7), request(5, 2), request(3)]
    assert cut(requests, None) == [[7, 5, 3]]
    assert cut(requests, 4) == [[4], [3], [2], [2], [1, 2], [1]]  # the second is measured in two bases
    assert cut(requests, 4, limit=30) == [[3], [3], [1, 1], [1], [1], [1], [1, 1], [2]]
    assert cut([request(2, 3)], 1) == [[1], [1]], "a set in three bases is not cut"
    mixed = [replace(request(2), shots=own) for own in (5, None, 5, 10)]
    assert cut(mixed, None, shots=False) == [[2, 2, 2, 2]]
    assert cut(mixed, None, shots=True) == [[2, 2], [2, 2]]
    jobs = chunks(mixed, 10, None, None, Takes(3, same_shots=True))
    assert [[piece.index for piece in job] for job in jobs] == [[0, 2], [2], [1, 3], [3]]
    values = [[piece.request.values[:, :1] for piece in job] for job in jobs]
    np.testing.assert_array_equal(unchunk(jobs, values, 4)[2], mixed[2].values[:, :1])
