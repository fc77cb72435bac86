"""One training step of ours beside torch.nn.LSTM, in one process.

    python -m benchmarks.step --size S|L --batch N --dtype float64 [--model diffqas|config1] [--inference] [--json]

S is hidden 3, depth 1 (4 qubits); L is hidden 5, depth 5 (6 qubits). A step is forward over 4 time steps, a linear
read-out, a mean squared error and backward, without the optimiser; gradients add up on both sides, which are timed in
alternation. OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.timing import median_ms
from qlstm_qiskit import QLSTM, SearchSpace

SIZES = {"S": (3, 1), "L": (5, 5)}
_WINDOW = 4


def training_step(recurrent: nn.Module, hidden: int, x: torch.Tensor, y: torch.Tensor) -> Callable[[], None]:
    """A function that runs one step."""
    head = nn.Linear(hidden, 1, dtype=x.dtype)

    def run() -> None:
        out, _ = recurrent(x)
        loss = (head(out[:, -1]) - y).square().mean()
        loss.backward()

    return run


def inference(recurrent: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """A function that predicts without gradients."""
    recurrent.eval()

    def run() -> None:
        with torch.no_grad():
            recurrent(x)

    return run


def measure(
    size: str, batch: int, dtype: str, *, model: str = "diffqas", predict: bool = False, window: int = _WINDOW
) -> dict[str, object]:
    """Milliseconds of both, their ratio, and the warm-up of ours."""
    hidden, depth = SIZES[size]
    kind = getattr(torch, dtype)
    torch.manual_seed(0)
    space = SearchSpace.paper() if model == "diffqas" else SearchSpace.handcrafted(1)
    x, y = torch.randn(batch, window, 1, dtype=kind), torch.randn(batch, 1, dtype=kind)
    start = time.perf_counter()
    ours = QLSTM(1, hidden, depth=depth, space=space, batch_first=True, dtype=kind)
    theirs = nn.LSTM(1, hidden, batch_first=True, dtype=kind)
    run, reference = (inference(layer, x) if predict else training_step(layer, hidden, x, y) for layer in (ours, theirs))
    run()
    warmup = time.perf_counter() - start
    rounds = [(median_ms(run, seconds=0.7), median_ms(reference, seconds=0.4)) for _ in range(3)]
    engine_ms, lstm_ms = (sorted(times)[1] for times in zip(*rounds, strict=True))
    return {
        "size": size,
        "model": model,
        "task": "inference" if predict else "step",
        "batch": batch,
        "window": window,
        "dtype": dtype,
        "engine_ms": engine_ms,
        "lstm_ms": lstm_ms,
        "ratio": engine_ms / lstm_ms,
        "warmup_s": warmup,
        "path": next(ours.layers()).bank.path(samples=batch, calls=window),
    }


def main() -> None:
    """Measure one case and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--window", type=int, default=_WINDOW)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--model", choices=("diffqas", "config1"), default="diffqas")
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    row = measure(
        options.size, options.batch, options.dtype, model=options.model, predict=options.inference, window=options.window
    )
    if options.json:
        print(json.dumps(row))
    else:
        print("\n".join(f"{key}: {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
