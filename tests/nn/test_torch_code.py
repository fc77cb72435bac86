"""Code that was written for torch.nn.LSTM and GRU: the order of arguments, methods, and sequences of different lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from qlstm_qiskit import QGRU, QLSTM, CircuitBank, SearchSpace
from qlstm_qiskit.errors import OptionError, ShapeError
from tests.nn.test_calls import SPACE

LAYERS = {"lstm": QLSTM, "gru": QGRU}
LENGTHS = [2, 5, 1, 5, 3]


def layer(cell: str = "lstm", **options: Any) -> Any:
    """A layer of 2 inputs and 2 hidden features with one circuit per gate."""
    return LAYERS[cell](2, 2, depth=1, space=SPACE, generator=torch.Generator().manual_seed(3), angle_std=1.0, **options)


def ragged(lengths: list[int] = LENGTHS) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.rand(length, 2, generator=generator, dtype=torch.float64) for length in lengths]


def state(cell: str, cells: int, samples: int) -> Any:
    generator = torch.Generator().manual_seed(7)
    h, c = (torch.rand(cells, samples, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    return (h, c) if cell == "lstm" else h


def parts(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both ways"])
@pytest.mark.parametrize("cell", LAYERS)
def test_packed_sequences_are_what_each_sequence_is_alone(cell: str, bidirectional: bool, given: bool) -> None:
    """Values, last states and gradients, in the order that the caller has, not in that of the lengths."""
    own = layer(cell, num_layers=2, bidirectional=bidirectional)
    sequences = [sequence.requires_grad_() for sequence in ragged()]
    hx = state(cell, len(own.cells), len(LENGTHS)) if given else None
    packed, last = own(pack_sequence(sequences, enforce_sorted=False), hx)
    assert isinstance(packed, PackedSequence)
    padded, lengths = pad_packed_sequence(packed)
    assert lengths.tolist() == LENGTHS
    weights = torch.rand(padded.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss = (padded * weights).sum() + sum(part.sum() for part in parts(last))
    found = torch.autograd.grad(loss, [*own.parameters(), *sequences])
    expected: Any = 0
    for k, sequence in enumerate(sequences):
        alone = None if hx is None else tuple(part[:, k] for part in parts(hx))
        output, after = own(sequence, alone if cell == "lstm" or alone is None else alone[0])
        torch.testing.assert_close(padded[: len(sequence), k], output)
        for part, other in zip(parts(last), parts(after), strict=True):
            torch.testing.assert_close(part[:, k], other)
        expected = expected + (output * weights[: len(sequence), k]).sum() + sum(part.sum() for part in parts(after))
    for one, other in zip(found, torch.autograd.grad(expected, [*own.parameters(), *sequences]), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("cell", LAYERS)
def test_packed_sequences_have_the_layout_of_torch(cell: str) -> None:
    theirs: Any = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](2, 2, 2, bidirectional=True, dtype=torch.float64)
    ours = layer(cell, num_layers=2, bidirectional=True)
    packed = pack_padded_sequence(nn.utils.rnn.pad_sequence(ragged()), torch.tensor(LENGTHS), enforce_sorted=False)
    (their_output, their_last), (our_output, our_last) = theirs(packed), ours(packed)
    assert their_output.data.shape == our_output.data.shape
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        assert torch.equal(getattr(their_output, name), getattr(our_output, name))
    assert [part.shape for part in parts(their_last)] == [part.shape for part in parts(our_last)]


def test_equal_lengths_are_the_same_bits_packed_or_not() -> None:
    own, sequences = layer(), torch.stack(ragged([4, 4, 4]), dim=1)
    output, (h, c) = own(sequences)
    packed, (h_packed, c_packed) = own(pack_padded_sequence(sequences, [4, 4, 4]))
    assert torch.equal(pad_packed_sequence(packed)[0], output)
    assert torch.equal(h_packed, h)
    assert torch.equal(c_packed, c)


def test_no_circuit_is_evaluated_for_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    own, rows = layer(bidirectional=True), []
    bind = CircuitBank.bind_now

    def counted(self: CircuitBank, *args: Any, **options: Any) -> Any:
        bound = bind(self, *args, **options)

        def ask(inputs: Tensor, **more: Any) -> Tensor:
            rows.append(len(inputs))
            return bound(inputs, **more)

        ask.is_native = False  # type: ignore[attr-defined]
        return ask

    monkeypatch.setattr(CircuitBank, "bind_now", counted)
    own(pack_sequence(ragged(), enforce_sorted=False))
    assert rows == [5, 4, 3, 2, 2, 2, 2, 3, 4, 5]
    assert sum(rows) == 2 * sum(LENGTHS)


def test_packed_sequences_of_jobs_and_of_half_precision() -> None:
    exact, jobs = layer(), layer(backend="aer-exact")
    packed = pack_sequence(ragged([3, 1]))
    torch.testing.assert_close(jobs(packed)[0].data, exact(packed)[0].data, rtol=0, atol=1e-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = exact(packed.to(torch.bfloat16))
    assert output.data.dtype == torch.float64


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda packed: packed.to(torch.float32), "input has the dtype torch.float32, the parameters torch.float64"),
        (lambda packed: packed._replace(data=packed.data[:, :1]), r"packed input has data of the shape \(16, 1\)"),
    ],
)
def test_packed_sequences_that_do_not_fit_are_refused(change: Any, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        layer()(change(pack_sequence(ragged(), enforce_sorted=False)))
    with pytest.raises(ShapeError, match=r"h_0 has the shape \(1, 4, 2\); expected \(1, 5, 2\)"):
        layer()(pack_sequence(ragged(), enforce_sorted=False), state("lstm", 1, 4))


@pytest.mark.parametrize("cell", LAYERS)
def test_arguments_have_the_order_of_torch(cell: str) -> None:
    options = (2, 3, 2, True, True, 0.25, True)
    ours = LAYERS[cell](*options, depth=1, space=SPACE)
    theirs: Any = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](*options)
    for name in ("input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional"):
        assert getattr(ours, name) == getattr(theirs, name)
    with pytest.raises(OptionError, match="bias=False is not supported"):
        LAYERS[cell](2, 3, 1, False, depth=1, space=SPACE)
    with pytest.raises(OptionError, match="proj_size=2 is not supported"):
        LAYERS[cell](2, 3, 1, True, True, 0.0, True, 2, depth=1, space=SPACE)


@pytest.mark.parametrize("options", [{}, {"n_qubits": 3}, {"sharing": "shared"}], ids=str)
@pytest.mark.parametrize("cell", LAYERS)
def test_resetting_parameters_draws_them_as_at_the_beginning(cell: str, options: dict[str, Any]) -> None:
    make: Any = LAYERS[cell]

    def drawn(seed: int) -> Any:
        own = {"depth": 1, "space": SearchSpace.paper(), "num_layers": 2, **options}
        return make(1, 2, generator=torch.Generator().manual_seed(seed), **own)

    own, other = drawn(0), drawn(1)
    with torch.no_grad():
        for weights in own.arch_parameters():
            weights.add_(1.0)
    kept = list(map(id, own.parameters()))
    own.flatten_parameters()
    own.reset_parameters(torch.Generator().manual_seed(1))
    assert list(map(id, own.parameters())) == kept  # an optimiser goes on with them
    for one, two in zip(own.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    torch.manual_seed(4)
    own.reset_parameters()
    assert not all(torch.equal(one, two) for one, two in zip(own.parameters(), other.parameters(), strict=True))
