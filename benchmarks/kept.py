"""Folders of measurements that are committed: records, the code, versions and machine that made them, and a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qlstm_qiskit.experiments.runs.environment import environment
from qlstm_qiskit.storage import write_atomically

Records = list[dict[str, Any]]


def keep(folder: Path, records: Records, table: Callable[[Records], Sequence[str]]) -> None:
    """Write `records.json` and `table.md` into a folder, which is made if it is not there.

    Args:
        folder: Where.
        records: What was measured, in the order of the measurements.
        table: Lines of Markdown from records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {"environment": environment(), "records": records}
    write_atomically(folder / "records.json", json.dumps(content, indent=1) + "\n")
    write_atomically(folder / "table.md", "\n".join(table(records)) + "\n")


def kept(folder: Path) -> tuple[dict[str, Any], Records]:
    """The environment and the records of a folder that `keep` wrote."""
    content = json.loads((folder / "records.json").read_text())
    return content["environment"], content["records"]
