"""For each kind of input: how it is damaged, what is run on it, and what a right result is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import yaml

from qlstm_qiskit.experiments import DataSpec, RunSpec, train_run
from qlstm_qiskit.experiments.exported import load_exported
from tests.odd import oracles
from tests.odd.cases import Case, Wrong, plain_json, require, same
from tests.odd.commands import command_case
from tests.odd.damage import Damage, damage_bytes, damage_json, damage_lines, damage_text
from tests.odd.formats import damage_csv, damage_ledger, damage_program, damage_weights, damage_yaml
from tests.odd.good import Good

RUNS = ("run", "run", "two", "lstm", "hybrid", "derived", "own")


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
    require(figures, "the page has no figures")
    plain_json(figures[1])  # type: ignore[index]
    body = text.split("<body>")[1].split("<script")[0]
    visible = re.sub(r"<[^>]*>", " ", re.sub(r'href="[^"]*"|<svg.*?</svg>', "", body, flags=re.S))
    odd = re.search(r"\b(nan|NaN|inf|Infinity|None|undefined)\b", visible)
    require(odd is None, f"the page says {odd and visible[max(0, odd.start() - 40) : odd.end() + 20]!r}")


def _evaluate(here: Path, run: str) -> tuple[list[str], Callable[[str], Any]]:
    def judge(out: str) -> None:
        facts = plain_json(out)
        options = RunSpec.model_validate(json.loads((here / run / "config.json").read_text())).backend_options
        if options is None or options.exact:
            oracles.evaluation(here / run, facts)

    return ["evaluate", run, "--json"], judge


def _predict(here: Path, run: str, csv: str = "wave.csv") -> tuple[list[str], Callable[[str], Any]]:
    def judge(out: str) -> None:
        facts = plain_json(out)
        oracles.predictions(here / run, here / csv, facts["table"])
        header, rows = oracles.table(here / "out.csv")
        require(len(rows) == len(facts["table"]), "another number of rows in the file")

    return ["predict", run, "--csv", csv, "--out", "out.csv", "--json"], judge


def _report(here: Path, folder: str) -> tuple[list[str], Callable[[str], Any]]:
    return ["report", folder, "--out", "out.html"], lambda out: page(here / "out.html")


def _on_run(
    rng: Random, here: Path, run: str, weights: tuple[int, ...] = (6, 3, 1, 1)
) -> tuple[list[str], Callable[[str], Any]]:
    """A command that reads a run folder, and what must come of it."""
    kind = rng.choices(("evaluate", "predict", "report", "resume"), weights)[0]
    if kind == "evaluate":
        return _evaluate(here, run)
    if kind == "predict":
        return _predict(here, run)
    if kind == "report":
        return _report(here, run)

    def judge(out: str) -> None:
        facts = plain_json(out)
        oracles.model_of(here / run)
        same(
            {k: v for k, v in facts.items() if k not in ("run", "figures")},
            json.loads((here / run / "metrics.json").read_text()),
        )

    return ["train", "--resume", "--out", run, "--json"], judge


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
    command, judge = _on_run(rng, here, run)

    words = (run, "config.json", "theirs", "wave.csv", *damage.words)
    return Case(damage, command, judge, words, ("out.csv", "out.html"), reads=command[0] != "train", never="called")


def _valid_metrics(text: str, good: str) -> None:
    """Require metrics of the same kinds of values; those that are shown only may be others."""

    def kinds(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kinds(own) for key, own in value.items()}
        return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__

    found, wanted = kinds(plain_json(text)), kinds(json.loads(good))
    for name, kind in wanted.items():
        if name not in found or name in (
            "commit",
            "changed",
            "processor",
            "evaluated_on",
            "search",
            "seed",
            "hidden_size",
            "depth",
        ):
            continue  # shown only, or not at all
        known = (
            {key: kind[key] for key in kind if key in found[name]}
            if isinstance(kind, dict) and isinstance(found[name], dict)
            else kind
        )
        own = (
            {key: found[name][key] for key in known}
            if isinstance(known, dict) and isinstance(found[name], dict)
            else found[name]
        )
        require(own == known, f"{name} is {json.loads(text)[name]!r}, and was taken")


def metrics_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("run", "two", "derived", "search"))
    copied(good, here, run, "wave.csv")
    path = here / run / "metrics.json"
    content, damage = damage_json(rng, path.read_text())
    path.write_bytes(content)
    command, judge = _on_run(rng, here, run, (1, 1, 4, 3))

    def valid(out: str) -> None:
        if command[0] in ("report", "train"):
            _valid_metrics(content.decode("utf-8-sig"), good.read(f"{run}/metrics.json"))
        judge(out)

    return Case(
        damage, command, valid, (run, "metrics.json", *damage.words), ("out.csv", "out.html"), reads=command[0] != "train"
    )


def _valid_history(path: Path, epochs: int) -> None:
    lines = [plain_json(line) for line in path.read_text().splitlines() if line.strip()]
    require(len(lines) >= epochs, f"{len(lines)} lines for {epochs} epochs were taken")
    for number, line in enumerate(lines[:epochs], 1):
        require(
            isinstance(line.get("epoch"), int) and line["epoch"] == number,
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
        command, judge = _on_run(rng, here, run, (0, 0, 4, 1))
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
    command, judge = _on_run(rng, here, run, (5, 4, 1, 0))
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
        import base64

        tree = json.loads(path.read_text())
        stored = next(iter(tree["genotype"]["circuits"].values()))
        wrong, what = damage_bytes(rng, base64.b64decode(stored["qpy"]))
        stored["qpy"] = base64.b64encode(wrong).decode()
        content, damage = json.dumps(tree).encode(), Damage(f"the stored circuit: {what}", words=("circuit",))
    else:
        content, damage = damage_json(rng, path.read_text(), lambda place: place[0] == "genotype" and len(place) > 1)
    path.write_bytes(content)
    command, judge = _on_run(rng, here, run, (6, 2, 2, 0))
    words = (run, "config.json", "genotype", "circuit", *damage.words)
    return Case(damage, command, judge, words, ("out.csv", "out.html"))


def exports_case(rng: Random, good: Good, here: Path) -> Case:
    name = rng.choice(("qasm3", "qpy", "hybrid-qasm3"))
    copied(good, here, name)
    manifest = here / name / "model.json"
    bound = rng.random() < 0.5
    if rng.random() < 0.65:
        content, damage = damage_json(rng, manifest.read_text())
        manifest.write_bytes(content)
    else:
        file = rng.choice(sorted((here / name / "circuits").iterdir()))
        before = file.read_bytes()
        content, what = damage_bytes(rng, before) if name == "qpy" else damage_program(rng, before.decode())
        file.write_bytes(content)
        damage = Damage(f"{file.name}: {what}", words=(file.name, "circuit"))
        if rng.random() < 0.7:  # as if it had been exported so
            known, now = (hashlib.sha256(one).hexdigest() for one in (before, content))
            manifest.write_text(manifest.read_text().replace(known, now))
    rows = oracles.columns(good.folder / "wave.csv", ["value"])[:5]
    windows = np.stack([rows[end - 2 : end] for end in range(2, 5)])
    found: list[Any] = []

    def read() -> None:
        exported = load_exported(here / name, bound=bound)
        found.append(exported.predict(windows, scaled=False))

    def judge(out: str) -> None:
        same(found[0].tolist(), oracles.exported(here / name, windows, bound=bound), "predictions", 1e-6)

    return Case(damage, read, judge, (name, "model.json", *damage.words))


def multilinear_case(rng: Random, good: Good, here: Path) -> Case:
    name = rng.choice(("multilinear", "hybrid-multilinear"))
    copied(good, here, name, "wave.csv")
    path, csv = here / name / "multilinear.json", here / "wave.csv"
    if rng.random() < 0.75:
        content, damage = damage_json(rng, path.read_text())
        path.write_bytes(content)
    else:
        content, damage = damage_csv(rng, csv.read_text())
        csv.write_bytes(content)

    def run() -> None:
        with mock.patch.object(sys, "argv", [str(here / name / "predict.py"), "wave.csv"]):
            runpy.run_path(sys.argv[0], run_name="__main__")

    def judge(out: str) -> None:
        model = plain_json(path.read_text())
        expected = oracles.multilinear(model, oracles.columns(csv, model["features"]))
        header, *lines = [line.split(",") for line in out.splitlines()]
        require(header[0] == "after_row" and len(header) == 1 + model["horizon"], f"the header {header!r}")
        same([[float(value) for value in line[1:]] for line in lines], expected, "predictions", 1e-7)
        require(np.isfinite(expected).all(), "predictions that are not finite")

    return Case(damage, run, judge, ("multilinear.json", "wave.csv", *damage.words))


def csv_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("run", "two"))
    copied(good, here, run, wave2="wave.csv")
    (here / "wave2").rename(here / "odd.csv")
    content, damage = damage_csv(rng, (here / "odd.csv").read_text())
    (here / "odd.csv").write_bytes(content)
    if rng.random() < 0.6:
        command, judge = _predict(here, run, "odd.csv")
    else:
        command = (
            "train --csv odd.csv --target value --model lstm --hidden-size 1 --epochs 1 --window 2 --out out --json".split()
        )
        judge = partial(_trained_on, here)
    if damage.what == "dates from the last" and command[0] == "train":
        judge = _refused_or_warned
    return Case(damage, command, judge, ("odd.csv", "odd has", "value", "other", "prediction"), ("out", "out.csv"))


def _refused_or_warned(out: str) -> None:
    raise Wrong("rows from the last date to the first were trained on without a word")


def _trained_on(here: Path, out: str) -> None:
    facts = plain_json(out)
    oracles.clean_copy(here / "odd.csv", ["value"], here / "clean.csv")
    data = DataSpec(csv=str(here / "clean.csv"), target="value", window=2)
    train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1), here / "clean")
    expected = json.loads((here / "clean" / "metrics.json").read_text())
    same(
        {name: facts[name] for name in ("train_mse", "test_mse", "test")},
        {name: expected[name] for name in ("train_mse", "test_mse", "test")},
    )


def backends_case(rng: Random, good: Good, here: Path) -> Case:
    copied(good, here, "run", "wave.csv", "backends.yaml")
    path = here / "backends.yaml"
    content, damage = damage_yaml(rng, path.read_text())
    path.write_bytes(content)
    if rng.random() < 0.5:
        path.rename(here / "mine.yaml")
        file, given = "mine.yaml", ["--backends", "mine.yaml"]
    else:
        file, given = "backends.yaml", []
    name = rng.choice(("exact", "exact", "statevector", "mine", "noisy", "rehearsal"))
    kind = rng.choices(("list", "evaluate", "check", "plan"), (3, 4, 1, 1))[0]
    commands = {
        "list": ["backends", "list", "--json", *given],
        "evaluate": ["evaluate", "run", "--backend", name, "--json", *given],
        "check": ["backends", "check", name, "--json", *given],
        "plan": ["backends", "plan", "run", "--backend", "rehearsal", "--json", *given],
    }

    def judge(out: str) -> None:
        facts = plain_json(out)
        if kind == "evaluate":
            exact = name == "statevector" or "shots" not in _entry(path if not given else here / file, name)
            exact = exact and "noise" not in _entry(path if not given else here / file, name)
            if exact and _entry(path if not given else here / file, name).get("kind") in ("aer", "statevector", None):
                oracles.evaluation(here / "run", facts)
                require(
                    facts.get("difference_to_exact", {}).get("predictions", 0) < 1e-20,
                    "an exact backend differs from the exact one",
                )
            require(facts.get("difference_to_exact", {}).get("predictions", 0) < 1, "another exact interpreter")
        elif kind == "list":
            shown = {row["name"]: row for row in facts["backends"]}
            for own, entry in (yaml.safe_load((here / file).read_text(encoding="utf-8-sig")) or {}).items():
                require(own in shown, f"{own!r} is not listed")
                same(shown[own]["kind"], entry.get("kind", shown[own]["kind"]), f"kind of {own}")

    words = (file, name, "backend", *damage.words)
    return Case(damage, commands[kind], judge, words)


def _entry(path: Path, name: str) -> dict[str, Any]:
    return dict((yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}).get(name) or {})


def studies_case(rng: Random, good: Good, here: Path) -> Case:
    copied(good, here, "study", "scaling", "wave.csv", "study.yaml")
    name = rng.choices(
        ("study.yaml", "study/study.json", "study/records.jsonl", "study/environments.json", "scaling/scaling.jsonl"),
        (5, 2, 3, 1, 2),
    )[0]
    path = here / name
    if name.endswith(".yaml"):
        content, damage = damage_yaml(rng, path.read_text(), lambda place: place != ("seeds",) and "epochs" not in place)
    elif name.endswith(".jsonl"):
        content, damage = damage_lines(rng, path.read_text())
    else:
        content, damage = damage_json(rng, path.read_text())
    path.write_bytes(content)
    folder = name.partition("/")[0] if "/" in name else "study"
    table = "table --study study.yaml --jobs 1 --json --out".split()
    if name == "study.yaml":
        command = [*table, rng.choice(("out", "study"))]
    elif folder == "study" and rng.random() < 0.4:
        command = [*table, "study"]
    elif folder == "scaling" and rng.random() < 0.4:
        command = "scaling --axes window --epochs 1 --seeds 1 --repeats 1 --out scaling --json".split()
    else:
        command = ["report", folder, "--out", "out.html"]

    def judge(out: str) -> None:
        if command[0] == "report":
            page(here / "out.html")
        else:
            plain_json(out)
        if name == "study/records.jsonl":
            for line in path.read_text().splitlines():
                record = plain_json(line)
                good_one = isinstance(record["test_mse"], int | float) and not isinstance(record["test_mse"], bool)
                require(
                    good_one or (record["test_mse"] is None and record.get("error")),
                    f"test_mse is {record['test_mse']!r}, and was taken",
                )
        if command[0] == "table" and name == "study.yaml":
            _cells(good, here, out)

    words = (name, path.name, "study", *damage.words)
    return Case(damage, command, judge, words, ("out", "out.html"), reads=command[0] == "report")


def _cells(good: Good, here: Path, out: str) -> None:
    """Rows that are what they were have the figures that they had."""
    records = [json.loads(line) for line in good.read("study/records.jsonl").splitlines()]
    known = {record["id"]: record for record in records}
    for path in (here / "out", here / "study"):
        for line in (path / "records.jsonl").read_text().splitlines() if (path / "records.jsonl").exists() else ():
            record = plain_json(line)
            if record["id"] in known:
                same(record["test_mse"], known[record["id"]]["test_mse"], "test_mse")


def ledger_case(rng: Random, good: Good, here: Path) -> Case:
    copied(good, here, run="device/run", service="device/service", **{"wave.csv": "wave.csv"})
    damage = damage_ledger(rng, here / "run" / "jobs.sqlite")
    before = len((here / "service" / "accepted.jsonl").read_text().splitlines())
    commands = (
        *(
            ["evaluate", "run", "--json"],
            ["evaluate", "run", "--json"],
            ["jobs", "list", "run", "--json"],
            ["jobs", "list", "run"],
        ),
        *(
            ["jobs", "show", "run", "1", "--json"],
            ["jobs", "show", "run", "1"],
            ["jobs", "resume", "run"],
            ["jobs", "cancel", "run"],
        ),
    )
    command = rng.choice(commands)

    def judge(out: str) -> None:
        after = len((here / "service" / "accepted.jsonl").read_text().splitlines())
        lost = re.search(r"missing|empty|twice|version|run of|step|attempt|request|status|created|backend|device", damage.what)
        require(after == before or lost, f"{after - before} jobs were submitted again")
        if "--json" in command:
            facts = plain_json(out)
            if command[0] == "evaluate" and after == before:
                expected = _answered(good)
                given = {name: facts["test"][name] for name in expected}
                if not (
                    damage.path
                    and damage.path[0] == "result"
                    and damage.path[1] in ("beyond one", "whole numbers", "single precision")
                ):
                    same(given, expected, "test", 1e-9)
                else:
                    require(damage.path[1] != "beyond one", "expectation values of 7 were taken")

    return Case(damage, command, judge, ("jobs.sqlite", "run", "job", *damage.words), reads=False)


def _answered(good: Good) -> dict[str, Any]:
    return dict(json.loads((good.folder / "device" / "evaluated.json").read_text()))


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
        command, judge = _on_run(rng, here, run, (4, 3, 2, 1 if run != "cut" else 0))
    return Case(damage, command, judge, (run, name, "wave.csv"), ("out.csv", "out.html"), reads=command[0] != "train")


#: Kind -> how a case is made, and how many there are.
KINDS: dict[str, tuple[Callable[[Random, Good, Path], Case], int]] = {
    "command": (command_case, 560),
    "csv": (csv_case, 320),
    "config": (config_case, 400),
    "metrics": (metrics_case, 160),
    "history": (history_case, 160),
    "weights": (weights_case, 320),
    "checkpoint": (checkpoint_case, 200),
    "genotype": (genotype_case, 160),
    "exports": (exports_case, 280),
    "multilinear": (multilinear_case, 240),
    "backends": (backends_case, 240),
    "studies": (studies_case, 240),
    "ledger": (ledger_case, 240),
    "folders": (folders_case, 120),
}


def make_case(kind: str, seed: int, good: Good, here: Path) -> Case:
    """The case of a kind and a seed, in a folder that is made anew; the process is in that folder then."""
    os.chdir(here.parent)
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    os.chdir(here)
    return KINDS[kind][0](Random(f"{kind} {seed}"), good, here)
