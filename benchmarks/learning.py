"""Training with shots and noise, from the command line, beside the exact interpreter at equal epochs.

    python -m benchmarks.learning [--backends aer-shots aer-noise-torino] [--epochs 20] [--seeds 0 1 2] [--json]

Series damped_shm, one circuit a gate (config1), hidden 3, depth 1 (4 qubits). Every row is one `qlstm train` of the same
epochs: "shift" is parameter shift, "spsa" two evaluations of the loss a step. Ends with an error where parameter shift has
more than 3 times the test error of the exact interpreter.
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

LIMIT = 3.0
_MODEL = "--dataset damped_shm --model config1 --hidden-size 3 --depth 1"


def train(backend: str, optimizer: str, epochs: int, seed: int, out: Path, *options: str) -> dict[str, Any]:
    """One run of `qlstm train`; the content of its metrics.json."""
    own = f"{_MODEL} --epochs {epochs} --seed {seed} --backend {backend} --optimizer {optimizer} --out {out} --json"
    command = [sys.executable, "-c", "from qlstm_qiskit.cli import main; main()", "train", *own.split(), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return dict(json.loads(done.stdout))


def measure(backends: list[str], epochs: int, seeds: list[int]) -> list[dict[str, Any]]:
    """A row for each backend, optimiser and seed; first the untrained model and the exact interpreter."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            untrained = train("statevector", "rmsprop", 1, seed, Path(folder) / f"untrained-{seed}", "--lr", "1e-12")
            exact = train("statevector", "rmsprop", epochs, seed, Path(folder) / f"exact-{seed}")
            rows += [_row(untrained, "untrained", exact), _row(exact, "exact", exact)]
            for backend in backends:
                for optimizer, gradient in (("rmsprop", "shift"), ("spsa", "spsa")):
                    out = Path(folder) / f"{backend}-{optimizer}-{seed}"
                    rows.append(_row(train(backend, optimizer, epochs, seed, out), gradient, exact))
    return rows


def _row(found: dict[str, Any], gradient: str, exact: dict[str, Any]) -> dict[str, Any]:
    return {
        "backend": found["backend"],
        "gradient": gradient,
        "seed": found["seed"],
        "train_mse": found["train_mse"],
        "test_mse": found["test_mse"],
        "ratio": found["test_mse"] / exact["test_mse"],
        "seconds": found["wall_seconds"],
    }


def report(found: dict[str, Any]) -> str:
    """The table, in Markdown."""
    lines = [f"{found['epochs']} epochs, seconds on one thread.", ""]
    lines += ["| backend | gradient | seed | train MSE | test MSE | to exact | s |", "|---" * 7 + "|"]
    for row in found["rows"]:
        figures = f"{row['train_mse']:.3g} | {row['test_mse']:.3g} | {row['ratio']:.2f} | {row['seconds']:.0f}"
        lines.append(f"| {row['backend']} | {row['gradient']} | {row['seed']} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["aer-shots", "aer-noise-torino"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.backends, arguments.epochs, arguments.seeds)
    found = {"epochs": arguments.epochs, "rows": rows}
    print(json.dumps(found) if arguments.json else report(found))
    bad = [row for row in rows if row["gradient"] == "shift" and row["ratio"] > LIMIT]
    if bad:
        sys.exit(f"more than {LIMIT:g} times the exact test error: {bad}")


if __name__ == "__main__":
    main()
