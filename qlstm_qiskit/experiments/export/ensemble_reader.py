"""Predicts with an exported ensemble of quantum LSTMs or GRUs; needs numpy and nothing else, no quantum software.

``python predict.py series.csv`` reads the models' columns, rows in time order, and prints what follows each window: the mean of
the members' predictions, and their standard deviation.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np


def load(folder: Path | str) -> tuple[Any, list[dict[str, Any]]]:
    """The reader of the members, and the model of each; `ValueError` if a file is missing or damaged."""
    folder = Path(folder)
    try:
        members = [folder / "members" / str(place) for place in range(_count(folder / "ensemble.json"))]
        spec = importlib.util.spec_from_file_location("member", members[0] / "predict.py")
        if spec is None or spec.loader is None:
            raise ValueError("the reader of its members is missing")
        reader = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(reader)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{folder / 'ensemble.json'} and its members cannot be read: {error}") from None
    return reader, [reader.load(own / "multilinear.json") for own in members]


def _count(path: Path) -> int:
    """How many members there are."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["format"] != "qlstm-ensemble-1" or not 2 <= int(content["replicas"]) < 2**20:
        raise ValueError("it does not hold an ensemble of the format qlstm-ensemble-1")
    return int(content["replicas"])


def predict(reader: Any, models: list[dict[str, Any]], windows: Any, scaled: bool = False) -> tuple[Any, Any]:
    """Mean and standard deviation of the members' predictions, both (n, horizon); windows as in the reader of a member."""
    each = np.stack([reader.predict(model, windows, scaled) for model in models])
    change = None if scaled else models[0]["change"]
    if change is not None and change["transform"] == "log":
        return np.exp(np.log(each).mean(axis=0)), each.std(axis=0)  # the mean of what the members have learned
    return each.mean(axis=0), each.std(axis=0)


def main(arguments: list[str]) -> int:
    """Predict from a CSV file; the exit code, 2 with a line on standard error on a mistake."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    try:
        reader, models = load(Path(__file__).parent)
        model = models[0]
        rows, window = reader.read_rows(arguments[0], model["features"]), model["window"]
        window += sum(model["change"]["difference"]) if model["change"] else 0
        if len(rows) < window:
            raise ValueError(f"{arguments[0]} has {len(rows)} rows; a window needs {window}")
        windows = np.array([rows[end - window : end] for end in range(window, len(rows) + 1)])
        mean, spread = predict(reader, models, windows)
        target = ("'" if model["target"][:1] in tuple("=+-@") else "") + model["target"]  # no formula of a spreadsheet
        steps = range(model["lead"], model["lead"] + model["horizon"])
        writer = csv.writer(sys.stdout)
        writer.writerow(["after_row", *(f"{target}+{k}" for k in steps), *(f"spread+{k}" for k in steps)])
        table = np.concatenate([mean, spread], axis=1).tolist()
        writer.writerows([window + n, *values] for n, values in enumerate(table))
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads it any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
