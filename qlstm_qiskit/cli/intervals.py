"""Options and output of forecast intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from qlstm_qiskit.cli.completion import known, names
from qlstm_qiskit.cli.options import with_keywords
from qlstm_qiskit.cli.output import print_table
from qlstm_qiskit.errors import OptionError, QLSTMError

if TYPE_CHECKING:
    from qlstm_qiskit.data import Intervals
    from qlstm_qiskit.experiments import Run

Command = TypeVar("Command", bound=Callable[..., None])

_PANEL = "Intervals of forecasts"


def _between(name: str) -> Callable[[float | None], float | None]:
    """The callback of a number between 0 and 1."""

    def check(given: float | None) -> float | None:
        if given is not None and not 0 < given < 1:
            raise OptionError(f"{name} is {given}; it must lie between 0 and 1.")
        return given

    return check


def _of_intervals(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=_PANEL, **more)


#: Options of `qlstm train`, by name.
INTERVALS: dict[str, Any] = {
    "interval": Annotated[
        float | None,
        _of_intervals(
            "Give each forecast an interval that is to hold this part of the values, such as 0.9.",
            callback=_between("interval"),
            show_default=False,
        ),
    ],
    "calibration_fraction": Annotated[
        float | None,
        _of_intervals(
            "Part of the windows before the test part, the last of them, that calibrates intervals and does not train.",
            callback=_between("calibration_fraction"),
            show_default="0.2",
        ),
    ],
    "interval_method": Annotated[
        str | None,
        _of_intervals(
            "adaptive (widths begin with the calibration part, and follow what is observed) or split (from that part alone).",
            autocompletion=names("interval_method"),
            callback=known("interval_method"),
            show_default="adaptive",
        ),
    ],
}


def with_intervals(command: Command) -> Command:
    """Give a command that takes keywords the options of intervals, at its end."""
    return with_keywords(command, INTERVALS)


def intervals_of(values: Mapping[str, Any]) -> Intervals | None:
    """What the options say; None without `--interval`.

    Raises:
        OptionError: One of the others is given alone.
    """
    if values["interval"] is None:
        for name in ("calibration_fraction", "interval_method"):
            if values[name] is not None:
                raise OptionError(f"--{name.replace('_', '-')} goes with --interval LEVEL.")
        return None
    from qlstm_qiskit.data import Intervals

    given = {"calibration_fraction": values["calibration_fraction"], "method": values["interval_method"]}
    return Intervals(values["interval"], **{name: value for name, value in given.items() if value is not None})


def print_intervals(facts: Mapping[str, Any] | None) -> None:
    """A table of coverage and width for each step ahead, from what metrics.json says of intervals; nothing for None."""
    if facts is None:
        return
    level, method = facts["level"], facts["method"]
    columns = (facts[name] for name in ("coverage", "width", "radius"))
    rows = [[str(step), *row] for step, row in enumerate(zip(*columns, strict=True), 1)]
    begun = "half-width at the start" if method == "adaptive" else "half-width"
    title = f"Intervals of level {level:g} on the test part ({method}, {facts['windows']} calibration windows), original units"
    print_table(title, ["step", "coverage", "mean width", begun], rows)
    if "evaluated" in facts:
        circuits = "" if facts["circuits"] is None else f", {facts['circuits']:,} circuits"
        print(f"Calibrated with this backend's own predictions: {facts['evaluated']} windows{circuits}")
    if method == "split" and min(facts["coverage"]) < level - 0.05:
        print(
            f"Clearly fewer than {level:g} of the values lie within them: errors grow after the calibration part. "
            "Intervals of --interval-method adaptive follow that."
        )


def interval_facts_of(run: Run, predictions: Any) -> dict[str, object]:
    """Facts of a run's intervals on its backend, from predictions of its test windows: as in metrics.json, and their cost."""
    from qlstm_qiskit.experiments.runs.intervals import calibrated, calibration_windows, interval_facts
    from qlstm_qiskit.experiments.runs.plan import circuits_of_evaluation

    count, found = calibration_windows(run), calibrated(run)
    if found is None:
        return {}
    facts = interval_facts(run, found, predictions)
    if count:
        facts |= {"evaluated": count, "circuits": None}
        with suppress(QLSTMError):  # it is planned after the results are there, and a device may be out of reach by then
            facts["circuits"] = circuits_of_evaluation(run, count)
    return {"interval": facts}


def interval_said(run: Run, horizon: int | None) -> dict[str, object]:
    """What the ends in a forecast's table are, for JSON; nothing for a run without intervals."""
    from qlstm_qiskit.experiments.runs.intervals import without_interval

    interval = run.spec.data.interval
    if interval is None:
        return {}
    open_ends = "" if horizon is None else without_interval(run, horizon)
    return {"interval": {"level": interval.level, "method": interval.method, **({"open": open_ends} if open_ends else {})}}


def print_ahead(run: Run, horizon: int | None) -> None:
    """Say what the ends in a forecast's table are, and which steps have none."""
    said: Any = interval_said(run, horizon).get("interval")
    if said is not None:
        print(f"lower and upper: an interval that is to hold {said['level']:g} of the values ({said['method']})")
        if "open" in said:
            print(said["open"])
