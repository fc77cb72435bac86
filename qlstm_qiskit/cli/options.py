"""Options that several commands have."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import Field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from qlstm_qiskit.cli.completion import backend_names, known, names
from qlstm_qiskit.errors import OptionError, RunError, require_at_least
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.declare import Real, Whole, about
from qlstm_qiskit.training.options import OF_RUN

if TYPE_CHECKING:
    from qlstm_qiskit.data import Reading

Command = TypeVar("Command", bound=Callable[..., None])


def split_names(given: Iterable[str] | None, known: Collection[str] = ()) -> list[str] | None:
    """Names of an option that may be repeated: each value is a name that is known, or several, as in a line of a CSV file."""
    if given is None:
        return None
    names: list[str] = []
    for value in given:
        try:
            parts = [value] if value in known else next(csv.reader([value], skipinitialspace=True, strict=True), [])
        except csv.Error:  # a quote that is not closed is part of a name
            parts = [value]
        names += [name.strip() for name in parts]
    return names


def parsed_options(pairs: list[str]) -> dict[str, Any]:
    """KEY=VALUE strings as nested options; values are read as YAML scalars: numbers, true, false, text."""
    import yaml

    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        *folders, last = key.split(".")
        place: Any = options
        for folder in folders:
            place = place.setdefault(folder, {}) if isinstance(place, dict) else None
        try:
            content = yaml.safe_load(value)
        except yaml.YAMLError:
            content = {}
        if not equals or not last or not isinstance(place, dict) or isinstance(content, dict | list):
            raise OptionError(f"--strategy-option is {pair!r}; give KEY=VALUE, such as keep=2 or device.backend=fake-fez.")
        place[last] = content
    return options


def existing_space(space: str | None) -> str | None:
    """Refuse a name of own circuits that none can have, before what runs the code is loaded, which takes seconds."""
    if space is not None:
        from qlstm_qiskit.hardware.config.code import Named

        Named.of("space", space)
    return space


def existing_run(run: Path | None) -> Path | None:
    """Refuse a run folder that is not there as reading it would, before what reads it is loaded, which takes seconds."""
    if run is not None and not exists(run):
        raise RunError(f"there is no run folder {run}; train one with `qlstm train --out {run}`.")
    return run


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder made by `qlstm train`.", callback=existing_run)]
OtherBackend = Annotated[
    str | None,
    typer.Option("--backend", help="Evaluate on this backend; by default the run's own.", autocompletion=backend_names),
]
AllocateShots = Annotated[
    bool,
    typer.Option(
        "--allocate-shots",
        help="Give time steps and gates that matter most to the predictions more shots, for the same number in all.",
    ),
]
Confirm = Annotated[bool, typer.Option("--confirm", help="Submit beyond the limits of the backend's guard, this once.")]
BackendsFile = Annotated[
    Path | None,
    typer.Option(
        "--backends",
        metavar="FILE",
        help="File with your own backends, written as backends.yaml is.",
        show_default="./backends.yaml where there is one",
    ),
]
TrustProvider = Annotated[
    bool,
    typer.Option("--trust-provider", help="Allow code of a provider that nothing but the run folder's config.json names."),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        help="Log epochs to tensorboard (RUN/tensorboard) or mlflow as well; may be repeated.",
        autocompletion=names("logger"),
        callback=known("logger"),
    ),
]

# of `qlstm train`, beside those that `with_options` gives it
SeriesName = Annotated[
    str | None,
    typer.Option(
        help="Series by name: one of the paper's, e.g. damped_shm, or a real one, e.g. sunspots.",
        autocompletion=names("dataset"),
        callback=known("dataset"),
    ),
]
SeriesFile = Annotated[Path | None, typer.Option(help="Your own series: a CSV file with a header, or a Parquet file.")]
Target = Annotated[str | None, typer.Option(help="Column of the file to predict.")]
Features = Annotated[
    list[str] | None, typer.Option(help="Columns to predict from, e.g. A,B; may be repeated.", show_default="the target")
]
Window = Annotated[int, typer.Option(help="Rows that the model reads for one forecast.")]
Horizon = Annotated[int, typer.Option(help="Rows that the model predicts at once.")]
TrainFraction = Annotated[float, typer.Option(help="Part of the windows before the test part; fixed for the paper's series.")]
Season = Annotated[
    int | None,
    typer.Option(help="Rows in a season of the CSV file, for the forecast that repeats the last season.", show_default="1"),
]
OwnCircuits = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="FILE.py:NAME",
        help="Own circuits in place of the model's: a SearchSpace, or a function that returns one, in a file of yours (whose "
        "code is run) or in a module.",
        callback=existing_space,
        show_default="the model's own",
    ),
]
Recipe = Annotated[
    str,
    typer.Option(
        help="Set of defaults for the options of training: paper, tuned, or device.",
        autocompletion=names("recipe"),
        callback=known("recipe"),
    ),
]
SearchStrategy = Annotated[
    str | None,
    typer.Option(
        help="How to search: weighted-sum, softmax, gumbel-softmax, entropy, l1, shrinking or bilevel; or a control: random, "
        "best-of-random, uniform or frozen.",
        autocompletion=names("strategy"),
        callback=known("strategy"),
    ),
]
StrategyOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="An option of the strategy, e.g. keep=2; may be repeated.")
]
FromScratch = Annotated[bool, typer.Option("--from-scratch", help="With --from: begin with random parameters again.")]
StartRun = Annotated[
    Path | None, typer.Option("--from", metavar="RUN", help="Go on from the model of this run, such as a derived one.")
]
TrainingBackend = Annotated[
    str, typer.Option(help="What evaluates the circuits; see `qlstm backends list`.", autocompletion=backend_names)
]


#: How a file is read, of `train` and `predict`: options with the names of `qlstm_qiskit.data.Reading`, and their types.
_PANEL = "How the file is read (what is left out is recognised)"


def _of_file(text: str, *words: str, **more: Any) -> Any:
    return typer.Option(*words, help=text, rich_help_panel=_PANEL, show_default=False, **more)


READING: dict[str, Any] = {
    "sep": Annotated[str | None, _of_file("What separates columns: one character, tab, or space.")],
    "decimal": Annotated[str | None, _of_file("Decimal sign of numbers, a point or a comma.")],
    "thousands": Annotated[str | None, _of_file("What groups the digits of numbers, such as a comma, a point or a blank.")],
    "na": Annotated[list[str] | None, _of_file("A cell that stands for a missing value, such as -999; may be repeated.")],
    "comment": Annotated[str | None, _of_file("Character that begins lines to leave out, such as #.")],
    "skip": Annotated[int | None, _of_file("Lines above the header to leave out.")],
    "units": Annotated[bool | None, _of_file("Whether the line below the header holds units.")],
    "encoding": Annotated[str | None, _of_file("Encoding of the text, such as cp1252.")],
    "date_column": Annotated[str | None, _of_file("Column that holds the dates; none if no column does.")],
    "date_format": Annotated[str | None, _of_file("How dates are written, as strftime has it, such as %d.%m.%y.")],
    "dayfirst": Annotated[bool | None, _of_file("Whether 01/02/2020 is the first of February.")],
    "sort": Annotated[bool | None, _of_file("Whether rows are sorted by date, which they are if this is left out.")],
    "impute": Annotated[
        str | None,
        _of_file(
            "Fill in missing values, and rows of missing dates: ffill (the last value before), linear, or time (linear in the "
            "dates). Without it missing values are refused.",
            autocompletion=names("impute"),
            callback=known("impute"),
        ),
    ],
}


def with_reading(command: Command) -> Command:
    """Give a command that takes keywords the options of `READING`, at its end."""
    return with_keywords(command, READING)


def with_keywords(command: Command, options: Mapping[str, Any]) -> Command:
    """Give a command that takes keywords further options, by name, at its end; None where they are left out."""
    own = inspect.signature(command, eval_str=True)
    parameters = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
    made = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=options[name]) for name in options]
    signature = own.replace(parameters=[one.replace(kind=one.KEYWORD_ONLY) for one in (*parameters, *made)])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()} | {"return": None}
    return command


def reading_of(values: Mapping[str, Any]) -> Reading | None:
    """What the options of `READING` say; None where none is given."""
    from qlstm_qiskit.data import Reading

    given = {name: values[name] for name in READING if values.get(name) not in (None, [], ())}
    if "na" in given:
        given["na"] = tuple(given["na"])
    return Reading(**given) if given else None


def with_options(command: Command) -> Command:
    """Give a command that takes `**options` those of model and training, as `qlstm_qiskit.training.options` declares them.

    They stand where its keywords begin: typer reads a command's signature, and shows options in its order.
    """
    own = inspect.signature(command, eval_str=True)
    before = [one for one in own.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    after = [one for one in own.parameters.values() if one.kind is one.KEYWORD_ONLY]
    made = [_parameter(name, known) for name, known in OF_RUN.items()]
    signature = own.replace(parameters=[one.replace(kind=one.KEYWORD_ONLY) for one in (*before, *made, *after)])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()} | {"return": None}
    return command


def _within(name: str, limits: Whole | Real) -> Callable[[Any], Any]:
    """The callback of an option that is a number: one out of its limits is refused before anything is loaded."""

    def check(given: Any) -> Any:
        if given is None:
            return None
        if isinstance(limits, Real):
            return limits.checked(name, given)
        return require_at_least(name, given, limits.least, limits.most)

    return check


def _parameter(name: str, own: Field[Any]) -> inspect.Parameter:
    """An option of the command line; a switch that is off has no --no-."""
    said = about(own)
    shown: dict[str, Any] = {"show_default": said.shown} if said.shown else {}
    if said.choices:
        shown |= {"autocompletion": names(name), "callback": known(name)}
    elif said.limits is not None:
        shown["callback"] = _within(own.name, said.limits)
    words = [f"--{name.replace('_', '-')}"] if own.default is False else []
    kind: Any = own.type
    annotation = Annotated[kind, typer.Option(*words, help=said.help, **shown)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=own.default, annotation=annotation)
