"""Reports on candidates, and spaces without dead ones."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector, partial_trace, random_statevector, state_fidelity

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM, CircuitBank
from qlstm_qiskit.space import Candidate, SearchSpace, analyze
from qlstm_qiskit.space.merit import entangling_capability, expressibility, random_states
from qlstm_qiskit.training import QLSTMRegressor
from tests.parity.circuits import random_candidate
from tests.speed import slow_but

F64 = torch.float64


def test_the_facts_of_the_papers_space() -> None:
    found = analyze(SearchSpace.paper(), 4, 1, samples=10)
    assert (found.n_outputs, found.depth, found.device) == (3, 1, None)
    assert found.counts() == {"candidates": 36, "zero": 7, "blind": 15, "inert": 15, "equal": 11, "not_complete": 0}
    reports = {report.name: report for report in found.reports}
    assert reports["RX|linear-RX"].verdict == "= RY|linear-RX"
    assert reports["H-RX|cyclic-RY"].verdict == "blind, = H-RX|linear-RY"
    assert reports["H-RX|linear-RX"].verdict == "zero"
    first = reports["RY|linear-RZ"]
    assert (first.unseen_inputs, first.inert_weights, first.degree) == ((3,), (0, 1, 2, 3), 3)
    assert first.frequencies == ((1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 0))
    assert (first.n_inputs, first.n_weights, first.depth, first.two_qubit_gates) == (4, 4, 4, 3)
    assert all(report.compared and report.complete for report in found.reports)


def test_own_circuits_and_what_is_measured() -> None:
    x, w = ParameterVector("x", 2), ParameterVector("w", 1)
    circuits = [QuantumCircuit(2, name=name) for name in ("a", "b")]
    for circuit in circuits:
        circuit.ry(x[0], 0)
        circuit.ry(x[1], 1)
    circuits[0].ry(w[0] ** 2, 1)
    circuits[1].x(0)
    space = SearchSpace.from_circuits(circuits)
    one, two = analyze(space), analyze(space.candidates(), n_outputs=2)
    assert (one.n_outputs, two.n_outputs, one.n_qubits, one.depth) == (1, 2, 2, None)
    assert [report.equal_to for report in one.reports] == [None, None], "not compared: an angle is not linear"
    assert [report.complete for report in one.reports] == [False, True]
    assert [report.compared for report in one.reports] == [False, True]
    assert (one.reports[0].inert_weights, two.reports[0].inert_weights) == ((0,), ())


def test_the_device_is_the_transpilers() -> None:
    found = analyze(SearchSpace.handcrafted(1), 4, 1, backend="fake-manila", samples=10)
    (report,) = found.reports
    assert found.device == report.device.device == "fake_manila"
    assert report.device.two_qubit_gates == (3, 3)
    assert 0.8 < report.device.success < 1
    assert found.facts()["candidates"][0]["device"]["two_qubit_gates"] == (3, 3)


def test_refusals() -> None:
    with pytest.raises(OptionError, match="at least 2"):
        analyze(SearchSpace.paper(), 3, 1, samples=1)
    with pytest.raises(OptionError, match="without n_qubits and depth"):
        analyze(SearchSpace.paper().candidates(3, 1), 3)
    with pytest.raises(CircuitError, match="has 3 outputs; 4 were asked for"):
        analyze(SearchSpace.paper(), 3, 1, 4)
    with pytest.raises(OptionError, match="has no device"):
        analyze(SearchSpace.paper(), 3, 1, backend="aer-shots")


@pytest.mark.parametrize("seed", range(4))
def test_random_states_are_the_circuits_states(seed: int) -> None:
    candidate = random_candidate(seed)
    states = random_states(candidate.program, 3, seed=1)
    rng = np.random.default_rng(1)
    values = np.concatenate(
        [rng.uniform(-np.pi, np.pi, (3, size)) for size in (len(candidate.inputs), len(candidate.weights))], 1
    )
    for state, point in zip(states, values, strict=True):
        bound = candidate.circuit.assign_parameters(dict(zip((*candidate.inputs, *candidate.weights), point, strict=True)))
        assert state_fidelity(Statevector(state), Statevector(bound)) == pytest.approx(1, abs=1e-10)


def test_the_figures_of_the_literature_in_known_cases() -> None:
    ghz = np.zeros((1, 8), dtype=complex)
    ghz[0, [0, 7]] = np.sqrt(0.5)
    assert entangling_capability(ghz) == pytest.approx(1)
    states = np.array([random_statevector(8, seed=k).data for k in range(600)])
    others = [[1, 2], [0, 2], [0, 1]]
    expected = [2 - 2 * np.mean([partial_trace(Statevector(s), some).purity().real for some in others]) for s in states[:20]]
    assert entangling_capability(states[:20]) == pytest.approx(np.mean(expected))
    # Haar-random states: pairs of 600 states are 179,700, for a bias of 74 / 359,400, and pairs with a state in common
    assert expressibility(states) < 5e-3
    same = np.repeat(states[:1], 50, axis=0)
    assert expressibility(same) == pytest.approx(7 * np.log(75)), "all fidelities are in the last of 75 bins"


@pytest.mark.slow
def test_without_dead_keeps_the_reasons() -> None:
    space = SearchSpace.paper().without_dead()
    draft = space.draft(4, 1, 3)
    assert len(draft.candidates) == 36
    assert sum(draft.kept) == 29
    assert set(draft.removed.values()) == {"is zero on all outputs, whatever its inputs and weights"}
    assert [c.name for c in space.candidates(4, 1, 3)] == [n for n in SearchSpace.paper().names if n not in draft.removed]
    assert len(space.candidates(4, 2, 3)) == len(space.candidates(6, 5, 5)) == 30
    layer = QLSTM(1, 3, depth=1, space=space)
    (cell,) = layer.layers()
    assert cell.removed == draft.removed
    assert layer.n_circuits == 4 * 29
    assert SearchSpace.paper().draft(4, 1, 3).removed == {}


def test_repeats_and_blind_candidates_are_left_out_on_request() -> None:
    space = SearchSpace.paper()
    repeats = space.without_dead(repeats=True).draft(4, 1, 3).removed
    named = {name: reason for name, reason in repeats.items() if "zero" not in reason}
    assert sorted(named) == ["RX|cyclic-RZ", "RX|linear-RZ", "RZ|cyclic-RZ"]
    assert named["RX|linear-RZ"].startswith("is the same function of its inputs as 'RY|linear-RZ', up to a sign")
    blind = space.without_dead(blind=True).draft(4, 1, 3)
    assert sum(blind.kept) == 36 - 15
    with pytest.raises(OptionError, match="no candidate is left: 'H-RX"):
        SearchSpace.handcrafted(5).without_dead().candidates(4, 1)


def test_given_circuits_too() -> None:
    x = ParameterVector("x", 2)
    alive, dead = QuantumCircuit(2, name="alive"), QuantumCircuit(2, name="dead")
    for circuit in (alive, dead):
        circuit.rx(x[0], 0)
        circuit.rx(x[1], 1)
    dead.h([0, 1])
    space = SearchSpace.from_circuits([alive, dead]).without_dead()
    (candidate,) = space.candidates()
    assert candidate.name == "alive"
    assert len(QLSTM(1, 1, space=space).state_dict()) == 2, "angles, and the structural weight that it had among all"


@pytest.mark.parametrize("sharing", slow_but(["none"], ["none", "shared"]))
def test_the_kept_candidates_start_as_among_all(sharing: str) -> None:
    kept = SearchSpace.paper().without_dead().draft(3, 1, 2).kept
    full, part = (
        CircuitBank(
            SearchSpace.paper().candidates(3, 1), 4, 2, sharing=sharing, kept=some, generator=torch.Generator().manual_seed(3)
        )
        for some in (None, kept)
    )
    mask = torch.tensor(kept)
    expected = full.angles if sharing == "shared" else full.angles[:, mask.repeat_interleave(3)]
    assert torch.equal(part.angles, expected)
    assert torch.equal(part.structural_weights, full.structural_weights[:, mask])
    x = torch.rand(5, 3, dtype=F64)
    torch.testing.assert_close(part(x), full(x), rtol=0, atol=1e-15)
    with pytest.raises(OptionError, match="at least one of them True"):
        CircuitBank(SearchSpace.paper().candidates(3, 1), kept=[False] * 36)


@pytest.mark.parametrize(("path", "model"), [("states", "diffqas"), ("auto", "diffqas"), ("auto", "diffqas-shared")])
@pytest.mark.slow
def test_training_has_the_same_loss_curve(path: str, model: str) -> None:
    rng = np.random.default_rng(0)
    windows, targets = rng.uniform(-1, 1, (40, 4, 1)), rng.uniform(-1, 1, (40, 1))
    curves = []
    for space in (SearchSpace.paper(), SearchSpace.paper().without_dead()):
        backend = StatevectorBackend(path)
        options = {"hidden_size": 2, "depth": 1, "max_epochs": 4, "seed": 0, "space": space, "backend": backend}
        trained = QLSTMRegressor(model=model, **options).fit(windows, targets)
        curves.append([*(line["train_loss"] for line in trained.history_), *trained.predict(windows).ravel()])
    assert curves[0][0] != curves[0][3], "it learns"
    # sums of fewer terms round otherwise; RMSprop divides by the size of a gradient and so does not damp that
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-11)


def test_observables_of_candidates_decide() -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(x[0], 0)
    circuit.h(0)
    measured = [(SparsePauliOp(letters),) for letters in ("IZ", "IX", "IY")]
    candidates = [Candidate(str(k), circuit, tuple(x), (), some) for k, some in enumerate(measured)]
    assert SearchSpace.from_circuits(candidates).without_dead().draft().kept == (False, True, True)
