"""Pictures of architectures: what they show is what the model computes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from torch import nn

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, train_run
from qlstm_qiskit.nn import QLSTM, CircuitBank, Forecaster
from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.report import architecture
from qlstm_qiskit.report.architecture import (
    contributions,
    contributions_figure,
    draw_architecture,
    layer_histories,
    weights_figure,
)
from qlstm_qiskit.report.circuits import circuits_figure, circuits_of
from qlstm_qiskit.space import SearchSpace
from tests.nn.test_gates import genotype
from tests.speed import slow_but

NAMES = ["a", "b", "c"]


def entry(epoch: int, names=NAMES, **gates) -> dict:
    """All coefficients are the epoch, but for those of the named gates."""
    rows = [gates.get(gate, [float(epoch)] * len(names)) for gate in GATES]
    return {"epoch": epoch, "layers": [{"candidates": names, "coefficients": rows}]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    spec = RunSpec(data=DataSpec(dataset="bessel"), hidden_size=2, depth=1, epochs=1)
    return train_run(spec, tmp_path_factory.mktemp("runs") / "run")


def with_model(run: Run, **options) -> Run:
    generator = torch.Generator().manual_seed(3)
    layer = QLSTM(1, 2, batch_first=True, angle_std=1.0, generator=generator, **options)
    for weights in layer.arch_parameters():
        nn.init.normal_(weights, generator=generator)
    head = nn.Linear(2, 1, dtype=torch.float64)
    return replace(run, forecaster=Forecaster(layer, head).eval())


def ragged() -> dict:
    return {"space": genotype().spaces(), "depth": 2, "num_layers": 2}


RAGGED = ragged()
HYBRID = {"depth": 1, "n_qubits": 2, "num_layers": 2, "mixing": "softmax"}


@pytest.mark.parametrize("options", slow_but([RAGGED], [{"depth": 1}, RAGGED, HYBRID]))
def test_contributions_are_those_of_each_candidate_alone(run: Run, options: dict) -> None:
    run = with_model(run, **options)
    names, tables = contributions(run)
    windows = run.dataset.x_test[np.linspace(0, len(run.dataset.x_test) - 1, 64).astype(int)]
    sequence = torch.as_tensor(windows)
    for cell, own, table in zip(run.forecaster.recurrent.layers(), names, tables, strict=True):
        single = QLSTM(cell.input_size, 2, batch_first=True, **{k: v for k, v in options.items() if k != "num_layers"} | {
            "space": SearchSpace(fixed=cell.bank.candidates, gates=cell.bank.gates), "depth": None})  # fmt: skip
        single.cells[0].load_state_dict(state(cell, single.cells[0]))
        hidden, _ = single(sequence)
        before = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
        assert own == tuple(candidate.name for candidate in cell.bank.candidates)
        assert table.shape == (4, len(own), 4)
        sizes = np.cumsum([0, *(len(candidate.weights) for candidate in cell.bank.candidates)])
        weights = cell.bank.coefficients()
        for gate, place in np.ndindex(4, len(own)):
            if place not in cell.bank.gates[gate]:
                assert np.isnan(table[gate, place]).all()
                continue
            alone = CircuitBank([cell.bank.candidates[place]], 1, cell.bank.n_outputs)
            with torch.no_grad():
                alone.angles.copy_(cell.bank.expanded_angles()[gate, sizes[place] : sizes[place + 1]][None])
                for step in range(4):
                    values = alone(cell.angles(sequence[:, step], before[:, step]))
                    expected = float(weights[gate, place].abs() * values.square().mean().sqrt())
                    assert table[gate, place, step] == pytest.approx(expected, abs=1e-12)
        sequence = hidden


def state(cell: nn.Module, other: nn.Module) -> dict:
    """A cell's parameters in the shapes of another that keeps them flat."""
    return {name: cell.state_dict()[name].reshape(value.shape) for name, value in other.state_dict().items()}


def test_a_dropped_candidate_ends_where_it_was_dropped() -> None:
    history = [
        entry(1, input=[0.0, 0.5, 0.2]),  # zero by chance, at the start
        entry(2),
        entry(3, names=["a", "c"], forget=[3.0, 0.0]),
        entry(4, names=["a", "c"], forget=[4.0, 0.0]),
    ]
    (layer,) = layer_histories(history)
    assert layer.names == ("a", "b", "c")
    assert layer.epochs.tolist() == [1, 2, 3, 4]
    nan = np.nan
    np.testing.assert_array_equal(layer.coefficients[:, 0], [[0, 0.5, 0.2], [2, 2, 2], [3, nan, 3], [4, nan, 4]])
    np.testing.assert_array_equal(layer.coefficients[:, 1], [[1, 1, 1], [2, 2, 2], [3, nan, nan], [4, nan, nan]])
    axes = weights_figure([layer]).axes[1]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert np.array_equal(crosses[0].get_xydata(), [[2, 2], [2, 2]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a  4", "2 others, 2 dropped (x)"]
    assert layer_histories([]) == []
    alone = {"epoch": 1, "layers": [{"candidates": ["a"], "coefficients": None}]}
    assert layer_histories([alone])[0].coefficients.tolist() == [[[1.0]] * 4]


def test_the_largest_at_the_end_are_named_in_one_colour_for_all_gates() -> None:
    names = [f"c{k}" for k in range(6)]
    first = [0.1, -0.9, 0.3, 0.05, 0.8, 0.2]
    history = [entry(epoch, names=names, input=first, forget=first[::-1]) for epoch in (1, 2)]
    figure = weights_figure(layer_histories(history) * 2, "mine")
    assert len(figure.axes) == 8
    assert [axes.get_title() for axes in figure.axes[:2]] == ["input gate, layer 1", "forget gate, layer 1"]
    found = [{line.get_label(): line.get_color() for line in axes.lines if line.get_label()[0] == "c"} for axes in figure.axes]
    assert list(found[0]) == ["c1  -0.9", "c4  0.8", "c2  0.3"]
    assert list(found[1]) == ["c4  -0.9", "c1  0.8", "c3  0.3"]
    assert (found[0]["c1  -0.9"], found[0]["c4  0.8"]) == (found[1]["c1  0.8"], found[1]["c4  -0.9"])
    assert len(set(found[0].values()) | set(found[1].values())) == 4
    assert figure.get_suptitle() == "mine: weight of each candidate circuit over training"


def test_heat_maps_have_a_row_a_candidate_and_a_column_a_time_step() -> None:
    table = np.full((4, 3, 30), 0.5)
    table[2, 1] = np.nan
    figure = contributions_figure([NAMES, NAMES], [table, table * 2])
    panels, bar = figure.axes[:8], figure.axes[8]
    assert [text.get_text() for text in panels[0].get_yticklabels()] == NAMES
    assert [text.get_text() for text in panels[4].get_xticklabels()] == [str(step) for step in range(1, 31, 3)]
    assert bar.get_ylim() == (0, 1)
    assert "grey: not in the gate" in figure.get_suptitle()
    assert "grey" not in contributions_figure([NAMES], [np.zeros((4, 3, 2))]).get_suptitle()


def test_circuits_of_a_small_model_have_gate_candidate_and_weight(run: Run) -> None:
    layer = with_model(run, **ragged()).forecaster.recurrent
    drawn = circuits_of(layer)
    assert [item.candidate.name for item in drawn] == ["H-RY|linear-RY", "H-RY|linear-RY", "RX|cyclic-RX", "RY|linear-RY"]
    weight = float(list(layer.layers())[1].bank.coefficients().detach()[2, 1])
    assert drawn[2].title == f"layer 2, RX|cyclic-RX   weight in: cell {weight:.3g}"
    pixels = circuits_figure(drawn)
    assert len(pixels.axes) == 4
    alone = circuits_of(QLSTM(1, 1, space=SearchSpace.handcrafted(1)))
    assert [item.title for item in alone] == ["H-RY|linear-RY   weight in: input 1, forget 1, cell 1, output 1"]
    blind, zero = SearchSpace.product(["H-RX"], ["cyclic-RY", "linear-RX"]), SearchSpace.product(["H-RX"], ["linear-RX"])
    titles = [item.title.split("   ")[-1] for item in circuits_of(QLSTM(1, 2, depth=1, space=[blind, zero], num_layers=2))]
    assert titles == ["blind: does not depend on x", "zero: always 0", "zero: always 0"]
    assert circuits_of(run.forecaster.recurrent) == [], "36 are too many"
    x, long = ParameterVector("x", 2), QuantumCircuit(2, name="long")
    for _ in range(200):
        long.ry(x[0], 0)
        long.cx(0, 1)
    assert circuits_of(QLSTM(1, 1, space=SearchSpace.from_circuits([long], inputs=list(x)[:1]), n_qubits=2)) == []


@pytest.mark.slow
def test_pictures_are_files_in_the_run_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(run, path=tmp_path)
    history = [entry(1), entry(2)]
    assert [path.name for path in draw_architecture(run, history)] == ["weights.png", "contributions.png"]
    assert [path.name for path in draw_architecture(run, history[:1])] == ["contributions.png"]
    small = with_model(run, space=SearchSpace.handcrafted(1))
    assert [path.name for path in draw_architecture(small)] == ["circuits.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.glob("*.png"))
    classical = Forecaster(nn.LSTM(1, 2, batch_first=True), nn.Linear(2, 1))
    assert draw_architecture(replace(run, forecaster=classical), history) == []

    def too_large(run: Run) -> None:
        raise CapacityError("the states do not fit")

    monkeypatch.setattr(architecture, "contributions", too_large)
    assert draw_architecture(run) == []
