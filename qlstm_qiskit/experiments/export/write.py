"""Writing a trained model as circuits in OpenQASM 3 or QPY, or as its multilinear form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qlstm_qiskit.circuits import lower_observable
from qlstm_qiskit.circuits.stored import to_qpy
from qlstm_qiskit.errors import CircuitError, OptionError, RunError, unknown_option
from qlstm_qiskit.experiments.export import multilinear_reader
from qlstm_qiskit.experiments.export.ensembles import write_ensemble
from qlstm_qiskit.experiments.export.manifest import (
    CIRCUIT_FORMATS,
    MANIFEST,
    Affine,
    ExportedCircuit,
    ExportedLayer,
    ExportedModel,
    StoredFile,
    Term,
)
from qlstm_qiskit.experiments.export.multilinear import multilinear_model
from qlstm_qiskit.experiments.export.qasm import LIBRARY_FILE, LIBRARY_TEXT, to_qasm3
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.runs.load import Ensemble, ModelHeader, Run, load_run, predict_windows
from qlstm_qiskit.hardware import EXACT
from qlstm_qiskit.nn import Forecaster, RecurrentCell
from qlstm_qiskit.space import Candidate
from qlstm_qiskit.space.fast import FastCandidate
from qlstm_qiskit.storage import exists, make_folders, take_back, write_atomically

FORMATS = (*CIRCUIT_FORMATS, "multilinear")

#: Largest allowed difference of predictions when an export is read back, in scaled units.
_TOLERANCE = {"qasm3": 1e-9, "qpy": 1e-12, "multilinear": 1e-12}
_SINGLE = 1e-4  # for models in float32, whose sums are taken in another order

_Files = dict[str, bytes]


@dataclass(frozen=True)
class Export:
    """A written export.

    Attributes:
        path: The folder.
        files: Its files, relative to the folder.
        difference: Largest difference between the predictions of the model and of the files read back, on random windows;
            scaled.
    """

    path: Path
    files: tuple[str, ...]
    difference: float


def export_run(path: Path | str, kind: str, out: Path | str) -> Export:
    """Export the model of a run folder, see `export_model`; of an ensemble all members, and what takes their mean.

    Raises:
        RunError: The folder cannot be read.
    """
    _require_known(kind)
    run = load_run(path, backend=EXACT)
    if not isinstance(run, Ensemble):
        return export_model(run.forecaster, run.header, Path(out), kind)

    def member(model: Run, folder: Path) -> tuple[tuple[str, ...], float]:
        written = export_model(model.forecaster, model.header, folder, kind)
        return written.files, written.difference

    return Export(Path(out), *write_ensemble(run, Path(out), kind, member))


def export_model(forecaster: Forecaster, header: ModelHeader, out: Path, kind: str) -> Export:
    """Write a model into a new or empty folder, read it back and compare predictions.

    "qasm3" and "qpy" write each circuit with parameters, and again for each gate with its trained angles bound (data remain
    parameters). Everything else goes into ``model.json``; see `load_exported`. "multilinear" writes ``multilinear.json`` and
    its reader ``predict.py``, which needs only numpy.

    Args:
        forecaster: The model.
        header: The columns that it reads and predicts, with their scalers.
        out: The folder.
        kind: One of `FORMATS`.

    Raises:
        OptionError: An unknown format, or a model without circuits or with circuits whose angles are written in each step.
        RunError: The folder is not empty or cannot be written to, or a parameter of the model is not finite.
        CircuitError: The model cannot be written in this format; nothing is left behind.
    """
    _require_known(kind)
    if forecaster.circuits is None:
        raise OptionError("this model has no circuits; export the run of another model.")
    if any(isinstance(own, FastCandidate) for cell in forecaster.circuits.layers() for own in cell.bank.candidates):
        raise OptionError(
            "the circuits of a fast weight programmer have other angles in each step, which no format holds; "
            "use `qlstm predict`, or export the run of another cell."
        )
    if exists(out) and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} exists already and is not empty; choose another folder for --out.")
    _require_finite(forecaster)
    forecaster.eval()
    files = _multilinear_files(forecaster, header) if kind == "multilinear" else _circuit_files(forecaster, header, kind)
    made: list[Path] = []
    for folder in sorted({(out / name).parent for name in files}):
        made = make_folders(folder) + made
    try:
        for name, content in files.items():
            write_atomically(out / name, content)
        difference = _compare(forecaster, header, out, kind)
    except BaseException:
        take_back(out, files, made)
        raise
    return Export(out, tuple(files), difference)


def _require_finite(forecaster: Forecaster) -> None:
    for name, value in forecaster.state_dict().items():
        if not torch.isfinite(value).all():
            raise RunError(f"this model cannot be exported: {name} has values that are not finite; train it again.")


def _require_known(kind: str) -> None:
    if kind not in FORMATS:
        raise unknown_option("format", kind, FORMATS)


def _multilinear_files(forecaster: Forecaster, header: ModelHeader) -> _Files:
    if header.classes is not None:
        raise OptionError(
            "predict.py of the format multilinear prints forecasts, and this model predicts classes; export qasm3 or qpy."
        )
    reader = Path(multilinear_reader.__file__).read_bytes()
    return {
        "predict.py": reader,
        "multilinear.json": json.dumps(multilinear_model(forecaster, header), allow_nan=False).encode(),
    }


def _circuit_files(forecaster: Forecaster, header: ModelHeader, kind: str) -> _Files:
    """Content of all files by name; the manifest is last, because it makes the export complete."""
    assert forecaster.circuits is not None
    files: _Files = {} if kind == "qpy" else {f"circuits/{LIBRARY_FILE}": LIBRARY_TEXT.encode()}
    cells = list(forecaster.circuits.layers())
    model = ExportedModel(
        circuits="qpy" if kind == "qpy" else "qasm3",
        dtype="float32" if forecaster.head.weight.dtype == torch.float32 else "float64",
        hidden_size=forecaster.circuits.hidden_size,
        bidirectional=forecaster.circuits.bidirectional,
        input_map=cells[0].input_map,
        header=header,
        layers=tuple(_layer(cell, number, kind, files) for number, cell in enumerate(cells, 1)),
        head=Affine.of(forecaster.head),
    )
    left_out = None if model.bidirectional else {"bidirectional"}  # so that files of older kinds of models stay the same
    return files | {MANIFEST: (model.model_dump_json(indent=2, exclude=left_out) + "\n").encode()}


def _layer(cell: RecurrentCell, number: int, kind: str, files: _Files) -> ExportedLayer:
    """The part of a layer in the manifest; its circuits are added to `files`."""
    bank = cell.bank
    names = _distinct(candidate.name for candidate in bank.candidates)
    stems = _distinct(re.sub(r"[^A-Za-z0-9.+-]+", "_", candidate.name)[:80] for candidate in bank.candidates)
    renamed = [_rename(candidate) for candidate in bank.candidates]
    written = [
        ExportedCircuit(
            parameterised=_add(files, f"layer{number}-{stem}", circuit, kind),
            inputs={f"x{k}": parameter.name for k, parameter in enumerate(candidate.inputs)},
            weights={f"w{k}": parameter.name for k, parameter in enumerate(candidate.weights)},
            observables=_observables(candidate, bank.n_outputs),
        )
        for candidate, circuit, stem in zip(bank.candidates, renamed, stems, strict=True)
    ]
    mixing, angles = bank.coefficients(), bank.expanded_angles().detach().cpu()
    coefficients = torch.ones(len(angles), 1) if mixing is None else mixing.detach().cpu()
    starts = np.cumsum([0, *(len(candidate.weights) for candidate in bank.candidates)]).tolist()
    gates: dict[str, list[Term]] = {gate: [] for gate in cell.gate_names}
    for row, (gate, terms) in enumerate(gates.items()):
        for place in bank.gates[row]:
            values = angles[row, starts[place] : starts[place + 1]].tolist()
            bound = renamed[place].assign_parameters({f"w{k}": value for k, value in enumerate(values)})
            terms.append(
                Term(
                    candidate=names[place],
                    coefficient=float(coefficients[row, place]),
                    angles=values,
                    bound=_add(files, f"layer{number}-{gate}-{stems[place]}-bound", bound, kind),
                )
            )
    return ExportedLayer(
        candidates=dict(zip(names, written, strict=True)),
        gates={gate: tuple(terms) for gate, terms in gates.items()},
        to_angles=None if cell.to_angles is None else Affine.of(cell.to_angles),
        from_outputs=None if cell.from_outputs is None else Affine.of(cell.from_outputs),
    )


def _rename(candidate: Candidate) -> QuantumCircuit:
    """The circuit with parameters x0, x1, ... and w0, w1, ..., because OpenQASM 3 has no names like x[0]."""
    listed = [*candidate.inputs, *candidate.weights]
    names = [f"x{k}" for k in range(len(candidate.inputs))] + [f"w{k}" for k in range(len(candidate.weights))]
    circuit = candidate.circuit
    for prefix in ("new name of ", ""):  # in two steps, since a circuit may already have a w0 in another place
        fresh = [Parameter(prefix + name) for name in names]
        circuit = circuit.assign_parameters(dict(zip(listed, fresh, strict=True)), strict=False)
        listed = fresh
    return circuit


def _add(files: _Files, stem: str, circuit: QuantumCircuit, kind: str) -> StoredFile:
    if kind == "qpy":
        content = to_qpy(circuit)
    else:
        content = to_qasm3(circuit, stem).encode()
    path = f"circuits/{stem}{CIRCUIT_FORMATS[kind]}"
    files[path] = content
    return StoredFile.of(path, content)


def _observables(candidate: Candidate, n_outputs: int) -> tuple[tuple[tuple[str, float], ...], ...]:
    operators = candidate.observables(n_outputs)
    for operator in operators:
        lower_observable(operator, candidate.n_qubits)  # refuses coefficients that are not real
    return tuple(tuple((pauli, float(value.real)) for pauli, value in operator.to_list()) for operator in operators)


def _distinct(names: Iterable[str]) -> list[str]:
    """The names, with a number added to repeated ones; letter case is ignored, as it may be in file names."""
    taken: set[str] = set()
    result = []
    for name in names:
        number, free = 1, name
        while free.lower() in taken:
            number += 1
            free = f"{name}-{number}"
        taken.add(free.lower())
        result.append(free)
    return result


def _compare(forecaster: Forecaster, header: ModelHeader, out: Path, kind: str) -> float:
    """The largest difference of predictions after reading the files back, or `CircuitError` if it is too large."""
    windows = np.random.default_rng(0).uniform(-1, 1, (16, header.window, len(header.features)))
    expected = predict_windows(forecaster, windows)
    try:
        if kind == "multilinear":
            read = [multilinear_reader.predict(multilinear_reader.load(out / "multilinear.json"), windows, scaled=True)]
        else:
            read = [load_exported(out, bound=bound).predict(windows) for bound in (False, True)]
    except (RunError, ValueError) as error:
        hint = " Use --format qpy." if kind == "qasm3" else ""
        raise CircuitError(f"this model cannot be exported as {kind}: {error}{hint}") from None
    difference = max(float(np.abs(values - expected).max()) for values in read)
    single = forecaster.head.weight.dtype == torch.float32
    if not difference <= (_SINGLE if single else _TOLERANCE[kind]):
        raise CircuitError(f"this model cannot be exported as {kind}: read back, its predictions differ by {difference:.2g}.")
    return difference
