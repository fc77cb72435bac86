"""What lags and features add to predictions, on the page of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.errors import installing
from qlstm_qiskit.experiments import Attribution, Run, attribute
from qlstm_qiskit.experiments.runs.attribution import has_captum
from qlstm_qiskit.experiments.runs.shots import MOST_QUBITS, widest_circuit
from qlstm_qiskit.report.names import steps_ahead
from qlstm_qiskit.report.pages.content import Panels, Plot, Section, Text, csv_file, number
from qlstm_qiskit.report.pages.figures import INK, axis, label, plotted

#: Few windows and few points on the way: a page is made in seconds.
_WINDOWS, _NODES = 24, 16

#: Cells beside one another beyond which they have no numbers.
_MOST_NUMBERED = 8

_BLUE, _ORANGE = "rgba(70, 130, 220, 0.75)", "rgba(230, 120, 20, 0.75)"
_NONE = "rgba(128, 128, 128, 0.05)"


def attribution_section(run: Run) -> Iterator[Section]:
    """Heat maps of lags and features: their mean size over test windows, and the last one; words where that would take long.

    Args:
        run: The run.
    """
    title = "Attribution"
    if not has_captum():
        yield Section(title, [Text(f"Needs captum: {installing('explain')}.")])
        return
    if len(run.members) > 1 and run.header.classes is not None:
        yield Section(title, [Text("Of classes it is that of one model: see the page of a member.")])
        return
    widest = widest_circuit(run)
    if widest > MOST_QUBITS:
        yield Section(title, [Text(f"On {widest} qubits it takes minutes; use qlstm attribute RUN.")])
        return
    windows = run.dataset.x_test
    places = np.unique(np.linspace(0, len(windows) - 1, _WINDOWS).round().astype(int))
    found = attribute(run, windows[places], nodes=_NODES)
    classes = run.header.classes
    output = 0 if classes is None else int(found.predictions[-1].argmax())
    if classes is not None:
        what, newest = f"the score of class {classes.values[output]!r}, which it is given", "Lag 1 is a window's last row"
    elif found.lead > 1:
        what, newest = (
            f"the value {steps_ahead(found.lead)}",
            f"A window ends {found.lead} rows before the one that it predicts",
        )
    else:
        what, newest = "the next value", "Lag 1 is the row before the first that is predicted"
    made = "a prediction, in scaled units" if classes is None else "the score of a class"
    text = (
        f"Integrated gradients: what each lag of each feature adds to {made}, against the mean of the "
        f"training windows. {newest}. Values of a window add up to its prediction less that of the mean window, within "
        f"{number(found.gap)}."
    )
    size, last = np.abs(found.values).mean(axis=(0, 3)), found.values[-1, :, :, output]
    outputs = "" if found.values.shape[3] == 1 else f" and all {found.values.shape[3]} outputs"
    plots = [
        _map(found, "attribution", size, f"Mean size over {len(places)} windows spread over the test part{outputs}.", 0.0),
        _map(found, "attribution-last", last, f"The last test window: {what}.", -1.0),
    ]
    yield Section(title, [Text(text), Panels(plots)])


def _map(found: Attribution, name: str, values: NDArray[np.float64], caption: str, low: float) -> Plot:
    """Values (lags, features) as colours; `low` is the end of the scale, in units of the largest."""
    names, lags = [label(own) for own in found.features], list(found.lags)
    largest = float(np.abs(values).max()) or 1.0
    numbered = len(lags) <= _MOST_NUMBERED
    cells: dict[str, Any] = {
        "type": "heatmap",
        "x": lags,
        "y": list(range(len(names))),
        "z": values.T.tolist(),
        "zmin": low * largest,
        "zmax": largest,
        "colorscale": [[0, _NONE], [1, _BLUE]] if low == 0 else [[0, _ORANGE], [0.5, _NONE], [1, _BLUE]],
        "showscale": not numbered,
        "colorbar": {"thickness": 12, "tickfont": {"color": INK}, "nticks": 5},
        "xgap": 1,
        "ygap": 1,
        "textfont": {"color": INK},
        "customdata": [[own] * len(lags) for own in names],
        "hovertemplate": "%{customdata}, lag %{x}: %{z:.3g}<extra></extra>",
    }
    cells |= {"texttemplate": "%{z:.2g}"} if numbered else {}
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
    steps = {"dtick": 1 if numbered else max(1, len(lags) // 6)}
    figure = plotted(
        [cells],
        axis("lag (rows)", autorange="reversed", showgrid=False, zeroline=False, **steps),
        axis("feature", autorange="reversed", showgrid=False, zeroline=False, **ticks),
        margin={"l": 60, "r": 12, "t": 12, "b": 48},
    )
    columns = {
        "lag": [lag for lag in lags for _ in names],
        "feature": [own for _ in lags for own in found.features],
        "value": values.ravel().tolist(),
    }
    return Plot(name, caption, figure, csv_file(name, columns), height=min(130 + 34 * len(names), 900))
