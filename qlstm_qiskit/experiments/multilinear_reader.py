"""Predicts with an exported QLSTM; needs numpy and nothing else, no quantum software.

``python predict.py series.csv`` reads the model's columns, rows in time order, and prints what follows each window.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "qlstm-multilinear-1"
ARRAYS = ("weight", "bias", "factors", "offsets", "digits", "coefficients", "low", "high")


def load(path: Path | str) -> dict[str, Any]:
    """Read a model; `ValueError` if the file holds something else."""
    hook = lambda item: {key: np.array(value) if key in ARRAYS else value for key, value in item.items()}  # noqa: E731
    model = json.loads(Path(path).read_text(), object_hook=hook)
    if not isinstance(model, dict) or model.get("format") != FORMAT:
        raise ValueError(f"{path} does not hold a model of the format {FORMAT}")
    return model


def predict(model: dict[str, Any], windows: Any, scaled: bool = False) -> Any:
    """Predictions (n, horizon) for windows (n, window, features), both in original units or both scaled."""
    centre, half = _affine(model["input_scaler"])
    sequence = np.asarray(windows, dtype=float) if scaled else (np.asarray(windows, dtype=float) - centre) / half
    for layer in model["layers"]:
        h = c = np.zeros((len(sequence), model["hidden_size"]))
        states = []
        for step in range(sequence.shape[1]):
            i, f, g, o = np.moveaxis(_gates(layer, np.hstack([sequence[:, step], h])), 1, 0)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
            states.append(h)
        sequence = np.stack(states, axis=1)
    centre, half = (0, 1) if scaled else _affine(model["target_scaler"])
    return _linear(model["head"], sequence[:, -1]) * half + centre


def _gates(layer: dict[str, Any], values: Any) -> Any:
    """The gates' pre-activations, (n, 4, hidden_size): a sum over products of 1, cos u and sin u of the data angles u."""
    values = values if layer["to_angles"] is None else _linear(layer["to_angles"], values)
    values = np.arctan(values) if layer["input_map"] == "arctan" else values
    total: Any = 0
    for series in layer["series"]:
        u = values @ series["factors"].T + series["offsets"]  # (n, qubits)
        factors = np.stack([np.ones_like(u), np.cos(u), np.sin(u)], axis=-1)
        products = np.ones((len(u), len(series["digits"])))
        for qubit, digits in enumerate(series["digits"].T):
            products *= factors[:, qubit, digits]
        total = total + np.einsum("np,pgk->ngk", products, series["coefficients"])
    return total if layer["from_outputs"] is None else _linear(layer["from_outputs"], total)


def _linear(layer: dict[str, Any], values: Any) -> Any:
    return values @ layer["weight"].T + layer["bias"]


def _sigmoid(values: Any) -> Any:
    return 0.5 + 0.5 * np.tanh(values / 2)


def _affine(scaler: dict[str, Any]) -> tuple[Any, Any]:
    half = (scaler["high"] - scaler["low"]) / 2
    return (scaler["high"] + scaler["low"]) / 2, np.where(half == 0, 1.0, half)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    MODEL = load(Path(__file__).with_name("multilinear.json"))
    with Path(sys.argv[1]).open(newline="") as FILE:
        ROWS = [[float(row[name]) for name in MODEL["features"]] for row in csv.DictReader(FILE)]
    if len(ROWS) < MODEL["window"]:
        sys.exit(f"{sys.argv[1]} has {len(ROWS)} rows; a window needs {MODEL['window']}")
    WINDOWS = np.array([ROWS[end - MODEL["window"] : end] for end in range(MODEL["window"], len(ROWS) + 1)])
    WRITER = csv.writer(sys.stdout)
    WRITER.writerow(["after_row", *(f"{MODEL['target']}+{k + 1}" for k in range(MODEL["horizon"]))])
    WRITER.writerows([MODEL["window"] + n, *values] for n, values in enumerate(predict(MODEL, WINDOWS).tolist()))
