"""The bank itself: fusing, batching, dtypes, refusals."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Statevector

from qlstm_qiskit.circuits import lower
from qlstm_qiskit.errors import CapacityError, CircuitError, ShapeError
from qlstm_qiskit.exact import ExactBank, require_memory
from qlstm_qiskit.exact import states as states_module
from qlstm_qiskit.exact.schedule import Dense, Monomial, embed, schedule
from qlstm_qiskit.exact.states import StateBank
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.space import Candidate, SearchSpace
from tests.parity.circuits import random_candidate


def compile_bank(candidates: list[Candidate], n_outputs: int | None = None, path: str = "auto") -> ExactBank:
    return StatevectorBackend(path).bank(candidates, n_outputs)


def states_of(bank: ExactBank) -> StateBank:
    return bank._states(torch.float64, torch.device("cpu"), tuple(range(bank.n_candidates)))


def test_the_36_candidates_are_one_batched_evaluation() -> None:
    for n_qubits, depth in ((2, 1), (4, 1), (6, 5)):
        assert states_of(compile_bank(list(SearchSpace.paper().candidates(n_qubits, depth)))).n_groups == 1


def test_kernels_do_not_grow_with_candidates_or_samples() -> None:
    """The work is in batched operations: their number depends on the structure alone."""

    def kernels(space: SearchSpace, samples: int) -> int:
        bank = compile_bank(list(space.candidates(3, 2)), path="states")
        weights = torch.zeros(4, sum(bank.n_weights), dtype=torch.float64)
        mixing = torch.ones(4, bank.n_candidates, dtype=torch.float64)
        inputs = torch.zeros(samples, 3, dtype=torch.float64)
        bank.bind(weights, mixing)(inputs)  # compiled on the first call
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            bank.bind(weights, mixing)(inputs)
        return sum(event.count for event in profile.key_averages() if event.key in ("aten::bmm", "aten::mul", "aten::gather"))

    small = kernels(SearchSpace.product(["RY", "RX"], ["linear-RY"]), 1)
    assert kernels(SearchSpace.paper(), 1) == small
    assert kernels(SearchSpace.paper(), 50) == small


def test_schedule_fuses_fixed_gates() -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.ry(x[0], 0)
    circuit.sx(0)
    circuit.x(1)
    circuit.cx(0, 1)
    circuit.cz(1, 0)
    circuit.swap(0, 1)
    circuit.rz(0.3, 0)
    circuit.rx(x[1], 0)
    steps = schedule(lower(circuit, list(x), [])).steps
    assert [type(step) for step in steps] == [Dense, Monomial, Dense]
    assert [len(step.factors) for step in steps if isinstance(step, Dense)] == [1, 1]


@pytest.mark.parametrize("seed", range(10))
def test_schedule_keeps_the_circuits_action(seed: int) -> None:
    """Multiply a schedule out by hand, with numbers for all parameters, and compare with Qiskit's statevector."""
    candidate = random_candidate(seed)
    rng = np.random.default_rng(seed)
    values = {p: float(rng.uniform(-3, 3)) for p in (*candidate.inputs, *candidate.weights)}
    bound = candidate.circuit.assign_parameters(values)
    state = np.eye(2**bound.num_qubits)[0].astype(complex)
    for step in schedule(lower(bound, [], [])).steps:
        if isinstance(step, Dense):
            for factor in step.factors:
                state = embed(factor.constant, step.qubits, bound.num_qubits) @ state
        else:
            source, phase = step.action(bound.num_qubits)
            state = phase * state[source]
    assert Statevector(state).equiv(Statevector(bound), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_dtype_is_kept(dtype: torch.dtype, tolerance: float, generator: torch.Generator, path: str) -> None:
    bank = compile_bank(list(SearchSpace.paper().candidates(3, 2)), path=path)
    weights = torch.randn(2, sum(bank.n_weights), generator=generator, dtype=torch.float64)
    inputs = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    mixing = torch.full((2, 36), 1 / 36, dtype=torch.float64)
    exact = bank.bind(weights, mixing)(inputs)
    values = bank.bind(weights.to(dtype), mixing.to(dtype))(inputs.to(dtype))
    assert values.dtype == dtype
    torch.testing.assert_close(values.double(), exact, rtol=0, atol=tolerance)


def test_mixing_is_the_weighted_sum(generator: torch.Generator, path: str) -> None:
    bank = compile_bank(list(SearchSpace.paper().candidates(3, 1)), n_outputs=2, path=path)
    weights = torch.randn(4, sum(bank.n_weights), generator=generator, dtype=torch.float64)
    mixing = torch.randn(4, 36, generator=generator, dtype=torch.float64)
    inputs = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    bound = bank.bind(weights, mixing)
    each = bound.candidates(inputs)
    assert each.shape == (5, 4, 36, 2)
    torch.testing.assert_close(bound(inputs), (each * mixing[None, :, :, None]).sum(2))


def test_meta_device_constants_follow_the_weights() -> None:
    """No constant is pinned to the CPU: the whole pass runs on any device that the weights are on."""
    bank = compile_bank(list(SearchSpace.paper().candidates(3, 1)))
    weights = torch.zeros(4, sum(bank.n_weights), dtype=torch.float64, device="meta")
    mixing = torch.zeros(4, 36, dtype=torch.float64, device="meta")
    values = bank.bind(weights, mixing)(torch.zeros(5, 3, dtype=torch.float64, device="meta"))
    assert values.device.type == "meta"
    assert values.shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("weights", "mixing", "message"),
    [
        (torch.zeros(4, 7, dtype=torch.float64), None, r"expected \(gates, 108\)"),
        (torch.zeros(4, 108, dtype=torch.float16), None, "float32 or torch.float64"),
        (torch.zeros(4, 108, dtype=torch.float64), None, "36 candidates needs structural weights"),
        (torch.zeros(4, 108, dtype=torch.float64), torch.zeros(4, 3), r"expected \(4, 36\)"),
    ],
)
def test_bind_refuses_wrong_tensors(weights: torch.Tensor, mixing: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        compile_bank(list(SearchSpace.paper().candidates(3, 1))).bind(weights, mixing)


def test_candidates_must_agree() -> None:
    two, three = (list(SearchSpace.handcrafted(1).candidates(n, 1)) for n in (2, 3))
    with pytest.raises(CircuitError, match="same number of inputs"):
        compile_bank(two + three, n_outputs=1)
    with pytest.raises(CircuitError, match="at least one candidate"):
        compile_bank([])


class TestMemory:
    def test_formula(self) -> None:
        assert require_memory(4, 36, 10, 5, 16, available=2**30) == 36 * 10 * (2 * 5 + 3) * 16 * 2**4
        assert require_memory(4, 36, 10, 0, 16, tables=7, available=2**30) == (36 * 10 * 3 * 16 + 7 * 48) * 2**4

    def test_refusal_says_how_many_qubits_fit(self) -> None:
        with pytest.raises(CapacityError, match="20 qubits need .* GiB .* 12 qubits fit"):
            require_memory(20, 36, 10, 5, 16, available=36 * 10 * 13 * 16 * 2**12 + 1)

    def test_what_is_said_to_fit_fits(self) -> None:
        for n_qubits in (12, 11):
            bank = compile_bank(list(SearchSpace.paper().candidates(n_qubits, 1)), path="states")
            available = require_memory(11, 36, 3, 2 * states_of(bank).n_steps, 16, 72, 2**50)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(states_module, "free_bytes", lambda device, free=available: free)
                weights = torch.zeros(1, sum(bank.n_weights), dtype=torch.float64)
                if n_qubits == 11:
                    bank.bind(weights, torch.zeros(1, 36, dtype=torch.float64), samples=3, calls=2)
                else:
                    with pytest.raises(CapacityError, match="11 qubits fit"):
                        bank.bind(weights, torch.zeros(1, 36, dtype=torch.float64), samples=3, calls=2)

    @pytest.mark.slow
    def test_bank_refuses_before_it_allocates(self) -> None:
        bank = compile_bank(
            list(SearchSpace.paper().candidates(50, 1)), path="states"
        )  # a table of 2^50 indices cannot be made
        with pytest.raises(CapacityError, match="qubits fit"):
            bank.bind(torch.zeros(1, sum(bank.n_weights)), torch.zeros(1, 36))


def test_inference_mode_first_does_not_spoil_training(path: str) -> None:
    bank = compile_bank(list(SearchSpace.paper().candidates(2, 1)), path=path)
    weights = torch.zeros(1, sum(bank.n_weights), dtype=torch.float64, requires_grad=True)
    mixing, inputs = torch.ones(1, 36, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64)
    with torch.inference_mode():
        bank.bind(weights, mixing)(inputs)
    bank.bind(weights, mixing)(inputs).sum().backward()
    assert weights.grad is not None
