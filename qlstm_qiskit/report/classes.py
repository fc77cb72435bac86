"""The confusion matrix of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from qlstm_qiskit.data.labels import spoken
from qlstm_qiskit.experiments import Run
from qlstm_qiskit.report.names import drawn, title_of

#: Classes beyond which cells have no numbers, and beyond which axes have no names.
MOST_COUNTED, MOST_NAMED = 24, 60
#: Characters of a name beyond which it is cut.
_LONGEST = 28


@dataclass(frozen=True, eq=False)
class Confusion:
    """Test windows by their true class and the predicted one.

    Attributes:
        names: Of the classes.
        counts: True class in rows, predicted class in columns, (n_classes, n_classes).
    """

    names: list[str]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, run: Run) -> Confusion:
        """That of a run of classes, on its backend."""
        assert run.header.classes is not None
        data = run.dataset
        true, predicted = data.y_test.argmax(axis=1), run.predict_scaled(data.x_test).argmax(axis=1)
        counts = confusion_matrix(true, predicted, labels=np.arange(data.n_outputs))
        return cls([spoken(label) for label in run.header.classes.array], np.asarray(counts))

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of the windows of each class, the part that is predicted as each, (n_classes, n_classes); 0 where there are none."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    def short(self, most: int) -> list[str]:
        """The names, long ones cut where they still differ from all others: about in the middle, else nearer to an end.

        Args:
            most: Characters of a name.
        """
        ends = sorted(range(most), key=lambda begin: abs(begin - most // 2))
        cut = {begin: [_cut(name, begin, most) for name in self.names] for begin in ends}
        return [
            next((own[place] for own in cut.values() if own.count(own[place]) == 1), cut[ends[0]][place])
            for place in range(len(self.names))
        ]

    def rows(self) -> list[list[str]]:
        """For each class its name, its test windows, recall and precision."""
        hit, true, predicted = np.diag(self.counts), self.counts.sum(axis=1), self.counts.sum(axis=0)
        return [
            [name, f"{n:,}", "" if not n else f"{right / n:.1%}", "" if not m else f"{right / m:.1%}"]
            for name, n, m, right in zip(self.names, true, predicted, hit, strict=True)
        ]


def _cut(name: str, begin: int, most: int) -> str:
    """A name that is longer than `most` with so much of its beginning, and of its end what there is room for."""
    return name if len(name) <= most else f"{name[:begin]}…{name[len(name) - (most - 1 - begin) :]}"


def confusion_figure(run: Run) -> Figure:
    """The confusion matrix of the test part, coloured by the share of the windows of a class.

    Args:
        run: A trained run of classes.
    """
    found = Confusion.of(run)
    n, shares, short = len(found.names), found.shares, found.short(_LONGEST)
    side = float(np.clip(1.4 + 0.45 * n, 2.4, 10))
    longest = 0.075 * max(map(len, short)) if n <= MOST_NAMED else 0.0
    figure = Figure(figsize=(max(5.4, side + longest + 1.4), max(3.8, side + longest + 0.9)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if n <= MOST_NAMED:
        labels, turned = [drawn(name) for name in short], n > 4 or longest > 0.8
        size = "medium" if n <= 12 else "small" if n <= MOST_COUNTED else "x-small"
        axes.set_xticks(range(n), labels, rotation=90 if turned else 0, fontsize=size)
        axes.set_yticks(range(n), labels, fontsize=size)
    if n <= MOST_COUNTED:
        for row, column in np.ndindex(n, n):
            colour = "white" if shares[row, column] > 0.55 else "0.15"
            text = f"{found.counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="medium" if n <= 12 else "x-small")
    axes.set(xlabel=f"{drawn(run.header.target)}, predicted", ylabel=f"{drawn(run.header.target)}, true")
    right = np.trace(found.counts) / found.counts.sum()
    axes.set_title(
        f"{title_of(run)}\n{right:.1%} of {found.counts.sum():,} test windows classified correctly", fontsize="medium"
    )
    figure.colorbar(image, ax=axes, label="share of the windows of a class", shrink=0.8)
    return figure
