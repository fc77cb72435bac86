"""QLSTM and QLSTMCell against torch.nn.LSTM and LSTMCell: shapes, dtypes, errors."""

import pytest
import torch
from torch import nn

from qlstm_qiskit.errors import CapacityError, OptionError, QLSTMError, ShapeError
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM, CircuitBank, QLSTMCell
from qlstm_qiskit.space import SearchSpace
from tests.speed import slow_but

SMALL = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])
F64 = torch.float64


def pair(**options) -> tuple[QLSTM, nn.LSTM]:
    return QLSTM(2, 3, depth=1, space=SMALL, **options), nn.LSTM(2, 3, dtype=options.pop("dtype", F64), **options)


def zeros(*shape: int, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.zeros(*shape, dtype=dtype)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("given_state", [False, True])
@pytest.mark.parametrize("shape", [(5, 2), (5, 4, 2), (1, 1, 2)])
@pytest.mark.parametrize("dtype", slow_but([torch.float32], [torch.float32, F64]))
def test_shapes_and_dtypes_are_those_of_lstm(num_layers, batch_first, given_state, shape, dtype) -> None:
    ours, theirs = pair(num_layers=num_layers, batch_first=batch_first, dtype=dtype)
    x = torch.rand(shape, dtype=dtype)
    state = None
    if given_state:
        batch: tuple[int, ...] = () if len(shape) == 2 else (shape[0] if batch_first else shape[1],)
        state = (torch.rand(num_layers, *batch, 3, dtype=dtype), torch.rand(num_layers, *batch, 3, dtype=dtype))
    (out, (h, c)), (their_out, (their_h, their_c)) = ours(x, state), theirs(x, state)
    for own, other in ((out, their_out), (h, their_h), (c, their_c)):
        assert (own.shape, own.dtype) == (other.shape, other.dtype)


def test_an_empty_batch_is_no_error() -> None:
    for ours, theirs in (pair(), pair(batch_first=True)):
        x = zeros(0, 3, 2) if ours.batch_first else zeros(3, 0, 2)
        assert ours(x)[0].shape == theirs(x)[0].shape
        assert ours(x)[1][0].shape == theirs(x)[1][0].shape


@pytest.mark.parametrize(
    ("x", "state"),
    [
        (zeros(5), None),
        (zeros(5, 4, 3), None),
        (zeros(5, 4, 2, 1), None),
        (zeros(0, 4, 2), None),
        (zeros(5, 4, 2), (zeros(1, 4, 3),)),
        (zeros(5, 4, 2), zeros(2, 4, 3)),
        (zeros(5, 4, 2, dtype=torch.float32), None),
        (zeros(5, 4, 2), (zeros(1, 3, 3), zeros(1, 3, 3))),
        (zeros(5, 4, 2), (zeros(2, 4, 3), zeros(2, 4, 3))),
        (zeros(5, 4, 2), (zeros(1, 4, 3), zeros(1, 4, 2))),
        (zeros(5, 2), (zeros(1, 4, 3), zeros(1, 4, 3))),
        (zeros(5, 4, 2), (zeros(1, 4, 3, dtype=torch.float32), zeros(1, 4, 3))),
    ],
)
def test_what_lstm_refuses_qlstm_refuses_with_a_reason(x: torch.Tensor, state) -> None:
    ours, theirs = pair()
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        theirs(x, state)
    with pytest.raises(ShapeError, match="expected|convert"):
        ours(x, state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proj_size": 2}, "proj_size"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"dropout": 1.5, "num_layers": 2}, "dropout is 1.5"),
        ({"dropout": 0.5}, "between layers"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"input_size": 0}, "input_size is 0"),
        ({"hidden_size": 2.5}, "hidden_size is 2.5"),
        ({"depth": 0}, "depth is 0"),
        ({"n_qubits": 0}, "n_qubits is 0"),
        ({"sharing": "share"}, "Did you mean 'shared'"),
        ({"circuits": "freeze"}, "Did you mean 'frozen'"),
        ({"mixing": "soft-max"}, "Did you mean 'softmax'"),
        ({"input_map": "atan"}, "Did you mean 'arctan'"),
        ({"backend": "statevektor"}, "Did you mean 'statevector'"),
    ],
)
def test_wrong_options(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        QLSTM(**({"input_size": 1, "hidden_size": 2} | options))


def test_what_does_not_fit_in_memory_is_refused() -> None:
    with pytest.raises(CapacityError, match="qubits fit"):
        QLSTM(1, 60, depth=1, backend=StatevectorBackend("states"))(zeros(4, 1))


def test_what_torch_does_not_know_is_not_positional() -> None:
    """After the arguments of nn.LSTM, in its order (tests/nn/test_torch_code.py), none is read by its place."""
    with pytest.raises(TypeError):
        QLSTM(1, 2, 1, True, False, 0.0, False, 0, 2)  # type: ignore[misc]


def test_batch_and_time_layouts_agree() -> None:
    torch.manual_seed(0)
    first = QLSTM(2, 2, depth=1, space=SMALL, batch_first=True)
    second = QLSTM(2, 2, depth=1, space=SMALL)
    second.load_state_dict(first.state_dict())
    x = torch.rand(3, 4, 2, dtype=F64)
    out, (h, c) = first(x)
    other, (other_h, other_c) = second(x.transpose(0, 1))
    torch.testing.assert_close(out, other.transpose(0, 1), rtol=0, atol=0)
    torch.testing.assert_close((h, c), (other_h, other_c), rtol=0, atol=0)
    one, (h_one, _) = first(x[1])
    torch.testing.assert_close(one, out[1])
    torch.testing.assert_close(h_one, h[:, 1])
    torch.testing.assert_close(out[:, -1], h[0])


def test_layers_are_cells_run_over_time() -> None:
    torch.manual_seed(0)
    model = QLSTM(2, 2, depth=1, space=SMALL, num_layers=2)
    x = torch.rand(4, 3, 2, dtype=F64)
    sequence = list(x)
    given = torch.rand(2, 2, 3, 2, dtype=F64)
    for layer, cell in enumerate(model.layers()):
        state, outputs = (given[0, layer], given[1, layer]), []
        for step in sequence:
            state = cell(step, state)
            outputs.append(state[0])
        sequence = outputs
        last = state
    out, (h, c) = model(x, (given[0], given[1]))
    torch.testing.assert_close(out, torch.stack(sequence))
    torch.testing.assert_close((h[1], c[1]), last)


def test_cell_is_the_lstm_formula() -> None:
    torch.manual_seed(0)
    cell = QLSTMCell(2, 2, depth=1, space=SMALL)
    x, h, c = (torch.rand(3, 2, dtype=F64) for _ in range(3))
    i, f, g, o = cell.bank(torch.cat((x, h), dim=1)).unbind(1)
    new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    own_h, own_c = cell(x, (h, c))
    torch.testing.assert_close((own_h, own_c), (torch.sigmoid(o) * torch.tanh(new_c), new_c))
    one_h, one_c = cell(x[0], (h[0], c[0]))
    torch.testing.assert_close((one_h, one_c), (own_h[0], own_c[0]))


@pytest.mark.parametrize(
    ("x", "state", "message"),
    [
        (zeros(3, 4), None, "expected \\(batch, 2\\)"),
        (zeros(1, 3, 2), None, "expected"),
        (zeros(3, 2), (zeros(2, 2), zeros(3, 2)), "h has the shape"),
        (zeros(3, 2), (zeros(3, 2), zeros(3, 3)), "c has the shape"),
        (zeros(3, 2, dtype=torch.float32), None, "dtype torch.float32"),
        ([[0.0, 1.0]], None, "is a list"),
    ],
)
def test_cell_refuses(x, state, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        QLSTMCell(2, 2, depth=1, space=SMALL)(x, state)


def test_dropout_acts_between_layers_while_training() -> None:
    torch.manual_seed(0)
    model = QLSTM(1, 2, depth=1, space=SMALL, num_layers=2, dropout=0.5)
    x = torch.rand(4, 3, 1, dtype=F64)
    assert not torch.equal(model(x)[0], model(x)[0])
    model.eval()
    assert torch.equal(model(x)[0], model(x)[0])


class TestHybrid:
    def test_wide_series_need_no_wide_circuit(self) -> None:
        model = QLSTM(20, 7, depth=1, space=SMALL, n_qubits=4)
        out, (h, _) = model(torch.rand(3, 2, 20, dtype=F64))
        assert out.shape == (3, 2, 7)
        assert h.shape == (1, 2, 7)
        (cell,) = model.layers()
        assert cell.bank.n_inputs == cell.bank.n_outputs == 4
        out.sum().backward()
        assert all(p.grad is not None for p in model.parameters())

    def test_given_circuits_with_other_numbers_of_inputs_and_qubits(self) -> None:
        from qiskit import QuantumCircuit
        from qiskit.circuit import ParameterVector

        x = ParameterVector("x", 4)
        circuit = QuantumCircuit(2)
        for index, value in enumerate(x):
            circuit.ry(value, index % 2)
            circuit.cz(0, 1)
        space = SearchSpace.from_circuits([circuit])
        assert QLSTM(2, 2, space=space)(zeros(3, 2))[0].shape == (3, 2)
        assert QLSTM(5, 6, space=space, n_qubits=2)(zeros(3, 5))[0].shape == (3, 6)
        with pytest.raises(OptionError, match="take 4 inputs and have 2 outputs.*n_qubits=2"):
            QLSTM(1, 3, space=space)
        with pytest.raises(OptionError, match="depth=2 has no meaning"):
            QLSTM(2, 2, depth=2, space=space)


def test_input_map_is_applied_to_the_angles() -> None:
    torch.manual_seed(0)
    identity = QLSTMCell(1, 1, depth=1, space=SMALL)
    arctan = QLSTMCell(1, 1, depth=1, space=SMALL, input_map="arctan")
    arctan.load_state_dict(identity.state_dict())
    x, h, c = (torch.rand(3, 1, dtype=F64) for _ in range(3))
    torch.testing.assert_close(arctan(x, (h, c)), identity(x.arctan(), (h.arctan(), c)))


class TestCircuitBank:
    def test_is_a_torch_layer_over_leading_axes(self) -> None:
        bank = CircuitBank(SMALL.candidates(3, 1), n_gates=2, n_outputs=2)
        x = torch.rand(4, 5, 3, dtype=F64)
        out = bank(x)
        assert out.shape == (4, 5, 2, 2)
        torch.testing.assert_close(out[1, 2], bank(x[1, 2]))

    def test_refuses_wrong_inputs(self) -> None:
        bank = CircuitBank(SMALL.candidates(3, 1))
        with pytest.raises(ShapeError, match="expected"):
            bank(zeros(4, 2))
        with pytest.raises(ShapeError, match="dtype"):
            bank(zeros(4, 3, dtype=torch.float32))

    def test_parameters(self) -> None:
        candidates = SMALL.candidates(3, 2)
        for sharing, n_angles in (("none", 24), ("shared", 6)):
            bank = CircuitBank(candidates, n_gates=4, sharing=sharing)
            assert {name: tuple(p.shape) for name, p in bank.named_parameters()} == {
                "angles": (4, n_angles),
                "structural_weights": (4, 4),
            }
            assert set(bank.state_dict()) == {"angles", "structural_weights"}
            assert list(bank.circuit_parameters()) == [bank.angles]
            assert list(bank.arch_parameters()) == [bank.structural_weights]
        single = CircuitBank(SearchSpace.handcrafted(1).candidates(3, 2))
        assert list(single.arch_parameters()) == []
        assert single.coefficients() is None

    def test_shared_angles_are_the_same_angles(self) -> None:
        candidates = SMALL.candidates(3, 2)
        shared, own = (CircuitBank(candidates, sharing=sharing) for sharing in ("shared", "none"))
        with torch.no_grad():
            own.angles.copy_(shared.angles.repeat(1, 4))
        x = torch.rand(4, 3, dtype=F64)
        torch.testing.assert_close(shared(x), own(x))

    def test_shared_angles_need_equal_numbers(self) -> None:
        mixed = SMALL.candidates(3, 2)[:1] + SMALL.candidates(3, 1)[:1]
        with pytest.raises(OptionError, match=r"equally many weights; these have \[3, 6\]"):
            CircuitBank(mixed, sharing="shared")

    @pytest.mark.parametrize("mixing", ["linear", "softmax"])
    def test_start_is_the_mean_of_the_candidates(self, mixing: str) -> None:
        bank = CircuitBank(SMALL.candidates(3, 1), mixing=mixing)
        x = torch.rand(2, 3, dtype=F64)
        each = bank.bind(samples=2).candidates(x)
        torch.testing.assert_close(bank(x), each.mean(2))

    def test_generator_decides_the_start(self) -> None:
        make = lambda seed: QLSTM(1, 2, depth=1, space=SMALL, n_qubits=2, generator=torch.Generator().manual_seed(seed))  # noqa: E731
        first, again, other = make(1), make(1), make(2)
        state = torch.random.get_rng_state()
        make(3)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
        assert not torch.equal(next(first.circuit_parameters()), next(other.circuit_parameters()))
        assert torch.equal(state, torch.random.get_rng_state())


def test_every_error_is_ours() -> None:
    assert issubclass(ShapeError, QLSTMError)
    assert issubclass(CapacityError, MemoryError)
