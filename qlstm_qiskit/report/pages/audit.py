"""The page of an audit: the answer, what was replaced and kept, the errors in pairs, their tests, and the limits."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from qlstm_qiskit.experiments.studies.audited import Audit, load_audit
from qlstm_qiskit.report.audit import errors, limits, protocol, said_of, sizes, verdicts
from qlstm_qiskit.report.pages.content import (
    DataGrid,
    Download,
    Listing,
    Page,
    Panels,
    Plot,
    Section,
    Text,
    csv_file,
    json_file,
    stacked,
)
from qlstm_qiskit.report.pages.figures import COLOURS, FAINT, INK, MARKERS, axis, label, log_axis, plotted
from qlstm_qiskit.report.table import TablePart


def audit_page(path: Path) -> Page:
    """The page of a folder that `qlstm audit` has made.

    Raises:
        RunError: Its audit.json is missing or damaged.
    """
    audit = load_audit(path)
    lead = [
        audit.answer,
        f"The circuits of {audit.model}, trained on {audit.dataset}, were replaced by classical maps of the same inputs and "
        f"outputs and about as many parameters; all else was kept. Each was trained with the same seeds ({len(audit.seeds)}).",
    ]
    found = [Text(sentence) for sentence in said_of(audit)]
    numbers = json_file("audit", audit.model_dump(mode="json"))
    sections = [
        Section("Verdicts", [*found, _grid(verdicts(audit), ("verdict",), numbers)]),
        Section("Errors in pairs", [Panels([_ratios(audit), _pairs(audit)])]),
        Section(
            "What was replaced and what was kept",
            [Text(protocol(audit)[0]), _grid(sizes(audit), ("in the place of circuits",))],
        ),
        Section("Errors and cost", [_grid(errors(audit))]),
        Section("Protocol", [Text(text) for text in protocol(audit)[1:]]),
        Section("Limits", [Text(text) for text in limits(audit)]),
        Section("Make it again", [Listing(_command(audit))]),
    ]
    return Page("audit", f"Is it the circuit? {audit.model} on {audit.dataset}", lead, sections)


def _grid(part: TablePart, left: tuple[str, ...] = (), download: Download | None = None) -> DataGrid:
    return DataGrid(part.about, part.header, stacked(part.rows), left=left, download=download)


def _marked(place: int, name: str, x: list[Any], y: list[Any], text: list[str], **options: Any) -> dict[str, Any]:
    """Points in the colour and shape of a map, by its place."""
    mark = {"color": COLOURS[place % len(COLOURS)], "symbol": f"{MARKERS[place % len(MARKERS)]}-open", "size": 8}
    hover = {
        "type": "scatter",
        "mode": "markers",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": mark,
        "cliponaxis": False,
    }
    return hover | {"name": label(name), "x": x, "y": y, "text": text} | options


def _of_map(audit: Audit, row: str) -> list[tuple[int, float, float]]:
    """Seed, error with circuits and error with the map, where both trainings ended, and neither error is 0."""
    own = {one.row: one.errors for one in audit.rows}
    pairs = zip(audit.seeds, own[audit.rows[0].row], own[row], strict=True)
    return [(seed, a, b) for seed, a, b in pairs if a and b]


def _add(columns: dict[str, list[Any]], *more: list[Any]) -> None:
    """Append to each column."""
    for column, values in zip(columns.values(), more, strict=True):
        column += values


def _ratios(audit: Audit) -> Plot:
    rows, traces, drawn = [test.row for test in audit.tests], [], [1.0]
    columns: dict[str, list[Any]] = {"map": [], "seed": [], "factor": []}
    for place, row in enumerate(rows):
        found = [(seed, b / a) for seed, a, b in _of_map(audit, row)]
        text = [f"{label(row)}, seed {seed}: {factor:.3g}" for seed, factor in found]
        factors = [factor for _, factor in found]
        traces.append(_marked(place, row, factors, [place] * len(found), text, showlegend=False))
        _add(columns, [row] * len(found), [seed for seed, _ in found], factors)
        drawn += factors
    traces.append(_estimates(audit))
    ticks = {"tickvals": list(range(len(rows))), "ticktext": list(map(label, rows)), "range": [len(rows) - 0.4, -0.6]}
    one = {
        "type": "line",
        "x0": 1,
        "x1": 1,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": FAINT, "dash": "dash", "width": 1.2},
    }
    horizontal = log_axis("error with the map / error with circuits", drawn)
    figure = plotted(traces, horizontal, axis("map", zeroline=False, **ticks), hovermode="closest", shapes=[one])
    caption = "Each seed, with the estimated factor and its 95 % interval: right of the line the circuits are better."
    return Plot("factors", caption, figure, csv_file("factors", columns), height=360)


def _estimates(audit: Audit) -> dict[str, Any]:
    """Factors with their intervals, below the seeds."""
    known = [(place, test, test.factor) for place, test in enumerate(audit.tests) if test.factor]
    ends = [test.interval if test.interval is not None else (factor, factor) for _, test, factor in known]
    pairs = list(zip(known, ends, strict=True))
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [(high or factor) - factor for (_, _, factor), (_, high) in pairs],
        "arrayminus": [factor - (low or factor) for (_, _, factor), (low, _) in pairs],
        "color": INK,
        "width": 5,
    }
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "factor, 95 % interval",
        "x": [factor for *_, factor in known],
        "y": [place + 0.25 for place, *_ in known],
        "text": [f"{label(test.row)}: factor {factor:.3g}" for _, test, factor in known],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": INK, "size": 8, "symbol": "circle"},
        "error_x": bars,
    }


def _pairs(audit: Audit) -> Plot:
    traces: list[dict[str, Any]] = []
    columns: dict[str, list[Any]] = {"map": [], "seed": [], "circuits": [], "error": []}
    drawn: list[float] = []
    for place, test in enumerate(audit.tests):
        found = _of_map(audit, test.row)
        text = [f"{label(test.row)}, seed {seed}: {a:.3g} with circuits, {b:.3g} without" for seed, a, b in found]
        x, y = [a for _, a, _ in found], [b for *_, b in found]
        traces.append(_marked(place, test.row, x, y, text))
        _add(columns, [test.row] * len(found), [seed for seed, *_ in found], x, y)
        drawn += x + y
    ends = [min(drawn, default=1.0), max(drawn, default=1.0)]
    line = {"color": FAINT, "dash": "dash", "width": 1.2}
    traces.append(
        {"type": "scatter", "mode": "lines", "x": ends, "y": ends, "line": line, "showlegend": False, "hoverinfo": "skip"}
    )
    figure = plotted(
        traces, log_axis("test MSE with circuits", ends), log_axis("test MSE with the map", ends), hovermode="closest"
    )
    caption = "Each seed as a point: above the line the circuits have the lower error."
    return Plot("pairs", caption, figure, csv_file("pairs", columns), height=360)


def _command(audit: Audit) -> str:
    options = {"seeds": len(audit.seeds), "banks": ",".join(test.row for test in audit.tests), "epochs": audit.epochs}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return shlex.join(["qlstm", "audit", "RUN", *words, "--out", "again"])
