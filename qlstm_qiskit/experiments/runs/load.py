"""Run folders read back: a trained model with everything needed to apply it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.runs.agreement import (
    ARCHITECTURE,
    CHECKPOINT,
    CONFIG,
    GENOTYPE,
    HISTORY,
    METRICS,
    MODEL,
    require_agreement,
    require_same_metrics,
)
from qlstm_qiskit.experiments.runs.building import build
from qlstm_qiskit.experiments.runs.difference import Difference
from qlstm_qiskit.experiments.runs.ensemble import Ensemble, member_folder
from qlstm_qiskit.experiments.runs.header import ModelHeader, RunHeader, read_model
from qlstm_qiskit.experiments.runs.own import read_back
from qlstm_qiskit.experiments.runs.reading import read_json, read_lines, read_metrics, validated
from qlstm_qiskit.experiments.runs.run import Run
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.trust import require_trusted
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.nn.forecaster import predict_windows, trace_windows
from qlstm_qiskit.storage import exists

__all__ = [
    "ARCHITECTURE",
    "CHECKPOINT",
    "CONFIG",
    "GENOTYPE",
    "HISTORY",
    "METRICS",
    "MODEL",
    "Difference",
    "Ensemble",
    "ModelHeader",
    "Run",
    "load_header",
    "load_metrics",
    "load_run",
    "load_spec",
    "predict_windows",
    "read_json",
    "read_lines",
    "trace_windows",
    "validated",
]


def load_spec(path: Path | str) -> RunSpec:
    """Read the spec of a run.

    Args:
        path: The folder.

    Raises:
        RunError: The folder is missing, or its config.json is missing or damaged, or so are its own circuits.
    """
    path = Path(path)
    if not exists(path):
        raise RunError(f"there is no run folder {path}; train one with `qlstm train --out {path}`.")
    spec = validated(RunSpec, read_json(path / CONFIG), path / CONFIG)
    return spec if spec.space is None else spec.model_copy(update={"space": read_back(path, CONFIG, spec.space)})


def load_header(path: Path | str, spec: RunSpec) -> RunHeader:
    """Read the header of a run's weights, which must agree with the config; errors as for `load_run`."""
    path = Path(path)
    header, _ = read_model(path / MODEL)
    require_agreement(path, spec, header)
    return header


def load_metrics(path: Path | str) -> dict[str, Any]:
    """Read the content of metrics.json; errors as for `load_run`."""
    return read_metrics(Path(path) / METRICS)


def load_run(path: Path | str, *, backend: str | BackendSpec | None = None, work: str = "evaluate", trust: bool = False) -> Run:
    """Read a run folder; that of an ensemble gives an `Ensemble`.

    Args:
        path: The folder.
        backend: The backend to evaluate on, by name or entry; by default the one that it was trained on.
        work: A name for the work. Jobs that leave this machine, and rehearsals of them if `backend` asks for that, are recorded
            under it in the run folder, or in that of the member that they are of; the same work of the same model is answered
            from the record.
        trust: Whether code may be called that is named only in the folder's own config.json, if `backend` is not given.

    Raises:
        RunError: It is missing or damaged, contradicts itself, or has another version of the format; or its backend would
            call code chosen by whoever made it.
    """
    path = Path(path)
    spec = load_spec(path)
    if backend is not None:
        spec = spec.on(backend)
    else:
        spec = spec.on(spec.backend_options or spec.backend)
        require_trusted(path, spec, trust, advice="or choose another one (backend=...)")
    if spec.replicas == 1:
        return _loaded(path, spec, work, recorded=backend is not None)
    made = [_member(path, spec, place) for place in range(spec.replicas)]
    ensemble = Ensemble(path, spec, tuple(_loaded(*own, work, recorded=backend is not None) for own in made))
    require_same_metrics(path, spec, ensemble.header)
    return ensemble


def _loaded(path: Path, spec: RunSpec, work: str, *, recorded: bool) -> Run:
    """A run of one model; with `recorded`, rehearsals of jobs that leave this machine are recorded as these are."""
    header, tensors = read_model(path / MODEL)
    require_agreement(path, spec, header)
    options = spec.backend_options
    assert options is not None
    kept = options.leaves or (recorded and options.recorded)
    forecaster = build(spec, header, tensors, path, work if kept else None)
    exact = None if options.ideal else build(spec.on(EXACT), header, tensors, path)
    return Run(path, spec, forecaster, header.plain, exact, weights=header)


def _member(path: Path, ensemble: RunSpec, place: int) -> tuple[Path, RunSpec]:
    """Folder and spec of a member of an ensemble, on the ensemble's backend, where shots of members are independent.

    Raises:
        RunError: It has no finished epoch yet, or is another run.
    """
    folder, options = member_folder(path, place), ensemble.backend_options
    if not exists(folder / MODEL):
        raise RunError(f"{folder}, a member of {path}, has no finished epoch yet; go on with: qlstm resume {path}")
    spec, wanted = load_spec(folder), ensemble.member(place).lasting()
    found = spec.lasting()
    other = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if other:
        raise RunError(
            f"{folder / CONFIG} and {path / CONFIG} differ in {', '.join(other)}, so it is no member of this ensemble; restore "
            "the one that was changed."
        )
    assert options is not None
    if options.seed is not None:
        options = options.model_copy(update={"seed": options.seed + place})
    return folder, spec.on(options)
