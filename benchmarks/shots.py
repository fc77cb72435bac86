"""A training step with shots beside an exact one, in one process and in alternation.

    python -m benchmarks.shots [--backends exact-shots] [--rounds 100] [--batch 10] [--json]

A step is as in `benchmarks.step`: forward over 4 time steps, read-out, loss, backward. Medians of processor time;
OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from benchmarks.step import training_step
from qlstm_qiskit import QLSTM, SearchSpace

#: Name -> options of the layer.
MODELS: dict[str, dict[str, object]] = {
    "config1, hidden 3, depth 1": {"hidden_size": 3, "depth": 1, "space": SearchSpace.handcrafted(1)},
    "hybrid config1, hidden 5, depth 2, 6 qubits": {
        "hidden_size": 5,
        "depth": 2,
        "n_qubits": 6,
        "space": SearchSpace.handcrafted(1),
    },
    "36 candidates, hidden 3, depth 1": {"hidden_size": 3, "depth": 1, "space": SearchSpace.paper()},
}


def measure(model: str, backends: list[str], rounds: int, batch: int) -> dict[str, float]:
    """Milliseconds of a step on each backend; the exact one comes first."""
    x, y = torch.randn(batch, 4, 1, dtype=torch.float64), torch.randn(batch, 1, dtype=torch.float64)
    options, steps = MODELS[model], {}
    for name in ("statevector", *backends):
        torch.manual_seed(0)
        layer = QLSTM(1, batch_first=True, backend=name, **options)  # type: ignore[arg-type]
        steps[name] = training_step(layer, int(options["hidden_size"]), x, y)  # type: ignore[call-overload]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 3):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            if number >= 3:
                times[name].append(time.process_time() - begun)
    return {name: 1e3 * statistics.median(own) for name, own in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", nargs="+", default=["exact-shots"])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {model: measure(model, arguments.backends, arguments.rounds, arguments.batch) for model in MODELS}
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    for model, times in found.items():
        exact = times["statevector"]
        print(f"{model}:", ", ".join(f"{name} {ms:.2f} ms ({ms / exact:.2f})" for name, ms in times.items()))


if __name__ == "__main__":
    main()
