"""Kinds of inputs, and their cases by seed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.odd import files, runs
from tests.odd.cases import Case
from tests.odd.commands import command_case
from tests.odd.good import Good

#: Kind -> how a case is made, and how many there are.
KINDS: dict[str, tuple[Callable[[Random, Good, Path], Case], int]] = {
    "command": (command_case, 480),
    "csv": (files.csv_case, 280),
    "config": (runs.config_case, 320),
    "metrics": (runs.metrics_case, 120),
    "history": (runs.history_case, 120),
    "weights": (runs.weights_case, 280),
    "checkpoint": (runs.checkpoint_case, 160),
    "genotype": (runs.genotype_case, 120),
    "exports": (files.exports_case, 240),
    "multilinear": (files.multilinear_case, 240),
    "backends": (files.backends_case, 200),
    "studies": (files.studies_case, 200),
    "ledger": (files.ledger_case, 200),
    "folders": (runs.folders_case, 120),
}


def make_case(kind: str, seed: int, good: Good, here: Path) -> Case:
    """The case of a kind and a seed, in a folder that is made anew; the process is in that folder then."""
    os.chdir(here.parent)
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    os.chdir(here)
    return KINDS[kind][0](Random(f"{kind} {seed}"), good, here)
