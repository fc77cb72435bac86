"""Plotly figures as plain JSON.

Colours are names that the page maps to those of its scheme, light or dark; lines that share a figure differ in dash or marker
too. Plotly reads markup in every text, so names from a run folder go through `label`.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

#: In the order in which they are given out; page.js knows their shades.
COLOURS = ("blue", "orange", "green", "purple", "red", "teal", "brown", "olive", "navy", "magenta")
INK, FAINT = "black", "gray"
DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "diamond", "square", "cross")

#: Labels on a logarithmic axis, at most about.
_MOST_LABELLED = 5
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

#: Up to this many epochs each has a label; plotly would put some between them.
_FEW_EPOCHS = 8

#: Beyond this many points a line has no markers.
_MOST_MARKED = 24


def label(text: str) -> str:
    """Text that plotly shows as it is."""
    return html.escape(text, quote=False)


def line(
    name: str,
    x: Sequence[float],
    y: Sequence[float | None],
    colour: str,
    dash: str = "solid",
    width: float = 1.8,
    **options: Any,
) -> dict[str, Any]:
    """A line, with markers where it has few points; `options` are further ones of `scatter`."""
    few = len(x) <= _MOST_MARKED
    trace = {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "name": label(name),
        "x": list(x),
        "y": list(y),
        "line": {"color": colour, "dash": dash, "width": width},
        "marker": {"color": colour, "size": 6, "symbol": MARKERS[DASHES.index(dash)]},
    }
    return trace | options


def axis(title: str, **options: Any) -> dict[str, Any]:
    """An axis with its label; `options` are further ones of it."""
    return {"title": {"text": label(title), "standoff": 8}, **options}


def log_axis(title: str, values: Iterable[float | None]) -> dict[str, Any]:
    """A logarithmic axis for `values`: a line at each power of ten, few of them labelled so that a phone has room.

    Below two decades there are lines at 1 and 3 times a power of ten, below one at 1, 2 and 5, with plain numbers.
    """
    drawn = [value for value in values if value is not None and 0 < value < math.inf] or [1.0]
    low, high = math.log10(min(drawn)), math.log10(max(drawn))
    powers = range(math.floor(low) - 1, math.ceil(high) + 2)
    if high - low < 2:
        ticks = [digit * 10.0**power for power in powers for digit in ((1, 2, 5) if high - low < 1 else (1, 3))]
        texts = [f"{tick:.1g}" for tick in ticks]
    else:
        every = math.ceil((high - low) / _MOST_LABELLED)
        ticks = [10.0**power for power in powers]
        texts = [f"10{str(power).translate(_RAISED)}" if power % every == 0 else "" for power in powers]
    ends = {}
    if sum(low <= math.log10(tick) <= high for tick in ticks) < 2:  # none that could be read off
        below, above = (tick for tick in ticks if math.log10(tick) < low), (tick for tick in ticks if math.log10(tick) > high)
        ends = {"range": [math.log10(max(below)), math.log10(min(above))]}
    return axis(title, type="log", tickmode="array", tickvals=ticks, ticktext=texts, tickangle=0, **ends)


def epoch_axis(epochs: Sequence[int]) -> dict[str, Any]:
    """The horizontal axis of what is recorded in each epoch."""
    return axis("epoch", **({"dtick": 1} if len(epochs) < _FEW_EPOCHS else {}))


def plotted(traces: Sequence[Mapping[str, Any]], x: Mapping[str, Any], y: Mapping[str, Any], **layout: Any) -> dict[str, Any]:
    """Traces and layout as JSON, after plotly has checked them."""
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    options = {
        "template": "none",
        "xaxis": x,
        "yaxis": {"automargin": True, **y},
        "legend": legend,
        "margin": {"l": 60, "r": 12, "t": 34, "b": 48},
    }
    return dict(json.loads(go.Figure(data=traces, layout=options | layout).to_json()))
