"""What replicas compute does not depend on how many of them there are, to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.exact import batched_product, even_sigmoid
from qlstm_qiskit.nn.replicas import side_by_side

MODELS: list[dict[str, Any]] = [
    {"model": "config2", "hidden_size": 3, "depth": 1, "cell": "gru", "num_layers": 2},
    {"model": "config1", "hidden_size": 3, "depth": 1, "n_qubits": 5},
    {"model": "config4", "hidden_size": 1, "depth": 1, "input_map": "arctan"},
    {"model": "diffqas", "hidden_size": 2, "depth": 1},
    {"model": "config3", "hidden_size": 3, "depth": 1},
    {"model": "config1", "hidden_size": 2, "depth": 2, "bank": "tanh"},
    {"model": "diffqas", "hidden_size": 2, "depth": 1, "bank": "frozen", "cell": "gru"},
    {"model": "diffqas", "hidden_size": 3, "depth": 1, "bank": "frozen"},
    {"model": "config1", "hidden_size": 3, "depth": 2, "n_qubits": 5, "bank": "products"},
    {"model": "config2", "hidden_size": 2, "depth": 2, "bank": "products-all", "cell": "gru"},
    {"model": "lstm", "hidden_size": 5, "num_layers": 2},
    {"model": "gru", "hidden_size": 3, "bidirectional": True},
    {"model": "gru", "hidden_size": 7},
]


def _gradients(models: list[Any], windows: torch.Tensor) -> dict[str, torch.Tensor | None]:
    joint = side_by_side(models)
    joint(windows.repeat(len(models), 1, 1)).square().sum().backward()
    return {name: parameter.grad for name, parameter in joint.named_parameters()}


@pytest.mark.parametrize("options", MODELS, ids=str)
def test_gradients_do_not_depend_on_who_is_beside(options: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(1)
    models = [QLSTMRegressor(**options).build_module(1, 1, generator=torch.Generator().manual_seed(n)) for n in range(8)]
    for model in models:
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
    for n_windows in (10, 3, 1):
        windows = torch.rand(n_windows, 4, 1, dtype=torch.float64, generator=generator)
        whole = _gradients(models, windows)
        for some in ([2], [4, 1], [7, 0, 2], [1, 2, 3, 4, 5]):
            for name, found in _gradients([models[n] for n in some], windows).items():
                expected = whole[name]
                assert (found is None) == (expected is None)
                assert found is None or expected is None or torch.equal(found, expected[some]), name


@pytest.mark.parametrize(
    "second",
    [torch.ones(2, 4, 5, dtype=torch.float64), torch.ones(3, 3, 5, dtype=torch.float64), torch.ones(2, 3, 5), torch.ones(3, 5)],
)
def test_products_that_do_not_fit_are_refused(second: torch.Tensor) -> None:
    with pytest.raises(RuntimeError, match=r"batch|dtype|expected"):
        batched_product(torch.ones(2, 2, 3, dtype=torch.float64), second)


def test_products_and_sigmoid() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, inner, columns in [(2, 243, 1), (10, 3, 1), (1, 729, 5), (10, 81, 12)]:
        first = torch.randn(5, rows, inner, dtype=torch.float64, generator=generator)
        second = torch.randn(5, inner, columns, dtype=torch.float64, generator=generator)
        whole = batched_product(first, second)
        torch.testing.assert_close(whole, first @ second)
        for n in (1, 2, 3):
            assert torch.equal(batched_product(first[:n], second[:n]), whole[:n])
    values = torch.cat([4 * torch.randn(2000, dtype=torch.float64, generator=generator), torch.tensor([-1e4, 1e4])])
    values.requires_grad_()
    result = even_sigmoid(values)
    torch.testing.assert_close(result, torch.sigmoid(values))
    assert torch.equal(torch.cat([even_sigmoid(value) for value in values.split(1)]), result)
    (mine,) = torch.autograd.grad(result.sum(), values)
    (stock,) = torch.autograd.grad(torch.sigmoid(values).sum(), values)
    torch.testing.assert_close(mine, stock)
