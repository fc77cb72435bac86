"""Damaged inputs beside run folders: tables, exports, backends, studies, ledgers."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import sys
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import yaml

from qlstm_qiskit.experiments import DataSpec, RunSpec, train_run
from qlstm_qiskit.experiments.export.read import load_exported
from tests.odd import oracles
from tests.odd.cases import Case, Wrong, plain_json, require, same
from tests.odd.damage import Damage, damage_bytes, damage_json, damage_lines
from tests.odd.formats import damage_program, damage_yaml
from tests.odd.good import Good
from tests.odd.ledgers import damage_ledger
from tests.odd.results import copied, page, predicted
from tests.odd.tables import damage_csv

TRAIN = ("train", "--target", "value", "--model", "lstm", "--hidden-size", "1", "--epochs", "1", "--window", "2")
SCALING = ("scaling", "--axes", "window", "--epochs", "1", "--seeds", "1", "--repeats", "1", "--out", "scaling")


def exports_case(rng: Random, good: Good, here: Path) -> Case:
    name = rng.choice(("qasm3", "qpy", "hybrid-qasm3"))
    copied(good, here, name)
    manifest = here / name / "model.json"
    bound = rng.random() < 0.5
    if rng.random() < 0.65:
        content, damage = damage_json(rng, manifest.read_text())
        manifest.write_bytes(content)
    else:
        file = rng.choice(sorted(path for path in (here / name / "circuits").iterdir() if path.suffix != ".inc"))
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

    judge = _refused_or_warned if damage.what == "dates from the last" else judge
    return Case(damage, run, judge, ("multilinear.json", "wave.csv", *damage.words))


def csv_case(rng: Random, good: Good, here: Path) -> Case:
    run = rng.choice(("run", "two"))
    copied(good, here, run, wave2="wave.csv")
    (here / "wave2").rename(here / "odd.csv")
    content, damage = damage_csv(rng, (here / "odd.csv").read_text())
    (here / "odd.csv").write_bytes(content)
    if rng.random() < 0.6:
        command, judge = predicted(here, run, "odd.csv")
    else:
        command = [*TRAIN, "--csv", "odd.csv", "--out", "out", "--json"]
        judge = partial(_trained_on, here)
    if damage.what == "dates from the last" and command[0] == "train":
        judge = _refused_or_warned
    return Case(damage, command, judge, ("odd.csv", "odd has", "value", "other", "prediction"), ("out", "out.csv"))


def _refused_or_warned(out: str) -> None:
    raise Wrong("rows from the last date to the first were taken without a word")


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
    name = rng.choice(("exact", "exact", "statevector", "mine", "noisy", "inside", "rehearsal"))
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
    table = ["table", "--study", "study.yaml", "--jobs", "1", "--json", "--out"]
    if name == "study.yaml":
        command = [*table, rng.choice(("out", "study"))]
    elif folder == "study" and rng.random() < 0.4:
        command = [*table, "study"]
    elif folder == "scaling" and rng.random() < 0.4:
        command = [*SCALING, "--json"]
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


#: What is run on a record of jobs. The second is a training whose end is missing, which the record answers.
ON_LEDGERS = (
    ["evaluate", "run", "--json"],
    ["jobs", "resume", "run", "--json"],
    ["jobs", "list", "run", "--json"],
    ["jobs", "list", "run"],
    ["jobs", "show", "run", "1", "--json"],
    ["jobs", "show", "run", "6"],
    ["jobs", "resume", "run"],
    ["jobs", "cancel", "run"],
)

#: Damage after which a job is not known to have been submitted, or not for this.
UNKNOWN = re.compile(r"missing|empty|twice|version|\.(run|step|attempt|request|status|created|backend|device|job) of")


def ledger_case(rng: Random, good: Good, here: Path) -> Case:
    copied(good, here, run="device/run", service="device/service", **{"wave.csv": "wave.csv"})
    damage = damage_ledger(rng, here / "run" / "jobs.sqlite")
    command = rng.choices(ON_LEDGERS, (9, 5, 2, 1, 2, 1, 1, 1))[0]
    going_on = command == ON_LEDGERS[1]
    if going_on:
        (here / "run" / "metrics.json").unlink()
    before = _submitted(here)

    def judge(out: str) -> None:
        again = _submitted(here) - before
        require(not again or UNKNOWN.search(damage.what), f"{again} jobs were submitted again")
        facts = plain_json(out) if "--json" in command else {}
        if again:
            return
        changed = damage.path[1] if damage.path and damage.path[0] == "result" else ""
        require(changed != "beyond one", "expectation values of 7 were taken")
        if changed in ("whole numbers", "single precision"):
            return  # as good as any
        if command[0] == "evaluate":
            expected = json.loads((good.folder / "device" / "evaluated.json").read_text())
            same({name: facts["test"][name] for name in expected}, expected, "test", 1e-9)
        if going_on:
            models = [path / "run" / "model.safetensors" for path in (here, good.folder / "device")]
            given, expected = ({k: v.tolist() for k, v in oracles.read_weights(path)[1].items()} for path in models)
            same(given, expected, "model", 0.0)

    return Case(damage, command, judge, ("jobs.sqlite", "run", "job", *damage.words), reads=False)


def _submitted(here: Path) -> int:
    return len((here / "service" / "accepted.jsonl").read_text().splitlines())
