"""Deriving: scores against sums made by hand, and models that say what the search said."""

import copy

import numpy as np
import pytest
import torch

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.search import DERIVATIONS, Genotype, derive, make_strategy
from tests.search.models import SMALL, N, bank_of, fitted, layer_of, series
from tests.speed import slow_but

KINDS = {
    "linear": {},
    "softmax": {"search": "softmax"},
    "gumbel": {"search": "gumbel-softmax"},
    "shared": {"model": "diffqas-shared"},
    "reservoir": {"model": "reservoir", "angle_std": 1.0},
    "two layers": {"num_layers": 2},
    "hybrid": {"n_qubits": 2},
    "shrunk": {"search": make_strategy("shrinking", {"keep": 2})},
}
WINDOWS, TARGETS = (torch.as_tensor(part[-12:]) for part in series())


def search(kind: str, **options) -> QLSTMRegressor:
    return fitted(max_epochs=6, lr=0.05, **(KINDS[kind] | options))


def model_of(genotype: Genotype, state: dict, source: QLSTMRegressor) -> Forecaster:
    regressor = QLSTMRegressor(
        "derived",
        2,
        genotype.depth,
        space=genotype.spaces(),
        num_layers=len(genotype.layers),
        n_qubits=source.n_qubits,
    )
    module = regressor.build_module(1, 1)
    module.load_state_dict(state)
    return module.eval()


def coefficients(bank) -> torch.Tensor:
    bank.eval()
    return bank.coefficients().detach()


def with_coefficients(module: Forecaster, tables: list[torch.Tensor]) -> Forecaster:
    """A copy of a model whose gates sum with these plain weights."""
    copied = copy.deepcopy(module).eval()
    for cell, table in zip(copied.recurrent.layers(), tables, strict=True):
        cell.bank.mixing, cell.bank.temperature = "linear", None
        cell.bank.structural_weights = torch.nn.Parameter(table)
    return copied


def loss(module: Forecaster) -> float:
    with torch.no_grad():
        return float(torch.nn.functional.mse_loss(module(WINDOWS), TARGETS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", slow_but(["contribution"], DERIVATIONS))
def test_a_derived_model_is_the_search_without_the_others(kind: str, strategy: str) -> None:
    found = search(kind)
    before = {name: value.clone() for name, value in found.module_.state_dict().items()}
    genotype, state = derive(found.module_, WINDOWS, TARGETS, strategy=strategy, top_k=2, refit=False)
    assert all(torch.equal(before[name], value) for name, value in found.module_.state_dict().items())
    tables = []
    for layer, cell in zip(genotype.layers, layer_of(found).layers(), strict=True):
        names = [candidate.name for candidate in cell.bank.candidates]
        table = torch.zeros(4, len(names), dtype=torch.float64)
        for row, gate in zip(table, GATES, strict=True):
            assert len(layer[gate]) == 2
            for choice in layer[gate]:
                row[names.index(choice.candidate)] = choice.weight
        whole = coefficients(cell.bank)
        assert torch.equal(table[table != 0], whole[table != 0]), "they keep the weights that they had"
        tables.append(table)
    module = model_of(Genotype.model_validate_json(genotype.model_dump_json()), state, found)
    with torch.no_grad():
        torch.testing.assert_close(module(WINDOWS), with_coefficients(found.module_, tables)(WINDOWS), rtol=0, atol=1e-12)
    assert layer_of_module(module).n_circuits == genotype.n_circuits == 8 * len(tables)


def layer_of_module(module: Forecaster):
    return module.recurrent


@pytest.mark.parametrize("kind", slow_but(["shrunk"], ("linear", "softmax", "two layers", "hybrid", "shrunk")))
def test_scores_are_what_they_say(kind: str) -> None:
    found = search(kind)
    whole = [coefficients(cell.bank) for cell in layer_of(found).layers()]
    base = loss(with_coefficients(found.module_, whole))
    inputs = recorded_inputs(found.module_)
    scores = {name: all_scores(found, name) for name in DERIVATIONS}
    for number, cell in enumerate(layer_of(found).layers()):
        for gate, own in enumerate(cell.bank.gates):
            for place in own:
                name = cell.bank.candidates[place].name
                less = [table.clone() for table in whole]
                less[number][gate, place] = 0
                expected = loss(with_coefficients(found.module_, less)) - base
                assert scores["perturbation"][number, gate, name] == pytest.approx(expected, rel=6e-6, abs=1e-12)
                weight = float(whole[number][gate, place])
                assert scores["weight"][number, gate, name] == pytest.approx(abs(weight), rel=6e-6)
                values = expectations(cell.bank, gate, place, inputs[number])
                variance = float(np.var(weight * values, axis=0).sum())
                assert scores["contribution"][number, gate, name] == pytest.approx(variance, rel=6e-6, abs=1e-15)


def all_scores(found: QLSTMRegressor, strategy: str) -> dict[tuple[int, int, str], float]:
    genotype, _ = derive(found.module_, WINDOWS, TARGETS, strategy=strategy, top_k=N, refit=False)
    table = {}
    for number, layer in enumerate(genotype.layers):
        for gate, choices in enumerate(layer.values()):
            values = [choice.score for choice in choices]
            assert values == sorted(values, reverse=True)
            table |= {(number, gate, choice.candidate): choice.score for choice in choices}
    return table


def recorded_inputs(module: Forecaster) -> list[torch.Tensor]:
    """What each cell's bank reads on the windows, step by step through the public parts of a cell."""
    module.eval()
    inputs, sequence = [], WINDOWS.transpose(0, 1)
    with torch.no_grad():
        for cell in module.recurrent.layers():
            h = c = torch.zeros(len(WINDOWS), 2, dtype=torch.float64)
            read, outputs = [], []
            for step in sequence:
                v = torch.cat((step, h), dim=1)
                read.append(v if cell.to_angles is None else cell.to_angles(v))
                h, c = cell(step, (h, c))
                outputs.append(h)
            inputs.append(torch.cat(read))
            sequence = torch.stack(outputs)
    return inputs


def expectations(bank, gate: int, place: int, inputs: torch.Tensor) -> np.ndarray:
    """Of one candidate by Qiskit, (samples, outputs)."""
    candidate = bank.candidates[place]
    sizes = [len(c.weights) for c in bank.candidates]
    angles = torch.split(bank.expanded_angles().detach()[gate], sizes)[place]
    qnn = candidate.to_qnn(n_outputs=bank.n_outputs)
    return qnn.forward(inputs.numpy(), angles.numpy())


@pytest.mark.slow
def test_refitted_weights_are_least_squares_and_taken_if_they_help() -> None:
    helped = set()
    for seed in range(4):
        found = fitted(max_epochs=12, seed=seed)
        kept, _ = derive(found.module_, WINDOWS, TARGETS, top_k=2, refit=False)
        fit, state = derive(found.module_, WINDOWS, TARGETS, top_k=2)
        plain = loss(model_of(kept, derive(found.module_, WINDOWS, TARGETS, top_k=2, refit=False)[1], found))
        better = loss(model_of(fit, state, found))
        assert better <= plain + 1e-15
        helped.add(better < plain)
        if better < plain:
            bank, inputs = bank_of(found), recorded_inputs(found.module_)[0]
            names = [candidate.name for candidate in bank.candidates]
            sums = found.module_.recurrent.cells[0].bank(inputs).detach().numpy()
            for gate, choices in enumerate(fit.layers[0].values()):
                columns = [expectations(bank, gate, names.index(c.candidate), inputs).ravel() for c in choices]
                solution = np.linalg.lstsq(np.array(columns).T, sums[:, gate].ravel(), rcond=None)[0]
                np.testing.assert_allclose([c.weight for c in choices], solution, rtol=1e-4, atol=1e-5)
    assert True in helped


def test_the_same_search_gives_the_same_genotype() -> None:
    found = search("linear")
    results = [derive(found.module_, WINDOWS, TARGETS, provenance={"run": "here"}) for _ in range(2)]
    assert results[0][0] == results[1][0]
    assert results[0][0].provenance == {"run": "here"}
    assert set(results[0][0].names) <= set(SMALL.names)


def test_what_cannot_be_derived_is_refused() -> None:
    found = search("linear")
    with pytest.raises(OptionError, match="Did you mean 'weight'"):
        derive(found.module_, WINDOWS, TARGETS, strategy="weights")
    with pytest.raises(OptionError, match="top_k is 0"):
        derive(found.module_, WINDOWS, TARGETS, top_k=0)
    with pytest.raises(OptionError, match="no circuits"):
        derive(fitted(model="lstm", space=None, depth=None).module_, WINDOWS, TARGETS)


def test_a_single_candidate_gets_a_weight_of_one() -> None:
    found = fitted(model="config1", space=None)
    genotype, state = derive(found.module_, WINDOWS, TARGETS, refit=False)
    assert [choice.weight for own in genotype.layers[0].values() for choice in own] == [1.0] * 4
    with torch.no_grad():
        torch.testing.assert_close(model_of(genotype, state, found)(WINDOWS), found.module_(WINDOWS), rtol=0, atol=1e-13)
