"""Options and output of classification."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli.checks import columns_of, require_file, require_of_file
from qlstm_qiskit.cli.completion import CHAOTIC, CLASSES, LABELLED, known, names
from qlstm_qiskit.cli.intervals import intervals_of
from qlstm_qiskit.cli.options import Command, reading_of, with_keywords
from qlstm_qiskit.cli.output import print_table
from qlstm_qiskit.errors import OptionError

if TYPE_CHECKING:
    from qlstm_qiskit.experiments import Run

#: Options of `qlstm train`, by name.
TASK: dict[str, Any] = {
    "task": Annotated[
        str | None,
        typer.Option(
            help="What is learned: regression (the values that follow a window) or classification (the class of a window, of "
            "--dataset italy_power_demand, basic_motions, or a --csv whose --target is a column of classes).",
            autocompletion=names("run_task"),
            callback=known("run_task"),
            show_default="regression",
        ),
    ]
}


def with_task(command: Command) -> Command:
    """Give a command that takes keywords the option of its task, at its end."""
    return with_keywords(command, TASK)


def with_own_window(values: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Values of all options, with those that a labelled or a chaotic series has of its own where none is given.

    Args:
        values: Of all options.
        given: Those that are on the command line.
    """
    if values["dataset"] in CHAOTIC and "train_fraction" not in given:
        from qlstm_qiskit.data.named import own_fraction

        return {**values, **own_fraction({"dataset": values["dataset"]})}
    if values["task"] != CLASSES or values["dataset"] is None or "window" in given:
        return dict(values)
    from qlstm_qiskit.data.classes import own_window

    return {**values, **own_window({"dataset": values["dataset"]})}


def require_labelled(values: Mapping[str, Any], given: Collection[str]) -> bool:
    """Read a file of classes, print what is recognised in it, and refuse what is wrong, before what trains is loaded.

    Args:
        values: Of all options.
        given: Those that are on the command line.

    Returns:
        Whether classes are asked for at all.

    Raises:
        OptionError: An option is not allowed, or a series of classes is to be forecast.
    """
    if values["task"] != CLASSES:
        if values["dataset"] in LABELLED:
            raise OptionError(
                f"{values['dataset']!r} has classes, and no values that could be forecast; give --task {CLASSES}."
            )
        return False
    from qlstm_qiskit.data.classes import load_classes, require_classes

    require_of_file(values, given)
    intervals_of(values)  # options that go with --interval
    require_classes(dict(values) | {"features": None, "reading": None})
    if values["dataset"] is None and values["csv"] is not None:
        require_file(values["csv"])
        asked = dict(values) | {"features": columns_of(values), "reading": reading_of(values)}
        data = load_classes(asked)
        if data.said and not values["json"]:
            print(data.said)
    return True


def classes_said(run: Run, table: Any) -> dict[str, object]:
    """What a file of classes says of the run that has predicted them, for JSON; nothing of a run that forecasts."""
    if run.header.classes is None:
        return {}
    from qlstm_qiskit.experiments.runs.classify import class_facts

    return {"classes": list(run.header.classes.values), **class_facts(run, table)}


def print_classes(run: Run, table: Any) -> None:
    """How well classes are predicted, where the file has them, and how often each is; nothing of a run that forecasts."""
    said, classes = classes_said(run, table), run.header.classes
    if classes is None:
        return
    counts = table["prediction"].value_counts()
    from qlstm_qiskit.data.labels import spoken

    print_table(
        f"{run.header.target}, predicted for {int(counts.sum())} rows of the file that end a whole window",
        ["class", "rows"],
        [[spoken(label), int(counts.get(label, 0))] for label in classes.values],
    )
    if "accuracy" in said:
        loss = said[run.spec.task.metric]
        print(
            f"Of {said['compared_rows']} rows whose class the file has, {said['accuracy']:.1%} are classified correctly; "
            f"{run.spec.task.words} {loss:.3g}"
        )
