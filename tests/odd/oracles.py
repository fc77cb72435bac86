"""What must come out of an input that is taken, worked out from the files as they are."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit import qasm3, qpy
from qiskit.quantum_info import SparsePauliOp, Statevector
from safetensors.torch import load

from qlstm_qiskit.data import load_csv
from qlstm_qiskit.experiments import RunSpec
from qlstm_qiskit.experiments.export.manifest import ExportedModel
from qlstm_qiskit.experiments.runs.header import RunHeader
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.nn import Forecaster
from tests.odd.cases import Wrong, require, same

EXACT = BackendSpec(name="statevector", kind="statevector")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)

GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([, '\u00a0\u202f\u2019])\d{3}(\1\d{3})*(\.\d*)?", re.ASCII)
#: A decimal comma, which there is where commas do not separate columns.
COMMA = re.compile(r"^([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)$", re.ASCII)


def table(path: Path, wanted: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file, read by the letter; separated by whatever makes a header of the wanted names."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252")
    require("\x00" not in text, "a file with a zero byte was taken")
    found: list[list[str]] = []
    for separator in (",", ";", "\t", "|"):
        rows = _rows(text, separator)
        if set(wanted) <= set(rows[0] if rows else []):
            found = rows if separator == "," else [[COMMA.sub(r"\1.\2", cell) for cell in row] for row in rows]
            break
    require(found, "an empty file, or one without a column, was taken")
    header = found[0]
    for number, row in enumerate(found[1:], 2):
        require(len(row) <= len(header), f"line {number} with {len(row)} cells was taken")
    require(all(header.count(name) == 1 for name in header if name), "a name that is there twice was taken")
    return header, found[1:]


def _rows(text: str, separator: str) -> list[list[str]]:
    """Cells; without lines that are empty or comments above the header, empty ones at the end, and a line of units below it."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows = [[cell.strip() for cell in row] for row in lines]
    while rows and (not any(rows[0]) or rows[0][0].startswith("#")):
        del rows[0]
    while rows and not any(rows[-1]):
        rows.pop()
    if len(rows) > 2 and not any(map(NUMBER.fullmatch, rows[1])) and any(map(NUMBER.fullmatch, rows[2])):
        del rows[1]
    if len(rows) > 2 and rows[0][0] == "date" and rows[1][0] > rows[-1][0]:  # the newest first
        rows[1:] = rows[:0:-1]
    return rows


def columns(path: Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns of a CSV file as numbers, every one of them finite; (rows, columns)."""
    header, rows = table(path, names)
    places = [header.index(name) for name in names]
    values = np.empty((len(rows), len(names)))
    for number, row in enumerate(rows):
        for column, where in enumerate(places):
            value = _number(row[where]) if where < len(row) else None
            require(value is not None, f"{row!r} in line {number + 2} was taken for numbers")
            values[number, column] = value
    require(np.isfinite(values).all(), "numbers that are not finite were taken")
    return values


def _number(cell: str) -> float | None:
    """A number with a decimal point, or with its digits in groups of three."""
    if NUMBER.fullmatch(cell):
        return float(cell)
    if GROUPED.fullmatch(cell):
        return float(re.sub(r"[^\d.+-]", "", cell))
    return None


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Our header and the tensors of a safetensors file; each must be finite."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["qlstm_qiskit"])
    tensors = load(content)
    for name, tensor in tensors.items():
        require(not tensor.is_floating_point() or torch.isfinite(tensor).all(), f"{name} is not finite, and was taken")
    return header, tensors


def model_of(folder: Path) -> tuple[RunSpec, dict[str, Any], Forecaster]:
    """The model of a run folder, whose files must agree."""
    spec = RunSpec.model_validate(json.loads((folder / "config.json").read_text()))
    content, tensors = read_weights(folder / "model.safetensors")
    header = RunHeader.model_validate(content).model_dump(mode="json")
    data = spec.data
    require(data.window == header["window"], f"windows of {data.window} and {header['window']} rows in one folder were taken")
    require(data.horizon == header["horizon"], f"horizons of {data.horizon} and {header['horizon']} in one folder were taken")
    if data.csv is not None:
        require(data.target == header["target"], "two targets in one folder were taken")
        require([*(data.features or [data.target])] == header["features"], "two lists of features in one folder were taken")
    with torch.random.fork_rng(devices=[]):
        forecaster = spec.on(EXACT).estimator().build_module(len(header["features"]), header["horizon"])
    if header["gates"] is not None:
        forecaster.recurrent.keep(header["gates"])
    wanted = forecaster.state_dict()
    require(set(wanted) == set(tensors), f"the tensors {sorted(set(wanted) ^ set(tensors))} do not belong here, and were taken")
    for name, value in wanted.items():
        own = tensors[name]
        require(own.shape == value.shape and own.dtype == value.dtype, f"{name} as {own.dtype} {tuple(own.shape)} was taken")
    forecaster.load_state_dict(tensors)
    return spec, header, forecaster.eval()


def scaled(values: NDArray[np.float64], scaler: dict[str, Any]) -> NDArray[np.float64]:
    centre, half = affine(scaler)
    return (values - centre) / half


def affine(scaler: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = (np.array(scaler[name], dtype=float).reshape(-1) for name in ("low", "high"))
    require(len(low) == len(high) and np.isfinite([low, high]).all(), f"the scaler {scaler} was taken")
    half = (high - low) / 2
    return (high + low) / 2, np.where(half == 0, 1.0, half)


def values_of(forecaster: Forecaster, windows: NDArray[np.float64]) -> NDArray[np.float64]:
    with torch.no_grad():
        dtype = next(forecaster.parameters()).dtype
        return forecaster.trace(torch.as_tensor(windows, dtype=dtype))[1].double().numpy()


def evaluation(folder: Path, given: dict[str, Any], rtol: float = 1e-6) -> None:
    """Require what `evaluate --json` says of a folder: errors of its model on the test part of its series."""
    spec, header, forecaster = model_of(folder)
    data = spec.data.load()
    if spec.data.csv is not None:
        names = (*(spec.data.features or [spec.data.target]), spec.data.target)
        read = columns(Path(spec.data.csv), names)
        for scaler, own in (("input_scaler", read[:, :-1]), ("target_scaler", read[:, -1:])):
            rows = data.n_known if hasattr(data, "n_known") else len(own)
            low, high = own[:rows].min(axis=0), own[:rows].max(axis=0)
            if list(header[scaler]["low"]) != low.tolist() or list(header[scaler]["high"]) != high.tolist():
                same(list(header[scaler]["low"]), low.tolist(), scaler, 1e-5)
                same(list(header[scaler]["high"]), high.tolist(), scaler, 1e-5)
    prediction = values_of(forecaster, data.x_test)
    half = affine(header["target_scaler"])[1]
    difference = (prediction - data.y_test) * half
    expected = {
        "mse": float(np.mean((prediction - data.y_test) ** 2)),
        "rmse_original": float(np.sqrt(np.mean(difference**2))),
        "mae_original": float(np.mean(np.abs(difference))),
    }
    require(all(map(math.isfinite, expected.values())), f"{expected} was taken")
    same({name: given["test"][name] for name in expected}, expected, "test", rtol)
    require(given["epochs"] == header["epoch"], "another number of epochs")
    require(("seasonal_naive" in given) == (data.season > 1), "a season that is not the series'")
    scale = mean_step(data)
    if scale:
        same(given["test"]["mase"], expected["mae_original"] / scale, "test.mase", rtol)


def mean_step(data: Any) -> float:
    """The naive forecast's error before the test part, one season back: what MASE divides by, with intervals and without."""
    aside = 0 if data.calibration is None else len(data.calibration[0]) + data.horizon - 1
    known = data.values[: data.window + len(data.x_train) + aside + data.horizon - 1]
    return float(np.mean(np.abs(known[data.season :] - known[: -data.season])))


def predictions(folder: Path, file: Path, rows: Sequence[dict[str, Any]], last: int | None = None) -> None:
    """Require what `predict --json` says of a CSV file, or of those of its last rows that have a window before them."""
    _, header, forecaster = model_of(folder)
    values = columns(file, header["features"])
    window = header["window"]
    wanted = len(values) if last is None else min(last, len(values) - window)
    require(len(rows) == wanted, f"{len(rows)} predictions for {len(values)} rows")
    inputs = scaled(values, header["input_scaler"])
    windows = np.stack([inputs[end - window : end] for end in range(window, len(values))])
    centre, half = affine(header["target_scaler"])
    expected = (values_of(forecaster, windows)[:, :1] * half + centre)[:, 0].tolist()
    require(np.isfinite(expected).all(), "predictions that are not finite")
    same([row["prediction"] for row in rows], ([None] * window + expected)[-wanted:], "prediction", 1e-6)


def clean_copy(path: Path, names: Sequence[str], out: Path) -> None:
    """The columns of a CSV file, written plainly."""
    values = columns(path, names)
    lines = [",".join(names), *(",".join(map(repr, row)) for row in values.tolist())]
    out.write_text("\n".join(lines) + "\n")


def multilinear(model: dict[str, Any], rows: NDArray[np.float64]) -> list[list[float]]:
    """Predictions after each window of rows, in original units, from the numbers of a multilinear.json, product by product."""
    centre, half = affine(model["input_scaler"])
    result = []
    for end in range(model["window"], len(rows) + 1):
        sequence = [list(row) for row in (rows[end - model["window"] : end] - centre) / half]
        for layer in model["layers"]:
            h, c, states = [0.0] * model["hidden_size"], [0.0] * model["hidden_size"], []
            for step in sequence:
                gates = _gates(layer, [*step, *h])
                i, f, g, o = gates
                c = [_sigmoid(f[k]) * c[k] + _sigmoid(i[k]) * math.tanh(g[k]) for k in range(len(c))]
                h = [_sigmoid(o[k]) * math.tanh(c[k]) for k in range(len(c))]
                states.append(h)
            sequence = states
        target_centre, target_half = affine(model["target_scaler"])
        values = _linear(model["head"], sequence[-1])
        require(len(values) == model["horizon"], "another horizon")
        result.append([value * target_half[0] + target_centre[0] for value in values])
    return result


def _gates(layer: dict[str, Any], values: list[float]) -> list[list[float]]:
    values = values if layer["to_angles"] is None else _linear(layer["to_angles"], values)
    require(layer["input_map"] in ("identity", "arctan"), f"the map {layer['input_map']!r} was taken")
    values = [math.atan(value) for value in values] if layer["input_map"] == "arctan" else values
    total: Any = None
    for series in layer["series"]:
        angles = [offset + _dot(factors, values) for factors, offset in zip(series["factors"], series["offsets"], strict=True)]
        for digits, coefficients in zip(series["digits"], series["coefficients"], strict=True):
            product = 1.0
            for angle, digit in zip(angles, digits, strict=True):
                require(digit in (0, 1, 2) and not isinstance(digit, bool), f"the digit {digit!r} was taken")
                product *= (1.0, math.cos(angle), math.sin(angle))[int(digit)]
            part = [[product * value for value in gate] for gate in coefficients]
            require(len(part) == 4, "another number of gates was taken")
            total = (
                part
                if total is None
                else [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(total, part, strict=True)]
            )
    return total if layer["from_outputs"] is None else [_linear(layer["from_outputs"], gate) for gate in total]


def exported(folder: Path, windows: NDArray[np.float64], *, bound: bool) -> list[list[float]]:
    """Predictions for windows in original units from a model.json and its circuits, gate by gate with Qiskit's statevectors."""
    model = ExportedModel.model_validate(json.loads((folder / "model.json").read_text())).model_dump(mode="json")
    header = model["header"]
    size = model["hidden_size"]
    centre, half = affine(header["target_scaler"])
    result = []
    for window in windows:
        sequence = [list(row) for row in scaled(window, header["input_scaler"])]
        for layer in model["layers"]:
            h, c, states = [0.0] * size, [0.0] * size, []
            for step in sequence:
                values = [*step, *h]
                values = values if layer["to_angles"] is None else _linear(layer["to_angles"], values)
                values = [math.atan(value) for value in values] if model["input_map"] == "arctan" else values
                sums = [_summed(folder, model, layer, terms, values, bound) for terms in layer["gates"].values()]
                i, f, g, o = sums if layer["from_outputs"] is None else [_linear(layer["from_outputs"], own) for own in sums]
                c = [_sigmoid(f[k]) * c[k] + _sigmoid(i[k]) * math.tanh(g[k]) for k in range(size)]
                h = [_sigmoid(o[k]) * math.tanh(c[k]) for k in range(size)]
                states.append(h)
            sequence = states
        result.append([value * half[0] + centre[0] for value in _linear(model["head"], sequence[-1])])
    return result


def _summed(
    folder: Path, model: dict[str, Any], layer: dict[str, Any], terms: Any, values: list[float], bound: bool
) -> list[float]:
    total: list[float] | None = None
    for term in terms:
        item = layer["candidates"][term["candidate"]]
        file = term["bound"] if bound else item["parameterised"]
        content = (folder / file["path"]).read_bytes()
        require(hashlib.sha256(content).hexdigest() == file["sha256"], f"{file['path']} of another content was taken")
        circuit = qpy.load(io.BytesIO(content))[0] if model["circuits"] == "qpy" else qasm3.loads(content.decode())
        given = dict(zip(item["inputs"], values, strict=True))
        given |= {} if bound else dict(zip(item["weights"], term["angles"], strict=True))
        circuit = circuit.assign_parameters({parameter: given[parameter.name] for parameter in circuit.parameters})
        state = Statevector(circuit)
        outputs = [
            term["coefficient"] * state.expectation_value(SparsePauliOp.from_list(own)).real for own in item["observables"]
        ]
        total = outputs if total is None else [a + b for a, b in zip(total, outputs, strict=True)]
    assert total is not None
    return total


def _dot(first: Sequence[float], second: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(first, second, strict=True))


def _linear(layer: dict[str, Any], values: list[float]) -> list[float]:
    return [_dot(row, values) + bias for row, bias in zip(layer["weight"], layer["bias"], strict=True)]


def _sigmoid(value: float) -> float:
    return 0.5 + 0.5 * math.tanh(value / 2)


__all__ = ["Wrong", "clean_copy", "columns", "evaluation", "load_csv", "model_of", "multilinear", "predictions", "read_weights"]
