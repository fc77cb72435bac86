"""Classical maps in place of circuits: what they compute, how many parameters they have, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch import nn
from torch.nn.utils import parametrize, prune

from qlstm_qiskit import QGRU, QLSTM, QLSTMRegressor, SearchSpace
from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.nn import CLASSICAL_BANKS, Forecaster
from qlstm_qiskit.nn.products import FullProductMap, ProductMap
from qlstm_qiskit.nn.replaced import replace_banks
from qlstm_qiskit.training.options import OF_MODEL

CONFIG1 = SearchSpace.handcrafted(1)
KINDS = sorted(CLASSICAL_BANKS)


def layer(cell: Any = QLSTM, seed: int = 0, **options: Any) -> Any:
    options = {"depth": 2, "space": CONFIG1, "angle_std": 1.0} | options
    return cell(1, 3, batch_first=True, generator=torch.Generator().manual_seed(seed), **options)


def trained(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def some_inputs(n: int, rows: int = 7) -> torch.Tensor:
    return torch.randn(rows, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def own_space(*scales: float, twice: bool = False) -> SearchSpace:
    """A circuit of two qubits for each scale of its inputs; `twice`: each input is read once more at the end."""
    made = []
    for number, scale in enumerate(scales):
        x, w, circuit = ParameterVector("x", 2), ParameterVector("w", 2), QuantumCircuit(2, name=f"own{number}")
        for qubit in range(2):
            circuit.ry(scale * x[qubit], qubit)
        circuit.cx(0, 1)
        for qubit in range(2):
            circuit.rx(w[qubit], qubit)
            if twice:
                circuit.ry(x[qubit], qubit)
        made.append(circuit)
    return SearchSpace.from_circuits(made)


@pytest.mark.parametrize("options", [{}, {"space": None, "depth": 1}, {"n_qubits": 4}], ids=["config1", "36", "hybrid"])
def test_products_with_the_coefficients_of_the_form_are_the_circuits(options: dict[str, Any]) -> None:
    """f = M t(v): the coefficients are read from the Fourier series, which is written out in another way."""
    circuits = layer(**options).cells[0].bank
    replaced, series, n = FullProductMap(circuits), circuits.fourier(), circuits.n_inputs
    place = {tuple(digits): number for number, digits in enumerate(series.digits.tolist())}
    with torch.no_grad():
        for slot, (feature, output) in enumerate(zip(replaced._feature.tolist(), replaced._output.tolist(), strict=True)):
            digits = [0] * n
            for column in filter(None, replaced._factors[feature].tolist()):
                digits[(column - 1) % n] = 1 + (column - 1) // n
            for gate in range(4):
                replaced.coefficients[gate, slot] = series.coefficients[place[tuple(digits)], gate, output]
    inputs = some_inputs(n)
    torch.testing.assert_close(replaced(inputs), circuits(inputs), rtol=0, atol=1e-12)
    bound = replaced.bind(samples=7, gates=(2, 0))
    torch.testing.assert_close(bound(inputs), circuits(inputs)[:, [2, 0]], rtol=0, atol=1e-12)


def test_products_of_circuits_with_different_data_angles() -> None:
    """Whatever the circuits compute lies in the span of the products; none of them is there twice, the 1 neither."""
    circuits = layer(space=own_space(1.0, 2.0), depth=None, n_qubits=2).cells[0].bank
    replaced, inputs = FullProductMap(circuits), some_inputs(2, 60)
    with torch.no_grad():
        wanted, products = circuits(inputs).flatten(1).numpy(), replaced.products(inputs).numpy()
    assert np.linalg.matrix_rank(products) == products.shape[1]
    rest = wanted - products @ np.linalg.lstsq(products, wanted, rcond=None)[0]
    assert np.abs(rest).max() < 1e-10


@pytest.mark.parametrize("options", [{}, {"space": None, "depth": 1}], ids=["config1", "36"])
def test_as_many_products_are_reached_as_have_a_coefficient_at_random_angles(options: dict[str, Any]) -> None:
    circuits = layer(**options).cells[0].bank
    assert trained(FullProductMap(circuits)) == 4 * (abs(circuits.fourier().coefficients) > 1e-12).any(axis=1).sum()


def test_products_are_those_of_lowest_order_and_as_many_as_angles() -> None:
    """config1, 4 qubits, depth 2: 8 angles per gate; light cones reach 21 pairs of product and output, 6 of them of order 1."""
    circuits = layer().cells[0].bank
    every, some = FullProductMap(circuits), ProductMap(circuits)
    assert (trained(circuits), trained(every), trained(some)) == (4 * 8, 4 * 21, 4 * 8)
    order = [(replaced._factors > 0).sum(1)[replaced._feature].tolist() for replaced in (every, some)]
    assert sorted(order[0])[:8] == sorted(order[1])
    assert order[1].count(1) == 6


@pytest.mark.parametrize(
    ("kind", "options", "counts"),
    [  # by hand: 4 gates; tanh: width m has m (n + 1 + K) + K numbers; frozen: features x K
        ("tanh", {}, (32, 4 * (1 * (4 + 1 + 3)))),  # 4 * 3 biases of the outputs would be more than a quarter too many
        ("tanh", {"depth": 3}, (48, 4 * (1 * (4 + 1 + 3) + 3))),
        ("frozen", {}, (32, 4 * 3 * 3)),
        ("tanh", {"space": None, "depth": 1}, (4 * 180, 4 * (22 * 8 + 3))),
        ("frozen", {"space": None, "depth": 1}, (4 * 180, 4 * 60 * 3)),
        ("products", {"space": None, "depth": 1}, (4 * 180, 4 * 20)),  # all that there are
        ("tanh", {"n_qubits": 5}, (40, 4 * (1 * (5 + 1 + 5)))),
        ("frozen", {"circuits": "frozen", "space": None, "depth": 1}, (4 * 36, 4 * 12 * 3)),  # 36 weights are trained
    ],
)
def test_numbers_of_parameters(kind: str, options: dict[str, Any], counts: tuple[int, int]) -> None:
    circuits = layer(**options).cells[0].bank
    replaced = CLASSICAL_BANKS[kind](circuits)
    assert (trained(circuits), trained(replaced)) == counts
    assert (replaced.n_inputs, replaced.n_outputs) == (circuits.n_inputs, circuits.n_outputs)
    assert replaced(some_inputs(replaced.n_inputs)).shape == (7, 4, replaced.n_outputs)
    assert replaced.n_circuits == 0


def test_tanh_and_frozen_features_are_what_they_say() -> None:
    circuits = layer(space=None, depth=1).cells[0].bank
    inputs, tanh, frozen = some_inputs(4), CLASSICAL_BANKS["tanh"](circuits), CLASSICAL_BANKS["frozen"](circuits)
    v = inputs.numpy()
    for gate in range(4):
        own = {name: value[gate].detach().numpy() for name, value in tanh.state_dict().items()}
        by_hand = np.tanh(v @ own["weight_in"] + own["bias_in"]) @ own["weight_out"] + own["bias_out"]
        np.testing.assert_allclose(tanh(inputs)[:, gate].detach().numpy(), by_hand, atol=1e-12)
        own = {name: value[gate].detach().numpy() for name, value in frozen.state_dict().items()}
        features = np.cos(v @ own["frequencies"] + own["phases"])
        np.testing.assert_array_equal(features[:, 0], 1)
        np.testing.assert_allclose(frozen(inputs)[:, gate].detach().numpy(), features @ own["weight"], atol=1e-12)
    assert [name for name, _ in frozen.named_parameters()] == ["weight"]


@pytest.mark.parametrize("cell", [QLSTM, QGRU])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str, cell: Any) -> None:
    made = layer(cell, num_layers=2)
    replace_banks(made, kind, torch.Generator().manual_seed(3))
    windows = torch.randn(2, 3, 1, dtype=torch.float64, requires_grad=True)
    parameters = list(made.parameters())

    def run(windows: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        named = dict(zip(dict(made.named_parameters()), values, strict=True))
        return torch.func.functional_call(made, named, (windows,))[0]

    assert all(parameter.requires_grad for parameter in parameters)
    assert torch.autograd.gradcheck(run, (windows, *parameters))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options", [{"model": "config1"}, {"model": "diffqas", "n_qubits": 3, "depth": 1}], ids=["paper", "hybrid"]
)
def test_all_but_the_circuits_starts_and_is_shuffled_as_with_them(kind: str, options: dict[str, Any]) -> None:
    """To the bit: linear layers, head, and the order of the windows in each epoch, for each seed."""
    X = np.random.default_rng(0).normal(size=(23, 4, 1))
    for seed in (0, 7):
        starts, orders = [], []
        for bank in ("circuits", kind):
            estimator = QLSTMRegressor(hidden_size=2, seed=seed, bank=bank, max_epochs=2, shuffle=True, **options)
            fit = estimator._begin(X, X[:, -1, 0], None)
            training = fit.prepare(fit.seeds.model)
            starts.append({n: v.clone() for n, v in training.net.module_.state_dict().items() if ".bank." not in n})
            loader = training.net.get_iterator(training.net.get_dataset(*fit.train), training=True)
            orders.append([batch[0].clone() for _ in range(2) for batch in loader])
            training.end()
        assert starts[0].keys() == starts[1].keys()
        assert len(starts[0]) == (6 if "n_qubits" in options else 2)
        assert all(torch.equal(value, starts[1][name]) for name, value in starts[0].items())
        assert len(orders[0]) == 6
        assert all(map(torch.equal, *orders))


def test_the_same_seed_gives_the_same_maps_and_another_one_others() -> None:
    def weights(seed: int) -> torch.Tensor:
        made = layer(seed=seed)
        replace_banks(made, "frozen", torch.Generator().manual_seed(seed))
        return torch.cat([value.flatten() for value in made.state_dict().values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_replaced_layer_has_no_circuits_and_runs_hooks() -> None:
    made = layer(num_layers=2)
    assert Forecaster(made, nn.Linear(3, 1)).circuits is made
    replace_banks(made, "tanh")
    assert Forecaster(made, nn.Linear(3, 1)).circuits is None
    assert made.n_circuits == 0
    seen = []
    made.cells[1].bank.register_forward_hook(lambda *_: seen.append(1))
    made(torch.zeros(2, 5, 1, dtype=torch.float64))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("kind", "names"), [("tanh", ("weight_in", "bias_out")), ("frozen", ("weight",)), ("products", ("coefficients",))]
)
def test_parameters_may_be_pruned_and_parametrised(kind: str, names: tuple[str, ...]) -> None:
    """Nothing is left out, and what hooks set before a call is what it computes with."""
    made = layer(depth=3)
    replace_banks(made, kind, torch.Generator().manual_seed(3))
    windows = torch.randn(3, 4, 1, dtype=torch.float64)
    before = made(windows)[0]
    for name in names:
        prune.identity(made.cells[0].bank, name)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(made(windows)[0], before, rtol=0, atol=0)
    for name in names:
        own = made.cells[0].bank.get_parameter(f"{name}_orig")
        with torch.no_grad():
            own.mul_(2)
        doubled = made(windows)[0]
        assert not torch.allclose(doubled, before), "the parameter that is masked in this call"
        with torch.no_grad():
            own.mul_(0.5)
        (gradient,) = torch.autograd.grad(made(windows)[0].sum(), own)
        assert bool(gradient.any())
    for name in names:
        prune.remove(made.cells[0].bank, name)  # type: ignore[no-untyped-call]
        parametrize.register_parametrization(made.cells[0].bank, name, nn.Identity())
    torch.testing.assert_close(made(windows)[0], before, rtol=0, atol=0)


@pytest.mark.parametrize("cell", [QLSTM, QGRU])
@pytest.mark.parametrize("kind", KINDS)
def test_no_windows_and_second_derivatives(kind: str, cell: Any) -> None:
    """The update in native loops leaves what the maps gave as it is."""
    made = layer(cell)
    replace_banks(made, kind, torch.Generator().manual_seed(3))
    assert made(torch.zeros(0, 4, 1, dtype=torch.float64))[0].shape == (0, 4, 3)
    outputs: list[tuple[torch.Tensor, torch.Tensor]] = []
    made.cells[0].bank.register_forward_hook(lambda *given: outputs.append((given[-1], given[-1].detach().clone())))
    windows = torch.randn(4, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    made(windows)
    assert all(torch.equal(now, then) for now, then in outputs)
    assert torch.autograd.gradgradcheck(lambda given: made(given)[0], (windows.requires_grad_(),))


def test_reset_draws_new_parameters_and_other_dtypes_stay() -> None:
    made = layer(dtype=torch.float32)
    replace_banks(made, "frozen")
    before = {name: value.clone() for name, value in made.state_dict().items()}
    assert {value.dtype for value in before.values()} == {torch.float32}
    made.reset_parameters(torch.Generator().manual_seed(0))
    after = made.state_dict()
    assert not any(torch.equal(value, after[name]) for name, value in before.items())
    assert made(torch.zeros(2, 5, 1))[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tan", {}, "unknown bank 'tan'. Did you mean 'tanh'"),
        (
            "products",
            {"space": own_space(1.0, twice=True), "depth": None, "n_qubits": 2},
            "read twice.*Give tanh or frozen",
        ),
        ("tanh", {"backend": "exact-shots"}, "no circuits for backend exact-shots"),
        ("tanh", {"circuits": "frozen"}, "as many parameters, and these train none"),
    ],
)
def test_what_cannot_be_replaced_is_one_line(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        replace_banks(layer(**options), kind)
    assert "\n" not in str(caught.value)


def test_circuits_that_read_an_input_twice_can_be_replaced_by_other_maps() -> None:
    made = layer(space=own_space(1.0, twice=True), depth=None, n_qubits=2)
    replace_banks(made, "tanh")
    assert made(torch.zeros(2, 5, 1, dtype=torch.float64))[0].shape == (2, 5, 3)


def test_inputs_of_another_width() -> None:
    with pytest.raises(ShapeError, match="expected"):
        CLASSICAL_BANKS["tanh"](layer().cells[0].bank)(torch.zeros(2, 5, dtype=torch.float64))


def test_the_option_has_every_kind() -> None:
    assert set(OF_MODEL["bank"].metadata["option"].choices) == {"circuits", *CLASSICAL_BANKS}
