"""Figures of a run's page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.experiments import Run
from qlstm_qiskit.nn import Recurrent
from qlstm_qiskit.report.architecture import LayerHistory, gate_title, layer_histories
from qlstm_qiskit.report.figures import broken_at, forecast_columns, gaps_of, kept_epoch
from qlstm_qiskit.report.names import steps_ahead
from qlstm_qiskit.report.pages.content import Plot, Section, Text, csv_file
from qlstm_qiskit.report.pages.figures import COLOURS, DASHES, FAINT, INK, axis, epoch_axis, label, line, log_axis, plotted

#: Of an interval: blue through which lines are seen, on light and dark paper.
_SHADE = "rgba(70, 130, 220, 0.25)"

#: Of the spread of an ensemble: green.
_SPREAD = "rgba(60, 160, 90, 0.35)"

#: Rows beyond which a page holds some of them, so that it stays below 2 MB, and how many of the last ones are whole then.
MOST_ROWS, LAST_ROWS = 1000, 300

#: Candidates of a gate that are drawn in colour.
_MOST_NAMED = 3


def forecast_section(run: Run) -> Section:
    """The forecast of the series, one step ahead or as many as the model predicts."""
    far = steps_ahead(run.dataset.lead)
    text = (
        f"{far[0].upper()}{far[1:]}, in the series' own units. The buttons show a part of it; with a mouse, drag over what is "
        "to be larger, and double-click for all."
    )
    if run.dataset.change is not None:
        text += f" The model learns {run.dataset.change.words}; forecasts and errors are of the series itself."
    return Section("Forecast", [Text(text), forecast_plot(run)])


def forecast_plot(run: Run) -> Plot:
    """Truth, prediction and persistence of all windows, with buttons for each part."""
    data, columns = run.dataset, forecast_columns(run)
    n_test, rows = len(data.x_test), columns["row"].tolist()
    n_train = len(rows) - n_test  # and those that calibrate
    ends = rows[0] - 0.5, rows[n_train] - 0.5, rows[-1] + 0.5
    broken, thinned = thin(broken_at(columns, gaps_of(data)) if len(gaps_of(data)) else columns)
    x, name, dates = broken["row"].tolist(), "row of the series (time step)", {}
    if data.times is not None:
        known = [f"{day}-01-01" if data.times.years else str(day) for day in data.times.written()]
        x, name, dates = [known[math.ceil(row)] for row in x], data.times.column, {"type": "date"}
        ends = known[rows[0]], known[rows[n_train]], known[rows[-1]]
    first, edge, last = ends
    drawn = {key: _plain(broken[key], digits=7) for key in list(broken)[1:]}  # more are not seen, and do not compress
    traces = [
        *_band(run, x, drawn),
        *_spread(run, x, broken),
        line(data.target, x, drawn["truth"], INK, width=2.4, mode="lines", opacity=0.55),
        line("persistence", x, drawn["persistence"], "orange", "dot", 1.4, mode="lines"),
        line("prediction", x, drawn["prediction"], "blue", width=1.6, mode="lines"),
    ]
    figure = plotted(
        traces,
        axis(name, range=[first, last], **dates),
        axis(f"{data.target} (original units)", exponentformat="power", minexponent=9, separatethousands=True),
        hovermode="x unified",
        **_border(edge),
    )
    counts = {"training": len(data.x_train), "calibration": n_train - len(data.x_train), "test": n_test}
    parts = [name for name, count in counts.items() for _ in range(count)]
    views = {
        "whole series": (first, last),
        "training part": (first, edge),
        "test part": (edge, last),
    }
    if thinned:
        views[f"last {LAST_ROWS} rows"] = (x[-LAST_ROWS], last)
    when = {} if data.times is None else {"date": [known[row] for row in rows]}
    content = {"row": rows, **when, "part": parts, **{key: _plain(columns[key]) for key in list(columns)[1:]}}
    download = csv_file("forecast", {key: values[-MOST_ROWS:] for key, values in content.items()})
    said = [f"{count:,} {name}" for name, count in counts.items() if count]
    caption = f"{data.target} and its forecasts {steps_ahead(data.lead)}, {', '.join(said[:-1])} and {said[-1]} windows."
    caption += _within(run, columns) + thinned
    return Plot("forecast", caption, figure, download, height=400, views=views)


def thin(columns: Mapping[str, NDArray[Any]]) -> tuple[Mapping[str, NDArray[Any]], str]:
    """Columns of many rows as fewer: the lowest and the highest of each line among so many rows, and the last ones whole.

    Args:
        columns: As `forecast_columns` gives them, with empty places at gaps, which are kept.

    Returns:
        The columns, and what was left out as a sentence; empty where nothing was.
    """
    n, names = len(columns["row"]), list(columns)[1:]
    if n <= MOST_ROWS:
        return columns, ""
    group = -(-(n - LAST_ROWS) * 2 * len(names) // (MOST_ROWS - LAST_ROWS))
    kept = [np.arange(n - LAST_ROWS, n), np.flatnonzero(np.isnan(columns["truth"]))]
    for start in range(0, n - LAST_ROWS, group):
        for name in names:
            part = columns[name][start : min(start + group, n - LAST_ROWS)]
            known = np.flatnonzero(~np.isnan(part))
            if len(known):
                kept.append(start + known[[np.argmin(part[known]), np.argmax(part[known])]])
    places = np.unique(np.concatenate(kept))
    said = (
        f" Lines show the lowest and the highest of each {group} rows, and all of the last {LAST_ROWS}; the file holds the "
        f"last {MOST_ROWS:,} of {n:,} rows."
    )
    return {name: values[places] for name, values in columns.items()}, said


def _band(run: Run, x: Sequence[Any], drawn: Mapping[str, list[float | None]]) -> list[dict[str, Any]]:
    """The interval of each test window, as an area between two lines that are not drawn; nothing of a run without intervals."""
    interval = run.spec.data.interval
    if interval is None:
        return []
    known = [place for place, end in enumerate(drawn["lower"]) if end is not None]
    places = [x[place] for place in known]
    unseen: dict[str, Any] = {"mode": "lines", "width": 0, "legendgroup": "interval"}
    low, high = ([drawn[name][place] for place in known] for name in ("lower", "upper"))
    name = f"{interval.level:.3g} interval"
    return [
        line(f"{name}, lower end", places, low, "blue", showlegend=False, **unseen),
        line(name, places, high, "blue", fill="tonexty", fillcolor=_SHADE, **unseen),
    ]


def _spread(run: Run, x: Sequence[Any], columns: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """An ensemble's mean and one standard deviation of its members on either side, as an area; nothing of other runs."""
    if "spread" not in columns:
        return []
    unseen: dict[str, Any] = {"mode": "lines", "width": 0, "legendgroup": "spread"}
    low, high = (_plain(columns["prediction"] + sign * columns["spread"], digits=7) for sign in (-1, 1))
    name = f"mean ± spread of {len(run.members)} models"
    return [
        line(f"{name}, lower end", x, low, "green", showlegend=False, **unseen),
        line(name, x, high, "green", fill="tonexty", fillcolor=_SPREAD, **unseen),
    ]


def _within(run: Run, columns: Mapping[str, Any]) -> str:
    """How many test values lie within their intervals, as a sentence; empty for a run without intervals."""
    interval = run.spec.data.interval
    if interval is None:
        return ""
    inside = (columns["lower"] <= columns["truth"]) & (columns["truth"] <= columns["upper"])
    share = inside.sum() / len(run.dataset.x_test)
    return f" The band, an interval of level {interval.level:g} ({interval.method}), holds {share:.1%} of the test values."


def _border(edge: Any) -> dict[str, Any]:
    """The line between training and test."""
    dashed = {"color": INK, "dash": "dash", "width": 1}
    border = {"type": "line", "x0": edge, "x1": edge, "y0": 0, "y1": 1, "yref": "paper", "line": dashed}
    words = [
        {"x": edge, "y": 1, "yref": "paper", "yanchor": "top", "xanchor": side, "text": text, "showarrow": False}
        for side, text in (("right", "training "), ("left", " test"))
    ]
    return {"shapes": [border], "annotations": words}


def loss_plot(run: Run) -> Plot:
    """Errors after each epoch, on a logarithmic axis."""
    epochs = [int(entry["epoch"]) for entry in run.history]
    task = run.spec.task
    named = {task.train: "training, mean over the epoch", task.valid: "validation", task.test: "test"}
    styles = {task.train: ("blue", "solid"), task.valid: ("orange", "dash"), task.test: (INK, "dot")}
    kept = {key: [entry.get(key) for entry in run.history] for key in named}
    kept = {key: values for key, values in kept.items() if any(value is not None for value in values)}
    traces = [line(named[key], epochs, values, *styles[key]) for key, values in kept.items()]
    for key in kept if len(run.members) > 1 else ():
        for place, member in enumerate(run.members):
            own = [entry.get(key) for entry in member.history]
            thin_line: dict[str, Any] = {"mode": "lines", "showlegend": False, "opacity": 0.45, "width": 0.8}
            traces.append(line(f"{named[key]}, member {place}", list(range(1, len(own) + 1)), own, *styles[key], **thin_line))
    figure = plotted(
        traces,
        epoch_axis(epochs),
        log_axis(f"{task.title} ({task.unit})", [value for values in kept.values() for value in values]),
        hovermode="x unified",
        **({} if (marked := kept_epoch(run)) is None else _kept(*marked, late=2 * marked[0] > epochs[-1])),
    )
    caption = f"{task.words.capitalize()} after each epoch, logarithmic axis."
    if len(run.members) > 1:
        caption += f" The mean of {len(run.members)} members, as far as all were trained, and each of them in thin lines."
    return Plot("loss", caption, figure, csv_file("loss", {"epoch": epochs, **kept}))


def _kept(epoch: int, words: str, *, late: bool) -> dict[str, Any]:
    """The line at the epoch whose parameters are kept, with words on the side that has room: the left one if it is late."""
    dotted = {"color": INK, "dash": "dot", "width": 1}
    line = {"type": "line", "x0": epoch, "x1": epoch, "y0": 0, "y1": 1, "yref": "paper", "line": dotted}
    place = {"x": epoch, "y": 1, "yref": "paper", "yanchor": "top", "xanchor": "right" if late else "left"}
    return {"shapes": [line], "annotations": [place | {"text": f" {words} ", "showarrow": False}]}


def weight_plots(history: Sequence[Mapping[str, Any]], recurrent: Recurrent[Any] | None = None) -> Iterator[Plot]:
    """A figure for each layer and gate that sums over several candidates; none of a history of one epoch."""
    if len(history) < 2:
        return
    layers = layer_histories(history, recurrent)
    for number, layer in enumerate(layers):
        if len(layer.names) < 2:
            continue
        for gate, name in enumerate(layer.gates):
            yield _weights(layer, gate, gate_title(layers, number, gate), f"weights-{number + 1}-{name}")


def _weights(layer: LayerHistory, gate: int, where: str, name: str) -> Plot:
    values, epochs = layer.coefficients[:, gate], layer.epochs.tolist()
    last = np.nan_to_num(np.abs(values[-1]))
    leading = [int(c) for c in np.argsort(-last, kind="stable")[:_MOST_NAMED] if last[c] > 0]
    there = [c for c in range(len(layer.names)) if not np.isnan(values[:, c]).all()]
    others = [c for c in there if c not in leading]
    traces = []
    for place, c in enumerate(others):
        few = {"name": f"{len(others)} other{'s' * (len(others) > 1)}", "showlegend": place == 0, "legendgroup": "others"}
        hover = {"text": label(layer.names[c]), "hovertemplate": "%{text}: %{y:.3g}<extra></extra>"}  # a name may hold %{x}
        traces.append(line("", epochs, _plain(values[:, c]), FAINT, width=1, mode="lines", **hover) | few)
    for place, c in enumerate(leading):
        traces.append(line(layer.names[c], epochs, _plain(values[:, c]), COLOURS[place], DASHES[place], 2))
    figure = plotted(traces, epoch_axis(epochs), axis("coefficient (no unit)"), showlegend=True)
    dropped = int(np.isnan(values[-1, there]).sum())
    caption = f"{where.capitalize()}: {len(there)} candidate{'s' * (len(there) > 1)}"
    caption += f", of which the search has dropped {dropped} (their lines end)." if dropped else "."
    columns = {"epoch": epochs} | {layer.names[c]: _plain(values[:, c]) for c in there}
    return Plot(name, caption, figure, csv_file(name, columns), height=320)


def _plain(values: Any, digits: int = 17) -> list[float | None]:
    return [None if np.isnan(value) else float(f"{value:.{digits}g}") for value in values]
