"""What noise costs a derived model, with and without the hardware term in its search: from the command line.

    python -m benchmarks.derived_noise [--seeds 0 1 2] [--backends aer-shots aer-noise-fez] [--json]

Series damped_shm, hidden 5, depth 2 (6 qubits). For each seed and strength of the hardware term (expected two-qubit gates on
FakeFez): `qlstm train --strategy shrinking`, which leaves one circuit a gate, `qlstm derive`, `qlstm train --from`, and
`qlstm evaluate` on the exact interpreter, with shots alone, and with the compact noise of FakeFez (1024 shots each).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

STRENGTHS = (0.0, 0.001, 0.01)
BACKENDS = ["aer-shots", "aer-noise-fez"]


def qlstm(*arguments: str) -> dict[str, Any]:
    """One command; what it prints as JSON."""
    command = [sys.executable, "-c", "from qlstm_qiskit.cli import main; main()", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return dict(json.loads(done.stdout))


def one(seed: int, strength: float, backends: list[str], folder: Path) -> dict[str, Any]:
    """Search, derive, fine-tune, evaluate."""
    search, derived, tuned = (str(folder / name) for name in ("search", "derived", "tuned"))
    model = f"--dataset damped_shm --hidden-size 5 --depth 2 --epochs 60 --valid-fraction 0.2 --seed {seed}".split()
    options = ["--strategy", "shrinking"]
    if strength:
        options += ["--strategy-option", "device.backend=fake-fez", "--strategy-option", f"device.strength={strength}"]
    qlstm("train", *model, *options, "--out", search)
    genotype = qlstm("derive", search, "--out", derived)["genotype"]
    exact = qlstm("train", "--from", derived, "--epochs", "200", "--valid-fraction", "0", "--seed", str(seed), "--out", tuned)
    reports = qlstm("transpile", tuned, "--backend", "fake-fez")["layers"][0]["candidates"]
    gates = {report["name"]: report["two_qubit_gates"][1] for report in reports}
    own = [choices[0]["candidate"] for choices in genotype["layers"][0].values()]
    noisy = {name: qlstm("evaluate", tuned, "--backend", name) for name in backends}
    return {
        "seed": seed,
        "strength": strength,
        "circuits": own,
        "two_qubit_gates": sum(gates[name] for name in own),
        "test_mse": exact["test_mse"],
        **{name: found["test"]["mse"] for name, found in noisy.items()},
        **{f"{name} to exact": found["difference_to_exact"]["predictions"] for name, found in noisy.items()},
    }


def report(rows: list[dict[str, Any]], backends: list[str]) -> str:
    """The table, in Markdown: a row a training, then medians over seeds."""
    header = ["strength", "seed", "two-qubit gates a step", "test MSE, exact"]
    header += [title for name in backends for title in (f"on {name}", "to the exact predictions")]
    keys = ["two_qubit_gates", "test_mse", *(key for name in backends for key in (name, f"{name} to exact"))]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for strength in dict.fromkeys(row["strength"] for row in rows):
        own = [row for row in rows if row["strength"] == strength]
        for row in own:
            cells = " | ".join(f"{row[key]:.3g}" for key in keys)
            lines.append(f"| {strength:g} | {row['seed']} | {cells} |")
        cells = " | ".join(f"**{np.median([row[key] for row in own]):.3g}**" for key in keys)
        lines.append(f"| {strength:g} | median | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for strength in STRENGTHS:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(one(seed, strength, arguments.backends, Path(folder)))
    print(json.dumps(rows) if arguments.json else report(rows, arguments.backends))


if __name__ == "__main__":
    main()
