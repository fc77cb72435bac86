"""Layers that their users have changed, against the cell stepped by hand: hooks that set parameters, other parts, own steps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize, prune

from qlstm_qiskit import QFWP, QGRU, QLSTM, QFWPCell, QLSTMRegressor, SearchSpace
from qlstm_qiskit.circuits.once import built_once
from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.exact import adjoint
from qlstm_qiskit.nn import CircuitBank
from qlstm_qiskit.nn.cell import Stages, States

F64 = torch.float64
SPACE = SearchSpace.product(["H-RY", "RX"], ["linear-RX", "linear-RY"])


def layer(kind: Any, **options: Any) -> Any:
    return kind(1, 3, **{"depth": 1, "space": SPACE, "angle_std": 1.0} | options, generator=torch.Generator().manual_seed(0))


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(1))


def by_hand(made: Any, x: Tensor, before_step: Callable[[int], None] = lambda _: None) -> Tensor:
    states, outputs = None, []
    for step, own in enumerate(x):
        before_step(step)
        states = made.cells[0](own, states)
        outputs.append(states if isinstance(states, Tensor) else states[0])
    return torch.stack(outputs)


def in_place(bank: CircuitBank, values: Tensor) -> None:
    with torch.no_grad():
        bank.angles.copy_(values)


def by_data(bank: CircuitBank, values: Tensor) -> None:
    bank.angles.data.copy_(values)


def other_data(bank: CircuitBank, values: Tensor) -> None:
    bank.angles.data = values


@pytest.mark.parametrize("change", [in_place, by_data, other_data])
@pytest.mark.parametrize(("kind", "place"), [(QLSTM, "cell"), (QGRU, "cell"), (QLSTM, "bank")])
def test_hooks_that_set_angles_before_a_step(kind: Any, place: str, change: Callable[[CircuitBank, Tensor], None]) -> None:
    x, made, other = drawn(4, 3, 1), layer(kind), layer(kind)
    first = made.cells[0].bank.angles.detach().clone()
    values = [first + n for n in drawn(4)]
    with torch.no_grad():
        expected = by_hand(other, x, lambda step: in_place(other.cells[0].bank, values[step]))
        hooked, calls = made.cells[0] if place == "cell" else made.cells[0].bank, iter(values)
        hooked.register_forward_pre_hook(lambda *_: change(made.cells[0].bank, next(calls)))
        torch.testing.assert_close(made(x)[0], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("place", ["cell", "bank"])
def test_hooks_that_look_on_do_so_under_vmap(place: str) -> None:
    """Nothing reads numbers that torch is mapping over."""
    x, made = drawn(3, 2, 1), layer(QLSTM)
    stacked = {name: torch.stack([value.detach(), value.detach() + 0.1]) for name, value in made.named_parameters()}
    expected = torch.stack([functional_call(made, {n: v[k] for n, v in stacked.items()}, (x,))[0] for k in range(2)])
    hooked = made.cells[0] if place == "cell" else made.cells[0].bank
    hooked.register_forward_pre_hook(lambda *_: None)
    found = torch.func.vmap(lambda own: functional_call(made, own, (x,))[0])(stacked)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


PARTS: dict[str, Callable[[Any], None]] = {
    "no layer behind": lambda cell: setattr(cell, "from_outputs", None),
    "no layer before": lambda cell: setattr(cell, "to_angles", None),
    "another width before": lambda cell: setattr(cell, "to_angles", nn.Linear(3, 4, dtype=F64)),
    "more angles": lambda cell: setattr(cell, "to_angles", nn.Linear(4, 5, dtype=F64)),
    "fewer outputs": lambda cell: setattr(cell, "from_outputs", nn.Linear(2, 3, dtype=F64)),
    "one feature": lambda cell: setattr(cell, "from_outputs", nn.Linear(4, 1, dtype=F64)),
    "single precision": lambda cell: cell.from_outputs.float(),
    "another bank": lambda cell: setattr(cell, "bank", CircuitBank(SPACE.candidates(4, 1), len(cell.gate_names), 2)),
    "another sigmoid": lambda cell: setattr(cell, "sigmoid", nn.functional.hardsigmoid),
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", [QLSTM, QGRU])
def test_other_parts_do_what_they_do_step_by_step(kind: Any, part: str) -> None:
    """The same numbers, or the same error: nothing is taken for granted by loops that check no sizes."""
    made = layer(kind, n_qubits=3 if part == "no layer behind" else 4)
    PARTS[part](made.cells[0])
    x = drawn(4, 5, 1)
    with torch.no_grad():
        try:
            expected = by_hand(made, x)
        except (RuntimeError, ValueError) as error:
            with pytest.raises(type(error)):
                made(x)
        else:
            torch.testing.assert_close(made(x)[0], expected, rtol=0, atol=1e-13)


def test_a_fast_weight_cell_with_a_step_of_its_own() -> None:
    class Decaying(QFWPCell):
        def step(self, bound: Stages, inputs: Tensor, states: States) -> States:
            return super().step(bound, inputs, (states[0], 0.5 * states[1]))

    made, x = layer(QFWP), drawn(5, 3, 1)
    made.cells[0].__class__ = Decaying
    with torch.no_grad():
        torch.testing.assert_close(made(x)[0], by_hand(made, x), rtol=0, atol=1e-13)


def read_twice(name: str, gate: str) -> QuantumCircuit:
    x, w, circuit = ParameterVector("x", 2), ParameterVector("w", 4), QuantumCircuit(2, name=name)
    for start in (0, 2):
        for qubit in range(2):
            circuit.ry(x[qubit], qubit)
            getattr(circuit, gate)(w[start + qubit], qubit)
        circuit.cx(0, 1)
    return circuit


def test_what_is_kept_without_gradients_is_not_trained_along() -> None:
    """Circuits that are simulated as states: parameters as they were give what they gave, also after a step of training."""
    made = QLSTM(1, 1, space=SearchSpace.from_circuits([read_twice("a", "rx"), read_twice("b", "rz")]))
    x, before = drawn(5, 3, 1), {name: value.detach().clone() for name, value in made.named_parameters()}
    with torch.no_grad():
        expected = made(x)[0]
        for parameter in made.parameters():
            parameter.add_(0.3)
        torch.testing.assert_close(functional_call(made, before, (x,))[0], expected, rtol=0, atol=0)


def test_frozen_angles_of_another_thread_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at what is kept and its use, another thread keeps its own; here in the same one."""
    made, x = layer(QLSTM, circuits="frozen"), drawn(3, 4, 1)
    expected, plain = made(x)[0], adjoint.same_tensor
    (form,) = made.cells[0].bank._bank.forms

    def compared(before: Tensor, now: Tensor) -> bool:
        same = plain(before, now)
        (shape, (_, state)) = next(iter(form.frozen.items()))
        form.frozen = {shape: (torch.zeros(1, 1, dtype=F64), np.full_like(state, np.nan))}
        return same

    monkeypatch.setattr(adjoint, "same_tensor", compared)
    for _ in range(2):
        torch.testing.assert_close(made(x)[0], expected, rtol=0, atol=0)


def test_frozen_angles_of_a_gru_are_rotated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, x, runs = layer(QGRU, circuits="frozen"), drawn(3, 4, 1), []
    plain = adjoint._run
    monkeypatch.setattr(adjoint, "_run", lambda *given: runs.append(1) or plain(*given))
    for _ in range(3):
        made(x)
    assert len(runs) == 2, "once for each stage"


def own_builder(gate: str) -> Callable[[int], QuantumCircuit]:
    def build(n_qubits: int) -> QuantumCircuit:
        circuit, weights = QuantumCircuit(n_qubits), ParameterVector("w", n_qubits)
        for qubit in range(n_qubits):
            getattr(circuit, gate)(weights[qubit], qubit)
        return circuit

    return build


def test_builders_of_one_name_are_told_apart_where_circuits_are_built_once() -> None:
    spaces = [SearchSpace.product(["RY"], {"own": own_builder(gate)}) for gate in ("rx", "rz")]
    with built_once():
        gates = [{*space.candidates(2, 1)[0].circuit.count_ops()} for space in spaces]
        again = [SearchSpace.paper().candidates(3, 1) for _ in range(2)]
    assert gates[0] - gates[1] == {"rx"}
    assert again[0][0] is again[1][0], "those of the package are the same whoever asks for them"
    model: dict[str, Any] = {"model": "config1", "hidden_size": 2, "n_qubits": 2, "num_layers": 2, "depth": 1, "space": spaces}
    data = drawn(12, 3, 1).numpy(), drawn(12).numpy()
    one, (same, _) = (
        QLSTMRegressor(**model, max_epochs=1, seed=1).fit(*data),
        QLSTMRegressor(**model, max_epochs=1, seed=1, replicas=2).fit(*data).estimators_,
    )
    assert one.history_[0]["train_loss"] == pytest.approx(same.history_[0]["train_loss"], abs=1e-12)


def test_noise_of_a_choice_is_not_in_what_is_read() -> None:
    bank = CircuitBank(SPACE.candidates(3, 1), 4, mixing="gumbel-softmax")
    assert torch.equal(*(torch.as_tensor(bank.fourier().coefficients) for _ in range(2)))


@pytest.mark.parametrize("kind", [QLSTM, QGRU, QFWP])
def test_inputs_that_are_negated_views(kind: Any) -> None:
    made, x = layer(kind), torch.randn(3, 2, 1, dtype=torch.complex128).conj().imag
    assert x.is_neg()
    torch.testing.assert_close(made(x)[0], made(x.clone())[0], rtol=0, atol=0)
    torch.testing.assert_close(made.cells[0](x[0])[0], made.cells[0](x[0].clone())[0], rtol=0, atol=0)


@pytest.mark.parametrize("change", ["pruned", "parametrized"])
def test_a_changed_bank_in_another_dtype_takes_inputs_of_that_dtype(change: str) -> None:
    """Pruned angles are no parameter, and have the old dtype until a hook sets them anew."""
    made = layer(QLSTM)
    if change == "pruned":
        prune.random_unstructured(made.cells[0].bank, "angles", 0.3)
    else:
        parametrize.register_parametrization(made.cells[0].bank, "angles", nn.Tanh())
    made.float()
    assert made(torch.rand(3, 2, 1))[0].dtype == torch.float32
    with pytest.raises(ShapeError, match="dtype"):
        made(torch.rand(3, 2, 1, dtype=F64))
