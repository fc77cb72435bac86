"""The members of an ensemble on its page."""

from __future__ import annotations

from collections.abc import Iterator

from qlstm_qiskit.experiments import Run
from qlstm_qiskit.report.pages.content import DataGrid, number


def members_grid(run: Run) -> Iterator[DataGrid]:
    """A table of the members' errors on the test part; none of a run of one model.

    Args:
        run: A trained run.
    """
    metrics, task = run.metrics, run.spec.task
    if not metrics.get("members"):
        return
    rows = [
        [str(own["member"]), str(own["seed"]), str(own["epochs"]), *(number(own.get(key)) for key in task.figures)]
        for own in metrics["members"]
    ]
    what = "probabilities" if task.labelled else "predictions, in original units"
    caption = (
        f"The members of the ensemble, models that differ in their seeds alone; each has a folder, and a page, of its own. The "
        f"mean standard deviation of their {what} is {number(metrics['spread'])}."
    )
    yield DataGrid(caption, ["member", "seed", "epochs", *task.figures.values()], rows)
