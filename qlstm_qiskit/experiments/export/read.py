"""Reading back models that were exported as circuit files and a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from torch import Tensor, nn

from qlstm_qiskit.circuits.stored import from_qpy
from qlstm_qiskit.errors import CapacityError, CircuitError, OptionError, RunError
from qlstm_qiskit.experiments.export.manifest import (
    MANIFEST,
    Affine,
    ExportedCircuit,
    ExportedLayer,
    ExportedModel,
    StoredFile,
    Term,
)
from qlstm_qiskit.experiments.runs.load import ModelHeader, predict_windows
from qlstm_qiskit.hardware import Backend, load_backend
from qlstm_qiskit.nn import CELLS, Forecaster
from qlstm_qiskit.space import Candidate, SearchSpace
from qlstm_qiskit.storage import exists


@dataclass(frozen=True, eq=False)
class Exported:
    """A model read back from its files.

    Attributes:
        path: The folder.
        model: The content of its manifest.
        forecaster: The model, in evaluation mode.
    """

    path: Path
    model: ExportedModel
    forecaster: Forecaster

    @property
    def header(self) -> ModelHeader:
        return self.model.header

    def predict(self, windows: NDArray[np.float64], *, scaled: bool = True) -> NDArray[np.float64]:
        """Predictions (n, horizon) for windows (n, window, features), both scaled or both in original units.

        In original units, a model of differences needs `header.reach` rows more, before the window. Of a model of classes they
        are the scores of `header.classes` before the softmax, (n, n_classes), in any units.

        Raises:
            OptionError: It predicts differences or logarithms of a target that it does not read, and they are not scaled.
        """
        if scaled:
            return predict_windows(self.forecaster, windows)
        header = self.header
        change, past = header.change, windows[..., 0]
        if change is not None:
            if header.target not in header.features:
                raise OptionError(
                    f"this model predicts {change.words} of {header.target!r} without reading it; give scaled windows, and "
                    "turn its predictions back with header.change.invert."
                )
            past = windows[..., header.features.index(header.target)]
            windows = change.columns(windows, header.own_past)
        values = header.target_scaler.inverse(predict_windows(self.forecaster, header.input_scaler.transform(windows)))
        return values if change is None else change.invert(values, past)


def load_exported(path: Path | str, *, backend: Backend | str = "statevector", bound: bool = False) -> Exported:
    """Read a model from circuit files written by `export_model`.

    Args:
        path: The folder.
        backend: The backend that evaluates the circuits, or its name.
        bound: Read the circuits with bound angles instead of those with parameters.

    Raises:
        RunError: A file is missing or damaged, or was not written by this package.
    """
    path = Path(path)
    model = _read_manifest(path)
    spaces = [_space(path, model.circuits, layer, bound) for layer in model.layers]
    dtype: torch.dtype = getattr(torch, model.dtype)
    layers = model.layers
    backend = load_backend(backend) if isinstance(backend, str) else backend
    hybrid, n_directions = layers[0].to_angles is not None, 2 if model.bidirectional else 1
    try:
        recurrent = CELLS[model.cell](
            len(model.header.features),
            model.hidden_size,
            space=spaces,
            n_qubits=spaces[0].n_qubits if hybrid else None,
            input_map=model.input_map,
            circuits="frozen",
            num_layers=len(layers) // n_directions,
            bidirectional=model.bidirectional,
            batch_first=True,
            backend=backend,
            angle_std=0.0,
            generator=torch.Generator(),
            dtype=dtype,
        )
    except (CircuitError, OptionError, CapacityError) as error:
        raise RunError(f"{path / MANIFEST} and its circuits do not fit together: {error}") from error
    head: nn.Linear = nn.utils.skip_init(nn.Linear, n_directions * model.hidden_size, model.header.n_outputs, dtype=dtype)  # type: ignore[no-untyped-call]
    forecaster = Forecaster(recurrent, head)
    try:
        forecaster.load_state_dict(_parameters(model, dtype, bound))
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{path / MANIFEST} and its circuits do not fit together: {reason}") from error
    return Exported(path, model, forecaster.eval())


def _read_manifest(path: Path) -> ExportedModel:
    if exists(path / "ensemble.json"):
        raise RunError(f"{path} holds an ensemble; read it by load_ensemble, or a member, such as {path / 'members' / '0'}.")
    if not exists(path / MANIFEST):
        raise RunError(f"there is no {path / MANIFEST}; write one with `qlstm export RUN --format qasm3 --out {path}`.")
    try:
        return ExportedModel.model_validate(json.loads((path / MANIFEST).read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path / MANIFEST} is damaged or of another version: {place}: {first['msg']}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path / MANIFEST} cannot be read: {error}.") from None


def _space(path: Path, circuits: str, layer: ExportedLayer, bound: bool) -> SearchSpace:
    """The candidates of a layer; bound circuits are candidates of a single gate."""
    if not bound:
        names = list(layer.candidates)
        fixed = [_candidate(path, circuits, name, layer.candidates[name], None) for name in names]
        gates = [tuple(names.index(term.candidate) for term in terms) for terms in layer.gates.values()]
    else:
        fixed, gates = [], []
        for gate, terms in layer.gates.items():
            start = len(fixed)
            fixed += [
                _candidate(path, circuits, f"{gate}: {t.candidate}", layer.candidates[t.candidate], t.bound) for t in terms
            ]
            gates.append(tuple(range(start, len(fixed))))
    try:
        space = SearchSpace.from_circuits(fixed)
    except CircuitError as error:
        raise RunError(f"the circuits of {path} do not fit together: {error}") from None
    return SearchSpace(fixed=space.fixed, gates=tuple(gates))


def _candidate(path: Path, circuits: str, name: str, item: ExportedCircuit, bound: StoredFile | None) -> Candidate:
    file = bound or item.parameterised
    circuit = _read_circuit(path / file.path, circuits, file.sha256)
    there = {parameter.name: parameter for parameter in circuit.parameters}
    wanted = [] if bound else list(item.weights)
    try:
        return Candidate(
            name,
            circuit,
            tuple(there.get(key) or Parameter(key) for key in item.inputs),  # a circuit need not use all of them
            tuple(there.get(key) or Parameter(key) for key in wanted),
            tuple(SparsePauliOp.from_list(terms) for terms in item.observables),
        )
    except (CircuitError, ValueError, TypeError) as error:
        raise RunError(f"{path / file.path} does not fit {path / MANIFEST}: {error}") from None


def _read_circuit(path: Path, circuits: str, sha256: str) -> QuantumCircuit:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}; export the run again.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{path} is not the file that was exported with {MANIFEST}; export the run again.")
    try:
        if circuits == "qpy":
            return from_qpy(content)[0]
        with contextlib.redirect_stderr(io.StringIO()):  # the importer also prints the message of its error there
            return qasm3.loads(content.decode())
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
        reason = " ".join(str(error).split())
        raise RunError(f"{path} cannot be read as {circuits} ({type(error).__name__}: {reason}).") from None


def _parameters(model: ExportedModel, dtype: torch.dtype, bound: bool) -> dict[str, Tensor]:
    """The numbers of the manifest, by their names in the state of a `Forecaster`."""
    result = _linear("head", model.head, dtype)
    for number, layer in enumerate(model.layers):
        prefix = f"recurrent.cells.{number}"
        # In the order of the bank: gate after gate, candidates by index.
        terms = [term for own in layer.gates.values() for term in _by_place(layer, own, bound)]
        angles = [] if bound else [angle for term in terms for angle in term.angles]
        result[f"{prefix}.bank.angles"] = torch.tensor(angles, dtype=dtype)
        result[f"{prefix}.bank.structural_weights"] = torch.tensor([term.coefficient for term in terms], dtype=dtype)
        for name in ("to_angles", "from_outputs"):
            if (linear := getattr(layer, name)) is not None:
                result |= _linear(f"{prefix}.{name}", linear, dtype)
    return result


def _by_place(layer: ExportedLayer, terms: Sequence[Term], bound: bool) -> Sequence[Term]:
    names = list(layer.candidates)
    return terms if bound else sorted(terms, key=lambda term: names.index(term.candidate))


def _linear(name: str, layer: Affine, dtype: torch.dtype) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.tensor(layer.weight, dtype=dtype), f"{name}.bias": torch.tensor(layer.bias, dtype=dtype)}
