"""Plotly figures as plain JSON.

Colours are names that the page maps to those of its scheme, light or dark; lines that share a figure differ in dash or marker
too. Plotly reads markup in every text, so names from a run folder go through `label`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

#: In the order in which they are given out; page.js knows their shades.
COLOURS = ("blue", "orange", "green", "purple", "red", "teal", "brown", "olive", "navy", "magenta")
INK, FAINT = "black", "gray"
DASHES = ("solid", "dash", "dot", "dashdot")
MARKERS = ("circle", "diamond", "square", "cross")

#: Beyond so many points a line has no markers.
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
    """An axis with its label; `options` are further ones of it. Ticks of a logarithmic one are powers of ten."""
    logarithmic = {"exponentformat": "power", "dtick": 1} if options.get("type") == "log" else {}
    return {"title": {"text": label(title), "standoff": 8}, "automargin": True, **logarithmic, **options}


def plotted(traces: Sequence[Mapping[str, Any]], x: Mapping[str, Any], y: Mapping[str, Any], **layout: Any) -> dict[str, Any]:
    """Traces and layout as JSON, after plotly has checked them."""
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    options = {"template": "none", "xaxis": x, "yaxis": y, "legend": legend, "margin": {"l": 56, "r": 12, "t": 34, "b": 44}}
    return dict(json.loads(go.Figure(data=traces, layout=options | layout).to_json()))
