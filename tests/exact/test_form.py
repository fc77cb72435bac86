"""The multilinear form: who has one, that it is exact, cached where it may be, and readable."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp, random_unitary

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.circuits.once import built_once
from qlstm_qiskit.errors import CapacityError, CircuitError
from qlstm_qiskit.exact import ExactBank, bank, kernels
from qlstm_qiskit.exact.encoding import split_encoding
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM, CircuitBank
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.parity.oracle import assert_parity
from tests.speed import slow_but

F64 = torch.float64
X, W = ParameterVector("x", 2), ParameterVector("w", 2)


def compile_bank(candidates: list[Candidate], path: str = "auto", n_outputs: int | None = None) -> ExactBank:
    return StatevectorBackend(path).bank(candidates, n_outputs)


def structured(change: Callable[[QuantumCircuit], None] = lambda circuit: None) -> Candidate:
    """A circuit with the structure: H, an encoding in each qubit, Clifford gates and rotations by weights."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.ry(-2 * X[0] + 0.4, 0)
    circuit.rx(X[1], 1)
    circuit.s(1)
    circuit.ecr(0, 1)
    circuit.rzz(W[0] / 2 - 0.1, 0, 1)
    circuit.crx(W[1], 1, 0)
    circuit.t(0)
    circuit.ry(W[0], 1)
    change(circuit)
    return Candidate("structured", circuit, tuple(X), tuple(W), (SparsePauliOp(["XY", "ZI"], [0.7, 0.3]), SparsePauliOp("IZ")))


HITS = {
    "as it is": lambda c: None,
    "one T gate more": lambda c: (c.t(0), c.h(0)),
    "a frame that is not Clifford": lambda c: c.u(0.3, 0.8, -1.2, 1),
    "an expression of weights": lambda c: c.rx(W[0] * W[1].sin(), 0),
    "a controlled phase": lambda c: c.cp(W[0], 0, 1),
}
MISSES = {
    "an input read again": lambda c: c.rz(X[0], 1),
    "an input in a gate of two qubits": lambda c: c.rxx(X[0], 0, 1),
    "an input with a weight": lambda c: c.rx(X[0] + W[0], 0),
    "a numeric gate of two qubits that is not Clifford": lambda c: c.append(UnitaryGate(random_unitary(4, seed=1)), [0, 1]),
    "a controlled square root": lambda c: c.csx(0, 1),
}


@pytest.mark.parametrize("name", HITS)
def test_structure_is_found_and_exact(name: str) -> None:
    candidate = structured(HITS[name])
    assert len(compile_bank([candidate]).forms) == 1
    assert_parity([candidate], seed=1, paths=["form"])


@pytest.mark.parametrize("name", MISSES)
def test_what_just_misses_it_takes_states_and_stays_exact(name: str) -> None:
    candidate = structured(MISSES[name])
    assert compile_bank([candidate]).forms == ()
    assert_parity([candidate], seed=1)
    with pytest.raises(CircuitError, match=r"candidates \[0\] of this bank have no multilinear form"):
        compile_bank([candidate], "form")


def test_hits_and_misses_in_one_bank() -> None:
    """Two sets of data angles, candidates that read one input in other frequencies, and one without a form."""
    other = QuantumCircuit(2)
    other.ry(X[0], 0)
    other.ry(3 * X[1], 1)
    other.cz(0, 1)
    other.rx(W[0], 0)
    other.rx(W[1], 0)
    candidates = [structured(), structured(MISSES["an input read again"]), structured(HITS["one T gate more"])]
    measured = candidates[0].measured
    candidates.append(Candidate("other", other, tuple(X), tuple(W), measured))
    compiled = compile_bank(candidates)
    assert [form.members for form in compiled.forms] == [(0, 2), (3,)]
    assert_parity(candidates, seed=2)


def test_an_encoding_by_an_expression_of_inputs() -> None:
    circuit = QuantumCircuit(2)
    circuit.ry(X[0] * X[1], 0)
    circuit.p(X[1].sin(), 1)
    circuit.cx(0, 1)
    circuit.rx(W[0], 1)
    candidate = Candidate("product", circuit, tuple(X), tuple(W[:1]))
    assert len(compile_bank([candidate]).forms) == 1
    assert_parity([candidate], seed=3, paths=["form"])


def test_a_weight_before_the_encoding_closes_the_qubit() -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(W[0], 0)
    circuit.ry(X[0], 0)
    assert split_encoding(Candidate("c", circuit, tuple(X), tuple(W[:1])).program) is None


def test_the_step_limit_falls_back_to_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlstm_qiskit.exact.rotation_form.STEP_LIMIT", 5)
    candidates = list(SearchSpace.handcrafted(1).candidates(3, 3))
    assert compile_bank(candidates).forms == ()
    assert_parity(candidates, seed=4)


def test_cost_of_building_does_not_depend_on_samples_or_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The part that grows with the candidates runs once a pass, forward and backward."""
    counts = {"forward": 0, "backward": 0}
    for name in counts:
        plain = getattr(kernels, f"build_{name}")

        def counted(*arguments, plain=plain, name=name):
            counts[name] += 1
            return plain(*arguments)

        monkeypatch.setattr(kernels, f"build_{name}", counted)
    model = QLSTM(1, 2, depth=2, batch_first=True)
    for batch, window in ((1, 4), (64, 4), (10, 16)):
        counts.update(forward=0, backward=0)
        model(torch.rand(batch, window, 1, dtype=F64))[0].sum().backward()
        assert counts == {"forward": 1, "backward": 1}


def test_angles_that_are_not_trained_are_rotated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients to the bit those of a bank whose angles are trained, also after its angles have changed."""
    candidates = SearchSpace.paper().candidates(3, 2)
    banks = [
        CircuitBank(candidates, 4, backend=StatevectorBackend("form"), circuits=circuits) for circuits in ("trained", "frozen")
    ]
    calls: list[None] = []
    rotations: list[tuple[int, ...]] = []
    plain = kernels.build_forward
    monkeypatch.setattr(kernels, "build_forward", lambda *arguments: calls.append(None) or plain(*arguments))
    for step in range(6):
        with torch.no_grad():
            banks[0].structural_weights.copy_(torch.randn_like(banks[0].structural_weights))
            banks[0].angles.copy_(torch.linspace(0, 1 + step // 3, banks[0].angles.numel()).view_as(banks[0].angles))
        banks[1].load_state_dict(banks[0].state_dict())
        found, before = [], []
        for own in banks:
            before.append(len(calls))
            inputs = torch.linspace(-1, 1, 12, dtype=F64).view(4, 3).requires_grad_()
            own.zero_grad()
            values = own(inputs)
            values.square().sum().backward()
            found.append((values, inputs.grad, own.structural_weights.grad))
        assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
        rotations.append((before[1] - before[0], len(calls) - before[1]))
    assert banks[1].angles.grad is None
    assert rotations == [(1, 1), (1, 0), (1, 0), (1, 1), (1, 0), (1, 0)]


def of_own_angles(number: int) -> Candidate:
    """A circuit of the same gates with another encoding; from the third on, they turn by twice their weights."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    for qubit, axis in enumerate(("ry", "rx") if number % 2 else ("rz", "ry")):
        getattr(circuit, axis)(X[qubit], qubit)
    circuit.cx(0, 1)
    for qubit in range(2):
        circuit.rx(W[qubit] * (1 + number // 2), qubit)
    return Candidate(f"own{number}", circuit, tuple(X), tuple(W))


@pytest.mark.parametrize(
    ("candidates", "groups"),
    [(SearchSpace.paper().candidates(4, 2), 6), (list(map(of_own_angles, range(4))), 2)],
    ids=["paper", "other angles"],
)
def test_circuits_that_share_their_angles_are_rotated_once(candidates: list[Candidate], groups: int) -> None:
    """Against the form that rotates each by itself, in all derivatives; where angles differ, none are taken for others."""
    generator = torch.Generator().manual_seed(2)
    apart, shared = (StatevectorBackend("form").bank(candidates, shared=own) for own in (False, True))
    rows = [sum(form.n_rows for form in own.forms) for own in (apart, shared)]
    assert rows[0] == rows[1] * len(candidates) // groups
    n = len(candidates[0].weights)
    angles, mixing, inputs = (
        torch.randn(*shape, dtype=F64, generator=generator, requires_grad=True)
        for shape in ((3, n), (3, len(candidates)), (5, candidates[0].n_qubits))
    )
    found = []
    for own in (apart, shared):
        weights = angles.repeat(1, len(candidates))
        values = own.bind(weights, mixing)(inputs)
        first = torch.autograd.grad(values.sin().sum(), (angles, mixing, inputs), create_graph=True)
        second = torch.autograd.grad(sum(one.square().sum() for one in first), (angles, mixing, inputs))
        with torch.no_grad():
            each = own.bind_apart(weights)(inputs)
            many = own.bind_replicas(torch.stack([weights, weights]), torch.stack([mixing, mixing]))(torch.cat([inputs] * 2))
        found.append((values, each, many, *first, *second))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-11)
    torch.testing.assert_close(found[1][2][:5], found[1][0].detach(), rtol=0, atol=1e-12)


def test_a_layer_whose_angles_are_shared_is_rotated_so_and_others_are_not() -> None:
    rows = [
        CircuitBank(SearchSpace.paper().candidates(3, 1), 4, sharing=sharing)._bank.forms[0].n_rows
        for sharing in ("none", "shared", "none")
    ]
    assert rows == [6 * rows[1], rows[1], 6 * rows[1]]
    with built_once():
        again = [
            CircuitBank(SearchSpace.paper().candidates(3, 1), 4, sharing=sharing)._bank.forms[0].n_rows
            for sharing in ("shared", "none", "shared")
        ]
    assert again == [rows[1], rows[0], rows[1]]


def test_a_pass_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile_bank(list(SearchSpace.paper().candidates(4, 2)), "form")
    weights, mixing = torch.zeros(4, sum(compiled.n_weights), dtype=F64), torch.ones(4, 36, dtype=F64)
    (form,) = compiled.forms
    needed = form.bytes(4, samples=1000, calls=8, gradients=True)
    monkeypatch.setattr("qlstm_qiskit.exact.memory._ALWAYS_FREE", 0)
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr("qlstm_qiskit.exact.memory.free_bytes", lambda device, free=free: free)
        if fits:
            compiled.bind(weights, mixing, samples=1000, calls=8)
        else:
            with pytest.raises(CapacityError, match="36 candidates on 1000 samples needs"):
                compiled.bind(weights, mixing, samples=1000, calls=8)


def test_the_bytes_promised_are_those_that_are_kept() -> None:
    """A grid: all that the calls keep goes through autograd. Else the tables and the features of each call are kept."""
    held: dict[int, int] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    samples, calls = 500, 3
    for space, n_qubits in ((SearchSpace.paper(), 4), (SearchSpace.handcrafted(1), 10)):
        compiled = compile_bank(list(space.candidates(n_qubits, 3)), "form", n_outputs=3)
        (form,) = compiled.forms
        assert form.is_grid == (n_qubits == 4)
        held.clear()
        weights = torch.rand(4, sum(compiled.n_weights), dtype=F64, requires_grad=True)
        mixing = torch.rand(4, compiled.n_candidates, dtype=F64)
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            bound = compiled.bind(weights, mixing, samples=samples, calls=calls)
            outs = [bound(torch.rand(samples, n_qubits, dtype=F64, requires_grad=True)) for _ in range(calls)]
        kept = sum(held.values()) + sum(out.untyped_storage().nbytes() for out in outs)
        if not form.is_grid:
            kept += 8 * samples * calls * form.codes.shape[0] * 3**form.width
        assert kept <= form.bytes(4, samples=samples, calls=calls, gradients=True) <= 3 * kept


@pytest.mark.parametrize("what", ["angles", "structural weights"])
def test_a_parameter_changed_before_backward_is_noticed(what: str, path: str) -> None:
    compiled = compile_bank(list(SearchSpace.paper().candidates(3, 1)), path)
    weights = torch.rand(2, sum(compiled.n_weights), dtype=F64, requires_grad=True)
    mixing = torch.rand(2, 36, dtype=F64, requires_grad=True)
    out = compiled.bind(weights, mixing)(torch.rand(4, 3, dtype=F64)).sum()
    with torch.no_grad():
        (weights if what == "angles" else mixing).mul_(2)
    if path == "states" and what == "angles":  # the states path has read the angles for good
        out.backward()
    else:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


def test_a_state_changed_before_backward_is_noticed(path: str) -> None:
    model = QLSTM(1, 2, depth=1, backend=StatevectorBackend(path))
    h, c = torch.rand(1, 4, 2, dtype=F64), torch.rand(1, 4, 2, dtype=F64)
    out, _ = model(torch.rand(3, 4, 1, dtype=F64), (h, c))
    c.mul_(7)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_two_passes_alive_at_once() -> None:
    """Neither may use the other's buffers."""
    torch.manual_seed(0)
    compiled = compile_bank(list(SearchSpace.paper().candidates(3, 2)), "form")
    mixing, x = torch.rand(2, 36, dtype=F64), torch.rand(4, 3, dtype=F64)
    several = [torch.rand(2, sum(compiled.n_weights), dtype=F64, requires_grad=True) for _ in range(3)]
    alone = [torch.autograd.grad(compiled.bind(w, mixing)(x).sum(), w)[0] for w in several]
    outs = [compiled.bind(w, mixing)(x).sum() for w in several]
    with torch.no_grad():
        compiled.bind(several[0] + 1, mixing)(x)
    for out, w, expected in reversed(list(zip(outs, several, alone, strict=True))):
        assert torch.equal(torch.autograd.grad(out, w)[0], expected)


def test_one_large_structure_does_not_take_the_others_along(monkeypatch: pytest.MonkeyPatch) -> None:
    easy, hard = (SearchSpace.product(["RY"], [block]).candidates(3, 2)[0] for block in ("linear-RX", "cyclic-RY"))
    sizes = [int((f._sections[:, 1] - f._sections[:, 0]).sum()) for c in (easy, hard) for f in compile_bank([c]).forms]
    assert sizes[0] < sizes[1]
    monkeypatch.setattr("qlstm_qiskit.exact.rotation_form.STEP_LIMIT", sizes[1] - 1)
    compiled = compile_bank([hard, easy])
    assert [form.members for form in compiled.forms] == [(1,)]
    assert_parity([hard, easy], seed=6)


def test_equal_strings_of_an_observable_add_up() -> None:
    program = SearchSpace.handcrafted(1).candidates(2, 2)[0].program
    terms = [PauliTerm(0, 1, 0.5), PauliTerm(0, 1, 0.5), PauliTerm(3, 0, 1.0), PauliTerm(0, 1, -0.2)]
    weights, x = torch.rand(1, 4, dtype=F64), torch.rand(3, 2, dtype=F64)
    values = [ExactBank([program], [[terms]], path).bind(weights)(x) for path in ("form", "states")]
    torch.testing.assert_close(values[0], values[1])


def test_an_empty_batch_can_be_differentiated(path: str) -> None:
    compiled = compile_bank(list(SearchSpace.handcrafted(1).candidates(2, 1)), path)
    weights = torch.rand(1, 2, dtype=F64, requires_grad=True)
    compiled.bind(weights)(torch.zeros(0, 2, dtype=F64)).sum().backward()
    assert weights.grad is not None
    assert not weights.grad.any()


def test_nan_in_what_is_read_stays_nan() -> None:
    compiled = compile_bank(list(SearchSpace.paper().candidates(2, 1)), "form")
    out = compiled.bind(torch.rand(1, 72, dtype=F64), torch.rand(1, 36, dtype=F64))(
        torch.tensor([[0.1, float("nan")]]).double()
    )
    assert out.isnan().any()


def test_the_pick_depends_on_the_work() -> None:
    """One sample through a deep circuit is cheaper as a state, many by the form; `benchmarks.paths` measures both."""
    deep, shallow = (compile_bank(list(SearchSpace.handcrafted(1).candidates(8, depth))) for depth in (6, 2))
    angles = [torch.zeros(4, sum(b.n_weights), dtype=F64) for b in (deep, shallow)]
    assert deep.plan(angles[0], samples=1, calls=1) == "states"
    assert deep.plan(angles[0], samples=10, calls=4) == "form"
    assert shallow.plan(angles[1], samples=1, calls=1) == "form"


def test_the_steps_of_states_are_counted_only_where_they_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[None] = []
    plain = bank.schedule
    monkeypatch.setattr(bank, "schedule", lambda program: counted.append(None) or plain(program))
    for depth, (samples, calls), decides in ((1, (10, 4), False), (5, (10, 4), False), (5, (1, 1), True)):
        compiled = compile_bank(list(SearchSpace.paper().candidates(6, depth)), "auto")
        counted.clear()
        compiled.plan(torch.zeros(4, sum(compiled.n_weights), dtype=F64), samples=samples, calls=calls)
        assert bool(counted) == decides


def test_backward_twice_over_one_graph() -> None:
    compiled = compile_bank(list(SearchSpace.paper().candidates(3, 2)), "form")
    weights = torch.randn(2, sum(compiled.n_weights), dtype=F64, requires_grad=True)
    out = compiled.bind(weights, torch.ones(2, 36, dtype=F64))(torch.rand(4, 3, dtype=F64))
    first, second = (torch.autograd.grad(out.sum(), weights, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


class TestInferenceCache:
    def count_builds(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        builds: list[int] = []
        plain = bank.ExactBank._bind

        def counted(*arguments):
            builds.append(1)
            return plain(*arguments)

        monkeypatch.setattr(bank.ExactBank, "_bind", counted)
        return builds

    @pytest.mark.parametrize("sharing", slow_but(["shared"], ["none", "shared"]))
    def test_any_change_of_a_parameter_is_noticed(self, monkeypatch: pytest.MonkeyPatch, sharing: str) -> None:
        builds = self.count_builds(monkeypatch)
        torch.manual_seed(0)
        model = QLSTM(1, 2, depth=1, angle_std=1.0, sharing=sharing).eval()
        x = torch.rand(4, 3, 1, dtype=F64)

        def predict() -> torch.Tensor:
            with torch.no_grad():
                return model(x)[0]

        before = predict()
        assert torch.equal(predict(), before)
        assert len(builds) == 1
        (angles,), (weights,) = model.circuit_parameters(), model.arch_parameters()
        changes: list[Callable[[], object]] = [
            lambda: angles.data.add_(0.1),  # behind autograd's back
            lambda: weights.data.mul_(1.1),
            lambda: model.load_state_dict({name: value + 0.1 for name, value in model.state_dict().items()}),
            lambda: setattr(angles, "data", angles.data + 0.1),
            lambda: torch.optim.SGD([angles], 0.1).step(),
        ]
        angles.grad = torch.ones_like(angles)
        for count, change in enumerate(changes, start=2):
            change()
            after = predict()
            assert not torch.equal(after, before)
            assert len(builds) == count
            fresh = QLSTM(1, 2, depth=1, sharing=sharing).eval()
            fresh.load_state_dict(model.state_dict())
            with torch.no_grad():
                assert torch.equal(after, fresh(x)[0])
            builds.pop()
            before = after

    def test_training_does_not_use_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        builds = self.count_builds(monkeypatch)
        model = QLSTM(1, 2, depth=1)
        x = torch.rand(4, 3, 1, dtype=F64)
        with torch.no_grad():
            model(x)
        model(x)[0].sum().backward()
        assert len(builds) == 2
        assert all(parameter.grad is not None for parameter in model.parameters())

    def test_a_larger_batch_is_checked_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        builds = self.count_builds(monkeypatch)
        model = QLSTM(1, 2, depth=1).eval()
        with torch.no_grad():
            for batch, expected in ((4, 1), (2, 1), (8, 2), (4, 2)):
                model(torch.rand(3, batch, 1, dtype=F64))
                assert len(builds) == expected

    def test_copies_and_pickles_after_inference(self) -> None:
        torch.manual_seed(0)
        model = QLSTM(1, 2, depth=1, angle_std=1.0).eval()
        x = torch.rand(3, 4, 1, dtype=F64)
        with torch.no_grad():
            expected = model(x)[0]
            for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
                assert torch.equal(twin(x)[0], expected)
                next(twin.circuit_parameters()).add_(0.1)
                assert not torch.equal(twin(x)[0], expected)
            assert torch.equal(model(x)[0], expected)

    def test_inputs_and_states_that_require_gradients(self) -> None:
        model = QLSTM(1, 2, depth=1).eval()
        x, h = torch.rand(3, 4, 1, dtype=F64, requires_grad=True), torch.rand(1, 4, 2, dtype=F64, requires_grad=True)
        with torch.no_grad():
            assert not model(x, (h, h))[0].requires_grad

    def test_dtypes_are_kept_apart(self) -> None:
        model = QLSTM(1, 2, depth=1)
        with torch.no_grad():
            model(torch.rand(4, 3, 1, dtype=F64))
            assert model.float()(torch.rand(4, 3, 1))[0].dtype == torch.float32


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.slow
def test_fifty_steps_of_training_are_the_same_on_both_paths(dtype: torch.dtype, tolerance: float) -> None:
    """SGD, which carries a difference on as it is: RMSprop would turn the rounding of a dead angle's gradient into a step."""
    results = []
    for path in ("form", "states"):
        torch.manual_seed(0)
        model = QLSTM(1, 2, depth=2, batch_first=True, dtype=dtype, angle_std=1.0, backend=StatevectorBackend(path))
        x, y = torch.rand(6, 3, 1, dtype=dtype), torch.rand(6, 2, dtype=dtype)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(50):
            loss = (model(x)[0][:, -1] - y).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        results.append((losses, torch.cat([p.detach().flatten() for p in model.parameters()])))
    (losses, parameters), (other_losses, other_parameters) = results
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(losses, other_losses, rtol=0, atol=tolerance)
    torch.testing.assert_close(parameters, other_parameters, rtol=0, atol=tolerance)


class TestFourier:
    def test_series_is_the_bank(self) -> None:
        torch.manual_seed(0)
        layer = CircuitBank(SearchSpace.paper().candidates(3, 2), n_gates=2, n_outputs=2, angle_std=1.0)
        x = torch.randn(5, 3, dtype=F64)
        series = layer.fourier()
        assert series.angles == ("v0", "v1", "v2")
        np.testing.assert_allclose(series.evaluate(x.numpy()), layer(x).detach().numpy(), atol=1e-12)

    def test_reads_as_written(self) -> None:
        candidate = SearchSpace.product(["H-RZ"], ["linear-RX"]).candidates(2, 1)[0]
        layer = CircuitBank([candidate], angle_std=1.0)
        w0 = float(layer.angles.detach()[0, 0])
        # by hand: R_X turns Z0 into cos(w0) Z0 + sin(w0) Y0; the CNOT makes Y0 of it Y0 X1; each qubit is (cos v, sin v, 0)
        ((label, value),) = layer.fourier().terms(output=0)
        assert label == "sin(v0) cos(v1)"
        assert value == pytest.approx(np.sin(w0))
        assert layer.fourier().terms(output=1) == []

    def test_other_frequencies_are_named(self) -> None:
        layer = CircuitBank([structured()])
        assert layer.fourier().angles == ("2 v0", "v1")
        assert layer.fourier().label(0) == "1"

    def test_reuploading_has_no_single_series(self) -> None:
        layer = CircuitBank([structured(MISSES["an input read again"])])
        with pytest.raises(CircuitError, match="no single multilinear form"):
            layer.fourier()


def test_wide_circuits_with_small_light_cones_need_no_wide_state() -> None:
    """24 qubits: a state of all candidates would take terabytes."""
    model = QLSTM(1, 23, depth=1, space=SearchSpace.product(["RY", "H-RZ"], ["linear-RY"]))
    out = model(torch.rand(3, 2, 1, dtype=F64))[0]
    out.sum().backward()
    assert out.shape == (3, 2, 23)


def test_sixteen_qubits_agree_with_eight() -> None:
    """The first outputs of a linear ansatz do not see far qubits: pruned features are the right ones."""
    rng = np.random.default_rng(0)
    wide, narrow = (SearchSpace.handcrafted(1).candidates(n, 1)[0] for n in (16, 8))
    x, w = rng.normal(size=16), rng.normal(size=16)
    values = []
    for candidate, n in ((wide, 16), (narrow, 8)):
        compiled = compile_bank([candidate], "form", n_outputs=2)
        values.append(compiled.bind(torch.tensor(w[None, :n]))(torch.tensor(x[None, :n])))
    torch.testing.assert_close(values[0], values[1])
