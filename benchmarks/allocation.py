"""How much less predictions vary with allocated shots than with as many equal ones.

    python -m benchmarks.allocation RUN [RUN ...] [--backend exact-noise-fez] [--repeats 100] [--json]

For each run folder: the variance of its test predictions over repeats with fresh shots, equal and allocated, and their ratio
with its standard error. `qlstm evaluate RUN --allocate-shots` allocates in the same way.
"""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

import numpy as np

from qlstm_qiskit.experiments import allocate_shots, load_run
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.nn import predict_windows


def measure(path: Path, backend: str, repeats: int) -> dict[str, float]:
    """Variances of scaled predictions, their ratio, its standard error, and the ratio that was expected."""
    spec, found, expected = find_spec(backend), [], 1.0
    for allocated in (False, True):
        with closing(load_run(path, backend=spec.model_copy(update={"seed": 1 + allocated}))) as run:
            if allocated:
                expected = allocate_shots(run).expected_gain
            predictions = np.stack([predict_windows(run.forecaster, run.dataset.x_test) for _ in range(repeats)])
            found.append(predictions.var(axis=0, ddof=1).mean(axis=1))
    equal, own = (float(each.mean()) for each in found)
    # Each variance is that of about `repeats` normal numbers, and windows are drawn independently
    error = equal / own * np.sqrt(sum(2 / (repeats - 1) * (each**2).mean() / each.mean() ** 2 / len(each) for each in found))
    return {"equal": equal, "allocated": own, "ratio": equal / own, "standard_error": float(error), "expected": expected}


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--backend", default="exact-noise-fez")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {str(path): measure(path, arguments.backend, arguments.repeats) for path in arguments.runs}
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for path, own in found.items():
        gain = f"{own['ratio']:.2f} ± {own['standard_error']:.2f} (expected {own['expected']:.2f})"
        print(f"{path}: variance {own['equal']:.3g} with equal shots, {own['allocated']:.3g} with allocated ones: {gain}")


if __name__ == "__main__":
    main()
