"""The fast weight programmer: its equations by hand on Qiskit's statevectors, gradients, jobs, shapes, derivation, files."""

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector
from torch import nn

from qlstm_qiskit import QFWP, QFWPCell
from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.hardware import load_backend
from qlstm_qiskit.nn import CELLS, Forecaster, predict_windows
from qlstm_qiskit.search import derive
from qlstm_qiskit.space import Candidate, SearchSpace
from qlstm_qiskit.space.fast import as_given, with_fast_weights
from tests.hardware.test_bank import CountingBackend

F64 = torch.float64


def own_circuit(name: str, n_weights: int, data: str = "x", angles: str = "w") -> Candidate:
    """On three qubits: a rotation by each input, CNOTs, and rotations about Y and X in turn, one by each weight."""
    circuit, x, w = QuantumCircuit(3, name=name), ParameterVector(data, 3), ParameterVector(angles, n_weights)
    for qubit in range(3):
        circuit.h(qubit)
        circuit.ry(x[qubit], qubit)
    for place, weight in enumerate(w):
        circuit.cx(place % 3, (place + 1) % 3)
        (circuit.ry if place % 2 else circuit.rx)(weight, (place + 1) % 3)
    return Candidate(name, circuit, tuple(x), tuple(w))


UNEVEN = SearchSpace.from_circuits([own_circuit("long", 5), own_circuit("short", 2)])


def layer(*sizes: int, space: SearchSpace = UNEVEN, **options) -> QFWP:
    generator = torch.Generator().manual_seed(3)
    made = QFWP(*(sizes or (1, 2)), space=space, angle_std=1.0, generator=generator, **options)
    for weights in made.arch_parameters():
        nn.init.normal_(weights, generator=generator)
    return made


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(5)) * 2 - 1


def by_hand(cell: QFWPCell, given: list[Candidate], sequence: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (time, hidden) and the last theta of one sequence: the equations in numpy, circuits as Qiskit's statevectors."""
    state = {name: value.detach().numpy() for name, value in cell.state_dict().items()}
    mixing = cell.bank.coefficients().detach().numpy()[0]
    starts = np.split(cell.bank.expanded_angles().detach().numpy()[0], np.cumsum([len(c.weights) for c in given])[:-1])
    found = []
    for x in sequence:
        z = state["encoder.weight"] @ x + state["encoder.bias"]
        layers = state["layer_index.weight"] @ z + state["layer_index.bias"]
        qubits = state["qubit_index.weight"] @ z + state["qubit_index.bias"]
        theta = theta + np.outer(layers, qubits).ravel()[: len(theta)]
        h = np.zeros(cell.hidden_size)
        for weight, candidate, start in zip(mixing, given, starts, strict=True):
            data = [*x, *np.zeros(len(candidate.inputs) - len(x))]
            values = dict(zip(candidate.inputs, data, strict=True))
            values |= dict(zip(candidate.weights, start + theta[: len(start)], strict=True))
            bound = Statevector(candidate.circuit.assign_parameters(values))
            letters = ("IIZ", "IZI", "ZII")[: cell.hidden_size]
            h += weight * np.array([bound.expectation_value(SparsePauliOp(own)).real for own in letters])
        found.append(h)
    return np.array(found), theta


@pytest.mark.parametrize("given", [False, True])
def test_a_layer_is_its_equations(given: bool) -> None:
    made, x, theta = layer(), drawn(3, 2, 1), drawn(1, 2, 5) if given else torch.zeros(1, 2, 5, dtype=F64)
    (cell,) = made.layers()
    with torch.no_grad():
        outputs, (h, after) = made(x, (drawn(1, 2, 2), theta) if given else None)
    for place in range(2):
        expected, last = by_hand(cell, list(UNEVEN.fixed), x[:, place].numpy(), theta[0, place].numpy())
        np.testing.assert_allclose(outputs[:, place], expected, atol=1e-12)
        np.testing.assert_allclose(after[0, place], last, atol=1e-12)
    assert torch.equal(h[0], outputs[-1])


def test_it_is_the_network_of_the_paper() -> None:
    """Angles that start at 0, H and RY(x) on each qubit, layers of CNOTs between neighbours and RY(theta); two qubits."""
    made = QFWP(1, 1, depth=2, space=SearchSpace.handcrafted(1), circuits="frozen", angle_std=0.0)
    (cell,) = made.layers()
    state = {name: value.numpy() for name, value in cell.state_dict().items()}
    assert {name: value.shape for name, value in state.items() if "weight" in name} == {
        "encoder.weight": (2, 1),
        "layer_index.weight": (2, 2),
        "qubit_index.weight": (2, 2),
    }
    x, theta = drawn(3, 1, 1), np.zeros((2, 2))
    with torch.no_grad():
        outputs = made(x)[0].numpy()
    for step, own in zip(x[:, 0, 0].tolist(), outputs[:, 0, 0], strict=True):
        z = state["encoder.weight"][:, 0] * step + state["encoder.bias"]
        theta += np.outer(
            state["layer_index.weight"] @ z + state["layer_index.bias"],
            state["qubit_index.weight"] @ z + state["qubit_index.bias"],
        )
        circuit = QuantumCircuit(2)
        circuit.h([0, 1])
        circuit.ry(step, 0)
        for row in theta:
            circuit.cx(0, 1)
            circuit.ry(row[0], 0)
            circuit.ry(row[1], 1)
        assert own == pytest.approx(Statevector(circuit).expectation_value(SparsePauliOp("IZ")).real, abs=1e-12)


def test_linear_layers_read_x_alone_and_give_h() -> None:
    made, x = layer(2, 4, n_qubits=3), drawn(2, 3, 2)
    (cell,) = made.layers()
    assert cell.to_angles is not None
    assert cell.to_angles.in_features == 2
    plain = layer(3, 3, space=SearchSpace.from_circuits([own_circuit("long", 5), own_circuit("short", 2)]), n_qubits=3)
    (other,) = plain.layers()
    plain.load_state_dict({n: v for n, v in made.state_dict().items() if "bank" in n}, strict=False)
    with torch.no_grad():
        theta = torch.zeros(3, 5, dtype=F64)
        bound = other.bank.bind(samples=3)
        for step, own in zip(x, made(x)[0], strict=True):
            theta = theta + cell.change(step)
            values = bound(torch.cat((cell.to_angles(step), theta), dim=1))[:, 0]
            torch.testing.assert_close(own, cell.from_outputs(values), rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"n_qubits": 3}, {"num_layers": 2, "bidirectional": True, "n_qubits": 3}])
def test_gradients_are_those_of_finite_differences(options: dict) -> None:
    made, x = layer(**options), drawn(2, 2, 1).requires_grad_()
    names, values = zip(*made.named_parameters(), strict=True)

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(made, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(call, (x, *(value.detach().requires_grad_() for value in values)))


@pytest.mark.parametrize("options", [{}, {"n_qubits": 3}, {"sharing": "shared"}])
def test_jobs_give_exact_values_and_gradients(options: dict) -> None:
    space = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])
    backend = CountingBackend()
    exact, ours = (layer(space=space, depth=1, backend=own, **options) for own in ("statevector", backend))
    for made in (exact, ours):
        (made(drawn(3, 2, 1))[0] ** 2).sum().backward()
    for (name, a), b in zip(exact.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-11, msg=name)
    assert len(backend.executor.jobs) == 2, "one for all steps, and one for all Jacobians"
    with torch.no_grad():
        ours(drawn(3, 2, 1))
    assert len(backend.executor.jobs) == 3


@pytest.mark.parametrize("backend", ["aer-exact", "fake-manila"])
def test_backends_agree(backend: str) -> None:
    x, exact = drawn(2, 1, 1), layer()
    ours = layer(backend=load_backend(backend, seed=7))
    with torch.no_grad():
        difference = (ours(x)[0] - exact(x)[0]).abs().max()
    assert difference < (1e-9 if backend == "aer-exact" else 1.0)
    assert torch.isfinite(difference)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_shapes_are_those_of_torch_but_for_theta(bidirectional: bool, num_layers: int) -> None:
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "batch_first": True}
    ours = QFWP(2, 3, depth=2, space=SearchSpace.handcrafted(1), **options)
    theirs = nn.LSTM(2, 3, dtype=F64, **options)
    x = drawn(4, 5, 2)
    (out, hx), (their_out, their_hx) = ours(x), theirs(x)
    assert out.shape == their_out.shape
    assert hx[0].shape == their_hx[0].shape
    most = max(cell.n_fast for cell in ours.layers())
    assert hx[1].shape == (*their_hx[0].shape[:2], most)
    assert most == 2 * (5 if num_layers == 1 else 3 * (1 + bidirectional) + 3)
    for place, cell in enumerate(ours.layers()):
        assert not hx[1][place, :, cell.n_fast :].any(), "a cell writes its own part alone"
    alone, (h, theta) = ours(x[0], tuple(part[:, 0] for part in hx))
    assert alone.shape == theirs(x[0])[0].shape
    assert h.shape == hx[0][:, 0].shape
    assert theta.shape == hx[1][:, 0].shape


def test_a_cell_takes_steps_with_and_without_a_batch() -> None:
    (cell,) = layer().layers()
    h, theta = cell(drawn(4, 1))
    assert (h.shape, theta.shape) == ((4, 2), (4, 5))
    one = cell(drawn(4, 1)[0])
    torch.testing.assert_close(one[1], theta[0])
    with pytest.raises(ShapeError, match=r"theta has the shape \(4, 2\); expected \(4, 5\)"):
        cell(drawn(4, 1), (h, h))
    with pytest.raises(ShapeError, match=r"theta_0 has the shape \(1, 4, 2\); expected \(1, 4, 5\)"):
        layer()(drawn(3, 4, 1), (h[None], h[None]))


def test_the_memory_is_theta_alone() -> None:
    made, x = layer(), drawn(3, 2, 1)
    with torch.no_grad():
        first = made(x, (drawn(1, 2, 2), torch.zeros(1, 2, 5, dtype=F64)))[0]
        assert torch.equal(first, made(x)[0])
        _, half = made(x[:2])
        torch.testing.assert_close(made(x[2:], half)[0], made(x)[0][2:])


def test_circuits_without_angles_are_refused() -> None:
    circuit, x = QuantumCircuit(2), ParameterVector("x", 2)
    circuit.ry(x[0], 0)
    circuit.ry(x[1], 1)
    with pytest.raises(OptionError, match="no angles that a fast weight programmer could write"):
        QFWP(1, 1, space=SearchSpace.from_circuits([circuit]))


def test_fast_weights_have_names_of_their_own_and_leave_the_candidate_as_it_is() -> None:
    given = own_circuit("clash", 2, "fast", "fast_")
    before = given.circuit
    (made,) = with_fast_weights([given])
    assert [parameter.name for parameter in made.inputs[3:]] == ["fast__[0]", "fast__[1]"]
    assert as_given(made) is given
    assert as_given(given) is given
    assert given.circuit == before


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "n_qubits": 3}])
def test_deriving_keeps_given_circuits_and_what_they_say(top_k: int, options: dict) -> None:
    forecaster = Forecaster(layer(batch_first=True, **options), nn.Linear(2, 1, dtype=F64))
    x = drawn(6, 3, 1)
    for weights in forecaster.circuits.arch_parameters():
        weights.data.copy_(torch.tensor([[0.0, 1.5]]))  # the short circuit is all there is
    with torch.no_grad():
        found, parameters = derive(forecaster, x, forecaster(x) + drawn(6, 1), top_k=top_k, refit=False, strategy="weight")
    assert found.cell == "fast-weight"
    assert all(set(own.names) == {"short", "long"} if top_k == 2 else own.names == ("short",) for own in found.spaces())
    kept = CELLS["fast-weight"](1, 2, depth=found.depth, space=found.spaces(), batch_first=True, **options)
    derived = Forecaster(kept, nn.Linear(2, 1, dtype=F64))
    derived.load_state_dict(parameters)
    assert next(kept.layers()).n_fast == (5 if top_k == 2 else 2)
    np.testing.assert_allclose(predict_windows(derived, x.numpy()), predict_windows(forecaster, x.numpy()), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "n_qubits": 3, "input_map": "arctan"}])
@pytest.mark.parametrize("gradients", [False, True])
def test_all_steps_at_once_are_one_after_another(options: dict, gradients: bool) -> None:
    made, x = layer(**options), drawn(3, 2, 1)
    hooked = layer(**options)
    hooked.cells[0].bank.register_forward_hook(lambda module, args, result: result)
    packed = nn.utils.rnn.pack_padded_sequence(x, [3, 3])
    with torch.set_grad_enabled(gradients):
        (out, hx), (expected, last), (rows, end) = made(x), hooked(x), made(packed)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(hx, last, rtol=0, atol=1e-12)
    torch.testing.assert_close(nn.utils.rnn.pad_packed_sequence(rows)[0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-12)


def test_dropping_candidates_changes_no_fast_weight() -> None:
    made, x = layer(), drawn(3, 2, 1)
    with torch.no_grad():
        for weights in made.arch_parameters():
            weights.data.copy_(torch.tensor([[0.0, 1.5]]))
        before = made(x)
        made.restrict([[[1]]])
        after = made(x)
    torch.testing.assert_close(after[0], before[0])
    assert torch.equal(after[1][1], before[1][1])


@pytest.mark.parametrize("hooked", [0, 2])
def test_hooks_change_nothing_in_a_stack_of_cells_with_unequal_fast_weights(hooked: int) -> None:
    spaces = [SearchSpace.from_circuits([own_circuit("long", 5)]), SearchSpace.from_circuits([own_circuit("short", 2)])]
    made = QFWP(1, 2, 2, space=spaces + spaces[::-1], bidirectional=True, angle_std=1.0, n_qubits=3)
    x, hx = drawn(4, 3, 1), (drawn(4, 3, 2), drawn(4, 3, 5))
    expected, calls = made(x, hx), []
    made.cells[hooked].register_forward_hook(lambda *_: calls.append(1))
    outputs, states = made(x, hx)
    assert len(calls) == len(x)
    for found, own in zip((outputs, *states), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(found, own, rtol=0, atol=1e-12)


def test_an_empty_batch_has_outputs_without_rows() -> None:
    outputs, states = layer(bidirectional=True)(drawn(4, 0, 1))
    assert outputs.shape == (4, 0, 4)
    assert [tuple(own.shape) for own in states] == [(2, 0, 2), (2, 0, 5)]
