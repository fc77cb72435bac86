"""What is wrong with series, folders and extras that options name, found before torch and Qiskit are loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlstm_qiskit.cli.options import READING, reading_of, split_names
from qlstm_qiskit.errors import DataError, OptionError, RunError, installing
from qlstm_qiskit.storage import exists

if TYPE_CHECKING:
    from qlstm_qiskit.data import Dataset

#: Options of a series that only a file has; a series with a name has its own.
_OF_FILE = ("target", "features", "season")


def require_file(path: Path) -> None:
    """Refuse a file that is not there, before pandas is loaded.

    Raises:
        DataError: There is none.
    """
    if not exists(path):
        raise DataError(f"there is no file {path}; check the path.")


def require_place(out: Path | None, *, resume: bool) -> None:
    """Refuse a file, or the folder of a run that is there already, as the place of a new run.

    Args:
        out: The folder, or None for one that is chosen later.
        resume: Whether a run that is there is to be continued.

    Raises:
        RunError: It cannot be that.
    """
    if out is None or not exists(out):
        return
    if not out.is_dir():
        raise RunError(f"cannot make the folder {out}: it is a file; choose another one.")
    if resume or not exists(out / "config.json"):
        return
    if not _is_finished(out / "metrics.json"):
        raise RunError(f"{out} holds an unfinished training; go on with: qlstm resume {out}")
    raise RunError(f"{out} already holds a run (config.json); choose another folder or delete this one.")


def _is_finished(metrics: Path) -> bool:
    try:
        return not json.loads(metrics.read_text())["interrupted"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):  # damaged, which is said where it is read
        return True


def require_packages(loggers: Collection[str]) -> None:
    """Refuse loggers whose packages are not installed; a logger has its package's name.

    Raises:
        OptionError: One is not.
    """
    for name in loggers:
        if find_spec(name) is None:
            raise OptionError(f"logging to {name} needs {name}: {installing('logging')}.")


def require_of_file(values: Mapping[str, Any], given: Collection[str]) -> None:
    """Refuse options of a file beside a series that has a name.

    Args:
        values: Of all options.
        given: Those that are on the command line.

    Raises:
        OptionError: There is one.
    """
    if values["dataset"] is None:
        return
    for names, why in (
        (_OF_FILE, "has its own"),
        (("known", "calendar"), "has no such columns"),
        (sorted(READING), "is no file"),
    ):
        for name in names:
            if name in given:
                raise OptionError(f"--{name.replace('_', '-')} goes with --csv; the dataset {values['dataset']!r} {why}.")


def require_series(values: Mapping[str, Any], cut: Callable[[Dataset], object] | None) -> None:
    """Read the file of a series, print what is recognised in it, and refuse what is wrong with it.

    Args:
        values: Of all options.
        cut: What sets a part of it aside, or refuses to.

    Raises:
        DataError, OptionError: The file, a column or an option cannot be used.
    """
    if values["csv"] is None:
        return
    if values["target"] is None:
        raise OptionError("a CSV file needs the name of the column to predict (--target).")
    require_file(values["csv"])
    from qlstm_qiskit.data import load_csv  # and pandas with it

    options = {name: values[name] for name in ("window", "horizon", "train_fraction", "transform")}
    options |= {"lead": values["lead"] or 1}
    options |= {"known": columns_of(values, "known") or (), "calendar": values["calendar"] or ()}
    options |= {"season": 1 if values["season"] is None else values["season"], "difference": values["difference"] or ()}
    data = load_csv(values["csv"], values["target"], columns_of(values), **options, reading=reading_of(values))
    if cut is not None:
        cut(data)
    if data.said and not values["json"]:
        print(data.said)


def columns_of(values: Mapping[str, Any], option: str = "features") -> list[str] | None:
    """The features, or other columns, that are named; None where none are."""
    from qlstm_qiskit.data import read_table

    features, csv = values[option], values["csv"]
    known: Collection[str] = ()
    if csv is not None and any("," in value for value in features or ()):
        known = list(read_table(csv, reading_of(values)).columns)  # a name may have a comma
    return split_names(features or None, known)
