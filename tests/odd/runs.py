"""Damaged run folders."""

from __future__ import annotations

import base64
import json
import shutil
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.odd import oracles
from tests.odd.cases import Case, plain_json, require
from tests.odd.damage import Damage, at, damage_bytes, damage_json, damage_lines, named, nodes
from tests.odd.formats import damage_weights
from tests.odd.good import Good
from tests.odd.results import copied, on_run

RUNS = ("run", "run", "two", "lstm", "hybrid", "derived", "own")


#: A backend in a folder of somebody else's that is code: who only reads the folder must not run it.
ODD_CODE = 0.04  # of the cases
CODE = "from pathlib import Path\n\n\ndef device():\n    Path('called').write_text('')\n    raise SystemExit('called')\n"


def config_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(RUNS)
    copied(good, here, run, "wave.csv")
    path = here / run / "config.json"
    if rng.random() < ODD_CODE:
        tree = json.loads(path.read_text())
        tree |= {"backend": "theirs", "backend_options": {"name": "theirs", "kind": "provider", "provider": "odd_code:device"}}
        path.write_text(json.dumps(tree))
        (here / "odd_code.py").write_text(CODE)
        damage = Damage("a provider of its own", ("backend_options",), ("theirs", "provider", "--backend"))
    else:
        content, damage = damage_json(rng, path.read_text())
        path.write_bytes(content)
    command, judge = on_run(rng, here, run)

    words = (run, "config.json", "theirs", "wave.csv", "stored circuit", *damage.words)
    return Case(damage, command, judge, words, ("out.csv", "out.html"), reads=command[0] != "train", never="called")


def _valid_metrics(text: str, good: str) -> None:
    """Require numbers where there were numbers; words are shown as they are, and what is not there is not shown."""
    found, wanted = plain_json(text), json.loads(good)
    for path in nodes(wanted):
        value = at(wanted, path)
        if path[0] in ("seed", "hidden_size", "depth") or not (_is_number(value) or path == ("interrupted",)):
            continue
        inner = found
        for key in path:
            require(isinstance(inner, dict), f"{named(path)} is in {inner!r}, and was taken")
            if key not in inner:
                break
            inner = inner[key]
        else:
            kind = isinstance(inner, bool) if path == ("interrupted",) else _is_number(inner)
            require(kind, f"{named(path)} is {inner!r}, and was taken")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def metrics_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("run", "two", "derived", "search"))
    copied(good, here, run, "wave.csv")
    path = here / run / "metrics.json"
    content, damage = damage_json(rng, path.read_text())
    path.write_bytes(content)
    command, judge = on_run(rng, here, run, (1, 1, 4, 3))

    def valid(out: str) -> None:
        if command[0] in ("report", "train"):
            _valid_metrics(content.decode("utf-8-sig"), good.read(f"{run}/metrics.json"))
        judge(out)

    return Case(
        damage, command, valid, (run, "metrics.json", *damage.words), ("out.csv", "out.html"), reads=command[0] != "train"
    )


def _valid_history(path: Path, epochs: int) -> None:
    text = [line for line in path.read_text().splitlines() if line.strip()]
    lines = [plain_json(line) for line in text[:epochs]]  # later ones are not read
    require(len(lines) >= epochs, f"{len(lines)} lines for {epochs} epochs were taken")
    for number, line in enumerate(lines, 1):
        require(
            _is_number(line.get("epoch")) and line["epoch"] == number,
            f"line {number} is of epoch {line.get('epoch')!r}, and was taken",
        )
        if path.name == "history.jsonl":
            for name in ("train_mse", "test_mse"):
                value = line.get(name)
                require(isinstance(value, int | float) and not isinstance(value, bool), f"{name} is {value!r}, and was taken")
        else:
            for layer in line["layers"]:
                shape = np.shape(np.array(layer["coefficients"], dtype=float))
                require(len(shape) == 2 and shape == (4, len(layer["candidates"])), f"coefficients of shape {shape} were taken")
                require(np.isfinite(layer["coefficients"]).all(), "coefficients that are not finite were taken")


def history_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("run", "search", "cut", "searching"))
    copied(good, here, run, "wave.csv")
    name = rng.choice(("history.jsonl", "history.jsonl", "architecture.jsonl"))
    name = name if (here / run / name).exists() else "history.jsonl"
    path = here / run / name
    content, damage = damage_lines(rng, path.read_text())
    path.write_bytes(content)
    if run.startswith(("cut", "search")) and run != "search":
        command, judge = (
            ["train", "--resume", "--out", run, "--json"],
            partial(_resumed, good, here, run, f"{run}-whole", history=True),
        )
        epochs = 1  # the line of an epoch beyond the checkpoint's is not read
    else:
        command, judge = on_run(rng, here, run, (0, 0, 4, 1))
        epochs = 2

    def valid(out: str) -> None:
        kept = here / "kept"
        kept.mkdir()
        (kept / name).write_bytes(content)
        _valid_history(kept / name, epochs)
        judge(out)

    words = (run, name, *damage.words)
    return Case(damage, command, valid, words, ("out.html",), reads=True)


def _resumed(good: Good, here: Path, run: str, whole: str, out: str, *, history: bool = False) -> None:
    """Require the bits of a training that was never interrupted."""
    plain_json(out)
    for name in ("model.safetensors", *(() if history else ("history.jsonl", "architecture.jsonl"))):
        there, here_too = good.folder / whole / name, here / run / name
        if not there.exists():
            continue
        if name.endswith(".jsonl"):
            given, expected = ([_timeless(line) for line in path.read_text().splitlines()] for path in (here_too, there))
        else:
            given, expected = ({k: v.tolist() for k, v in oracles.read_weights(path)[1].items()} for path in (here_too, there))
        require(given == expected, f"{name} is another one than that of a training that was never interrupted")
    if history:
        _valid_history(here / run / "history.jsonl", 3)


def _timeless(line: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if key != "seconds"}


def weights_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(RUNS)
    copied(good, here, run, "wave.csv")
    path = here / run / "model.safetensors"
    content, damage = damage_weights(rng, path.read_bytes())
    path.write_bytes(content)
    command, judge = on_run(rng, here, run, (5, 4, 1, 0))
    words = (run, "model.safetensors", "wave.csv", *damage.words)
    return Case(damage, command, judge, words, ("out.csv", "out.html"))


def checkpoint_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("cut", "searching"))
    copied(good, here, run, "wave.csv")
    path = here / run / "checkpoint.safetensors"
    content, damage = damage_weights(rng, path.read_bytes())
    path.write_bytes(content)
    good_path = good.folder / run / "checkpoint.safetensors"

    def judge(out: str) -> None:
        copy = here / "checkpoint"
        copy.write_bytes(content)
        header, tensors = oracles.read_weights(copy)
        wanted, others = oracles.read_weights(good_path)
        shapes = [{name: (value.shape, value.dtype) for name, value in part.items()} for part in (tensors, others)]
        changed = any(not np.array_equal(value, others[name]) for name, value in tensors.items() if name in others)
        if header == wanted and shapes[0] == shapes[1] and changed:
            oracles.model_of(here / run)  # numbers are not checked by a sum: another state, gone on with
        else:
            _resumed(good, here, run, f"{run}-whole", out)

    words = (run, "checkpoint", *damage.words)
    return Case(damage, ["train", "--resume", "--out", run, "--json"], judge, words)


def genotype_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("derived", "own"))
    copied(good, here, run, "wave.csv")
    path = here / run / "config.json"
    if run == "derived" and rng.random() < 0.2:
        path = here / run / "genotype.json"
        content, damage = damage_json(rng, path.read_text())
    elif run == "own" and rng.random() < 0.3:
        tree = json.loads(path.read_text())
        stored = next(iter(tree["genotype"]["circuits"].values()))
        wrong, what = damage_bytes(rng, base64.b64decode(stored["qpy"]))
        stored["qpy"] = base64.b64encode(wrong).decode()
        content, damage = json.dumps(tree).encode(), Damage(f"the stored circuit: {what}", words=("circuit",))
    else:
        content, damage = damage_json(rng, path.read_text(), lambda place: place[0] == "genotype" and len(place) > 1)
    path.write_bytes(content)
    command, judge = on_run(rng, here, run, (6, 2, 2, 0))
    words = (run, "config.json", "genotype", "circuit", "wave.csv", *damage.words)
    return Case(damage, command, judge, words, ("out.csv", "out.html"))


def folders_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("run", "two", "derived", "search", "cut"))
    copied(good, here, run, "wave.csv")
    names = sorted(path.name for path in (here / run).iterdir())
    name = rng.choice(names)
    path = here / run / name
    kind = rng.choice(
        ["missing", "another's", "another's", "a folder", "a link to nowhere", "a link to itself", "empty", "of zeros"]
    )
    if kind != "another's":
        path.unlink()
    if kind == "another's":
        other = rng.choice([other for other in ("run", "two", "lstm", "hybrid", "search", "own", "cut-whole") if other != run])
        if (good.folder / other / name).exists():
            shutil.copyfile(good.folder / other / name, path)
        kind = f"that of {other}"
    elif kind == "a folder":
        path.mkdir()
    elif kind.startswith("a link"):
        path.symlink_to("nowhere" if "nowhere" in kind else name)
    elif kind != "missing":
        path.write_bytes(b"" if kind == "empty" else bytes(512))
    damage = Damage(f"{run}/{name} is {kind}")
    if run == "cut" and rng.random() < 0.5:
        command, judge = (
            ["train", "--resume", "--out", run, "--json"],
            partial(_resumed, good, here, run, f"{run}-whole", history=True),
        )
    else:
        command, judge = on_run(rng, here, run, (4, 3, 2, 1 if run != "cut" else 0))
    return Case(damage, command, judge, (run, name, "wave.csv"), ("out.csv", "out.html"), reads=command[0] != "train")
