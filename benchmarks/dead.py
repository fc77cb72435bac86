"""What dead candidates cost: the paper's space beside the same without them.

    python -m benchmarks.dead [--json]

A training step (as in `benchmarks.step`, batch 10) at S (hidden 3, depth 1) and L (hidden 5, depth 5), on the multilinear form
and on statevectors, after a check that losses and gradients are the same; and what a step asks of a quantum computer, with and
without what is proven dead or equal. OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.counting import CountingExecutor
from benchmarks.step import SIZES, training_step
from benchmarks.timing import machine, median_ms
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.hardware.executors.aer import prepare_for_aer
from qlstm_qiskit.hardware.interpreter.bank import PrimitiveBank

_BATCH, _WINDOW = 10, 4


class _Counting(StatevectorBackend):
    """Banks on an executor that only counts."""

    def __init__(self, reduce: bool) -> None:
        super().__init__()
        self.reduce, self.executor = reduce, CountingExecutor()

    def bank(self, candidates: Any, n_outputs: int | None = None, pairs: Any = None) -> Any:
        return PrimitiveBank(candidates, n_outputs, self.executor, prepare_for_aer, reduce=self.reduce, pairs=pairs)


def layer_of(size: str, backend: StatevectorBackend, *, without_dead: bool) -> QLSTM:
    """A layer with the same initial values for the same size."""
    hidden, depth = SIZES[size]
    space = SearchSpace.paper().without_dead() if without_dead else SearchSpace.paper()
    generator = torch.Generator().manual_seed(0)
    return QLSTM(1, hidden, depth=depth, space=space, batch_first=True, backend=backend, angle_std=1.0, generator=generator)


def timed(size: str, path: str) -> dict[str, object]:
    """Medians of a training step with all candidates and without the dead ones, in alternation."""
    hidden = SIZES[size][0]
    torch.manual_seed(0)
    x, y = torch.randn(_BATCH, _WINDOW, 1, dtype=torch.float64), torch.randn(_BATCH, 1, dtype=torch.float64)
    layers = [layer_of(size, StatevectorBackend(path), without_dead=without) for without in (False, True)]
    with torch.no_grad():
        outputs = [layer(x)[0] for layer in layers]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-12)
    runs = [training_step(layer, hidden, x, y) for layer in layers]
    rounds = [[median_ms(run, seconds=1.0) for run in runs] for _ in range(3)]
    full, part = (sorted(times)[1] for times in zip(*rounds, strict=True))
    kept = sum(cell.bank.n_gates * len(cell.bank.candidates) for cell in layers[1].layers()) // 4
    return {"size": size, "path": path, "kept": kept, "all_ms": full, "without_dead_ms": part, "ratio": full / part}


def counted(size: str) -> list[dict[str, object]]:
    """Jobs, PUBs and circuits of one training step, and how many different circuits are transpiled."""
    rows: list[dict[str, object]] = []
    for reduce in (False, True):
        backend = _Counting(reduce)
        layer = layer_of(size, backend, without_dead=False)
        x = torch.rand(_BATCH, _WINDOW, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        layer(x)[0][:, -1].sum().backward()
        jobs = backend.executor.jobs
        (cell,) = layer.layers()
        rows.append(
            {
                "size": size,
                "reduced": reduce,
                "transpiled": len(cell.bank._bank.circuits),
                "jobs": len(jobs),
                "pubs": sum(map(len, jobs)),
                "circuits": sum(map(sum, jobs)),
            }
        )
    return rows


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    sizes = ", ".join(f"{size}: hidden {hidden}, depth {depth}" for size, (hidden, depth) in SIZES.items())
    lines = [
        f"The paper's 36 candidates, batch {_BATCH}, 4 time steps ({sizes}). A training step with all candidates and with",
        "`SearchSpace.paper().without_dead()`, in alternation on one thread. The multilinear form prunes zeros by itself.",
        "",
        "| size | path | candidates kept | all, ms | without dead, ms | ratio |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['size']} | {row['path']} | {row['kept']} | {row['all_ms']:.3g} | {row['without_dead_ms']:.3g} "
        f"| {row['ratio']:.2f} |"
        for row in result["timed"]
    ]
    lines += [
        "",
        "What a step by parameter shift sends, with and without leaving out what is proven dead or equal and equal parameter",
        "sets:",
        "",
        "| size | left out | circuits transpiled | jobs | PUBs | circuits |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['size']} | {'yes' if row['reduced'] else 'no'} | {row['transpiled']} | {row['jobs']} | {row['pubs']} "
        f"| {row['circuits']:,} |"
        for row in result["counted"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    times = [timed(size, path) for size in SIZES for path in ("auto", "states")]
    counts = [row for size in SIZES for row in counted(size)]
    result = {"machine": machine(), "timed": times, "counted": counts}
    print(json.dumps(result) if as_json else report(result))


if __name__ == "__main__":
    main()
