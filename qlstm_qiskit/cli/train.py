"""`qlstm train`."""

# ruff: noqa: ARG001 - most options of `train` are read from its context, by name

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli.changes import require_change, with_series
from qlstm_qiskit.cli.checks import columns_of, require_of_file, require_packages, require_place, require_series
from qlstm_qiskit.cli.classes import require_labelled, with_own_window, with_task
from qlstm_qiskit.cli.derive import print_stages
from qlstm_qiskit.cli.ensembles import member_folders, print_members, require_single
from qlstm_qiskit.cli.intervals import intervals_of, with_intervals
from qlstm_qiskit.cli.lead import lead_fields, require_lead_alone
from qlstm_qiskit.cli.options import (
    BackendsFile,
    Confirm,
    Features,
    FromScratch,
    Horizon,
    Json,
    Log,
    OwnCircuits,
    Recipe,
    SearchStrategy,
    Season,
    SeriesFile,
    SeriesName,
    StartRun,
    StrategyOption,
    Target,
    TrainFraction,
    TrainingBackend,
    TrustProvider,
    Window,
    existing_run,
    parsed_options,
    reading_of,
    with_options,
)
from qlstm_qiskit.cli.output import print_json
from qlstm_qiskit.cli.runs import print_dry_run, print_errors
from qlstm_qiskit.cli.shots import shots_line
from qlstm_qiskit.errors import OptionError, unknown_option
from qlstm_qiskit.training.options import OF_RUN, OF_TRAINING

if TYPE_CHECKING:
    from qlstm_qiskit.experiments import Run, RunSpec


@with_task
@with_intervals
@with_series
@with_options
def train(
    ctx: typer.Context,
    dataset: SeriesName = None,
    csv: SeriesFile = None,
    target: Target = None,
    features: Features = None,
    window: Window = 4,
    horizon: Horizon = 1,
    train_fraction: TrainFraction = 0.67,
    season: Season = None,
    space: OwnCircuits = None,
    recipe: Recipe = "paper",
    *,
    strategy: SearchStrategy = None,
    strategy_option: StrategyOption = None,
    start: StartRun = None,
    from_scratch: FromScratch = False,
    backend: TrainingBackend = "statevector",
    backends: BackendsFile = None,
    confirm: Confirm = False,
    out: Annotated[Path | None, typer.Option(help="Run folder to write.", show_default="runs/SERIES-MODEL-seedN")] = None,
    log: Log = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run in --out, or begin one where there is none.")
    ] = False,
    trust_provider: TrustProvider = False,
    json: Json = False,
    **options: Any,
) -> None:
    """Train a model into a run folder, with figures.

    A training that was interrupted, even killed, is continued, to the same bits, by `qlstm resume RUN`, or by the same command
    with --resume.

    Example: qlstm train --dataset damped_shm --model diffqas --hidden-size 3 --depth 1 --epochs 50 --out runs/demo

    Example: qlstm train --from runs/derived --epochs 100 --out runs/tuned

    Example: qlstm resume runs/demo
    """
    from qlstm_qiskit.hardware import find_spec

    entry = find_spec(backend, backends)  # before anything that takes seconds to import
    given = {key for key in ctx.params if ctx.get_parameter_source(key).name == "COMMANDLINE"}  # type: ignore[union-attr]
    if resume and given <= _RESUME:
        finish(out, json, log or [], trust=trust_provider)
        return
    values = with_own_window(ctx.params, given)
    _require_together(values, given)
    values |= recipe_values(recipe, options["model"], given)
    spec = _new_spec(values) if start is None else _spec_from(start, values, given, from_scratch)
    series = dataset or (csv.stem if csv else "run")
    seeds = f"seed{spec.seed}" if spec.replicas == 1 else f"seeds{spec.seed}-{spec.seed + spec.replicas - 1}"
    name = f"{series}-{spec.model}-{seeds}" if start is None else f"{start.name}-tuned"
    spec = spec.on(entry.confirmed() if confirm else entry)
    _train(spec, out or Path("runs", name), json, log or [], resume=resume, trust=trust_provider)


def _require_together(values: dict[str, Any], given: set[str]) -> None:
    """Refuse options that do not go with one another or with the file, before anything that takes seconds to import."""
    require_place(values["out"], resume=values["resume"])
    require_packages(values["log"] or [])
    start = values["start"]
    if start is not None:
        allowed = {*OF_TRAINING, *_RESUME, "start", "recipe", "from_scratch", "backend", "backends", "confirm"}
        if given - allowed:
            names = ", ".join("--" + name.replace("_", "-") for name in sorted(given - allowed))
            raise OptionError(f"{names} cannot be given with --from: the data and the model are those of {start}.")
        existing_run(start)
        if not values["from_scratch"]:
            require_single(start, "a training starts from")
        if values["replicas"] > 1 and not values["from_scratch"]:
            raise OptionError(
                "--replicas are models with random starts of their own, and --from has one start for all; give "
                "--from-scratch, or leave out one of the two."
            )
    elif values["from_scratch"]:
        raise OptionError("--from-scratch goes with --from.")
    elif values["strategy"] is None and values["strategy_option"]:
        raise OptionError("--strategy-option goes with --strategy.")
    elif (values["dataset"] is None) == (values["csv"] is None):
        raise OptionError("give exactly one of a dataset's name and a CSV file (--dataset or --csv).")
    require_lead_alone(values, given)
    if require_labelled(values, given):
        return
    require_of_file(values, given)
    require_change(values)
    interval = intervals_of(values)
    require_series(values, None if interval is None else interval.cut)


def finish(out: Path | None, json: bool, loggers: list[str], *, trust: bool) -> None:
    """Train the run of a folder to its end, and print what it has come to."""
    _train(None, out, json, loggers, resume=True, trust=trust)


def _train(spec: RunSpec | None, out: Path | None, json: bool, loggers: list[str], *, resume: bool, trust: bool) -> None:
    """Train, and print what it has come to; with `resume`, what is in the folder, which must be this run where one is given."""
    from qlstm_qiskit.experiments import resume_command, train_run
    from qlstm_qiskit.report import draw_run
    from qlstm_qiskit.storage import exists

    if out is None:
        raise OptionError("--resume needs the run folder to go on with; give --out.")
    try:
        if spec is not None and not (resume and exists(out / "config.json")):
            run = train_run(spec, out, loggers=loggers, verbose=1)
        else:
            run = _resumed(spec, out, loggers, trust)
        figures = draw_run(run)
    except KeyboardInterrupt:
        what = f"the last finished epoch is in {out}"
        if not any((folder / "model.safetensors").exists() for folder in member_folders(out)):
            what = "no epoch was finished"
        what += f"; go on with: {resume_command(out)}" if (out / "config.json").exists() else " and nothing was kept"
        print(f"interrupted; {what}", file=sys.stderr)
        raise typer.Exit(130) from None
    _print_result(run, [str(path) for path in figures], json)
    if run.metrics["interrupted"]:
        raise typer.Exit(130)


def _resumed(spec: RunSpec | None, out: Path, loggers: list[str], trust: bool) -> Run:
    """The run of a folder, trained to its end."""
    from qlstm_qiskit.experiments import is_unfinished, load_run, load_spec, require_same, resume_command, resume_run

    found = load_spec(out)
    if spec is not None:
        require_same(out, spec)
        trust = True  # it is what the command says
    if not is_unfinished(out):
        if loggers:
            raise OptionError(f"--log has nothing to log: {out} was finished before.")
        run = load_run(out, trust=trust)
        print(f"{out} was finished before; this is its result", file=sys.stderr)
        return run
    if found.backend_options is not None and found.backend_options.leaves:
        raise OptionError(f"the circuits of {out} leave this machine; go on with: {resume_command(out)}")
    return resume_run(out, loggers=loggers, verbose=1, trust=trust)


def _print_result(run: Run, figures: list[str], json: bool) -> None:
    """What a training has come to."""
    from qlstm_qiskit.experiments import resume_command
    from qlstm_qiskit.training.outlook import duration

    metrics, spec, out = run.metrics, run.spec, run.path
    if json:
        print_json(metrics | {"run": str(out), "figures": figures})
        return
    if metrics["interrupted"]:
        print(f"Interrupted: this is the model after {run.epochs} of {spec.epochs} epochs. Go on with: {resume_command(out)}")
    several = "" if spec.replicas == 1 else f"{spec.replicas} models, "
    print(
        f"{spec.title} on {metrics['dataset']}: {several}{run.epochs} epochs in {duration(metrics['wall_seconds'])}, "
        f"{metrics['n_parameters']} trained parameters, {metrics['n_circuits']} circuits per step, "
        f"seed{'' if spec.replicas == 1 else 's'} {spec.seed}"
        f"{'' if spec.replicas == 1 else f' to {spec.seed + spec.replicas - 1}'}"
    )
    if run.header.change is not None:
        print(f"Learned: {run.header.change.words}; errors and forecasts are of the series itself")
    if metrics["path"]:
        print(f"Circuits evaluated as: {metrics['path'].replace('form', 'multilinear form')}")
    print_dry_run(spec.backend_options is not None and spec.backend_options.guard.dry_run)
    print_errors(metrics, spec.task)
    print_members(metrics, spec.task)
    if "stages" in metrics:
        print_stages(metrics["stages"], spec.task)
    for line in shots_line(run):
        print(line)
    print(f"Run folder: {out}")
    print(f"Figures: {', '.join(Path(path).name for path in figures)}")


#: What `--resume` may be given beside; anything else must be the whole command again.
_RESUME = {"resume", "out", "json", "log", "trust_provider"}


def _new_spec(given: dict[str, Any]) -> RunSpec:
    """The run that the options describe."""
    from qlstm_qiskit.experiments import DataSpec, RunSpec
    from qlstm_qiskit.search import make_strategy

    csv, columns = given["csv"], columns_of(given)
    data = {key: given[key] for key in ("dataset", "target", "window", "horizon", "train_fraction", "season", "transform")}
    data |= lead_fields(given)
    data |= {} if given["task"] is None else {"task": given["task"]}
    search = None
    if given["strategy"] is not None:
        search = make_strategy(given["strategy"], parsed_options(given["strategy_option"] or []))
    return RunSpec(
        data=DataSpec(
            csv=None if csv is None else str(csv),
            features=None if columns is None else tuple(columns),
            reading=reading_of(given),
            difference=tuple(given["difference"] or ()),
            known=tuple(columns_of(given, "known") or ()),
            calendar=tuple(given["calendar"] or ()),
            interval=intervals_of(given),
            **data,
        ),
        search=search,
        space=given["space"],
        **{key: given[key] for key in OF_RUN},
    )


def recipe_values(recipe: str, model: str, given: set[str]) -> dict[str, Any]:
    """The options that a recipe decides, but for those that are given."""
    from qlstm_qiskit.experiments import RECIPES
    from qlstm_qiskit.experiments.runs.recipes import recipe_fields

    if recipe not in RECIPES:
        raise unknown_option("recipe", recipe, RECIPES)
    return {key: value for key, value in recipe_fields(recipe, model).items() if key not in given}


def _spec_from(run: Path, values: dict[str, Any], given: set[str], from_scratch: bool) -> RunSpec:
    """A run that goes on from another one's model, with the options of training that are given anew."""
    from qlstm_qiskit.experiments import RECIPES, load_spec, start_from

    spec = load_spec(run)
    changes: dict[str, Any] = {"search": None, "lr": None, "epochs": values["epochs"], "patience": values["patience"]}
    recipe = RECIPES[values["recipe"]] if "recipe" in given else {}
    allowed_here = (*OF_TRAINING, "angle_std") if from_scratch else OF_TRAINING  # angles that are there have no start
    changes |= {key: values[key] for key in allowed_here if key in given or key in recipe}
    if spec.search is not None:
        raise OptionError(f"{run} is a search with the strategy {spec.search.name!r}; derive a model from it first.")
    return spec.model_copy(update=changes | {"start": None if from_scratch else start_from(run)})
