"""What torch does to modules from outside: hooks, pruning, norms, tracers, compilers, autocast, transforms, devices."""

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize, prune

from qlstm_qiskit.errors import OptionError, ShapeError, UnsupportedError
from qlstm_qiskit.hardware import StatevectorBackend, load_backend
from qlstm_qiskit.nn import QLSTM, CircuitBank, Forecaster, QLSTMCell
from qlstm_qiskit.search.trace import trace_cells
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training import QLSTMRegressor
from tests.speed import slow_but

F64 = torch.float64
SPACE = SearchSpace.product(["RY", "H-RZ"], ["linear-RY"])


def layer(**options: Any) -> QLSTM:
    torch.manual_seed(0)
    return QLSTM(1, 2, **{"depth": 1, "space": SPACE, "batch_first": True, "angle_std": 0.5} | options)


def windows(seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    return torch.rand(4, 3, 1, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def first(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else first(out[0])


def build(kind: str, backend: Any = "statevector", dtype: torch.dtype = F64) -> tuple[nn.Module, Callable[[int], Tensor]]:
    """A module of each kind, and its inputs by a seed."""
    options: dict[str, Any] = {"backend": backend, "dtype": dtype}
    torch.manual_seed(0)

    def inputs(*shape: int) -> Callable[[int], Tensor]:
        return lambda seed: torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    if kind == "bank":
        return CircuitBank(SPACE.candidates(3, 1), 2, **options), inputs(5, 3)
    if kind == "cell":
        return QLSTMCell(1, 2, depth=1, space=SPACE, **options), inputs(4, 1)
    if kind == "connector":
        return SPACE.candidates(3, 1)[0].to_torch(backend), inputs(5, 3)
    if kind == "forecaster":
        return Forecaster(layer(**options), nn.Linear(2, 1, dtype=dtype)), inputs(4, 3, 1)
    return layer(**options, **{"two layers": {"num_layers": 2}, "hybrid": {"n_qubits": 2}}[kind]), inputs(4, 3, 1)


KINDS = ["bank", "cell", "two layers", "hybrid", "forecaster"]


class TestHooks:
    """A layer whose cells or banks have hooks does the same as its cells called one by one."""

    @pytest.fixture
    def everywhere(self) -> Iterator[list[type]]:
        """Types of the modules that were called, by a hook of all modules."""
        called: list[type] = []
        handle = torch_module.register_module_forward_hook(lambda module, args, out: called.append(type(module)))
        yield called
        handle.remove()

    @staticmethod
    def by_cells(model: QLSTM, x: Tensor) -> Tensor:
        (cell,), state, outputs = tuple(model.layers()), None, []
        for step in x.unbind(1):
            state = cell(step, state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1)

    @pytest.mark.parametrize("mixing", ["linear", "gumbel-softmax"])
    @pytest.mark.parametrize("where", ["cells.0", "cells.0.bank"])
    @pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
    def test_a_hook_that_looks_on_sees_each_step_and_changes_no_bit(self, kind: str, where: str, mixing: str) -> None:
        plain, watched = layer(mixing=mixing), layer(mixing=mixing)
        seen: list[int] = []
        getattr(watched.get_submodule(where), f"register_{kind}_hook")(lambda *given: seen.append(1))
        out = []
        for model in (plain, watched):
            torch.manual_seed(3)
            out.append(model(windows().requires_grad_())[0])
            out[-1].sum().backward()
        assert len(seen) == 3
        assert torch.equal(*out)
        for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-14)

    def test_a_hook_of_all_modules_sees_cells_and_banks(self, everywhere: list[type]) -> None:
        layer()(windows())
        assert [kind for kind in everywhere if kind in (CircuitBank, QLSTMCell)] == [CircuitBank, QLSTMCell] * 3

    @pytest.mark.parametrize("backend", ["statevector", "aer-exact"])
    def test_hooks_that_change_inputs_and_outputs(self, backend: str) -> None:
        model = layer(backend=backend)
        cell = model.cells[0]
        cell.bank.register_forward_pre_hook(lambda module, args: (2 * args[0],))
        cell.bank.register_forward_hook(lambda module, args, out: out + 0.3)
        cell.register_forward_hook(lambda module, args, out: (out[0] / 2, out[1]))
        found = model(windows())[0]
        torch.testing.assert_close(found, self.by_cells(model, windows()), rtol=0, atol=1e-12)
        plain, h, c, outputs = layer(), torch.zeros(4, 2, dtype=F64), torch.zeros(4, 2, dtype=F64), []
        for step in windows().unbind(1):
            i, f, g, o = (plain.cells[0].bank(2 * torch.cat((step, h), dim=1)) + 0.3).unbind(1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c) / 2
            outputs.append(h)
        torch.testing.assert_close(found, torch.stack(outputs, dim=1), rtol=0, atol=1e-12)

    def test_a_forward_of_ones_own_is_called(self) -> None:
        class Halved(QLSTMCell):
            def forward(self, input: Tensor, hx: Any = None) -> Any:
                h, c = super().forward(input, hx)
                return h / 2, c

        model = layer()
        model.cells[0].__class__ = Halved
        torch.testing.assert_close(model(windows())[0], self.by_cells(model, windows()))
        assert not torch.allclose(model(windows())[0], layer()(windows())[0])
        doubled = layer()
        bank, plain = doubled.cells[0].bank, layer().cells[0].bank
        bank.forward = lambda inputs: 2 * plain(inputs)
        torch.testing.assert_close(doubled(windows())[0], self.by_cells(doubled, windows()))
        assert not torch.allclose(doubled(windows())[0], layer()(windows())[0])


def mask(bank: CircuitBank) -> None:
    prune.random_unstructured(bank, "angles", amount=0.5)


def norm(bank: CircuitBank) -> None:
    without_warnings(nn.utils.weight_norm, bank, "angles")


class Clipped(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.clamp(-0.3, 0.3)


CHANGES: dict[str, tuple[Callable[[CircuitBank], Any], Callable[[CircuitBank], Tensor]]] = {
    "pruned": (mask, lambda bank: bank.angles_orig * bank.angles_mask),
    "weight norm": (norm, lambda bank: bank.angles_g * bank.angles_v / bank.angles_v.norm(dim=1, keepdim=True)),
    "parametrised": (
        lambda bank: parametrize.register_parametrization(bank, "angles", Clipped()),
        lambda bank: bank.parametrizations.angles.original.clamp(-0.3, 0.3),
    ),
}


class TestParametersThatHooksSet:
    @pytest.mark.parametrize("change", CHANGES)
    def test_training_and_evaluation_use_what_the_optimiser_has_just_changed(self, change: str) -> None:
        model = layer()
        apply, angles_of = CHANGES[change]
        apply(model.cells[0].bank)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            model(windows())[0].square().sum().backward()
            assert all(value.grad is not None and value.grad.any() for value in model.parameters())
            optimizer.step()
        by_hand = layer()
        with torch.no_grad():
            by_hand.cells[0].bank.angles.copy_(angles_of(model.cells[0].bank))
            by_hand.cells[0].bank.structural_weights.copy_(model.cells[0].bank.structural_weights)
            expected = by_hand(windows(1))[0]
            series = model.cells[0].bank.fourier()  # before any call has let the hooks set the parameters
            torch.testing.assert_close(series.coefficients, by_hand.cells[0].bank.fourier().coefficients)
            (traced,) = trace_cells(model, windows(1))
            torch.testing.assert_close(model(windows(1))[0], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(model(windows(1))[0], expected, rtol=0, atol=1e-12)
        (reference,) = trace_cells(by_hand, windows(1))
        torch.testing.assert_close(traced.values, reference.values, rtol=0, atol=1e-12)
        torch.testing.assert_close(traced.sums, reference.sums, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("change", CHANGES)
    def test_gradients_are_those_of_the_changed_parameters(self, change: str) -> None:
        model, by_hand = layer(), layer()
        apply, angles_of = CHANGES[change]
        apply(model.cells[0].bank)
        leaves = [value for name, value in model.named_parameters() if "angles" in name]
        found = torch.autograd.grad(model(windows())[0].sum(), leaves)
        angles = angles_of(model.cells[0].bank)
        by_hand.cells[0].bank.angles.data.copy_(angles.detach())
        by_hand(windows())[0].sum().backward()
        expected = torch.autograd.grad(angles, leaves, by_hand.cells[0].bank.angles.grad)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12)

    def test_linear_layers_of_a_hybrid_cell(self) -> None:
        model = layer(n_qubits=2)
        prune.random_unstructured(model.cells[0].to_angles, "weight", amount=0.5)
        nn.utils.parametrizations.weight_norm(model.cells[0].from_outputs)
        with torch.no_grad():
            model.cells[0].to_angles.weight_orig.mul_(3)
        torch.testing.assert_close(model(windows())[0], TestHooks.by_cells(model, windows()))


def without_warnings(function: Callable[..., Any], *args: Any) -> Any:
    """torch says that its tracers are deprecated, and that shapes are constants."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args)


class TestTracers:
    @pytest.mark.parametrize(
        ("kind", "path", "grad"),
        slow_but(
            [("bank", "auto", True), ("cell", "auto", False), ("bank", "states", False)],
            [
                *((kind, "auto", grad) for kind in KINDS for grad in (True, False)),
                ("hybrid", "states", True),
                ("bank", "states", False),
            ],
        ),
    )
    def test_a_traced_module_is_right_for_other_inputs_and_parameters(self, kind: str, path: str, grad: bool) -> None:
        module, inputs = build(kind, StatevectorBackend(path))
        with torch.set_grad_enabled(grad):
            traced = without_warnings(torch.jit.trace, module, inputs(0))
            torch.testing.assert_close(first(traced(inputs(1))), first(module(inputs(1))), rtol=0, atol=1e-12)
            with torch.no_grad():
                for parameter in module.parameters():
                    parameter.add_(0.2)
            torch.testing.assert_close(first(traced(inputs(1))), first(module(inputs(1))), rtol=0, atol=1e-12)

    @pytest.mark.parametrize(
        ("kind", "path"), slow_but([("cell", "states")], [("bank", "states"), ("hybrid", "auto"), ("cell", "states")])
    )
    def test_exported_and_functional_graphs_too(self, kind: str, path: str) -> None:
        module, inputs = build(kind, StatevectorBackend(path))
        functional = make_fx(lambda x: first(module(x)))(inputs(0))
        exported = without_warnings(lambda: torch.export.export(module, (inputs(0),)).module())
        for graph in (functional, exported):
            torch.testing.assert_close(first(graph(inputs(1))), first(module(inputs(1))), rtol=0, atol=1e-12)
        first(module(inputs(1))).sum().backward()  # nothing of a tracer is left in the module

    @pytest.mark.parametrize("path", ["form", "states"])
    def test_transforms_of_a_layer(self, path: str) -> None:
        module, inputs = build("two layers", StatevectorBackend(path))
        x, tangent = inputs(0), inputs(1)

        def run(x: Tensor) -> Tensor:
            return first(module(x))

        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                rows = torch.func.vmap(lambda row: run(row[None])[0])(x)
                torch.testing.assert_close(rows, run(x), rtol=0, atol=1e-12)
                _, along = torch.func.jvp(run, (x,), (tangent,))
                with torch.autograd.forward_ad.dual_level():
                    out = run(torch.autograd.forward_ad.make_dual(x, tangent))
                    torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(out).tangent, along, rtol=0, atol=1e-12)
        step = 1e-5 * tangent
        torch.testing.assert_close(along, (run(x + step) - run(x - step)) / 2e-5, rtol=0, atol=1e-8)
        jacobian = torch.autograd.functional.jacobian(run, x)
        torch.testing.assert_close(torch.func.jacrev(run)(x), jacobian, rtol=0, atol=1e-12)
        batched = without_warnings(lambda: torch.autograd.functional.jacobian(run, x, vectorize=True))
        torch.testing.assert_close(batched, jacobian, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [*KINDS, "connector"])
def test_scripts_and_symbolic_traces_are_refused_in_one_line(kind: str) -> None:
    module, _ = build(kind)
    for attempt in (torch.jit.script, torch.fx.symbolic_trace):
        with pytest.raises(UnsupportedError, match=r"use torch\.jit\.trace") as caught:
            without_warnings(attempt, module)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "backend"), [*((kind, "aer-exact") for kind in KINDS), ("connector", "statevector")])
def test_what_torch_cannot_follow_is_refused_in_one_line(kind: str, backend: str) -> None:
    module, inputs = build(kind, load_backend(backend))
    x, tangent = inputs(0), torch.ones_like(inputs(0))

    def forward_mode() -> None:
        with torch.autograd.forward_ad.dual_level():
            module(torch.autograd.forward_ad.make_dual(x, tangent))

    attempts: list[Callable[[], Any]] = [
        lambda: torch.jit.trace(module, x),
        lambda: torch.func.vmap(lambda row: first(module(row[None])))(x),
        lambda: torch.func.grad(lambda x: first(module(x)).sum())(x),
        lambda: torch.export.export(module, (x,)),
        forward_mode,
    ]
    for grad in (True, False):
        for attempt in attempts:
            with torch.set_grad_enabled(grad), pytest.raises(UnsupportedError, match="backend='statevector'") as caught:
                without_warnings(attempt)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "backend"), [*((kind, "statevector") for kind in KINDS), ("connector", "aer-exact")])
def test_compiled_modules_give_the_same_numbers_and_gradients(kind: str, backend: str) -> None:
    module, inputs = build(kind, load_backend(backend))
    torch.compiler.reset()
    compiled = torch.compile(module, backend="eager")
    for seed in range(3):
        out = []
        for model in (module, compiled):
            module.zero_grad()
            value = first(model(inputs(seed)))
            value.square().sum().backward()
            out.append([value.detach(), *(p.grad.clone() for p in module.parameters() if p.grad is not None)])
        assert all(torch.equal(a, b) for a, b in zip(*out, strict=True))


class TestAutocast:
    @pytest.mark.parametrize("dtype", [torch.float32, F64])
    @pytest.mark.parametrize("kind", KINDS)
    def test_modules_compute_in_their_own_dtype(self, kind: str, dtype: torch.dtype) -> None:
        module, inputs = build(kind, dtype=dtype)

        def numbers(out: Tensor) -> list[Tensor]:
            module.zero_grad()
            out.square().sum().backward()
            return [out.detach(), *(p.grad.clone() for p in module.parameters() if p.grad is not None)]

        expected = numbers(first(module(inputs(0)))) + numbers(first(module(inputs(0).bfloat16().to(dtype))))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outs = first(module(inputs(0))), first(module(inputs(0).bfloat16()))
        found = [value for out in outs for value in numbers(out)]
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))

    def test_compiled_modules_too(self) -> None:
        module, inputs = build("hybrid", dtype=torch.float32)
        torch.compiler.reset()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = torch.compile(module, backend="eager")(inputs(0))[0]
        assert torch.equal(found, module(inputs(0))[0])

    def test_states_of_half_precision_are_taken_too(self) -> None:
        model, state = layer(), (torch.zeros(1, 4, 2, dtype=torch.bfloat16),) * 2
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(model(windows(), state)[0], model(windows())[0])

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_autocast_half_precision_is_an_error(self, kind: str) -> None:
        module, inputs = build(kind)
        with pytest.raises(ShapeError, match="dtype"):
            module(inputs(0).bfloat16())

    def test_a_connected_network(self) -> None:
        module, inputs = build("connector")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(module(inputs(0)), module(inputs(0)))
            assert module(inputs(0).bfloat16()).dtype == F64


@pytest.mark.parametrize("device", ["cuda", "mps", "cuda:9", "nonsense"])
def test_a_device_that_is_not_there_is_refused_at_once(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device != "nonsense":  # also where there is one

        def absent(*args: Any, device: Any = None, **options: Any) -> Tensor:
            raise RuntimeError("there is none\nC++ stack")

        monkeypatch.setattr("qlstm_qiskit.nn.checks.torch.empty", absent)
    x, y = windows().numpy(), windows().numpy()[:, -1, 0]
    for attempt in (
        lambda: CircuitBank(SPACE.candidates(3, 1), device=device),
        lambda: QLSTMCell(1, 2, depth=1, device=device),
        lambda: QLSTM(1, 2, depth=1, device=device),
        lambda: QLSTMRegressor(device=device).fit(x, y),
    ):
        with pytest.raises(OptionError, match=f"device is '{device}'.*use 'cpu'") as caught:
            attempt()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_modules_that_were_called_are_copied_and_pickled(kind: str, tmp_path: Path) -> None:
    module, inputs = build(kind)
    first(module(inputs(0))).sum().backward()
    with torch.no_grad():
        expected = first(module(inputs(1)))
        for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(first(again(inputs(1))), expected)
        saved = io.BytesIO()
        torch.save(module, saved)
        saved.seek(0)
        assert torch.equal(first(torch.load(saved, weights_only=False)(inputs(1))), expected)
