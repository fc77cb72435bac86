"""Figures of a run, drawn without a display."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.experiments import Run
from qlstm_qiskit.experiments.runs.ensemble import spread_of_rows
from qlstm_qiskit.experiments.runs.intervals import calibrated, radii_of_test, with_ends
from qlstm_qiskit.report.architecture import draw_architecture
from qlstm_qiskit.report.classes import confusion_figure
from qlstm_qiskit.report.names import drawn, in_legend, seeds_said, steps_ahead, title_of
from qlstm_qiskit.storage import write_atomically

#: Rows beyond which the last ones have a panel of their own, and how many these are.
MOST_ROWS, LAST_ROWS = 600, 200


def draw_run(run: Run) -> list[Path]:
    """Draw every figure that a run has into its folder, as PNG; return their paths.

    Args:
        run: A trained run.
    """
    first = {"forecast.png": forecast_figure} if run.header.classes is None else {"confusion.png": confusion_figure}
    figures = {name: draw(run) for name, draw in first.items()} | {"loss.png": loss_figure(run)}
    weights = structural_weights_figure(run) if len(run.members) == 1 else None
    if weights is not None:
        figures["structural_weights.png"] = weights
    paths = []
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150)
        write_atomically(run.path / name, buffer.getvalue())
        paths.append(run.path / name)
    return paths + (draw_architecture(run, run.architecture) if len(run.members) == 1 else [])


def forecast_columns(run: Run) -> dict[str, NDArray[Any]]:
    """Forecasts of all windows, one step ahead or `lead`, in original units.

    Args:
        run: A trained run.

    Returns:
        `row` of the series that is predicted, from 0; `truth`, `prediction` and `persistence` there; each (n,), training
        windows first, then those that calibrate intervals, with a gap of horizon - 1 or lead - 1 rows before each next
        part. Of a run with intervals also `lower` and `upper`, NaN before the test part; of an ensemble `spread`, its members'
        standard deviation.
    """
    data = run.dataset
    aside = [] if data.calibration is None else [data.calibration]
    parts = [(data.x_train, data.y_train), *aside, (data.x_test, data.y_test)]
    firsts = [int(rows[0]) for rows in data.rows if len(rows)]
    each = [run.each_scaled(windows) for windows, _ in parts]
    made = [run.spec.task.joint(own) for own in each]
    rows = np.concatenate(data.rows)
    truth, predicted = (
        np.concatenate([data.original(values[:, :1], first)[:, 0] for values, first in zip(part, firsts, strict=True)])
        for part in ([targets for _, targets in parts], made)
    )
    columns = {"row": rows, "truth": truth, "prediction": predicted, "persistence": data.values[rows - data.lead]}
    if len(run.members) > 1:
        columns["spread"] = spread_of_rows(run, np.concatenate(each, axis=1)[:, :, :1], rows)[:, 0]
    found = calibrated(run)
    if found is not None:
        radius = np.full(len(rows), np.nan)
        radius[len(rows) - len(data.x_test) :] = radii_of_test(run, found, made[-1])[0][:, 0]
        columns |= with_ends(predicted, radius)
    return columns


def forecast_figure(run: Run) -> Figure:
    """The series with the model's predictions, as far ahead as it predicts, and the line between training and test, in original
    units.

    Args:
        run: A trained run.
    """
    data, columns = run.dataset, forecast_columns(run)
    many = len(columns["row"]) > MOST_ROWS
    figure = Figure(figsize=(8, 6 if many else 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(1 + many, 1, place + 1) for place in range(1 + many)]
    broken = broken_at(columns, gaps_of(data))
    x, edge = broken["row"], data.first_test - 0.5
    if data.times is not None:
        steps = np.arange(len(data.values))
        moments = data.times.dates.tz_localize(None).to_numpy("datetime64[us]").astype(np.float64)
        x, edge = (np.interp(rows, steps, moments) for rows in (x, edge))
        x, edge = x.astype("datetime64[us]"), np.float64(edge).astype("datetime64[us]")
    for axes, last in zip(panels, (False, True), strict=False):
        shown = slice(-LAST_ROWS, None) if last else slice(None)
        wide = (0.5, 0.4) if many and not last else (1.6, 1.0)
        if "lower" in broken:
            level = f"{run.spec.data.interval.level:.3g}" if run.spec.data.interval is not None else ""
            ends = broken["lower"][shown], broken["upper"][shown]
            axes.fill_between(x[shown], *ends, color="C0", alpha=0.2, linewidth=0, label=f"{level} interval, test part")
        if "spread" in broken:
            around = [broken["prediction"][shown] + sign * broken["spread"][shown] for sign in (-1, 1)]
            name = f"mean ± spread of {len(run.members)} models"
            axes.fill_between(x[shown], *around, color="C2", alpha=0.4, linewidth=0, label=name)
        axes.plot(x[shown], broken["truth"][shown], color="0.45", linewidth=wide[0], label=in_legend(data.target))
        axes.plot(
            x[shown], broken["prediction"][shown], color="C0", linewidth=wide[1], label=f"prediction, {steps_ahead(data.lead)}"
        )
        if not last or x[shown][0] <= edge:
            axes.axvline(edge, color="C3", linestyle="--", linewidth=1.0, label="training | test")
        axes.set_ylabel(f"{drawn(data.target)} (original units)")
        if data.times is not None:
            locator = AutoDateLocator()  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    if many:
        panels[1].set_title(f"the last {LAST_ROWS} rows", fontsize="medium")
    panels[-1].set_xlabel("time step (row of the series)" if data.times is None else drawn(data.times.column))
    panels[0].set_title(title_of(run))
    # Within the axes it would lie over a part of the series.
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    return figure


def gaps_of(data: Dataset) -> NDArray[np.int64]:
    """Rows of a series that no line leads to: those after dates that are missing."""
    return np.empty(0, np.int64) if data.times is None else data.times.gaps()


def broken_at(columns: dict[str, NDArray[Any]], rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Columns with an empty place before each gap, so that no line is drawn across it.

    Args:
        columns: As `forecast_columns` gives them.
        rows: Of the series, before which dates are missing. Rows that no window predicts are gaps too.
    """
    known = columns["row"]
    places = np.unique(np.concatenate([np.flatnonzero(np.diff(known) > 1) + 1, np.flatnonzero(np.isin(known, rows))]))
    places = places[places > 0]
    return {
        name: np.insert(values.astype(np.float64), places, known[places] - 0.5 if name == "row" else np.nan)
        for name, values in columns.items()
    }


def loss_figure(run: Run) -> Figure:
    """Training, validation and test error after each epoch, on a logarithmic axis, and the epoch whose parameters are kept.

    Args:
        run: A trained run.
    """
    figure, axes = _figure(6, 3.6)
    epochs, task, few = [int(line["epoch"]) for line in run.history], run.spec.task, len(run.history) < 20
    lines = (
        (task.train, "training (mean over the epoch)", "C0", "-", "."),
        (task.valid, "validation (end of the epoch)", "C2", "--", "x"),
        (task.test, "test (end of the epoch)", "C1", "-", "."),
    )
    for key, label, colour, dash, marker in lines:
        if any(key in line for line in run.history):
            errors = [line.get(key, np.nan) for line in run.history]
            axes.plot(epochs, errors, label=label, color=colour, linestyle=dash, marker=marker if few else None)
            for member in run.members if len(run.members) > 1 else ():
                own = [line.get(key, np.nan) for line in member.history]
                axes.plot(range(1, len(own) + 1), own, color=colour, linestyle=dash, linewidth=0.6, alpha=0.5)
    if (kept := kept_epoch(run)) is not None:
        axes.axvline(kept[0], color="0.45", linestyle=":", linewidth=1.2, label=kept[1])
    axes.set(xlabel="epoch", ylabel=f"{task.title} ({task.unit})", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if epochs:
        axes.set_xlim(*_room([1, *epochs, *(member.epochs for member in run.members)]))
    axes.set_title(f"{run.spec.title} on {drawn(run.dataset.name)}, {seeds_said(run)}")
    axes.legend(fontsize="small")
    return figure


def kept_epoch(run: Run) -> tuple[int, str] | None:
    """The epoch whose parameters a run has, and why in words; None where no validation part was recorded with it.

    Args:
        run: A trained run.
    """
    name = run.spec.task.valid
    shown = {line["epoch"]: line[name] for line in run.history if name in line}
    if run.epochs not in shown or len(run.members) > 1:
        return None
    best = run.spec.patience and shown[run.epochs] == min(shown.values())  # an interrupted training has its last epoch
    why = "lowest validation error" if best else "the last"
    return run.epochs, f"kept: epoch {run.epochs}, {why}"


def _room(epochs: list[int]) -> tuple[float, float]:
    """Limits of the axis of epochs, which never show a part of one alone."""
    first, last = min(epochs), max(epochs)
    margin = max(0.05 * (last - first), 0.5)
    return first - margin, last + margin


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
