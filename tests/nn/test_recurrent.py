"""Quantum GRU and bidirectional layers: torch's shapes, and values, gradients and jobs by hand."""

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorEstimator
from torch import nn

from qlstm_qiskit import QGRU, QGRUCell
from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.hardware import StatevectorBackend, load_backend
from qlstm_qiskit.nn import CELLS, QLSTM, Forecaster, QLSTMCell, Recurrent, predict_windows
from qlstm_qiskit.search import derive
from qlstm_qiskit.search.trace import trace_cells
from qlstm_qiskit.space import SearchSpace
from tests.hardware.test_bank import CountingBackend
from tests.parity.oracle import stock_qnn
from tests.speed import slow_but

SMALL = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])
F64 = torch.float64
DROPPED = [[[0, 3], [1], [1, 2, 3], [3]], [[2], [0, 1], [3], [1, 3]]]  # for up to four gates of two cells


def layer(cell: str, *sizes: int, **options) -> Recurrent:
    generator = torch.Generator().manual_seed(3)
    made = CELLS[cell](*(sizes or (1, 2)), **{"depth": 1, "space": SMALL, "angle_std": 1.0, "generator": generator} | options)
    for weights in made.arch_parameters():
        nn.init.normal_(weights, generator=generator)
    return made


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(5)) * 2 - 1


def drop(made: Recurrent) -> Recurrent:
    made.restrict([gates[: len(made.gate_names)] for gates in DROPPED[: len(made.cells)]])
    return made


def of(hx: object) -> tuple[torch.Tensor, ...]:
    return hx if isinstance(hx, tuple) else (hx,)  # type: ignore[return-value]


@pytest.mark.parametrize("cell", ["lstm", "gru"])  # torch has no other
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("given", slow_but([True], [False, True]))
@pytest.mark.parametrize("shape", [(5, 2), (5, 4, 2)])
def test_shapes_are_those_of_torch(cell, bidirectional, num_layers, batch_first, given, shape) -> None:
    options = {"num_layers": num_layers, "batch_first": batch_first, "bidirectional": bidirectional}
    ours = layer(cell, 2, 3, **options)
    theirs = (nn.LSTM if len(ours.cell_type.state_names) == 2 else nn.GRU)(2, 3, dtype=F64, **options)
    x, state = drawn(*shape), None
    if given:
        batch = () if len(shape) == 2 else (shape[0] if batch_first else shape[1],)
        state = tuple(drawn(num_layers * (1 + bidirectional), *batch, 3) for _ in of(theirs(x)[1]))
        state = state if len(state) > 1 else state[0]
    (out, hx), (their_out, their_hx) = ours(x, state), theirs(x, state)
    assert out.shape == their_out.shape
    assert type(hx) is type(their_hx)
    assert [part.shape for part in of(hx)] == [part.shape for part in of(their_hx)]


@pytest.mark.parametrize(("ours", "theirs"), [(QLSTMCell, nn.LSTMCell), (QGRUCell, nn.GRUCell)])
@pytest.mark.parametrize("shape", [(2,), (4, 2)])
def test_cells_have_the_shapes_of_torch(ours, theirs, shape) -> None:
    after, expected = ours(2, 3, depth=1, space=SMALL)(drawn(*shape)), theirs(2, 3, dtype=F64)(drawn(*shape))
    assert type(after) is type(expected)
    assert [part.shape for part in of(after)] == [part.shape for part in of(expected)]


@pytest.mark.parametrize("state", [(drawn(1, 4, 2),), drawn(1, 4, 3), drawn(1, 4, 2).float(), drawn(2, 4, 2)])
def test_a_gru_refuses_states_of_another_kind(state) -> None:
    with pytest.raises(ShapeError, match="expected|convert"):
        layer("gru")(drawn(5, 4, 1), state)


def gates_by_qnn(cell: QGRUCell | QLSTMCell, values: torch.Tensor) -> torch.Tensor:
    """Pre-activations (samples, gates, hidden) as weighted sums of what stock networks say."""
    bank, estimator = cell.bank, StatevectorEstimator()
    weights, angles = bank.coefficients(), bank.expanded_angles().detach().numpy()
    assert weights is not None
    ends = np.cumsum([0, *(len(candidate.weights) for candidate in bank.candidates)])
    total = np.zeros((len(values), bank.n_gates, bank.n_outputs))
    for place, candidate in enumerate(bank.candidates):
        network = stock_qnn(candidate, estimator, bank.n_outputs, precision=0.0)
        for gate in range(bank.n_gates):
            own = network.forward(values.detach().numpy(), angles[gate, ends[place] : ends[place + 1]])
            total[:, gate] += float(weights[gate, place]) * own
    return torch.from_numpy(total)


@pytest.mark.parametrize("dropped", [False, True])
def test_a_gru_is_a_gru_whose_gates_are_what_its_circuits_say(dropped: bool) -> None:
    made, x, h = layer("gru"), drawn(3, 2, 1), drawn(2, 2)
    if dropped:
        drop(made)
    (cell,) = made.layers()
    outputs, last = made(x, h[None])
    with torch.no_grad():
        for step, own in zip(x, outputs, strict=True):
            r, z = gates_by_qnn(cell, torch.cat((step, h), dim=1))[:, :2].sigmoid().unbind(1)
            n = gates_by_qnn(cell, torch.cat((step, r * h), dim=1))[:, 2].tanh()
            h = (1 - z) * n + z * h
            torch.testing.assert_close(own, h, rtol=0, atol=1e-9)
    assert torch.equal(last[0], outputs[-1])


@pytest.mark.parametrize("options", slow_but([{}], [{}, {"n_qubits": 2}, {"num_layers": 2}, {"bidirectional": True}]))
@pytest.mark.parametrize("path", ["form", "states"])
def test_gradients_of_a_gru_are_those_of_finite_differences(options: dict, path: str) -> None:
    made, x = layer("gru", backend=StatevectorBackend(path), **options), drawn(2, 2, 1).requires_grad_()
    names, values = zip(*made.named_parameters(), strict=True)

    def call(x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(made, dict(zip(names, values, strict=True)), (x,))[0]

    assert torch.autograd.gradcheck(call, (x, *(value.detach().requires_grad_() for value in values)))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_directions_are_layers_that_read_forwards_and_backwards(cell: str, num_layers: int) -> None:
    both, x = layer(cell, bidirectional=True, num_layers=num_layers), drawn(4, 3, 1)
    outputs, hx = both(x)
    sequence, last = x, []
    for number in range(num_layers):
        found = []
        for direction in range(2):
            alone = layer(cell, sequence.shape[-1], 2)
            alone.cells[0].load_state_dict(both.cells[2 * number + direction].state_dict())
            own, state = alone(sequence.flip(0) if direction else sequence)
            found.append(own.flip(0) if direction else own)
            last.append(of(state))
        sequence = torch.cat(found, dim=-1)
    torch.testing.assert_close(outputs, sequence, rtol=0, atol=1e-12)
    for part, expected in zip(of(hx), zip(*last, strict=True), strict=True):
        for own, alone in zip(part, expected, strict=True):  # cells may have fewer fast weights than another one
            torch.testing.assert_close(own[:, : alone.shape[-1]], alone[0], rtol=0, atol=1e-12)


def test_a_forecaster_reads_the_last_state_of_each_direction() -> None:
    both = layer("gru", bidirectional=True, batch_first=True, num_layers=2)
    forecaster, x = Forecaster(both, nn.Linear(4, 2, dtype=F64)), drawn(3, 4, 1)
    _, h = both(x)
    torch.testing.assert_close(forecaster(x), forecaster.head(torch.cat((h[-2], h[-1]), dim=1)))


MODELS = [{}, {"num_layers": 2}, {"n_qubits": 2}, {"bidirectional": True}, {"mixing": "softmax"}]


@pytest.mark.parametrize("options", slow_but([{}, {"bidirectional": True}], MODELS))
@pytest.mark.parametrize("dropped", [False, True])
def test_jobs_of_a_gru_give_exact_values_and_gradients(options: dict, dropped: bool) -> None:
    backend = CountingBackend()
    exact, ours = (layer("gru", backend=own, **options) for own in (StatevectorBackend("states"), backend))
    if dropped and options.get("mixing") is None:
        exact, ours = drop(exact), drop(ours)
    for made in (exact, ours):
        (made(drawn(3, 2, 1))[0] ** 2).sum().backward()
    for (name, a), b in zip(exact.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-11, msg=name)
    jacobians = ours.n_directions  # those of a direction are reached together
    assert len(backend.executor.jobs) == 2 * 3 * len(ours.cells) + jacobians, "two per step, and one for all Jacobians"


def test_a_stage_asks_for_the_circuits_of_its_gates_alone() -> None:
    backend = CountingBackend(reduce=False)
    made = layer("gru", backend=backend)
    with torch.no_grad():
        made(drawn(1, 2, 1))
    assert [sum(job) for job in backend.executor.jobs] == [4 * 2 * 2, 4 * 2 * 1], "candidates x samples x gates"


def test_backends_agree_on_a_gru() -> None:
    exact, ours = layer("gru"), layer("gru", backend=load_backend("aer-exact"))
    torch.testing.assert_close(ours(drawn(2, 2, 1))[0], exact(drawn(2, 2, 1))[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_a_hook_on_the_bank_of_any_cell_is_called_and_changes_what_it_says(cell: str) -> None:
    hooked, plain = layer(cell), layer(cell)
    for weights in plain.arch_parameters():
        weights.data.mul_(2)
    calls = []
    hooked.cells[0].bank.register_forward_hook(lambda module, args, result: calls.append(1) or 2 * result)
    torch.testing.assert_close(hooked(drawn(3, 2, 1))[0], plain(drawn(3, 2, 1))[0])
    assert len(calls) == 3 * len(hooked.cell_type.stages)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_a_trace_holds_what_the_cells_went_on_with(cell: str, options: dict) -> None:
    made = layer(cell, **options)
    traces = trace_cells(made, drawn(2, 3, 1))
    assert len(traces) == len(made.cells)
    for own, trace in zip(made.layers(), traces, strict=True):
        sums = torch.einsum("tbgck,gc->tbgk", trace.values, own.bank.coefficients().detach())
        torch.testing.assert_close(trace.sums, sums)
        assert trace.sums.shape[2] == len(made.gate_names)


def test_deriving_from_a_search_of_a_gru_keeps_what_it_says() -> None:
    made = layer("gru", batch_first=True, bidirectional=True)
    forecaster = Forecaster(made, nn.Linear(4, 1, dtype=F64))
    x = drawn(6, 3, 1)
    with torch.no_grad():
        found, parameters = derive(forecaster, x, forecaster(x), top_k=4, refit=False)
    assert found.cell == "gru"
    assert [tuple(gates) for gates in found.layers] == [("reset", "update", "new")] * 2
    kept = QGRU(1, 2, depth=found.depth, space=found.spaces(), batch_first=True, bidirectional=True)
    derived = Forecaster(kept, nn.Linear(4, 1, dtype=F64))
    derived.load_state_dict(parameters)
    np.testing.assert_allclose(predict_windows(derived, x.numpy()), predict_windows(forecaster, x.numpy()), atol=1e-12)


def test_kinds_of_cells_have_names_of_gates_of_their_own() -> None:
    assert len({kind.cell_type.gate_names for kind in CELLS.values()}) == len(CELLS)
    assert CELLS["lstm"] is QLSTM
    for kind in CELLS.values():
        assert sorted(gate for stage in kind.cell_type.stages for gate in stage) == list(range(len(kind.cell_type.gate_names)))
