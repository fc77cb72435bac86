"""Predicts with an exported quantum LSTM or GRU; needs numpy and nothing else, no quantum software.

``python predict.py series.csv`` reads the model's columns, rows in time order, and prints what follows each window.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "qlstm-multilinear-1"
MAPS = ("identity", "arctan")
GATES, _COUNTS = {"lstm": 4, "gru": 3}, ("window", "horizon", "lead", "hidden_size")
DATE = re.compile(r"\d{4}-\d\d-\d\d")  # sorted as text they are in time order


def load(path: Path | str) -> dict[str, Any]:
    """Read a model; `ValueError` if the file holds something else, or numbers that do not fit together."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} does not hold a model of the format {FORMAT}")
    try:
        return _model(content)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def predict(model: dict[str, Any], windows: Any, scaled: bool = False) -> Any:
    """Predictions (n, horizon) for windows (n, window, features), both in original units or both scaled.

    A model of differences needs, in original units, as many rows before its window as they reach back. `ValueError` if a window
    has other features or a value that is not finite, or if the model overflows.
    """
    centre, half = _affine(model["input_scaler"])
    windows, n_features = np.asarray(windows, dtype=float), len(model["features"])
    if windows.ndim != 3 or not windows.shape[1] or windows.shape[2] != n_features or not np.isfinite(windows).all():
        raise ValueError(f"windows have the shape {windows.shape}; expected finite numbers (n, window, {n_features})")
    change = None if scaled else model["change"]
    windows, before = (windows, []) if change is None else _changed(model, change, windows)
    with np.errstate(all="ignore"):
        sequence = windows if scaled else (windows - centre) / half
        layers = list(model["layers"])
        while layers:
            forwards = _run(model, layers.pop(0), sequence)
            last = forwards[:, -1]
            if model["bidirectional"]:
                backwards = _run(model, layers.pop(0), sequence[:, ::-1])[:, ::-1]
                last = np.concatenate([last, backwards[:, 0]], axis=-1)
                forwards = np.concatenate([forwards, backwards], axis=-1)
            sequence = forwards
        centre, half = (0, 1) if scaled else _affine(model["target_scaler"])
        result = _linear(model["head"], last) * half + centre
        result = result if change is None else _restored(change, result, before)
    if not np.isfinite(result).all():
        raise ValueError("predictions are no finite numbers: the data, or numbers of the model, are too large")
    return result


def _changed(model: dict[str, Any], change: dict[str, Any], windows: Any) -> tuple[Any, list[Any]]:
    """What the model reads of rows in original units, and the target before each of its differences, (n, rows)."""
    place = model["features"].index(model["target"])
    if change["transform"] == "log" and not (windows[..., place] > 0).all():
        raise ValueError(f"a value of {model['target']!r} is not positive, and has no logarithm")
    steps = [np.log(windows[..., place]) if change["transform"] == "log" else windows[..., place]]
    for rows in change["difference"]:
        steps.append(steps[-1][:, rows:] - steps[-1][:, :-rows])
    windows = windows[:, sum(change["difference"]) :].copy()
    if not windows.shape[1]:
        raise ValueError(f"differences over {change['difference']} rows leave nothing of windows that are so short")
    windows[..., place] = steps.pop()
    return windows, steps


def _restored(change: dict[str, Any], values: Any, before: list[Any]) -> Any:
    """The target in original units, (n, horizon), of its changed values: one difference undone after another."""
    for rows, known in zip(change["difference"][::-1], before[::-1], strict=True):
        for step in range(values.shape[1]):
            values[:, step] += values[:, step - rows] if step >= rows else known[:, step - rows]
    return np.exp(values) if change["transform"] == "log" else values


def _run(model: dict[str, Any], layer: dict[str, Any], sequence: Any) -> Any:
    """The hidden states (n, window, hidden_size) of a layer that reads a sequence (n, window, features)."""
    h = c = np.zeros((len(sequence), model["hidden_size"]))
    states = []
    for step in range(sequence.shape[1]):
        x = sequence[:, step]
        if model["cell"] == "gru":
            r, z, _ = _sigmoid(np.moveaxis(_gates(layer, np.hstack([x, h])), 1, 0))
            h = (1 - z) * np.tanh(_gates(layer, np.hstack([x, r * h]))[:, 2]) + z * h
        else:
            i, f, g, o = np.moveaxis(_gates(layer, np.hstack([x, h])), 1, 0)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states, axis=1)


def _gates(layer: dict[str, Any], values: Any) -> Any:
    """The gates' pre-activations, (n, gates, hidden_size): a sum over products of 1, cos u and sin u of the data angles u."""
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


def _model(content: dict[str, Any]) -> dict[str, Any]:
    """What `predict` uses of a file, checked, numbers as arrays; `ValueError` with the place of what is wrong."""
    model: dict[str, Any] = {name: _count({"lead": 1} | content, name) for name in _COUNTS}
    features, hidden = _take(content, "features", list, "a list"), model["hidden_size"]
    if not all(isinstance(name, str) for name in features) or not 0 < len(features) == len(set(features)):
        raise ValueError("features is no list of names, each of them once")
    cell, both = content.get("cell", "lstm"), content.get("bidirectional", False)
    if cell not in GATES or not isinstance(both, bool):
        raise ValueError(f"cell is {cell!r:.30}, bidirectional {both!r:.30}; known are {', '.join(GATES)}, and true and false")
    layers, inputs, found = _take(content, "layers", list, "a list"), len(features), []
    outputs = 2 * hidden if both else hidden
    for number, layer in enumerate(layers):
        inputs = outputs if number >= 1 + both else inputs
        found.append(_layer(_object(layer, f"layers.{number}"), f"layers.{number}.", inputs, hidden, GATES[cell]))
    if not found or (both and len(found) % 2):
        raise ValueError(f"layers: there {'is none' if not found else 'are not two for each of both directions'}")
    scalers = {name: _scaler(content, name, n) for name, n in (("input_scaler", len(features)), ("target_scaler", 1))}
    head = _pair(_object(content.get("head"), "head"), "head.", model["horizon"], outputs)
    target = _take(content, "target", str, "a text")
    change = None if content.get("change") is None else _change(_object(content["change"], "change"), target in features)
    model |= {"cell": cell, "bidirectional": both, "change": change}
    return {**content, **model, "features": features, "target": target, "layers": found, "head": head, **scalers}


def _change(change: dict[str, Any], known: bool) -> dict[str, Any]:
    difference, transform = _take(change, "difference", list, "a list", "change."), change.get("transform")
    if transform not in (None, "log") or not known:
        raise ValueError(f"change: transform is {transform!r:.30}, log is known; and the target must be a feature")
    return {"difference": [_count({"change.difference": n}, "change.difference") for n in difference], "transform": transform}


def _layer(layer: dict[str, Any], place: str, inputs: int, hidden: int, gates: int) -> dict[str, Any]:
    if layer.get("input_map") not in MAPS:
        raise ValueError(f"{place}input_map is {layer.get('input_map')!r}; known are {', '.join(MAPS)}")
    for name in ("to_angles", "from_outputs"):
        if name not in layer:
            raise ValueError(f"{place}{name} is not there; it is null where there is none")
    hybrid, found = layer["to_angles"] is not None, []
    if hybrid != (layer["from_outputs"] is not None):
        raise ValueError(f"{place}to_angles and from_outputs go together")
    angles, outputs = inputs + hidden, hidden
    to_angles = from_outputs = None
    if hybrid:
        to_angles = _pair(_object(layer["to_angles"], f"{place}to_angles"), f"{place}to_angles.", None, angles)
        from_outputs = _pair(_object(layer["from_outputs"], f"{place}from_outputs"), f"{place}from_outputs.", hidden, None)
        angles, outputs = len(to_angles["weight"]), from_outputs["weight"].shape[1]
    for number, series in enumerate(_take(layer, "series", list, "a list", place)):
        own = f"{place}series.{number}."
        series = _object(series, own[:-1])
        factors, digits = _array(series, "factors", own, (None, angles)), _array(series, "digits", own, (None, None))
        if not np.isin(digits, (0, 1, 2)).all() or digits.shape[1] != len(factors):
            raise ValueError(f"{own}digits: a row needs {len(factors)} of 0, 1, 2")
        offsets = _array(series, "offsets", own, (len(factors),))
        coefficients = _array(series, "coefficients", own, (len(digits), gates, outputs))
        found.append({"factors": factors, "offsets": offsets, "digits": digits.astype(int), "coefficients": coefficients})
    if not found:
        raise ValueError(f"{place}series: there is none")
    return {**layer, "to_angles": to_angles, "from_outputs": from_outputs, "series": found}


def _pair(layer: dict[str, Any], place: str, outputs: int | None, inputs: int | None) -> dict[str, Any]:
    weight = _array(layer, "weight", place, (outputs, inputs))
    return {"weight": weight, "bias": _array(layer, "bias", place, (len(weight),))}


def _scaler(content: dict[str, Any], name: str, columns: int) -> dict[str, Any]:
    scaler = _object(content.get(name), name)
    low, high = (_array(scaler, end, f"{name}.", (columns,)) for end in ("low", "high"))
    if (high < low).any() or not np.isfinite(high - low).all():
        raise ValueError(f"{name}.high is below low, or too far above it")
    return {"low": low, "high": high}


def _array(content: dict[str, Any], name: str, place: str, shape: tuple[int | None, ...]) -> Any:
    """Finite numbers of a shape; None is any length but 0."""
    try:
        entries = np.array(content.get(name), dtype=object)
        wrong = not {type(entry) for entry in entries.ravel().tolist()} <= {int, float}  # texts, booleans, ragged lists
        array = entries.astype(float) if not wrong else entries
    except (ValueError, OverflowError):
        wrong = True
    if wrong or array.ndim != len(shape) or not np.isfinite(array).all():
        raise ValueError(f"{place}{name} is no array of finite numbers in {len(shape)} dimensions")
    if any(n != (n if wanted is None else wanted) or not n for n, wanted in zip(array.shape, shape, strict=True)):
        text = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
        raise ValueError(f"{place}{name} has the shape {array.shape}; it must be ({text})")
    return array


def _take(content: dict[str, Any], name: str, kind: type, what: str, place: str = "") -> Any:
    if not isinstance(content.get(name), kind):
        raise ValueError(f"{place}{name} is not {what}")
    return content[name]


def _object(value: Any, place: str) -> dict[str, Any]:
    return _take({place: value}, place, dict, "an object")


def _count(content: dict[str, Any], name: str) -> int:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise ValueError(f"{name} is {value!r:.30}; it must be a number of rows or features")
    return value


def read_rows(path: Path | str, features: list[str]) -> list[list[float]]:
    """The columns of a CSV file, a list for each row; `ValueError` says which line or column is wrong."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
            for name in features:
                if names.count(name) != 1:
                    raise ValueError(f"there {'is no' if name not in names else 'is more than one'} column {name!r}")
            table = [(reader.line_num, row) for row in reader]
        for name in names:
            ends = [str(row[name]).strip() for _, row in (*table[:1], *table[-1:])]
            if name not in features and all(map(DATE.match, ends)) and ends != sorted(ends):
                raise ValueError(f"rows run from the newest to the oldest, by column {name!r}; turn them round")
        return [[_number(row[name], f"line {line}, column {name!r}") for name in features] for line, row in table]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} cannot be used: {error}") from None


def _number(text: str | None, place: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{place}: {text!r} is not a finite number")
    return value


def main(arguments: list[str]) -> int:
    """Predict from a CSV file; the exit code, 2 with a line on standard error on a mistake."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    try:
        model = load(Path(__file__).with_name("multilinear.json"))
        rows, window = read_rows(arguments[0], model["features"]), model["window"]
        window += sum(model["change"]["difference"]) if model["change"] else 0
        if len(rows) < window:
            raise ValueError(f"{arguments[0]} has {len(rows)} rows; a window needs {window}")
        predictions = predict(model, np.array([rows[end - window : end] for end in range(window, len(rows) + 1)]))
        target = ("'" if model["target"][:1] in tuple("=+-@") else "") + model["target"]  # no formula of a spreadsheet
        writer = csv.writer(sys.stdout)
        writer.writerow(["after_row", *(f"{target}+{k + model['lead']}" for k in range(model["horizon"]))])
        writer.writerows([window + n, *values] for n, values in enumerate(predictions.tolist()))
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads it any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
