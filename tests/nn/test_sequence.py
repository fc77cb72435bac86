"""A cell over a whole sequence as one operation: against the loop over time, and where the loop is kept."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from qlstm_qiskit.hardware import Bound
from qlstm_qiskit.nn import CELLS, QLSTM, Forecaster, QLSTMCell, Recurrent, sequence
from qlstm_qiskit.nn.replicas import side_by_side
from qlstm_qiskit.space import SearchSpace

F64 = torch.float64

#: Cells whose update equations are written out for whole sequences.
WHOLE = [name for name, kind in CELLS.items() if vars(kind.cell_type).get("recurrence")]
SMALL = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])

#: By what each differs: few products of data angles, all products, linear layers, the other input map, several cells.
MODELS: dict[str, dict[str, Any]] = {
    "features": {"space": SMALL},
    "grid": {"space": SMALL, "hidden_size": 4, "depth": 3},
    "hybrid": {"space": SMALL, "n_qubits": 3},
    "arctan": {"space": SMALL, "n_qubits": 4, "input_map": "arctan"},
    "bare arctan": {"space": SMALL, "input_map": "arctan"},
    "single": {"space": SearchSpace.handcrafted(1), "hidden_size": 4, "depth": 2},
    "cells": {"space": SMALL, "num_layers": 2, "bidirectional": True},
    "softmax": {"space": SMALL, "mixing": "softmax", "sharing": "shared", "circuits": "frozen"},
}


class Seen:
    """A bound bank that something looks at."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.is_native = bound, bound.is_native

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        return self.bound(inputs, constant=constant)

    def candidates(self, inputs: Tensor) -> Tensor:
        return self.bound.candidates(inputs)


def layer(cell: str, name: str = "features", **options: Any) -> Recurrent[Any]:
    generator = torch.Generator().manual_seed(3)
    sizes = {"input_size": 2, "hidden_size": 2, "depth": 1, "angle_std": 1.0, "generator": generator}
    made = CELLS[cell](**sizes | MODELS[name] | options)
    for weights in made.arch_parameters():
        nn.init.normal_(weights, generator=generator)
    return made


def drawn(*shape: int, dtype: torch.dtype = F64) -> Tensor:
    return torch.rand(*shape, dtype=F64, generator=torch.Generator().manual_seed(5)).to(dtype) * 2 - 1


def given(made: Recurrent[Any], time: int, batch: int, dtype: torch.dtype = F64) -> tuple[Tensor, ...]:
    states = len(made.cell_type.state_names)
    hx = drawn(states * len(made.cells), batch, made.hidden_size, dtype=dtype).chunk(states)
    return tuple(value.clone().requires_grad_() for value in (drawn(time, batch, made.input_size, dtype=dtype), *hx))


def unrolled(made: Recurrent[Any], tensors: tuple[Tensor, ...], *, loop: bool, **options: Any) -> tuple[Tensor, ...]:
    observe = (lambda _, bound: Seen(bound)) if loop else None
    hidden, states = made.unroll(tensors[0], tensors[1:], calls=len(tensors[0]), observe=observe, **options)
    return hidden, *states


def gradients(made: Recurrent[Any], outputs: tuple[Tensor, ...], tensors: tuple[Tensor, ...], **options: Any) -> list[Tensor]:
    """Of a sum of all outputs, each with a weight of its own."""
    total = torch.stack([(output * drawn(*output.shape, dtype=output.dtype)).sum() for output in outputs]).sum()
    wanted = [*tensors, *(parameter for parameter in made.parameters() if parameter.requires_grad)]
    return list(torch.autograd.grad(total, wanted, **options))


def close(found: Any, expected: Any, dtype: torch.dtype = F64) -> None:
    tolerance = 1e-12 if dtype == F64 else 2e-5
    torch.testing.assert_close(list(found), list(expected), rtol=tolerance, atol=tolerance)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passes that are made, by the name of their update equations."""
    made: list[str] = []

    def noting(name: str, kind: type) -> Callable[..., Any]:
        def make(*args: Any, **options: Any) -> Any:
            made.append(name)
            return kind(*args, **options)

        make.n_states = kind.n_states  # type: ignore[attr-defined]
        return make

    monkeypatch.setattr(sequence, "PASSES", {name: noting(name, kind) for name, kind in sequence.PASSES.items()})
    return made


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cell", WHOLE)
def test_values_and_gradients_are_those_of_the_loop(cell: str, name: str, passes: list[str]) -> None:
    made = layer(cell, name)
    tensors = given(made, 4, 5)
    outputs, by_loop = (unrolled(made, tensors, loop=loop) for loop in (False, True))
    assert passes == [cell] * len(made.cells)
    close(outputs, by_loop)
    close(gradients(made, outputs, tensors), gradients(made, by_loop, tensors))


@pytest.mark.parametrize("cell", WHOLE)
def test_single_precision_is_that_of_the_loop(cell: str, passes: list[str]) -> None:
    made = layer(cell, "grid", dtype=torch.float32)
    tensors = given(made, 4, 5, torch.float32)
    outputs, by_loop = (unrolled(made, tensors, loop=loop) for loop in (False, True))
    assert passes
    assert outputs[0].dtype == torch.float32
    close(outputs, by_loop, torch.float32)
    close(gradients(made, outputs, tensors), gradients(made, by_loop, tensors), torch.float32)


@pytest.mark.parametrize("name", ["features", "grid", "hybrid", "bare arctan"])
@pytest.mark.parametrize("cell", WHOLE)
def test_gradients_are_those_of_finite_differences(cell: str, name: str, passes: list[str]) -> None:
    made = layer(cell, name)
    tensors, parameters = given(made, 3, 4), list(made.parameters())
    assert torch.autograd.gradcheck(lambda *values: unrolled(made, values[: len(tensors)], loop=False), (*tensors, *parameters))
    assert passes


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("cell", WHOLE)
def test_the_first_step_may_be_shorter_and_nothing_is_lost(cell: str, name: str, passes: list[str]) -> None:
    """Neither inputs nor first states want gradients, as in all trainings; and of zeros, products of states are all alike."""
    made = layer(cell, name)
    tensors = tuple(value.detach() for value in given(made, 3, 8))
    for start in (tuple(map(torch.zeros_like, tensors[1:])), tensors[1:]):
        own = (tensors[0], *start)
        found, expected = (unrolled(made, own, loop=loop) for loop in (False, True))
        close(found, expected)
        close(gradients(made, found, ()), gradients(made, expected, ()))
    assert len(passes) == 2 * len(made.cells)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", WHOLE)
def test_without_gradients_the_values_are_the_same(cell: str, batch_first: bool, passes: list[str]) -> None:
    made, x = layer(cell, "cells", batch_first=batch_first), drawn(6, 4, 2)
    with_graph = made(x)
    with torch.no_grad():
        without = made(x)
    torch.testing.assert_close(without, with_graph, rtol=0, atol=0)
    assert not without[0].requires_grad
    assert len(passes) == 2 * len(made.cells)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", WHOLE)
def test_sequences_of_different_lengths_are_those_of_the_loop(cell: str, bidirectional: bool, passes: list[str]) -> None:
    made = layer(cell, "hybrid", bidirectional=bidirectional)
    packed = pack_padded_sequence(drawn(6, 5, 2).requires_grad_(), [6, 4, 4, 2, 1])
    tensors = packed.data, *given(made, 1, 5)[1:]
    sizes = tuple(packed.batch_sizes.tolist())
    outputs, by_loop = (unrolled(made, tensors, loop=loop, sizes=sizes) for loop in (False, True))
    assert passes
    close(outputs, by_loop)
    close(gradients(made, outputs, tensors), gradients(made, by_loop, tensors))


def nodes(output: Tensor) -> int:
    found, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [following for following, _ in node.next_functions]
    return len(found)


@pytest.mark.parametrize("name", ["features", "hybrid"])
@pytest.mark.parametrize("cell", WHOLE)
def test_a_graph_does_not_grow_with_time(cell: str, name: str) -> None:
    made = layer(cell, name)
    few, many, by_loop = (nodes(unrolled(made, given(made, *how), loop=loop)[0]) for *how, loop in SIZES_OF_GRAPHS)
    assert few == many < by_loop


SIZES_OF_GRAPHS = [(3, 5, False), (30, 5, False), (30, 5, True)]


def _own_step(made: Recurrent[Any]) -> None:
    cell = next(made.layers())
    cell.step = type(cell).step.__get__(cell)


def _of_another_kind(made: Recurrent[Any]) -> None:
    class Own(type(next(made.layers()))):  # type: ignore[misc]
        pass

    next(made.layers()).__class__ = Own


WATCHED: dict[str, Callable[[Recurrent[Any]], Any]] = {
    "hook on the cell": lambda made: made.cells[0].register_forward_hook(lambda *_: None),
    "hook before the cell": lambda made: made.cells[0].register_forward_pre_hook(lambda *_: None),
    "hook on the bank": lambda made: made.cells[0].bank.register_forward_hook(lambda *_: None),
    "hook on a layer before": lambda made: made.cells[0].to_angles.register_forward_hook(lambda *_: None),
    "hook on a layer behind": lambda made: made.cells[0].from_outputs.register_full_backward_hook(lambda *_: None),
    "weight norm": lambda made: nn.utils.parametrizations.weight_norm(made.cells[0].to_angles),
    "own step": _own_step,
    "another kind of cell": _of_another_kind,
}


@pytest.mark.parametrize("how", WATCHED)
@pytest.mark.parametrize("cell", WHOLE)
def test_who_watches_sees_every_step(cell: str, how: str, passes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made, x = layer(cell, "hybrid"), drawn(4, 5, 2)
    expected = made(x)[0]
    assert len(passes) == 1
    WATCHED[how](made)
    steps: list[Tensor] = []
    forms = made.cell_type.angles
    monkeypatch.setattr(made.cell_type, "angles", lambda self, *values: steps.append(values[0]) or forms(self, *values))
    close(made(x)[0].unsqueeze(0), expected.unsqueeze(0))
    assert len(passes) == 1
    assert len(steps) == len(x) * len(made.cell_type.stages)


@pytest.mark.parametrize("cell", WHOLE)
def test_hooks_of_a_layer_are_called_once_for_each_step(cell: str) -> None:
    made, x, calls = layer(cell, "hybrid"), drawn(4, 5, 2), []
    for module in (made.cells[0], made.cells[0].bank, made.cells[0].to_angles, made.cells[0].from_outputs):
        module.register_forward_hook(lambda module, *_: calls.append(type(module).__name__))
    made(x)
    stages = len(made.cell_type.stages)
    assert calls.count("Linear") == 2 * len(x) * stages
    assert calls.count("CircuitBank") == len(x) * stages
    assert calls.count(type(made.cells[0]).__name__) == len(x)


def test_a_hook_on_all_modules_sees_every_step(passes: list[str]) -> None:
    made, calls = layer("lstm"), []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: calls.append(type(module)))
    try:
        made(drawn(4, 5, 2))
    finally:
        handle.remove()
    assert calls.count(QLSTMCell) == 4
    assert not passes


@pytest.mark.parametrize("cell", WHOLE)
def test_tracers_and_transforms_see_every_operation(cell: str, passes: list[str]) -> None:
    made, x = layer(cell), drawn(3, 4, 2)
    expected = made(x)[0]
    assert len(passes) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(made, (x,), check_trace=False)  # type: ignore[no-untyped-call]
    close([traced(2 * x)[0]], [made(2 * x)[0]])
    assert len(passes) == 2
    rows = torch.func.vmap(lambda values: made(values)[0])(x.transpose(0, 1)).transpose(0, 1)
    close([rows], [expected])
    _, slope = torch.func.jvp(lambda values: made(values)[0].sum(), (x,), (torch.ones_like(x),))
    assert len(passes) == 2
    own = x.clone().requires_grad_()
    close([slope], [torch.autograd.grad(made(own)[0].sum(), own)[0].sum()])


@pytest.mark.parametrize("name", ["features", "grid", "hybrid", "cells"])
@pytest.mark.parametrize("cell", WHOLE)
def test_second_derivatives_are_those_of_the_loop(cell: str, name: str) -> None:
    made = layer(cell, name)
    tensors = given(made, 3, 4)
    found = []
    for loop in (False, True):
        first = gradients(made, unrolled(made, tensors, loop=loop), tensors, create_graph=True)
        penalty = torch.stack([value.square().sum() for value in first]).sum()
        found.append(torch.autograd.grad(penalty, [*tensors, *made.parameters()], allow_unused=True))
    close(found[0], found[1])


def test_a_graph_is_followed_twice_and_by_a_batch_of_gradients() -> None:
    made = layer("lstm", "hybrid")
    tensors = given(made, 3, 4)
    outputs = unrolled(made, tensors, loop=False)
    close(*(gradients(made, outputs, tensors, retain_graph=True) for _ in range(2)))
    by = torch.stack([drawn(*outputs[0].shape), 3 * drawn(*outputs[0].shape)])
    (batch,) = torch.autograd.grad(outputs[0], tensors[:1], by, is_grads_batched=True, retain_graph=True)
    close(batch, [torch.autograd.grad(outputs[0], tensors[0], own, retain_graph=True)[0] for own in by])


def test_a_parameter_that_changes_before_the_way_back_is_noticed() -> None:
    made = layer("lstm", "hybrid")
    outputs = made(drawn(3, 4, 2))[0]
    with torch.no_grad():
        made.cells[0].to_angles.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_outputs_belong_to_the_caller() -> None:
    made, x = layer("lstm"), drawn(3, 4, 2)
    expected = torch.autograd.grad(made(x)[0].sum(), made.cells[0].bank.angles)
    outputs, _ = made(x)
    total = outputs.sum()
    outputs.detach().zero_()
    close(torch.autograd.grad(total, made.cells[0].bank.angles), expected)


@pytest.mark.parametrize("name", ["features", "grid", "hybrid"])
@pytest.mark.parametrize("cell", WHOLE)
def test_replicas_are_those_of_the_loop(cell: str, name: str, passes: list[str]) -> None:
    layers = [layer(cell, name, batch_first=True, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    models = [Forecaster(own, nn.Linear(own.hidden_size, 1, dtype=F64)) for own in layers]
    made = side_by_side(models).circuits
    assert made is not None
    tensors = given(made, 4, 6)
    outputs, by_loop = (unrolled(made, tensors, loop=loop) for loop in (False, True))
    assert passes == [cell]
    close(outputs, by_loop)
    close(gradients(made, outputs, tensors), gradients(made, by_loop, tensors))
    start = (tensors[0].detach(), *(torch.zeros_like(own) for own in tensors[1:]))
    outputs_of_zeros, by_loop = (unrolled(made, start, loop=loop) for loop in (False, True))
    close(gradients(made, outputs_of_zeros, ()), gradients(made, by_loop, ()))
    close([outputs[0][:, 2:4]], [unrolled(layers[1], tuple(own[:, 2:4] for own in tensors), loop=True)[0]])


@pytest.mark.parametrize("path", ["states", "other angles"])
def test_circuits_without_one_dense_form_take_the_loop(path: str, passes: list[str]) -> None:
    made = layer("lstm")
    bank = made.cells[0].bank._bank
    if path == "states":
        bank.path = "states"
        bank.__dict__["forms"] = ()
    else:
        for form in bank.forms:
            form.angles = tuple(reversed(form.angles))
    assert made(drawn(3, 4, 2))[0].shape == (3, 4, 2)
    assert not passes


def test_an_empty_batch_has_no_steps(passes: list[str]) -> None:
    assert layer("lstm")(drawn(3, 0, 2))[0].shape == (3, 0, 2)
    assert not passes
    assert isinstance(layer("lstm"), QLSTM)
