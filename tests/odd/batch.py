"""Cases one after another in a forked process, and another one where that has died of a case."""

from __future__ import annotations

import io
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.odd.cases import FAULTS, Outcome, perform
from tests.odd.good import Good
from tests.odd.targets import make_case

#: Seconds in which a case must end, whether it uses the processor or waits.
PATIENCE = 300
#: Bytes that a process may take beside those that it has.
ROOM = 6 * 2**30


@dataclass
class Row:
    """What came of a case, for tables and lists.

    Attributes:
        kind, seed: Of the case.
        what: What is odd about it.
        command: What was run.
        outcome: What it came to.
    """

    kind: str
    seed: int
    what: str
    command: str
    outcome: Outcome

    def __str__(self) -> str:
        found = "; ".join(f"{kind}: {text}" for kind, text in self.outcome.faults.items())
        return f"python -m tests.odd {self.kind} {self.seed}: {self.what} | {self.command} | {found}"


def rows(kind: str, seeds: Iterable[int], good: Good, folder: Path) -> Iterator[Row]:
    """The outcomes of a kind's cases, in a working folder of their own."""
    left = list(seeds)
    while left:
        done = 0
        for row in _in_a_child(kind, left, good, folder):
            done += 1
            yield row
        left = left[done:]


def _in_a_child(kind: str, seeds: list[int], good: Good, folder: Path) -> Iterator[Row]:
    """Outcomes until the child ends; where a case ends it, that is the last one's."""
    folder.mkdir(parents=True, exist_ok=True)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            os.close(read)
            _work(kind, seeds, good, folder, write)
            code = 0
        except BaseException:  # noqa: BLE001 - a fork must not go on with what its parent was at
            traceback.print_exc()  # of a case that cannot be made
        finally:
            os._exit(code)
    os.close(write)
    done, buffer, patience = 0, b"", time.monotonic() + PATIENCE
    try:
        while True:
            if not select.select([read], [], [], max(0.0, patience - time.monotonic()))[0]:
                break
            part = os.read(read, 65536)
            if not part:
                break
            *lines, buffer = (buffer + part).split(b"\n")
            for line in lines:
                content = json.loads(line)
                yield Row(**(content | {"outcome": Outcome(**content["outcome"])}))
                done, patience = done + 1, time.monotonic() + PATIENCE
    finally:
        os.close(read)
        with_all = os.waitpid(pid, os.WNOHANG) if time.monotonic() < patience else (0, 0)
        if with_all == (0, 0):
            time.sleep(0.2)
            with_all = os.waitpid(pid, os.WNOHANG)
        if with_all == (0, 0):
            os.killpg(pid, signal.SIGKILL)
            with_all = os.waitpid(pid, 0)
    if done < len(seeds):
        yield _died(kind, seeds[done], with_all[1], folder)


def _died(kind: str, seed: int, status: int, folder: Path) -> Row:
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    name = signal.Signals(number).name if number else f"exit code {os.waitstatus_to_exitcode(status)}"
    outcome = Outcome(None)
    fault = "hang" if number in (signal.SIGXCPU, signal.SIGKILL) else "traceback"
    what, command = json.loads((folder / "begun.json").read_text())
    outcome.note(fault, f"the process ended by {name}: {(folder / 'stderr').read_text(errors='replace')[-300:]}")
    return Row(kind, seed, what, command, outcome)


def _work(kind: str, seeds: list[int], good: Good, folder: Path, write: int) -> None:
    with prepared(folder):
        for seed in seeds:
            row = perform_one(kind, seed, good, folder)
            row.outcome.out, row.outcome.err = "", row.outcome.err[-400:]
            os.write(write, json.dumps(asdict(row)).encode() + b"\n")


class prepared:  # noqa: N801 - reads as a verb
    """Limits and replacements that hold for all cases of a process: a mocked service, no measuring, small pages and figures."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.patch = folder, pytest.MonkeyPatch()

    def __enter__(self) -> None:
        import plotly.offline
        from matplotlib.figure import Figure

        from qlstm_qiskit.experiments.scaling import measure as scaling
        from qlstm_qiskit.hardware.jobs import fetch
        from tests.experiments.device_work import connect
        from tests.hardware.mock_service import Server
        from tests.odd.good import measured

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_size() + ROOM, hard))
        self.patch.setattr(Figure, "savefig", _seldom_drawn(Figure.savefig))
        self.patch.setattr(plotly.offline, "get_plotlyjs", lambda: "plotly")
        self.patch.setattr(scaling, "measure_point", measured)
        self.patch.setattr(fetch, "LOOKS", (0.0,))  # a mocked service needs no time
        self.patch.setattr(fetch, "FIRST_PAUSE", 0.0)
        self.patch.setattr(sys, "path", [*sys.path, str(self.folder / "here")])
        self.patch.setenv("COLUMNS", "120")
        self.patch.setenv("QLSTM_CACHE", str(self.folder / "isa"))
        self.patch.setenv("USAGE_DATA_OPT_OUT", "True")
        server = Server(self.folder / "before" / "service")
        connect(server, self.patch)
        server.folder = self.folder / "here" / "service"

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


def _seldom_drawn(draw: Callable[..., None]) -> Callable[..., None]:
    """Figures are drawn, small, where the environment says so; else something stands in for them, which costs nothing."""

    def savefig(figure: Any, file: Any, *, format: str = "png", **options: Any) -> None:
        if os.environ.get("ODD_DRAWN"):
            draw(figure, file, format=format, **(options | {"dpi": 10}))
        else:
            blank = '<svg xmlns="http://www.w3.org/2000/svg"/>'
            file.write(blank if isinstance(file, io.StringIO) else blank.encode() if format == "svg" else b"\x89PNG\r\n")

    return savefig


def _size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def perform_one(kind: str, seed: int, good: Good, folder: Path) -> Row:
    """Make a case and run it, in this process."""
    here = folder / "here"
    sys.modules.pop("odd_code", None)
    os.environ["ODD_DRAWN"] = "" if seed % 8 else "yes"
    case = make_case(kind, seed, good, here)
    command = "a call" if callable(case.command) else " ".join(case.command)
    (folder / "begun.json").write_text(json.dumps([case.damage.what, command[:300]]))
    return Row(kind, seed, case.damage.what, command[:300], perform(case, here))


def table(found: Iterable[Row]) -> str:
    """A line for each kind: cases, exit codes, faults."""
    header = ["kind", "cases", "exit 0", "exit 2", *FAULTS]
    counts: dict[str, Counter[str]] = {}
    for row in found:
        own = counts.setdefault(row.kind, Counter())
        own["cases"] += 1
        own[f"exit {row.outcome.code}"] += 1
        own.update(list(row.outcome.faults))
    total: Counter[str] = sum(counts.values(), Counter())
    lines = [header, ["-" * len(name) for name in header]]
    lines += [[kind, *(str(own[name]) for name in header[1:])] for kind, own in [*counts.items(), ("all", total)]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
