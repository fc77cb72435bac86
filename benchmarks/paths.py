"""Is the path that the engine picks the cheapest? Times both on a grid of sizes.

    python -m benchmarks.paths [--json]

Exits with 1 if a pick takes more than 1.5 times as long as the best.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import product

import torch

from benchmarks.timing import median_ms
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.hardware import StatevectorBackend

SPACES = {"config1": SearchSpace.handcrafted(1), "paper": SearchSpace.paper()}


def measure(space: str, n_qubits: int, depth: int, batch: int, window: int, gradients: bool) -> dict[str, object]:
    """Milliseconds of one pass on each path."""
    x = torch.randn(batch, window, 1, dtype=torch.float64)
    row: dict[str, object] = {
        "space": space,
        "qubits": n_qubits,
        "depth": depth,
        "batch": batch,
        "window": window,
        "gradients": gradients,
    }
    for path in ("form", "states", "auto"):
        torch.manual_seed(0)
        model = QLSTM(1, n_qubits - 1, depth=depth, space=SPACES[space], batch_first=True, backend=StatevectorBackend(path))

        def run(model: QLSTM = model) -> None:
            with torch.set_grad_enabled(gradients):
                if not gradients:  # without the cache of the time before: the cost of new parameters
                    next(model.circuit_parameters()).add_(1e-9)
                out, _ = model(x)
                if gradients:
                    out.sum().backward()

        row[path] = median_ms(run, seconds=0.6)
    row["ratio"] = float(row["auto"]) / min(float(row["form"]), float(row["states"]))  # type: ignore[arg-type]
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    grid = [
        *product(["config1"], [2, 4, 7], [1, 4], [1, 10], [1, 4], [True, False]),
        *product(["config1"], [8], [3, 6], [1, 10], [1], [True, False]),
        *product(["paper"], [3, 5], [1, 3], [1, 10], [1], [True, False]),
    ]
    rows = [measure(*case) for case in grid]
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print("  ".join(f"{key} {value:.3g}" if type(value) is float else f"{key} {value}" for key, value in row.items()))
    worst = max(float(row["ratio"]) for row in rows)  # type: ignore[arg-type]
    print(f"worst ratio of the pick to the best: {worst:.2f} over {len(rows)} sizes", file=sys.stderr)
    sys.exit(worst > 1.5)


if __name__ == "__main__":
    main()
