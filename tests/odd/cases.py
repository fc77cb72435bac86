"""One case: an input, what is run on it, and what must not come of it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import QLSTMError
from tests.odd.damage import Damage

#: Seconds of processor time that a case may take.
LIMIT = 30

#: What can be wrong with what a case came to, in the order of the table.
FAULTS = ("traceback", "hang", "half-written", "wrong", "unclear", "noise")


@dataclass
class Case:
    """A damaged or odd input.

    Attributes:
        damage: What is odd about it.
        command: Words of the command line, or a function for what is called from Python.
        judge: Given the standard output of what ended well, says what is wrong with the result.
        words: What a refusal may name; one of them must be in it.
        outs: Files and folders that it may make.
        long: Whether it may go on for as long as it likes, until Ctrl-C.
        reads: Whether the files that are there must stay as they are.
        never: A file that must not come to be.
        halted: Says what is wrong with what Ctrl-C has left.
    """

    damage: Damage
    command: list[str] | Callable[[], None]
    judge: Callable[[str], Any] = lambda out: None
    words: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    long: bool = False
    reads: bool = True
    never: str = ""
    halted: Callable[[], Any] = lambda: None


@dataclass
class Outcome:
    """What a case came to.

    Attributes:
        code: Exit code; None where it had none.
        faults: Of each kind in `FAULTS` what was found.
        out, err: What it printed.
    """

    code: int | None
    faults: dict[str, str] = field(default_factory=dict)
    out: str = ""
    err: str = ""

    def note(self, kind: str, what: str) -> None:
        self.faults.setdefault(kind, " ".join(what.split())[:600])


class Wrong(Exception):  # noqa: N818 - it is what a judge says of a result
    """What a judge finds of a result."""


def perform(case: Case, here: Path) -> Outcome:
    """Run a case in a folder of its own, in this process."""
    before = _contents(here)
    outcome = Outcome(None)
    with _streams(here.parent) as streams, _limits(case.long):
        try:
            outcome.code = _exit_code(case)
        except KeyboardInterrupt:
            outcome.code = 130
        except BaseException as error:  # noqa: BLE001 - whatever comes is a finding
            outcome.code = 1
            outcome.note("traceback", f"{place(error)}: {type(error).__name__}: {error}")
    outcome.out, outcome.err = streams()
    _judge(case, outcome, here, before)
    return outcome


def _exit_code(case: Case) -> int:
    from qlstm_qiskit.cli import main

    if not callable(case.command):
        try:
            main(list(case.command))
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0 if end.code is None else _said(str(end.code), 1)
        return 0
    try:
        case.command()
    except QLSTMError as error:
        return _said(f"error: {error}", 2)
    except SystemExit as end:  # of a script
        return end.code if isinstance(end.code, int) else 0 if end.code is None else _said(str(end.code), 1)
    return 0


def _said(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def place(error: BaseException) -> str:
    """Where in the package, or else where at all, an error came from."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/qlstm_qiskit/" in frame.filename or "predict.py" in frame.filename]
    frame = (own or frames)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.name}"


@contextlib.contextmanager
def _streams(folder: Path) -> Iterator[Callable[[], tuple[str, str]]]:
    """Standard output and error, those of libraries in C too, in files; the function reads them."""
    paths = [folder / "stdout", folder / "stderr"]
    kept, streams = [os.dup(1), os.dup(2)], [sys.stdout, sys.stderr]
    for number, path in enumerate(paths, 1):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = (  # with errors as Python has them
        io.TextIOWrapper(os.fdopen(os.dup(number), "wb"), "utf-8", errors, write_through=True)
        for number, errors in ((1, "strict"), (2, "backslashreplace"))
    )
    handlers = [(handler, handler.stream) for handler in _handlers()]
    for handler, _ in handlers:
        handler.setStream(sys.stderr)
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
                warnings.simplefilter("ignore", category)  # as Python has it
            yield lambda: tuple(path.read_bytes().decode("utf-8", "replace") for path in paths)  # type: ignore[return-value]
    finally:
        for handler, stream in handlers:
            handler.setStream(stream)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.close()
        sys.stdout, sys.stderr = streams
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _handlers() -> list[logging.StreamHandler]:
    loggers = [logging.root, *(item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger))]
    return [handler for logger in loggers for handler in logger.handlers if type(handler) is logging.StreamHandler]


@contextlib.contextmanager
def _limits(long: bool) -> Iterator[None]:
    """An end to processor time, and Ctrl-C after a second of it for what may go on for long."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + LIMIT + 1, hard))
    if not long:
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _contents(here: Path) -> dict[str, bytes | None]:
    """Files and folders, and what the files hold."""
    found = {}
    for path in here.rglob("*"):
        with contextlib.suppress(OSError):
            found[str(path.relative_to(here))] = path.read_bytes() if path.is_file() and not path.is_symlink() else None
    return found


#: What an interpreter or a library says of its own insides.
_INSIDES = (
    r"Traceback|object has no attribute|NoneType|not subscriptable|unsupported operand|out of range|validation errors? for"
    r"|\[type=|input_value=|errors\.pydantic|unexpected keyword|positional argument|not iterable|has no len"
    r"|Expected all tensors|object at 0x|must be str, not|<class "
)
#: Warnings of libraries, and those of Python's.
_NOISE = re.compile(
    r"^.*(?:RuntimeWarning|FutureWarning|UserWarning|DeprecationWarning|SyntaxWarning|Exception ignored).*$", re.M
)
#: What the client of a service logs.
_LOGGED = re.compile(r"^qiskit_\S+:WARNING:.*\n", re.M)


def _judge(case: Case, outcome: Outcome, here: Path, before: dict[str, bytes | None]) -> None:
    err = _LOGGED.sub("", outcome.err)
    if "Traceback (most recent call last)" in err:
        outcome.note("traceback", f"on standard error: {err[err.index('Traceback') :]}")
    elif noise := _NOISE.search(err):
        outcome.note("noise", noise[0])
    after = _contents(here)
    _judge_files(case, outcome, before, after)
    if "traceback" in outcome.faults:
        return
    if outcome.code == 0:
        _judge_result(outcome, lambda: case.judge(outcome.out))
    elif outcome.code == 130 and case.long:
        _judge_result(outcome, case.halted)
    elif outcome.code == 2:
        _judge_refusal(case, outcome, err)
    else:
        outcome.note("unclear", f"exit code {outcome.code}: {err}")


def _judge_files(case: Case, outcome: Outcome, before: dict[str, bytes | None], after: dict[str, bytes | None]) -> None:
    for name in after:
        if "qlstm-writing" in name:
            outcome.note("half-written", name)
    if case.never and case.never in after:
        outcome.note("wrong", f"{case.never} is there: code that a file names was run")
    if outcome.code == 2 and case.reads:
        new = [name for name in after if name not in before and not name.endswith((".lock", "-journal"))]
        changed = [
            name for name, content in before.items() if name not in after or (content is not None and after[name] != content)
        ]
        if new or changed:
            outcome.note("half-written", f"refused, and yet there are {new[:5]} and {changed[:5]} has changed")
    for name in case.outs:
        if outcome.code == 0 and after.get(name, b"x") == b"":
            outcome.note("half-written", f"{name} is empty")


def _judge_result(outcome: Outcome, judge: Callable[[], Any]) -> None:
    try:
        judge()
    except Wrong as error:
        outcome.note("wrong", str(error))
    except Exception as error:  # noqa: BLE001 - a result that a judge cannot read
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if "/odd/" in frame.filename][-1]
        outcome.note("wrong", f"accepted, and the oracle ends in {type(error).__name__}: {error} ({where.name}:{where.lineno})")


def _judge_refusal(case: Case, outcome: Outcome, err: str) -> None:
    lines = [line for line in err.splitlines() if line.strip()]
    if len(lines) != 1:
        outcome.note("unclear", f"{len(lines)} lines: {err}")
    elif inside := re.search(_INSIDES, err):
        outcome.note("unclear", f"says {inside[0]!r}: {err}")
    elif len(lines[0]) > 4000:
        outcome.note("unclear", f"{len(lines[0])} characters: {err}")
    elif case.words and not any(_named(word, err) for word in case.words if word):
        outcome.note("unclear", f"names none of {list(case.words)[:8]}: {err}")


def _named(word: str, text: str) -> bool:
    """Whether a text has a word, as it is or as messages write what is odd."""
    forms = (word, " ".join(word.split()), word.replace("-", "_"), repr(word)[1:-1], repr(word.encode("utf-8", "replace")))
    return any(form and form.lower() in text.lower() for form in forms)


def plain_json(text: str) -> Any:
    """What was printed as JSON, which knows no NaN."""

    def refuse(name: str) -> None:
        raise Wrong(f"{name} in JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise Wrong(f"no JSON: {error}: {text[:200]}") from None


def require(truth: object, what: str) -> None:
    if not truth:
        raise Wrong(what)


def same(given: Any, expected: Any, what: str = "result", rtol: float = 1e-7) -> None:
    """Require equal plain values, but for rounding."""
    if isinstance(expected, dict):
        require(isinstance(given, dict) and set(given) == set(expected), f"{what} has {given!r} in place of {expected!r}")
        for key, value in expected.items():
            same(given[key], value, f"{what}.{key}", rtol)
    elif isinstance(expected, list | tuple):
        require(
            isinstance(given, list | tuple) and len(given) == len(expected), f"{what} is {given!r} in place of {expected!r}"
        )
        for number, (own, value) in enumerate(zip(given, expected, strict=True)):
            same(own, value, f"{what}[{number}]", rtol)
    elif isinstance(expected, float) and isinstance(given, int | float) and not isinstance(given, bool):
        require(abs(given - expected) <= rtol * max(abs(expected), 1e-9), f"{what} is {given!r} in place of {expected!r}")
    else:
        require(given == expected, f"{what} is {given!r} in place of {expected!r}")
