"""How time and memory grow: with depth, candidates, qubits, batch and window.

    python -m benchmarks.scaling [--out FOLDER] [--json]

Draws the curves into FOLDER/scaling.png. Every point is one training step of a QLSTM, float64, one thread, beside
torch.nn.LSTM of the same hidden size; memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch

from benchmarks.step import training_step
from benchmarks.timing import median_ms
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.space import BLOCKS, ENCODINGS, cyclic_entangler, linear_entangler, rotation_layer

_AXES = "YZX"

#: Name of a curve -> what changes and its values. Everything else is L: hidden 5, depth 5, 36 candidates, batch 10, window 4.
CURVES: dict[str, list[dict[str, int]]] = {
    "window and batch": [{"window": t, "batch": b} for t, b in product((4, 16, 64), (10, 64, 256))],
    "depth": [{"depth": depth} for depth in (1, 2, 5, 10)],
    "candidates": [{"candidates": n, "depth": 2} for n in (1, 6, 36, 540)],
    "qubits, states": [{"qubits": n, "depth": 1, "candidates": 1, "states": 1} for n in range(2, 13, 2)]
    + [{"qubits": 24, "depth": 1, "candidates": 36, "states": 1}],
    "qubits, auto": [{"qubits": n, "depth": 1, "candidates": 36} for n in range(2, 13, 2)],
}


def space_of(n: int) -> SearchSpace:
    """A space of n candidates: 1, 6, 36, or the product of 6 encodings and as many blocks of four rotation layers."""
    if n == 1:
        return SearchSpace.product(["H-RY"], ["linear-RY"])
    if n == 6:
        return SearchSpace.product(list(ENCODINGS), ["linear-RY"])
    if n == 36:
        return SearchSpace.product(list(ENCODINGS), list(BLOCKS))
    blocks = {}
    for axes_of_layers in product(_AXES, repeat=4):
        for entangler in (linear_entangler, cyclic_entangler):

            def build(n_qubits: int, axes: tuple[str, ...] = axes_of_layers, entangler=entangler):
                circuit = entangler(n_qubits)
                for index, axis in enumerate(axes):
                    layer = rotation_layer(n_qubits, axis)
                    names = [p.name.replace("w", f"w{index}") for p in layer.parameters]
                    circuit = circuit.compose(layer.assign_parameters(_fresh(names)))
                return circuit

            blocks[f"{entangler.__name__}-{''.join(axes_of_layers)}"] = build
    return SearchSpace.product(list(ENCODINGS), dict(list(blocks.items())[: n // len(ENCODINGS)]))


def _fresh(names: Sequence[str]) -> list[object]:
    from qiskit.circuit import Parameter

    return [Parameter(name) for name in names]


def measure(
    *, window: int = 4, batch: int = 10, depth: int = 5, candidates: int = 36, qubits: int = 6, states: int = 0
) -> dict[str, object]:
    """One point, in this process."""
    torch.set_num_threads(1)
    backend = StatevectorBackend("states" if states else "auto")
    try:
        model = QLSTM(1, qubits - 1, depth=depth, space=space_of(candidates), batch_first=True, backend=backend)
        x, y = torch.randn(batch, window, 1, dtype=torch.float64), torch.randn(batch, 1, dtype=torch.float64)
        run = training_step(model, qubits - 1, x, y)
        run()
    except CapacityError as error:
        return {"refused": str(error)}
    reference = training_step(torch.nn.LSTM(1, qubits - 1, batch_first=True, dtype=torch.float64), qubits - 1, x, y)
    bank = next(model.layers()).bank
    return {
        "step_ms": median_ms(run, seconds=1.0, least=3),
        "lstm_ms": median_ms(reference, seconds=0.3),
        "bind_ms": median_ms(lambda: bank.bind(samples=batch, calls=window), seconds=0.3, least=3),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "path": bank.path(samples=batch, calls=window),
        "candidates": len(bank.candidates),
    }


def measure_apart(point: dict[str, int]) -> dict[str, object]:
    """One point in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--point", json.dumps(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**point, **json.loads(done.stdout)}


def draw(curves: dict[str, list[dict[str, object]]], path: Path) -> None:
    """Time of a step for each curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6.5), layout="constrained")
    for index, (name, points) in enumerate(curves.items()):
        axes = figure.add_subplot(2, 3, index + 1)
        points = [point for point in points if "step_ms" in point]
        if name == "window and batch":
            for batch in (10, 64, 256):
                row = [point for point in points if point["batch"] == batch]
                axes.plot([p["window"] for p in row], [p["step_ms"] for p in row], marker="o", label=f"step, batch {batch}")
            row = [point for point in points if point["batch"] == 256]
            axes.plot([p["window"] for p in row], [p["bind_ms"] for p in row], "k--", label="candidates' part, batch 256")
            axes.set_xlabel("window (time steps)")
        else:
            key = next(iter(points[0]))
            axes.plot([p[key] for p in points], [p["step_ms"] for p in points], marker="o", label="step")
            axes.plot([p[key] for p in points], [p["lstm_ms"] for p in points], marker=".", label="torch.nn.LSTM")
            axes.set_xlabel(key)
            axes.set_ylim(bottom=0.3)
        axes.set(title=name, ylabel="ms", xscale="log", yscale="log")
        key = "window" if name == "window and batch" else next(iter(points[0]))
        values = sorted({point[key] for point in points})
        axes.set_xticks(values, [str(value) for value in values])
        axes.minorticks_off()
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure all curves, print and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(**json.loads(options.point))))
        return
    curves = {name: [measure_apart(point) for point in points] for name, points in CURVES.items()}
    draw(curves, options.out / "scaling.png")
    if options.json:
        print(json.dumps(curves, indent=2))
        return
    for name, points in curves.items():
        print(name)
        for point in points:
            items = (f"{key} {value:.4g}" if type(value) is float else f"{key} {value}" for key, value in point.items())
            print("  " + "  ".join(items))


if __name__ == "__main__":
    main()
