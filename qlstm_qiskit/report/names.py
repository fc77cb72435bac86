"""Names of rows, series, columns and circuits as text: in matplotlib's figures and in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qlstm_qiskit.errors import printable

if TYPE_CHECKING:
    from qlstm_qiskit.experiments import Run

#: What Markdown may read as its own. Underscores within words are none of it.
_MARKUP = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])")


def drawn(text: str) -> str:
    """Text that matplotlib draws as it is: a dollar sign does not begin a formula, and control characters are escapes."""
    return printable(text).replace("$", r"\$")


def in_legend(text: str) -> str:
    """As `drawn`; matplotlib leaves a label out of a legend that begins with an underscore, so a space goes before it."""
    return f" {drawn(text)}" if text.startswith("_") else drawn(text)


def seeds_said(run: Run) -> str:
    """The seed of a run, or those of an ensemble, in words.

    Args:
        run: A trained run.
    """
    seed, several = run.spec.seed, len(run.members)
    return f"seed {seed}" if several == 1 else f"mean of seeds {seed} to {seed + several - 1}"


def title_of(run: Run) -> str:
    """The model, series, epochs and seed of a run, as `drawn`."""
    return f"{run.spec.title} on {drawn(run.dataset.name)}, {run.epochs} epoch{'s' * (run.epochs > 1)}, {seeds_said(run)}"


def steps_ahead(lead: int) -> str:
    """How far forecasts go, in words."""
    return "one step ahead" if lead == 1 else f"{lead} steps ahead"


def in_markdown(text: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def as_code(text: str) -> str:
    """A name as code in a cell of a table: a longer fence round backticks, and bars escaped as tables need it."""
    shown = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"
