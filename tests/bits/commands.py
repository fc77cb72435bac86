"""What is run, and what of its outputs is compared."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import re
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from qlstm_qiskit.hardware.jobs.entry import now

OLD = Path(__file__).parent / "old"

#: What stands in the files there for the folder in which the commands are run.
HERE = "/where/the/series/lies"

#: In the order in which they are run, in one folder; each is named by the folder or file that it makes.
COMMANDS: dict[str, str] = {
    "config1": "train --dataset damped_shm --model config1 --hidden-size 2 --depth 1 --epochs 2 --out config1",
    "diffqas": "train --dataset narma5 --model diffqas --hidden-size 2 --depth 1 --epochs 2 --seed 3 --out diffqas",
    "lstm": "train --csv wave.csv --target y --features x,y --model lstm --hidden-size 3 --epochs 3 --optimizer adam"
    " --out lstm",
    "layers": "train --csv wave.csv --target y --model config2 --hidden-size 2 --num-layers 2 --depth 1 --epochs 2"
    " --horizon 2 --season 6 --valid-fraction 0.3 --patience 2 --schedule cosine --optimizer spsa --out layers",
    "lbfgs": "train --csv wave.csv --target y --model config1 --hidden-size 1 --depth 1 --epochs 2 --optimizer lbfgs"
    " --batch-size 0 --out lbfgs",
    "gumbel": "train --csv wave.csv --target y --model diffqas --hidden-size 1 --depth 1 --epochs 2"
    " --strategy gumbel-softmax --out gumbel",
    "search": "train --csv wave.csv --target y --model diffqas --hidden-size 1 --depth 1 --epochs 4"
    " --strategy shrinking --valid-fraction 0.3 --out search",
    "bilevel": "train --csv wave.csv --target y --model diffqas --hidden-size 1 --depth 1 --epochs 2"
    " --strategy bilevel --valid-fraction 0.3 --out bilevel",
    "derived": "derive search --out derived",
    "tuned": "train --from derived --epochs 2 --out tuned",
    "shots": "train --csv wave.csv --target y --model config1 --hidden-size 1 --depth 1 --epochs 1"
    " --backend seeded-shots --out shots",
    "forecast.csv": "predict tuned --csv wave.csv --out forecast.csv",
    "exact.json": "evaluate tuned --backend seeded-exact --json",
    "sampled.json": "evaluate tuned --backend seeded-shots --json",
    "noisy.json": "evaluate tuned --backend seeded-noise --json",
    "table": "table --study study.yaml --out table",
    "qasm3": "export tuned --format qasm3 --out qasm3",
    "multilinear": "export diffqas --format multilinear --out multilinear",
    # of the version in `OLD`: an unfinished training, a finished one, a study that lacks a row, results of jobs, an export
    "cut": "train --resume --out cut",
    "old-run.json": "evaluate old-run --json",
    "old-run.csv": "predict old-run --csv wave.csv --out old-run.csv",
    "old-derived": "derive old-run --out old-derived",
    "old-study": "table --study study.yaml --out old-study",
    "old-jobs.json": "evaluate old-jobs --backend kept --json",
    "old-export.json": "from Python, see read_export",
}

SERIES = "x,y\n" + "".join(f"{math.sin(k / 2):.6f},{math.cos(k / 3) + k % 6 / 10:.6f}\n" for k in range(48))

BACKENDS = """\
seeded-exact: {kind: aer}
seeded-shots: {kind: aer, shots: 256, seed: 5}
seeded-noise: {kind: aer, shots: 256, seed: 5, noise: {device: torino, readout: true}}
kept: {kind: ibm, channel: local, device: manila, shots: 512, seed: 5}
"""

STUDY = """\
name: small
rows:
  ridge: {control: {control: ridge}}
  lstm: {run: {model: lstm, hidden_size: 2}}
  searched:
    search: {model: diffqas, hidden_size: 1, depth: 1, search: {name: l1}, valid_fraction: 0.3}
    run: {hidden_size: 1, depth: 1}
datasets: {wave: {csv: wave.csv, target: y}}
common: {epochs: 2, optimizer: adam}
seeds: 2
"""

#: What is another each time, or of another machine.
_VOLATILE = {
    "wall_seconds", "seconds", "versions", "commit", "changed", "processor", "environment", "figures", "run", "created",
    "sha256", "jobs", "id", "hours",
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Put there what the commands read."""
    (folder / "wave.csv").write_text(SERIES)
    (folder / "backends.yaml").write_text(BACKENDS)
    (folder / "study.yaml").write_text(STUDY)
    for old in OLD.iterdir():
        shutil.copytree(old, folder / old.name)
        for file in (folder / old.name).rglob("config.json"):
            file.write_text(file.read_text().replace(HERE, str(folder)))
    time = now()
    with contextlib.closing(sqlite3.connect(folder / "old-jobs" / "jobs.sqlite")) as record, record:  # it answers for a day
        for statement in ("UPDATE jobs SET created = :now", "UPDATE pins SET made = :now"):
            record.execute(statement, {"now": time})


def run_all(folder: Path) -> dict[str, dict[str, Any]]:
    """Run the commands in the current folder, in this process; what each has made, see `outputs`."""
    found = {}
    prepare(folder)
    for name, command in COMMANDS.items():
        printed = read_export(folder / "old-export") if name == "old-export.json" else called(shlex.split(command))
        if name.endswith(".json"):
            (folder / name).write_text(printed)
        found[name] = outputs(folder / name)
    return found


def outputs(path: Path) -> dict[str, Any]:
    """What a command has made: a digest of all bits for each file, and the numbers that stand for them elsewhere."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    bits, numbers = {}, {}
    for file in files:
        content = _content(file)
        if content is None:
            continue
        name = file.name if path.is_file() else str(file.relative_to(path))
        bits[name] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        numbers |= {
            f"{name}: {key}": value for key, value in _numbers(content) if re.search(r"(mse|prediction(\.\d+)*|checksum)$", key)
        }
    return {"bits": bits, "numbers": numbers}


def _content(file: Path) -> Any:
    """What stays the same of a file; None of those in which nothing does."""
    if file.name == "checkpoint.safetensors":
        return None
    if file.suffix == ".safetensors":
        tensors = load_file(file)
        return {
            name: {"bits": value.numpy().tobytes().hex(), "checksum": float(value.double().sum())}
            for name, value in tensors.items()
        }
    if file.name in ("history.jsonl", "architecture.jsonl", "records.jsonl"):
        return [_kept(json.loads(line)) for line in file.read_text().splitlines()]
    if file.suffix == ".json":
        return None if file.name in ("config.json", "study.json", "environments.json") else _kept(json.loads(file.read_text()))
    if file.suffix == ".csv":
        with file.open(newline="") as stream:
            return list(csv.DictReader(stream))
    return file.read_text() if file.suffix == ".qasm" else None


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(item) for key, item in value.items() if key not in _VOLATILE}
    return [_kept(item) for item in value] if isinstance(value, list) else value


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _numbers(item, f"{place}.{key}" if place else str(key))
    else:
        with contextlib.suppress(TypeError, ValueError):
            yield place, float(value)


def read_export(path: Path) -> str:
    """Predictions of an exported model, as JSON."""
    from qlstm_qiskit.data import load_csv

    try:
        from qlstm_qiskit.experiments.export.read import load_exported
    except ImportError:  # of an earlier version, which this may be compared with
        from qlstm_qiskit.experiments.exported import load_exported  # type: ignore[import-not-found, no-redef]

    return json.dumps({"prediction": load_exported(path).predict(load_csv("wave.csv", "y").x_test).tolist()})


def called(words: list[str]) -> str:
    """What a command prints that is run in this process; it must end well."""
    from qlstm_qiskit.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(words)
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"qlstm {shlex.join(words)}: {err.getvalue()}") from None
    return out.getvalue()


if __name__ == "__main__":
    print(json.dumps(run_all(Path.cwd())))
