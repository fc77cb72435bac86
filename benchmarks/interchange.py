"""Exports in the hands of other tools: what each reads of them, and how far its expectation values are from ours.

    python -m benchmarks.interchange [--only qiskit pytket ...] [--json] [--write]

Models are trained for one epoch and exported with `qlstm export`. Each tool has an environment of its own in build/interchange,
made where it is missing, and a script in `interchange_readers` that reads the files there without this package. Values are
compared by wire with those of the exact interpreter. `--write` keeps the record and the table of docs/how-to/export.md. Exits 1
where a tool reads more, less or otherwise than the record says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
READERS, RECORD = ROOT / "benchmarks" / "interchange_readers", ROOT / "benchmarks" / "interchange.json"
PAGE, BEGIN, END = ROOT / "docs" / "how-to" / "export.md", "<!-- interchange -->\n", "<!-- end of interchange -->\n"

#: Environment -> its script and its packages, pinned.
TOOLS: dict[str, tuple[str, tuple[str, ...]]] = {
    "qiskit-2.0": ("read_qiskit.py", ("qiskit==2.0.0", "qiskit-qasm3-import==0.5.0")),
    "qiskit": ("read_qiskit.py", ("qiskit==2.6.2", "qiskit-qasm3-import==0.6.0")),
    "pytket": ("read_pytket.py", ("pytket==2.18.5", "pytket-qiskit==0.79.0")),
    "pyqasm": ("read_pyqasm.py", ("pyqasm==1.3.0", "openqasm3[parser]==1.0.1", "numpy==2.4.6")),
    "pennylane": (
        "read_pennylane.py",
        (
            "PennyLane==0.45.1",
            "openqasm3[parser]==1.0.1",
            "pennylane-qiskit==0.45.0",
            "qiskit==2.3.0",
            "qiskit-qasm3-import==0.6.0",
        ),
    ),
    "braket": ("read_braket.py", ("amazon-braket-sdk==1.127.5",)),
    "cirq": ("read_cirq.py", ("cirq-core==1.7.0", "ply==3.11")),
}

#: Largest difference of equal expectation values.
TOLERANCE = 1e-10

_CLI = [sys.executable, "-c", "from qlstm_qiskit.cli import main; main()"]
_TRAIN = ["train", "--dataset", "damped_shm", "--hidden-size", "2", "--epochs", "1", "--angle-std", "1"]
_RUNS = {
    "config1": [[*_TRAIN, "--model", "config1", "--depth", "2", "--out", "config1"]],
    "derived": [
        [*_TRAIN, "--model", "diffqas", "--depth", "1", "--out", "search"],
        ["derive", "search", "--out", "derived"],
    ],
    "own": [[*_TRAIN, "--space", f"{READERS / 'my_space.py'}:space", "--out", "own"]],
}


def write_cases(folder: Path) -> list[dict[str, Any]]:
    """Train and export; each candidate with its parameters, and as the first gate that has it binds it."""
    cases: list[dict[str, Any]] = []
    for run, commands in _RUNS.items():
        exports = [["export", run, "--format", kind, "--out", f"{run}-{kind}"] for kind in ("qasm3", "qpy")]
        for command in (*commands, *exports):
            subprocess.run([*_CLI, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for kind in ("qasm3", "qpy"):
            cases += cases_of(folder / run, folder / f"{run}-{kind}")
    return cases


def cases_of(run: Path, exported: Path) -> Iterator[dict[str, Any]]:
    """The cases of an export, with the values of the run's own circuits on the exact interpreter."""
    import torch

    from qlstm_qiskit import load_run
    from qlstm_qiskit.hardware import StatevectorBackend

    forecaster = load_run(run).forecaster
    assert forecaster.circuits is not None
    model = json.loads((exported / "model.json").read_text(encoding="utf-8"))
    layers = zip(forecaster.circuits.layers(), model["layers"], strict=True)
    rng = np.random.default_rng(0)
    for cell, layer in layers:
        for own, (name, written) in zip(cell.bank.candidates, layer["candidates"].items(), strict=True):
            term = next(t for terms in layer["gates"].values() for t in terms if t["candidate"] == name)
            for form, angles in (("parameters", rng.uniform(-3, 3, len(own.weights)).tolist()), ("bound", term["angles"])):
                data = rng.uniform(-1.5, 1.5, len(own.inputs)).tolist()
                bank = StatevectorBackend().bank([own], cell.bank.n_outputs)
                bound = bank.bind(torch.tensor([angles], dtype=torch.float64), None)
                values = bound(torch.tensor([data], dtype=torch.float64)).reshape(-1)
                numbers = {f"x{k}": value for k, value in enumerate(data)}
                if form == "parameters":
                    numbers |= {f"w{k}": value for k, value in enumerate(angles)}
                file = written["parameterised"] if form == "parameters" else term["bound"]
                yield {
                    "name": f"{exported.name}: {name}, {form}",
                    "format": model["circuits"],
                    "form": form,
                    "file": str(exported / file["path"]),
                    "parameters": numbers,
                    "observables": written["observables"],
                    "values": values.tolist(),
                }


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment with these packages, made where it is missing or has others."""
    folder = ROOT / "build" / "interchange" / name
    python, stamp = folder / "bin" / "python", folder / "packages.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8").split() != list(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run([str(python), *install], check=True, env=_clean())
        stamp.write_text("\n".join(packages) + "\n", encoding="utf-8")
    return python


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def measure(name: str, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per way of reading.

    A row has the tool with its versions, the way, how many circuits of each form it reads, and of how many, the largest
    difference of an expectation value, and the words of refusals.
    """
    script, packages = TOOLS[name]
    python = environment(name, packages)
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "cases.json"
        listed.write_text(json.dumps(cases), encoding="utf-8")
        command = [str(python), str(READERS / script), str(listed)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=_clean(), cwd=folder)
    if done.returncode:
        raise RuntimeError(f"{script} in build/interchange/{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    first, *found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    by_name = {case["name"]: case for case in cases}
    rows: dict[str, dict[str, Any]] = {}
    for item in found:
        case = by_name[item["case"]]
        empty = {"tool": name, "versions": first["versions"], "way": item["way"], "format": case["format"]}
        row = rows.setdefault(item["way"], empty | {"read": {}, "of": {}, "difference": None, "refusals": []})
        row["of"][case["form"]] = row["of"].get(case["form"], 0) + 1
        if "error" in item:
            if item["error"] not in row["refusals"] and len(row["refusals"]) < 2:
                row["refusals"].append(item["error"])
            continue
        row["read"][case["form"]] = row["read"].get(case["form"], 0) + 1
        difference = float(np.abs(np.subtract(item["values"], case["values"])).max())
        row["difference"] = max(row["difference"] or 0.0, difference)
    return list(rows.values())


def outcome(row: dict[str, Any]) -> str:
    """What came of it, in words."""
    if row["difference"] is None:
        return f"refused: {row['refusals'][0]}"
    read, total = sum(row["read"].values()), sum(row["of"].values())
    if row["difference"] > TOLERANCE:
        return f"**wrong values without a word**, by {row['difference']:.1f}"
    return "equal" if read == total else f"equal, {read} of {total}; refused: {'; '.join(row['refusals'])}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The table of the documentation."""
    lines = ["| tool | reads | how | expectation values | largest difference |", "|---|---|---|---|---|"]
    for row in rows:
        tool = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        equal = row["difference"] is not None and row["difference"] <= TOLERANCE
        difference = f"{row['difference']:.0e}" if equal else ""
        lines.append(f"| {tool} | {row['format']} | {row['way']} | {outcome(row)} | {difference} |")
    return "\n".join(lines) + "\n"


def write(rows: Sequence[dict[str, Any]]) -> None:
    """Keep the record, and the table between its marks in the documentation."""
    RECORD.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{table(rows)}{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    """Print a row per tool and way of reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="the record and the table of the documentation; all tools only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = write_cases(Path(folder))
        rows = [row for name in given.only for row in measure(name, cases)]
    for row in rows:
        print(json.dumps(row) if given.json else f"{row['tool']:12} {row['format']:6} {row['way']}: {outcome(row)}")
    if given.write and given.only == list(TOOLS):
        write(rows)
    kept = {(row["tool"], row["way"]): row for row in json.loads(RECORD.read_text(encoding="utf-8"))}
    changed = [row for row in rows if outcome(row) != outcome(kept[row["tool"], row["way"]])]
    for row in changed:
        print(f"not as recorded: {row['tool']}, {row['way']}: {outcome(kept[row['tool'], row['way']])}", file=sys.stderr)
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
