"""The commands of `qlstm`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from qlstm_qiskit import __version__
from qlstm_qiskit.cli import streams
from qlstm_qiskit.cli.attribute import attribute
from qlstm_qiskit.cli.audit import audit
from qlstm_qiskit.cli.backends import backends_app
from qlstm_qiskit.cli.derive import derive
from qlstm_qiskit.cli.export import export
from qlstm_qiskit.cli.jobs import jobs_app
from qlstm_qiskit.cli.options import Json
from qlstm_qiskit.cli.output import print_json
from qlstm_qiskit.cli.report import report
from qlstm_qiskit.cli.resume import resume
from qlstm_qiskit.cli.runs import evaluate, predict
from qlstm_qiskit.cli.scaling import scaling
from qlstm_qiskit.cli.shots import shots
from qlstm_qiskit.cli.space import space_app
from qlstm_qiskit.cli.table import table
from qlstm_qiskit.cli.train import train
from qlstm_qiskit.cli.transpile import transpile
from qlstm_qiskit.errors import OptionError, QLSTMError, QLSTMWarning, printable

#: Packages of extras; see pyproject.toml.
_OPTIONAL = ("reservoirpy", "ray", "sktime", "plotly", "captum", "tensorboard", "mlflow-skinny")

app = typer.Typer(
    name="qlstm",
    help="Quantum LSTMs that design their own circuits (DiffQAS-QLSTM, arXiv 2508.14955).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _command in (train, resume, evaluate, predict, shots, attribute, derive, transpile, export, table, audit, scaling, report):
    app.command()(_command)
app.add_typer(space_app, name="space")
app.add_typer(backends_app, name="backends")
app.add_typer(jobs_app, name="jobs")


def _flowing(group: typer.Typer) -> None:
    """Let paragraphs of a docstring flow in the help of its command: typer keeps the ends of all lines but the first ones."""
    for command in group.registered_commands:
        text = inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _flowing(inner.typer_instance)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def about(json: Json = False) -> None:
    """Print versions and machine for a bug report; no user, host or folder is named.

    Example: qlstm about
    """
    import os
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from qlstm_qiskit.experiments import versions
    from qlstm_qiskit.experiments.runs.environment import environment

    facts = versions()
    for name in _OPTIONAL:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            facts[name] = "not installed"
    made = environment()
    facts |= {"commit": f"{made['commit']}{' with changes' if made['changed'] else ''}"} if made["commit"] else {}
    facts |= {"processor": made["processor"], "cores": str(os.cpu_count()), "torch threads": str(torch.get_num_threads())}
    if json:
        print_json(facts)
        return
    for name, value in facts.items():
        print(f"{name}: {value}")


_flowing(app)


@functools.cache
def command() -> typer.core.TyperGroup:
    """All commands with their parameters, made once in a process: it takes 50 ms, more than a short command does."""
    made = typer.main.get_command(app)
    assert isinstance(made, typer.core.TyperGroup)
    return made


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Exits with 0 on success, 2 with one line on standard error on a user's mistake or where the output cannot be written, 130 on
    Ctrl-C, and 141 where the reader of the output has gone away.
    """
    streams.prepare()
    try:
        code = _run(arguments)
        unwritten = streams.finish()
    except (BrokenPipeError, SystemExit) as error:
        if not streams.is_pipe_closed(error):
            raise
        code, unwritten = streams.PIPE_CLOSED, ""
    if unwritten is not None:
        streams.abandon()
        code = _fail(unwritten) if unwritten else code
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """The exit code of a command; a `BrokenPipeError` passes."""
    try:
        _require_values(sys.argv[1:] if arguments is None else arguments)
        with _warnings_in_a_line():
            code = command()(arguments, standalone_mode=False)
    except QLSTMError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except MemoryError as error:
        return _fail(f"there is not enough memory for this ({error}); use a smaller model, batch or part of the work.")
    except OSError as error:
        if error.filename is None:
            streams.abandon()
        return _fail(streams.said(error))
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of the parser's own
            raise
        return _fail(error.format_message())
    return code if isinstance(code, int) else 0


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Show what this package warns of as one line on standard error, once, and without a place in the code."""
    with warnings.catch_warnings():
        usual, said = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if not issubclass(category, QLSTMWarning):
                usual(message, category, *place)
            elif str(message) not in said:
                said.add(str(message))
                with contextlib.suppress(OSError):
                    print(f"warning: {printable(' '.join(str(message).split()))}", file=sys.stderr)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def _require_values(arguments: list[str]) -> None:
    """Refuse empty values: no option takes one, and an empty path would be the working folder."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        name = before if argument == "" else argument[:-1] if re.fullmatch("--[a-z-]+=", argument) else None
        if name is not None:
            what = f"the value of {name}" if name.startswith("-") else "an argument"
            raise OptionError(f"{what} is empty; give one, or leave it out.")


def _fail(message: str) -> int:
    if message:  # the parser has none where it has shown the help instead
        with contextlib.suppress(OSError):  # standard error may be full; the exit code says it too
            print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2
