"""What a command that was given something odd must have made, where it went well."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tests.odd import oracles
from tests.odd.cases import plain_json, require, same
from tests.odd.good import WINDOW
from tests.odd.results import page


def value_of(words: list[str], flag: str) -> str | None:
    """What an option was last given."""
    found = None
    for number, word in enumerate(words):
        if word == flag and number + 1 < len(words):
            found = words[number + 1]
        elif word.startswith(flag + "="):
            found = word.partition("=")[2]
    return found


def _trained(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    """A training that went well is a whole run folder, made as was asked, whose numbers are those of its model."""
    if "--help" in arguments:
        return
    require(out != "", "an empty --out was taken for the working folder")
    folder = here / (out or _only_run(here))
    metrics = plain_json((folder / "metrics.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    if config["backend"] == "statevector":
        oracles.evaluation(folder, metrics)
    given = config | config["data"]
    for name in (
        "window",
        "horizon",
        "season",
        "seed",
        "epochs",
        "batch_size",
        "num_layers",
        "depth",
        "n_qubits",
        "patience",
        "hidden_size",
    ):
        value = value_of(arguments, f"--{name.replace('_', '-')}")
        if value is not None:
            require(given[name] == int(value), f"{name} is {given[name]!r}, and {value!r} was given")
    for name in ("lr", "angle_std", "train_fraction", "valid_fraction", "spsa_eps"):
        value = value_of(arguments, f"--{name.replace('_', '-')}")
        if value is not None:
            require(
                given[name] == float(value) and math.isfinite(given[name]),
                f"{name} is {given[name]!r}, and {value!r} was given",
            )
    for name in ("model", "optimizer", "schedule", "mixing", "target"):
        value = value_of(arguments, f"--{name}")
        if value is not None:
            require(given[name] == value, f"{name} is {given[name]!r}, and {value!r} was given")
    lines = (folder / "history.jsonl").read_text().splitlines()
    require([plain_json(line)["epoch"] for line in lines] == list(range(1, metrics["epochs"] + 1)), "a history of other epochs")


def _only_run(here: Path) -> str:
    return str(next((here / "runs").iterdir()).relative_to(here))


def _evaluated(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    if "--json" not in arguments or "--help" in arguments:
        return
    facts = plain_json(text)
    if facts["backend"] in ("statevector", "aer-exact"):
        oracles.evaluation(here / facts["run"], facts)
    steps = value_of(arguments, "--steps")
    if steps is not None:
        require(
            len(facts["rolled_out"]["model"]["mse"] if "mse" in facts["rolled_out"]["model"] else [0] * int(steps))
            == int(steps),
            "steps",
        )


def _predicted(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    if "--help" in arguments:
        return
    require(out != "", "an empty --out was taken for a file")
    header, rows = oracles.table(here / (out or ""))
    horizon = value_of(arguments, "--horizon")
    require("prediction" in header, "no predictions")
    values = [row[header.index("prediction")] for row in rows]
    if horizon is not None:
        require(len(rows) == int(horizon), f"{len(rows)} rows, and {horizon} were asked for")
    last = value_of(arguments, "--last")
    before = 0 if horizon or last else WINDOW
    require(all(oracles.NUMBER.fullmatch(value) for value in values[before:]), "a prediction that is no number")
    source = value_of(arguments, "--csv")
    backend = value_of(arguments, "--backend")
    if horizon is None and backend in (None, "statevector") and source is not None:
        rows = [{"prediction": float(value) if value else None} for value in values]
        run = here / next(word for word in arguments if not word.startswith("-"))
        oracles.predictions(run, here / source, rows, None if last is None else int(last))


def _reported(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    if "--help" not in arguments:
        page(here / (out or ""))


def _exported(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    if "--help" in arguments:
        return
    require(out != "", "an empty --out was taken for the working folder")
    form = value_of(arguments, "--format")
    name = {"multilinear": "multilinear.json"}.get(form or "", "model.json")
    plain_json((here / (out or "") / name).read_text())


def printed(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    if "--json" in arguments and "--help" not in arguments:
        plain_json(text)


def _tabled(arguments: list[str], text: str, here: Path, out: str | None) -> None:
    if "--help" in arguments:
        return
    require(out != "", "an empty --out was taken for the working folder")
    printed(arguments, text, here, out)
    for cell in plain_json((here / (out or "") / "table.json").read_text())["cells"]:
        if cell["row"] == "persistence":
            same(len(cell["values"]) if "values" in cell else 1, 1, "values")


JUDGES: dict[str, Any] = {
    "train": _trained,
    "evaluate": _evaluated,
    "predict": _predicted,
    "report": _reported,
    "export": _exported,
    "table": _tabled,
}
