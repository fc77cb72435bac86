"""What the page of a run says of its classes."""

from __future__ import annotations

from typing import Any

from qlstm_qiskit.experiments import Run
from qlstm_qiskit.report.classes import MOST_COUNTED, MOST_NAMED, Confusion
from qlstm_qiskit.report.pages.content import DataGrid, Plot, Section, Text, csv_file
from qlstm_qiskit.report.pages.figures import INK, axis, label, plotted

#: Characters of a name on an axis beyond which it is cut, so that a phone has room for the cells; tables have all of them.
_LONGEST = 20


def accuracy_said(run: Run) -> list[str]:
    """Accuracy on the test part, beside that of the most frequent class; nothing of other runs.

    Args:
        run: A trained run.
    """
    if run.header.classes is None:
        return []
    own, naive = (run.metrics[name]["accuracy"] for name in ("test", *run.spec.task.naive))
    return [
        f"{own:.1%} of the test windows are classified correctly; {naive:.1%} if all were taken for the most frequent class."
    ]


def classes_section(run: Run) -> Section:
    """The confusion matrix of the test part, and recall and precision of each class.

    Args:
        run: A trained run of classes.
    """
    found = Confusion.of(run)
    about = (
        f"Each test window is given the class of {run.header.target!r} with the highest probability. Rows are true "
        "classes, columns predicted ones."
    )
    caption = (
        "On the test part. Recall is the part of a class that is found, precision the part of its predictions that is right."
    )
    header = ["class", "test windows", "recall", "precision"]
    return Section("Classes", [Text(about), confusion_plot(found), DataGrid(caption, header, found.rows())])


def confusion_plot(found: Confusion) -> Plot:
    """The confusion matrix, coloured by the share of the windows of a class.

    Args:
        found: The matrix of a run.
    """
    n, shares, short = len(found.names), found.shares, [label(name) for name in found.short(_LONGEST)]
    places, names = list(range(n)), [label(name) for name in found.names]
    ticks = {"tickmode": "array", "tickvals": places, "ticktext": short} if n <= MOST_NAMED else {}
    cells: dict[str, Any] = {
        "type": "heatmap",
        "x": places,
        "y": places,
        "z": shares.tolist(),
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "rgba(70, 130, 220, 0.06)"], [1, "rgba(70, 130, 220, 0.7)"]],
        "textfont": {"color": INK},
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "text": [[f"{count:,}" for count in row] for row in found.counts.tolist()],
        "customdata": [[[names[true], names[predicted]] for predicted in places] for true in places],
        "hovertemplate": "%{customdata[0]} predicted as %{customdata[1]}: %{text} (%{z:.1%} of the class)<extra></extra>",
    }
    cells |= {"texttemplate": "%{text}"} if n <= MOST_COUNTED else {}
    turned = {"tickangle": -90} if n > 4 or max(map(len, short)) > 10 else {"tickangle": 0}
    figure = plotted(
        [cells],
        axis("predicted class", automargin=True, showgrid=False, zeroline=False, **ticks, **turned),
        axis("true class", autorange="reversed", showgrid=False, zeroline=False, **ticks),
    )
    right = int(found.counts.trace())
    caption = f"{right:,} of {int(found.counts.sum()):,} test windows are classified correctly; colours are shares of a row."
    columns = {
        "true": found.names,
        **{f"predicted {name}": found.counts[:, place].tolist() for place, name in enumerate(found.names)},
    }
    room = 7 * max(map(len, short)) if n <= MOST_NAMED else 0
    return Plot("confusion", caption, figure, csv_file("confusion", columns), height=min(160 + 34 * n + room, 900))
