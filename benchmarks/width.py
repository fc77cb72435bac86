"""One training step of a hybrid layer at several widths, beside 30 qubits, in one process.

    python -m benchmarks.width [--qubits 30 32 60 100 156] [--depth 2] [--model 1] [--json]

The layer has hidden size 5 and one circuit per gate, between two linear layers. A step is as in `benchmarks.step`; widths are
timed in alternation. OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch

from benchmarks.step import training_step
from benchmarks.timing import median_ms
from qlstm_qiskit import QLSTM, SearchSpace

_BATCH, _WINDOW, _HIDDEN, _ROUNDS = 10, 4, 5, 3


def measure(qubits: list[int], depth: int, model: int) -> list[dict[str, float]]:
    """For each width: milliseconds of a step, the ratio to the first width, seconds to build the layer; and MiB at the end."""
    torch.manual_seed(0)
    x, y = (torch.randn(*shape, dtype=torch.float64) for shape in ((_BATCH, _WINDOW, 1), (_BATCH, 1)))
    steps, built = [], []
    for n_qubits in qubits:
        start = time.perf_counter()
        layer = QLSTM(1, _HIDDEN, n_qubits=n_qubits, depth=depth, space=SearchSpace.handcrafted(model), batch_first=True)
        steps.append(training_step(layer, _HIDDEN, x, y))
        steps[-1]()
        built.append(time.perf_counter() - start)
    rounds = [[median_ms(step, seconds=0.5) for step in steps] for _ in range(_ROUNDS)]
    times = [sorted(column)[_ROUNDS // 2] for column in zip(*rounds, strict=True)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        {"qubits": n, "depth": depth, "ms": ms, "ratio": ms / times[0], "first_s": first, "process_mib": memory}
        for n, ms, first in zip(qubits, times, built, strict=True)
    ]


def main() -> None:
    """Print a row per width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qubits", type=int, nargs="+", default=[30, 32, 60, 100, 156])
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--model", type=int, default=1, help="of the paper's six handcrafted circuits")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = measure(given.qubits, given.depth, given.model)
    for row in rows:
        text = f"{row['qubits']:4} qubits, depth {row['depth']}: {row['ms']:6.1f} ms, {row['ratio']:.2f} times, "
        print(json.dumps(row) if given.json else f"{text}first step after {row['first_s']:.1f} s")
    if not given.json:
        print(f"Peak memory of the process: {rows[0]['process_mib']:.0f} MiB")


if __name__ == "__main__":
    main()
