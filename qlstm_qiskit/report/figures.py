"""Figures of a run, drawn without a display."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from qlstm_qiskit.experiments import Run
from qlstm_qiskit.report.architecture import draw_architecture
from qlstm_qiskit.report.names import drawn, in_legend
from qlstm_qiskit.storage import write_atomically


def draw_run(run: Run) -> list[Path]:
    """Draw every figure that a run has into its folder, as PNG; return their paths.

    Args:
        run: A trained run.
    """
    figures = {"forecast.png": forecast_figure(run), "loss.png": loss_figure(run)}
    weights = structural_weights_figure(run)
    if weights is not None:
        figures["structural_weights.png"] = weights
    paths = []
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
        write_atomically(run.path / name, buffer.getvalue())
        paths.append(run.path / name)
    return paths + draw_architecture(run, run.architecture)


def forecast_columns(run: Run) -> dict[str, NDArray[Any]]:
    """One-step forecasts of all windows, in original units.

    Args:
        run: A trained run.

    Returns:
        `row` of the series that is predicted, from 0; `truth`, `prediction` and `persistence` there; each (n,), training
        windows first, a gap of horizon - 1 rows before the test part.
    """
    data = run.dataset
    predicted = np.concatenate([run.predict(data.x_train), run.predict(data.x_test)])[:, :1]
    rows = np.concatenate([data.window + np.arange(len(data.x_train)), data.n_known + np.arange(len(data.x_test))])
    truth = np.concatenate([data.y_train, data.y_test])[:, :1]
    truth, predicted = (data.target_scaler.inverse(values)[:, 0] for values in (truth, predicted))
    return {"row": rows, "truth": truth, "prediction": predicted, "persistence": data.values[rows - 1]}


def forecast_figure(run: Run) -> Figure:
    """The series with the model's one-step predictions and the line between training and test, in original units.

    Args:
        run: A trained run.
    """
    data, columns = run.dataset, forecast_columns(run)
    figure, axes = _figure(8, 3.6)
    axes.plot(columns["row"], columns["truth"], color="0.45", linewidth=1.6, label=in_legend(data.target))
    axes.plot(columns["row"], columns["prediction"], color="C0", linewidth=1.0, label="prediction, one step ahead")
    axes.axvline(data.n_known - 0.5, color="C3", linestyle="--", linewidth=1.0, label="training | test")
    axes.set(xlabel="time step (row of the series)", ylabel=f"{drawn(data.target)} (original units)")
    axes.set_title(f"{run.spec.title} on {drawn(data.name)}, {run.epochs} epochs, seed {run.spec.seed}")
    axes.legend(loc="best", fontsize="small")
    return figure


def loss_figure(run: Run) -> Figure:
    """Training and test error after each epoch, on a logarithmic axis.

    Args:
        run: A trained run.
    """
    figure, axes = _figure(6, 3.6)
    epochs = [line["epoch"] for line in run.history]
    task = run.spec.task
    for key, label in ((task.train, "training (mean over the epoch)"), (task.test, "test (end of the epoch)")):
        axes.plot(epochs, [line[key] for line in run.history], label=label, marker="." if len(epochs) < 20 else None)
    axes.set(xlabel="epoch", ylabel=f"{task.title} (scaled units)", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{run.spec.title} on {drawn(run.dataset.name)}, seed {run.spec.seed}")
    axes.legend(fontsize="small")
    return figure


def structural_weights_figure(run: Run) -> Figure | None:
    """Heat map of the coefficients, gates x candidates, for each layer; None for a model that has none.

    Args:
        run: A trained run.
    """
    recurrent = run.forecaster.circuits
    if recurrent is None:
        return None
    banks = [cell.bank for cell in recurrent.layers()]
    tables = [weights.detach().cpu().numpy() for bank in banks if (weights := bank.coefficients()) is not None]
    if not tables:
        return None
    names = [drawn(candidate.name) for candidate in banks[0].candidates]
    figure = Figure(figsize=(max(5.6, 2.2 + 0.24 * len(names)), 1.0 + 2.4 * len(tables)), layout="constrained")
    FigureCanvasAgg(figure)
    limit = max(float(np.abs(table).max()) for table in tables)
    for layer, table in enumerate(tables):
        axes = figure.add_subplot(len(tables), 1, layer + 1)
        image = axes.imshow(table, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.set_yticks(range(len(recurrent.gate_names)), recurrent.gate_names)
        axes.set_ylabel(", ".join(filter(None, ("gate", recurrent.cell_names[layer]))))
        last = layer == len(tables) - 1
        axes.set_xticks(range(len(names)), names if last else [""] * len(names), rotation=90, fontsize="x-small")
        figure.colorbar(image, ax=axes, label="structural weight")
    figure.suptitle(f"{run.spec.title} on {drawn(run.dataset.name)}: weight of each candidate circuit", fontsize="medium")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()
