"""Is the path that the engine picks the cheapest? Times both, in alternation, on a grid of sizes.

    python -m benchmarks.paths [--json]

Exits with 1 if a pick takes more than 1.5 times as long as the best.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from functools import partial
from itertools import product

import torch

from benchmarks.timing import median_ms
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.hardware import StatevectorBackend

SPACES = {"config1": SearchSpace.handcrafted(1), "paper": SearchSpace.paper()}


def measure(space: str, n_qubits: int, depth: int, batch: int, window: int, gradients: bool) -> dict[str, object]:
    """Milliseconds of one pass on each path, which of them is picked, and its time as a multiple of the shorter one."""
    x = torch.randn(batch, window, 1, dtype=torch.float64)
    row: dict[str, object] = {
        "space": space,
        "qubits": n_qubits,
        "depth": depth,
        "batch": batch,
        "window": window,
        "gradients": gradients,
    }

    def model(path: str) -> QLSTM:
        torch.manual_seed(0)
        return QLSTM(1, n_qubits - 1, depth=depth, space=SPACES[space], batch_first=True, backend=StatevectorBackend(path))

    def run(own: QLSTM) -> None:
        with torch.set_grad_enabled(gradients):
            if not gradients:  # without the cache of the time before: the cost of new parameters
                next(own.circuit_parameters()).add_(1e-9)
            out, _ = own(x)
            if gradients:
                out.sum().backward()

    with torch.set_grad_enabled(gradients):
        row["picked"] = next(model("auto").layers()).bank.path(samples=batch, calls=window)
    paths = [model(path) for path in ("form", "states")]
    rounds = [[median_ms(partial(run, own), seconds=0.2) for own in paths] for _ in range(3)]
    times = dict(zip(("form", "states"), map(statistics.median, zip(*rounds, strict=True)), strict=True))
    return row | times | {"ratio": times[str(row["picked"])] / min(times.values())}


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
