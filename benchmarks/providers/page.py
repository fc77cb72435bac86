"""The table of docs/how-to/providers.md, made of the records in results/providers."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.providers.makers import MAKERS

ROOT = Path(__file__).parents[2]
RECORDS, PAGE = ROOT / "results" / "providers", ROOT / "docs" / "how-to" / "providers.md"
BEGIN, END = "<!-- made by make providers: begin -->", "<!-- made by make providers: end -->"
_HEADINGS = (
    "device",
    "package; Qiskit",
    "by Qiskit alone",
    "here",
    "values beside exact",
    "test MSE, exact and there",
    "commands",
)

#: How the part of an error begins that says what to do; it is for whoever has it.
_ADVICE = re.compile(r"\. (?=Choose|Nothing is lost|This package)")
#: Remarks on values that are as near as they should be, and on checks that come after what fails.
_DULL = re.compile(r"[\d.e+-]+ standard errors from |not tried")

#: Of the training that is killed after the first and resumed.
_EPOCHS = 2

Record = Mapping[str, Any]


def records() -> list[Record]:
    """Records that there are, in the order of the makers."""
    files = [RECORDS / f"{maker.name}.json" for maker in MAKERS]
    return [json.loads(file.read_text()) for file in files if file.is_file()]


def table(found: Sequence[Record]) -> str:
    """A row per device, with what failed in words."""
    rows = [_HEADINGS, ("---",) * len(_HEADINGS)]
    for record in found:
        if "not_installed" in record:
            rows.append((record["maker"], f"`{record['package']}`", f"not installed: {record['not_installed']}", *[""] * 4))
        rows += [_row(record, device) for device in record["devices"]]
    dates = sorted({record["date"] for record in found})
    cells = "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)
    return f"{cells}\n\nMeasured {dates[0] if dates[:1] == dates[-1:] else ' to '.join((dates[0], dates[-1]))}."


def written(page: str, content: str) -> str:
    """A page with its table replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{content}\n\n{END}{rest.split(END)[1]}"


def write_page() -> None:
    """Write the table of the records into the page."""
    PAGE.write_text(written(PAGE.read_text(), table(records())))


def _row(record: Record, device: Record) -> tuple[str, ...]:
    needs = ", ".join(text for text in record["needs"] if "[" not in text) or "any Qiskit"
    package = f"`{record['package']}`; ran with {record['qiskit']}, needs {needs}"
    if record["package"].startswith("qiskit=="):
        package = f"`{record['package']}`"
    certified = device.get("certify")
    alone = "" if certified is None else _failures(certified["raw"])
    here = "" if certified is None else "; ".join((_failures(certified["here"]), *_remarks(certified)))
    return (device["shown"], package, alone, here, _values(device.get("values")), _errors(device), _commands(device["steps"]))


def _failures(causes: Mapping[str, str]) -> str:
    return "; ".join(f"{check}: {_cause(cause)}" for check, cause in causes.items()) or "passed"


def _cause(error: str) -> str:
    """An error without advice, and without the end of a long one: lists of gates, which the record has."""
    return textwrap.shorten(_ADVICE.split(error)[0], 130, placeholder=" ...")


def _remarks(certified: Record) -> list[str]:
    """What is said of checks that did not fail, but for how near values are, which has a column."""
    told = {check: cause for check, cause in certified["remarks"].items() if check not in certified["here"]}
    return [f"{check}: {cause}" for check, cause in told.items() if cause and not _DULL.match(cause)]


def _values(found: Record | None) -> str:
    if found is None:
        return ""
    return found["error"] if "error" in found else f"{found['largest']:.3f} ({found['standard_errors']:.1f} standard errors)"


def _errors(device: Record) -> str:
    return f"{device['exact']:.3f}, {device['evaluate']:.3f}" if device.get("evaluate") is not None else ""


def _commands(steps: Sequence[Record]) -> str:
    """The first command that fails, and what it says; certify has columns of its own."""
    failed = next((step for step in steps if step["code"] and step["command"] != "backends certify"), None)
    words = "all" if failed is None else f"`{failed['command']}`: {_cause(failed['said'].removeprefix('error: '))}"
    retried = failed is None and any(step.get("retried") for step in steps)
    told = ["the job under way was sent again with `--retry`"] if retried else []
    return "; ".join([words, *told, *(remark for step in steps for remark in _unlike(step))])


def _unlike(step: Record) -> list[str]:
    """What a command did otherwise than it was meant to."""
    found = [f"`{step['command']}` printed a traceback"] if step.get("traceback") else []
    if not step.get("killed_after_an_epoch", True):
        found.append("the training was not killed: it had ended")
    if step.get("epochs", _EPOCHS) != _EPOCHS:
        found.append(f"epochs in its history: {step['epochs']} in place of {_EPOCHS}")
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
