"""Sizes that no machine holds are refused in words, before anything is built."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from qiskit import QuantumCircuit

from qlstm_qiskit.data import load_dataset
from qlstm_qiskit.errors import LARGEST, CapacityError, OptionError, QLSTMError, require_at_least
from qlstm_qiskit.nn import QLSTM, QLSTMCell
from qlstm_qiskit.space import SearchSpace, analyze
from qlstm_qiskit.training import QLSTMRegressor
from qlstm_qiskit.training.models import build_forecaster

ONE = SearchSpace.handcrafted(1)
HUGE = (4_000, 10**6, 10**11, 2**63, 10**30, 10**5000)


def cell(input_size: int = 1, hidden_size: int = 1, **options: object) -> QLSTMCell:
    return QLSTMCell(input_size, hidden_size, space=ONE, **options)


REFUSED: dict[str, Callable[[int], object]] = {
    "cell, input": lambda n: cell(input_size=n * 100),
    "cell, hidden": lambda n: cell(hidden_size=n * 100),
    "cell, qubits": lambda n: cell(n_qubits=n * 100),
    "layer, hidden": lambda n: QLSTM(1, n),
    "layer, qubits": lambda n: QLSTM(1, 1, n_qubits=n),
    "space, qubits": lambda n: SearchSpace.paper().candidates(n, 2),
    "analysis, qubits": lambda n: analyze(ONE, n * 100),
    "classical, hidden": lambda n: build_forecaster("lstm", 1, 1, hidden_size=n * 1000),
    "layers": lambda n: QLSTM(1, 1, space=ONE, num_layers=n * 10),
    "space, depth": lambda n: SearchSpace.paper().candidates(4, n),
    "series, window": lambda n: load_dataset("bessel", window=n),
    "series, horizon": lambda n: load_dataset("bessel", horizon=n),
    "analysis, samples": lambda n: analyze(ONE, 2, 1, samples=n * 100),
}


@pytest.mark.parametrize("n", HUGE, ids=lambda n: f"2^{n.bit_length()}")
@pytest.mark.parametrize("what", REFUSED)
def test_huge_sizes_are_refused_before_a_circuit_is_made(what: str, n: int) -> None:
    made = AssertionError("a circuit was made")
    with patch.object(QuantumCircuit, "__init__", side_effect=made), pytest.raises(QLSTMError) as caught:
        REFUSED[what](n)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["max_epochs", "batch_size", "patience", "spsa_resamplings", "hidden_size", "num_layers"])
@pytest.mark.parametrize("value", [10**11, 2**63, 10**30, -1, 1.5, "1", None, True, float("nan")])
def test_the_estimator_refuses_numbers_that_are_none_of_a_size(name: str, value: object) -> None:
    options = {"model": "lstm", "hidden_size": 1, "optimizer": "spsa" if "spsa" in name else "rmsprop", "valid_fraction": 0.2}
    with pytest.raises(OptionError, match=f"{name} is "):
        QLSTMRegressor(**options | {name: value}).fit(torch.zeros(20, 2, 1).numpy(), torch.zeros(20).numpy())


def test_the_message_says_which_limit_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    cyclic = SearchSpace.product(["H-RY"], ["cyclic-RY"])
    monkeypatch.setattr("qlstm_qiskit.exact.memory.free_bytes", lambda device: 24 * 2**33)
    with pytest.raises(
        CapacityError, match=r"sums of at least 2\^\d+ terms .* on 40 qubits, where a statevector of 33 qubits fits"
    ):
        QLSTMCell(1, 1, space=cyclic, n_qubits=40)
    assert QLSTMCell(1, 1, space=cyclic, n_qubits=33).bank.path(samples=1) == "states", "which are taken where they fit"
    monkeypatch.setattr("qlstm_qiskit.exact.memory.free_bytes", lambda device: 2**20)
    for n_qubits in (31, 32, 100):
        assert cell(n_qubits=n_qubits).bank.path(samples=1) == "form", "the form needs no statevector"
    with pytest.raises(CapacityError, match="216 circuits of 10 qubits and depth 200 .* 434,160, and 250,000 is the limit"):
        QLSTM(5, 5, depth=200, num_layers=6)
    with pytest.raises(CapacityError, match="the linear layers round the circuits of"):
        cell(hidden_size=10**6, n_qubits=20)


@pytest.mark.slow
def test_devices_take_wide_circuits() -> None:
    layer = cell(n_qubits=100, depth=1, backend="fake-fez")
    assert layer.bank.candidates[0].n_qubits == 100


def test_seeds_may_be_any_integer() -> None:
    assert require_at_least("seed", 10**30, 0, None) == 10**30
    assert require_at_least("n", LARGEST, 0) == LARGEST
    x, y = torch.rand(20, 2, 1).numpy(), torch.rand(20).numpy()
    QLSTMRegressor("lstm", 1, max_epochs=1, seed=10**30).fit(x, y)
