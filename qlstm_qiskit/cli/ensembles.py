"""Output of ensembles: their members' errors, and how far they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlstm_qiskit.cli.output import print_table
from qlstm_qiskit.errors import one_model_needed

if TYPE_CHECKING:
    from qlstm_qiskit.training.task import Task


def print_members(facts: Mapping[str, Any], task: Task) -> None:
    """A table of the members' errors on the test part, and their spread; nothing for a run of one model.

    Args:
        facts: As `member_facts` gives them, among others.
        task: Of the run.
    """
    members = facts.get("members")
    if not members:
        return
    figures = task.figures
    rows = [[str(own["member"]), own["seed"], own["epochs"], *(own[name] for name in figures)] for own in members]
    header = ["member", "seed", "epochs", *figures.values()]
    print_table(f"The {len(members)} members, whose mean is the model", header, rows)
    what = "probabilities" if task.labelled else "predictions, in original units"
    print(f"Mean standard deviation of the members' {what}: {facts['spread']:.3g}")


def replicas_of(path: Path) -> int:
    """How many models a run folder has; 1 where it cannot be read, which is said by what reads it in earnest.

    Args:
        path: The folder.
    """
    import json

    try:
        found = json.loads((path / "config.json").read_text())["replicas"]
    except (OSError, ValueError, KeyError, TypeError):
        return 1
    return found if isinstance(found, int) and found > 1 else 1


def require_single(path: Path, what: str) -> None:
    """Refuse an ensemble where only one model can be meant, before anything that takes seconds to import.

    Args:
        path: The run folder.
        what: What needs one, as in "a training starts from".

    Raises:
        OptionError: It is an ensemble.
    """
    count = replicas_of(path)
    if count > 1:
        raise one_model_needed(path, count, what)


def member_folders(path: Path) -> Iterator[Path]:
    """The folders that a run has models in: those of its members, or itself.

    Args:
        path: The folder.
    """
    count = replicas_of(path)
    yield from [path] if count == 1 else (path / "members" / str(place) for place in range(count))
