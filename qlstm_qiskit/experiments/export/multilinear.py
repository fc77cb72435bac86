"""A trained model as sums over products of sines and cosines, for inference without quantum software."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from qlstm_qiskit.circuits import Angle
from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.exact.form import MultilinearForm
from qlstm_qiskit.exact.fourier import describe_angle
from qlstm_qiskit.experiments.export.multilinear_reader import FORMAT
from qlstm_qiskit.experiments.runs.load import ModelHeader
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import CircuitBank, Forecaster, RecurrentCell
from qlstm_qiskit.search.genotype import cell_of


def multilinear_model(forecaster: Forecaster, header: ModelHeader) -> dict[str, Any]:
    """The model as plain JSON values, which `multilinear_reader` reads.

    A series gives each gate ``sum_p coefficients[p, gate, output] prod_q t_q`` with t_q = 1, cos u_q, sin u_q for the digits
    0, 1, 2 of product p, and ``u = factors @ values + offsets``. A layer adds up one series per set of data angles.

    Raises:
        CircuitError: A candidate has no such form, or reads an expression of the data that is not linear; or the model predicts
            differences or logarithms of a target that it does not read.
    """
    assert forecaster.circuits is not None
    if header.change is not None and header.target not in header.features:
        raise CircuitError(
            f"this model predicts {header.change.words} of {header.target!r} without reading it, and predict.py could not turn "
            "them back; export qasm3 or qpy, or train with the target among the features."
        )
    content, layer = header.model_dump(mode="json", exclude={"format"}), forecaster.circuits
    more = {"cell": cell_of(layer.gate_names), "bidirectional": layer.bidirectional}
    defaults = {"cell": "lstm", "bidirectional": False}  # left out, as in files from before there was a choice
    return {
        "format": FORMAT,
        **content,
        **{name: value for name, value in more.items() if value != defaults[name]},
        "hidden_size": forecaster.circuits.hidden_size,
        "layers": [_layer(cell) for cell in forecaster.circuits.layers()],
        "head": _linear(forecaster.head),
    }


def _layer(cell: RecurrentCell) -> dict[str, Any]:
    return {
        "input_map": cell.input_map,
        "to_angles": None if cell.to_angles is None else _linear(cell.to_angles),
        "from_outputs": None if cell.from_outputs is None else _linear(cell.from_outputs),
        "series": _series(cell.bank),
    }


def _series(bank: CircuitBank) -> list[dict[str, Any]]:
    forms = StatevectorBackend().bank(bank.candidates, bank.n_outputs).forms
    covered = {place for form in forms for place in form.members}
    odd = [candidate.name for place, candidate in enumerate(bank.candidates) if place not in covered]
    if odd:
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        raise CircuitError(
            f"the circuit {odd[0]!r}{more} has no multilinear form: it reads its data more than once, or after gates that are "
            f"trained or act on several qubits, or has gates beyond Clifford gates and rotations; export qasm3 or qpy."
        )
    coefficients = bank.coefficients()
    angles = bank.expanded_angles().detach().cpu().double()
    mixing = angles.new_ones(len(angles), 1) if coefficients is None else coefficients.detach().cpu().double()
    return [_one_series(form, bank, angles, mixing) for form in forms]


def _one_series(form: MultilinearForm, bank: CircuitBank, angles: torch.Tensor, mixing: torch.Tensor) -> dict[str, Any]:
    series = form.series(angles, mixing)
    factors, offsets = np.zeros((len(form.angles), bank.n_inputs)), np.zeros(len(form.angles))
    for qubit, angle in enumerate(form.angles):
        data = Angle() if angle is None else angle  # None is a qubit without data, whose digit is 0
        if data.tree is not None:
            names = [bank.candidates[place].name for place in form.members]
            raise CircuitError(
                f"the circuit {names[0]!r} reads its data as {describe_angle(data)}, which is not linear; "
                f"multilinear.json holds linear angles only; export qasm3 or qpy."
            )
        offsets[qubit] = data.offset
        for column, factor in data.inputs:
            factors[qubit, column] = factor
    present = np.any(series.coefficients != 0, axis=(1, 2))
    present[0] = True  # always keep the constant, so that the series is never empty
    return {
        "factors": factors.tolist(),
        "offsets": offsets.tolist(),
        "digits": series.digits[present].tolist(),
        "coefficients": series.coefficients[present].tolist(),
    }


def _linear(layer: nn.Linear) -> dict[str, Any]:
    return {"weight": layer.weight.tolist(), "bias": layer.bias.tolist()}
