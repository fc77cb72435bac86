"""Commands on run folders, and what a right result of each is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from qlstm_qiskit.experiments import RunSpec
from tests.odd import oracles
from tests.odd.cases import plain_json, require, same
from tests.odd.good import Good


def copied(good: Good, here: Path, *names: str, **others: str) -> None:
    """Copies of good files and folders; with another name where one is given."""
    for name, source in {**{name: name for name in names}, **others}.items():
        path = good.folder / source
        if path.is_dir():
            shutil.rmtree(here / name, ignore_errors=True)
            shutil.copytree(path, here / name, ignore=shutil.ignore_patterns("*.lock", "*.png"))
        else:
            shutil.copyfile(path, here / name)


def page(path: Path) -> None:
    """Require a whole page with plain numbers in its figures."""
    text = path.read_text()
    require(text.rstrip().endswith("</html>"), "the page has no end")
    figures = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S)
    if figures:
        plain_json(figures[1])
    body = text.split("<body>")[1].split("<script")[0]
    visible = re.sub(r"<[^>]*>", " ", re.sub(r'href="[^"]*"|<svg.*?</svg>', "", body, flags=re.S))
    odd = re.search(r"\b(nan|NaN|inf|Infinity|None|undefined)\b", visible)
    require(odd is None, f"the page says {odd and visible[max(0, odd.start() - 40) : odd.end() + 20]!r}")


def evaluated(here: Path, run: str) -> tuple[list[str], Callable[[str], Any]]:
    def judge(out: str) -> None:
        facts = plain_json(out)
        options = RunSpec.model_validate(json.loads((here / run / "config.json").read_text())).backend_options
        if options is None or options.exact:
            oracles.evaluation(here / run, facts)

    return ["evaluate", run, "--json"], judge


def predicted(here: Path, run: str, csv: str = "wave.csv") -> tuple[list[str], Callable[[str], Any]]:
    def judge(out: str) -> None:
        facts = plain_json(out)
        oracles.predictions(here / run, here / csv, facts["table"])
        rows = oracles.table(here / "out.csv")[1]
        require(len(rows) == len(facts["table"]), "another number of rows in the file")

    return ["predict", run, "--csv", csv, "--out", "out.csv", "--json"], judge


def reported(here: Path, folder: str) -> tuple[list[str], Callable[[str], Any]]:
    return ["report", folder, "--out", "out.html"], lambda out: page(here / "out.html")


def on_run(
    rng: Random, here: Path, run: str, weights: tuple[int, ...] = (6, 3, 1, 1)
) -> tuple[list[str], Callable[[str], Any]]:
    """A command that reads a run folder, and what must come of it."""
    kind = rng.choices(("evaluate", "predict", "report", "resume"), weights)[0]
    if kind == "evaluate":
        return evaluated(here, run)
    if kind == "predict":
        return predicted(here, run)
    if kind == "report":
        return reported(here, run)

    def judge(out: str) -> None:
        facts = plain_json(out)
        oracles.model_of(here / run)
        same(
            {k: v for k, v in facts.items() if k not in ("run", "figures")},
            json.loads((here / run / "metrics.json").read_text()),
        )

    return ["train", "--resume", "--out", run, "--json"], judge
