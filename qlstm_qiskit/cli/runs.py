"""`qlstm evaluate` and `qlstm predict`."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli.checks import require_file
from qlstm_qiskit.cli.classes import classes_said, print_classes
from qlstm_qiskit.cli.ensembles import print_members
from qlstm_qiskit.cli.formats import encoded, require_format
from qlstm_qiskit.cli.intervals import interval_facts_of, interval_said, print_ahead, print_intervals
from qlstm_qiskit.cli.options import (
    AllocateShots,
    BackendsFile,
    Confirm,
    Json,
    OtherBackend,
    RunFolder,
    TrustProvider,
    reading_of,
    with_reading,
)
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError

if TYPE_CHECKING:
    import pandas as pd

    from qlstm_qiskit.experiments import Allocation, Run
    from qlstm_qiskit.experiments.runs.header import ModelHeader
    from qlstm_qiskit.hardware import BackendSpec
    from qlstm_qiskit.training.task import Task


_Windows = Annotated[
    int | None,
    typer.Option(help="Evaluate so many windows of the test part only, the first ones, as `backends plan --windows` plans."),
]


def evaluate(
    run: RunFolder,
    steps: Annotated[
        int | None, typer.Option(help="Also feed predictions back this many times, and print the errors of each step.")
    ] = None,
    windows: _Windows = None,
    backend: OtherBackend = None,
    backends: BackendsFile = None,
    allocate_shots: AllocateShots = False,
    confirm: Confirm = False,
    trust_provider: TrustProvider = False,
    json: Json = False,
) -> None:
    """Evaluate a run on its test part again, on any backend.

    Jobs on a device are recorded in the run folder; the same evaluation within a day is answered from the record.

    Example: qlstm evaluate runs/demo --backend aer-noise-torino

    Example: qlstm evaluate runs/demo --steps 8

    Example: qlstm evaluate runs/demo --backend aer-noise-fez --allocate-shots
    """
    options = _entry(backend, backends)
    from qlstm_qiskit.experiments import require_affordable_evaluation, rolled_errors, rolled_windows
    from qlstm_qiskit.experiments.runs.classes import refuse_classes
    from qlstm_qiskit.experiments.runs.ensemble import member_facts
    from qlstm_qiskit.experiments.runs.intervals import calibration_windows

    with closing(_load(run, options, backends, confirm, trust_provider)) as loaded:
        if steps is not None:
            refuse_classes(run, loaded.header, "predictions that could be fed back", "leave --steps out")
        data = loaded.dataset if windows is None else loaded.dataset.tested(windows)
        n_rolled = 0 if steps is None else rolled_windows(data, steps)
        besides = calibration_windows(loaded)
        require_affordable_evaluation(loaded, len(data.x_test), calls=1 + (steps or 0), besides=besides)
        allocation = _allocation(loaded, allocate_shots)
        before = loaded.n_jobs
        task = loaded.spec.task
        each = loaded.each_scaled(data.x_test)
        predictions = task.joint(each)
        test, members = task.errors(data, predictions), member_facts(loaded, data, each)
        rolled = None if steps is None else rolled_errors([own.predict_scaled for own in loaded.members], data, steps)
        intervals = interval_facts_of(loaded, predictions)
        after = loaded.n_jobs
    name = loaded.spec.backend
    facts = {"run": str(run), "backend": name, "epochs": loaded.epochs, "test": test, **task.references(data)}
    facts |= intervals | members
    if json:
        facts |= {} if rolled is None else {"rolled_out": {"windows": n_rolled, **rolled}}
        print_json(facts | _difference(loaded) | _allocated(allocation))
        return
    print(f"{loaded.spec.title} on {data.name}, backend {name}, {loaded.epochs} epochs, {len(data.x_test)} test windows")
    print_errors(facts, task)
    print_members(facts, task)
    if rolled is not None:
        _print_rolled(rolled, n_rolled)
    _print_difference(loaded)
    _print_allocation(allocation)
    _print_jobs(before, after)


@with_reading
def predict(
    run: RunFolder,
    csv: Annotated[Path, typer.Option(help="CSV or Parquet file with the run's columns, in original units.")],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .txt, .tsv (tabs), .json, .jsonl or .parquet.")],
    horizon: Annotated[int | None, typer.Option(help="Forecast this many rows beyond the end of the file.")] = None,
    last: Annotated[int | None, typer.Option(help="Predict so many rows only, the last ones of the file.")] = None,
    backend: OtherBackend = None,
    backends: BackendsFile = None,
    allocate_shots: AllocateShots = False,
    confirm: Confirm = False,
    trust_provider: TrustProvider = False,
    json: Json = False,
    **reading: Any,
) -> None:
    """Predict each row of a file from the rows before it or, with --horizon, the rows after its end.

    The file is read as the training file was, unless options say otherwise; its rows are sorted by date. If the run has inputs
    that are known ahead, rows at the end without the target are those to predict, and hold what is known.

    Example: qlstm predict runs/sunspots --csv examples/sunspots.csv --horizon 11 --out forecast.csv
    """
    from qlstm_qiskit.storage import exists, write_atomically

    require_format(out)
    if last is not None and horizon is not None:
        raise OptionError("give one of --last, for rows of the file, and --horizon, for those after it.")
    if exists(out):
        raise OptionError(f"{out} exists already; choose another file for --out.")
    options, given = _entry(backend, backends), reading_of(reading)
    require_file(csv)
    from qlstm_qiskit.experiments import predict_table, roll_out, table_of

    with closing(_load(run, options, backends, confirm, trust_provider)) as loaded:
        allocation, before = _allocation(loaded, allocate_shots), loaded.n_jobs
        series = table_of(loaded, csv, given)
        table = predict_table(loaded, series, last) if horizon is None else roll_out(loaded, series, horizon)
        after = loaded.n_jobs
    write_atomically(out, encoded(table, out))
    scores = None if horizon is not None else _rmse(table, loaded.header.target)
    if json:
        facts = {"out": str(out), "rows": len(table), "rmse": scores, "target": loaded.header.target}
        facts |= {"read": series.said} if series.said else {}
        facts |= {"backend": loaded.spec.backend} | _difference(loaded) | interval_said(loaded, horizon)
        print_json(facts | classes_said(loaded, table) | _allocated(allocation), table=table)
        return
    if series.said:
        print(series.said)
    _print_predicted(loaded.header, series.ahead, table, csv, horizon, last, scores)
    print_classes(loaded, table)
    print_ahead(loaded, horizon)
    _print_difference(loaded)
    _print_allocation(allocation)
    _print_jobs(before, after)
    print(f"Wrote {len(table)} rows to {out}")


def _print_predicted(
    header: ModelHeader,
    ahead: int,
    table: pd.DataFrame,
    csv: Path,
    horizon: int | None,
    last: int | None,
    scores: dict[str, float] | None,
) -> None:
    """The forecast rows, or the errors of predictions that have come true; `ahead`: rows of the file that were to predict."""
    from qlstm_qiskit.report.names import steps_ahead

    if horizon is not None:
        where = f"the next {horizon} rows in {csv}" if ahead else f"the {horizon} rows after {csv}"
        print_table(f"{header.target}, {where}", list(table.columns), table.astype(object).to_numpy().tolist())
    elif scores is not None:
        which = "all rows" if last is None else f"the last {len(table)} rows"
        print_table(
            f"{header.target}, {steps_ahead(header.lead)} over {which} of the file that have a whole window before them",
            ["forecast", "RMSE (original units)"],
            [list(item) for item in scores.items()],
        )


def _rmse(table: pd.DataFrame, target: str) -> dict[str, float] | None:
    """Errors of predictions, and of repeating the last value, in original units; None where the file has no target."""
    if "persistence" not in table:
        return None
    rows = table.dropna(subset=["prediction"])
    return {name: float((rows[name] - rows[target]).pow(2).mean() ** 0.5) for name in ("prediction", "persistence")}


def _entry(backend: str | None, backends: Path | None) -> BackendSpec | None:
    """The entry of a backend that is named; to be found before anything that takes seconds to import."""
    from qlstm_qiskit.hardware import find_spec

    return None if backend is None else find_spec(backend, backends)


def _load(run: Path, options: BackendSpec | None, backends: Path | None, confirm: bool, trust: bool) -> Run:
    from qlstm_qiskit.experiments import load_run, load_spec
    from qlstm_qiskit.experiments.runs.trust import require_trusted
    from qlstm_qiskit.hardware import find_spec

    if options is None:
        own = load_spec(run)
        require_trusted(run, own, trust, backends, advice="or choose another one with --backend")
        if confirm:
            options = own.backend_options or find_spec(own.backend, backends)
    return load_run(run, backend=options.confirmed() if options is not None and confirm else options, trust=True)


def _allocation(run: Run, wanted: bool) -> Allocation | None:
    from qlstm_qiskit.experiments import allocate_shots

    return allocate_shots(run) if wanted else None


def _allocated(allocation: Allocation | None) -> dict[str, object]:
    """Where shots went, for JSON; nothing where all circuits have as many."""
    return {} if allocation is None else {"allocation": allocation.facts()}


def _print_allocation(allocation: Allocation | None) -> None:
    if allocation is not None:
        few, many = min(int(own.min()) for own in allocation.shots), max(int(own.max()) for own in allocation.shots)
        print(
            f"Shots: {few:,} to {many:,} for each circuit, {allocation.per_window:,} per window, as with {allocation.equal:,} "
            f"for each; the variance of predictions by shots is expected to be {allocation.expected_gain:.2f} times lower"
        )


def _print_jobs(before: int | None, after: int | None) -> None:
    if before is not None and after is not None:
        rest = "" if after > before else "; all of it was answered from the record (qlstm jobs list)"
        print(f"Jobs submitted: {after - before}{rest}")


def _difference(run: Run) -> dict[str, object]:
    """What a backend costs in accuracy, for JSON; nothing on the exact interpreter."""
    facts: dict[str, object] = {"dry_run": True} if _is_dry(run) else {}
    return facts if not run.compared else facts | {"difference_to_exact": asdict(run.difference)}


def _is_dry(run: Run) -> bool:
    return run.spec.backend_options is not None and run.spec.backend_options.guard.dry_run


def print_dry_run(dry_run: bool) -> None:
    """Say that nothing was submitted, if so."""
    if dry_run:
        print("dry run: noiseless simulation, nothing was submitted")


def _print_difference(run: Run) -> None:
    print_dry_run(_is_dry(run))
    if run.compared:
        difference, of = run.difference, "" if len(run.members) == 1 else "; means over the members"
        what = "predictions" if run.header.classes is None else "scores of the classes"
        print(
            f"Difference of {run.spec.backend} to the exact interpreter over {difference.n_windows} windows (scaled units): "
            f"MSE of the layer's outputs {difference.outputs:.3g}, of the {what} {difference.predictions:.3g}{of}"
        )


def print_errors(facts: dict[str, Any], task: Task) -> None:
    """The table of a model's errors beside those of the forecasts that need no model."""
    names, figures = {"test": "model", **task.naive}, task.figures
    rows = [[label, *(facts[name].get(key, math.nan) for key in figures)] for name, label in names.items() if name in facts]
    print_table(f"Errors on the test part, {task.about}", ["forecast", *figures.values()], rows)
    errors = {label: facts[name].get(task.metric, math.nan) for name, label in names.items() if name in facts}
    better = [label for label, error in errors.items() if label != "model" and error <= errors["model"]]
    if better:
        print(
            f"The model is no better than {' and '.join(better)}: train it longer, with another recipe, or take another model."
        )
    print_intervals(facts.get("interval"))


def _print_rolled(rolled: dict[str, dict[str, list[float]]], n_windows: int) -> None:
    """Tables of a roll-out's errors, one row per step."""
    for figure, name in (("mase", "MASE"), ("rmse", "RMSE in original units")):
        columns = [errors[figure] for errors in rolled.values()]
        rows = [[str(step), *errors] for step, errors in enumerate(zip(*columns, strict=True), 1)]
        title = f"Predictions fed back, {n_windows} test windows: {name}"
        print_table(title, ["step", *(forecast.replace("_", " ") for forecast in rolled)], rows)
