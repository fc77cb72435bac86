"""The curves of a training: its errors, the epoch that is kept, and ticks at whole epochs."""

from itertools import pairwise
from pathlib import Path

from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, load_run, train_run
from qlstm_qiskit.report import loss_figure
from qlstm_qiskit.report.pages.run_figures import loss_plot


def trained(path: Path, **options) -> Run:
    spec = RunSpec(data=DataSpec(dataset="nile"), model="lstm", hidden_size=2, **options)
    return load_run(train_run(spec, path).path)


def test_epochs_have_whole_and_round_ticks(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epochs=1)
    for epochs, step in ((1, set()), (2, {1}), (9, {1}), (18, {2}), (120, {20}), (1000, {200})):
        run.__dict__["history"] = [run.history[0] | {"epoch": epoch} for epoch in range(1, epochs + 1)]
        figure = loss_figure(run)
        (axes,) = figure.axes
        figure.canvas.draw()
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert all(tick == int(tick) for tick in ticks)
        assert {int(b - a) for a, b in pairwise(ticks)} == step
        assert ticks


def test_a_validation_part_has_a_curve(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epochs=3, valid_fraction=0.2)
    (axes,) = loss_figure(run).axes
    curves = {line.get_label().split(" (")[0]: list(line.get_ydata()) for line in axes.lines}
    for name in ("training", "validation", "test"):
        key = {"training": "train_mse", "validation": "valid_mse", "test": "test_mse"}[name]
        assert curves[name] == [line[key] for line in run.history]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_label() == "kept: epoch 3, the last"] == [3]
    layout = loss_plot(run).figure["layout"]
    assert [(shape["x0"], shape["x1"]) for shape in layout["shapes"]] == [(3, 3)]
    assert layout["annotations"][0]["text"].strip() == "kept: epoch 3, the last"


def test_the_kept_epoch_is_the_best_with_patience(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epochs=12, valid_fraction=0.2, patience=3, lr=0.05)
    assert run.epochs < 12
    labels = [line.get_label() for line in loss_figure(run).axes[0].lines]
    assert f"kept: epoch {run.epochs}, lowest validation error" in labels
    run.history[0]["valid_mse"] = 0.0  # as after Ctrl-C, which leaves the last epoch
    labels = [line.get_label() for line in loss_figure(run).axes[0].lines]
    assert f"kept: epoch {run.epochs}, the last" in labels


def test_without_a_validation_part_there_are_two_curves(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", epochs=2)
    assert len(loss_figure(run).axes[0].lines) == 2
    assert "shapes" not in loss_plot(run).figure["layout"]
