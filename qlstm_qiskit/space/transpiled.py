"""Candidates fitted to a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qiskit.providers import BackendV2

from qlstm_qiskit.circuits import split
from qlstm_qiskit.hardware.config.file import find_spec
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.device.health import doubt
from qlstm_qiskit.hardware.device.isa_cache import cache_folder
from qlstm_qiskit.hardware.device.transpile import Transpiler
from qlstm_qiskit.hardware.device.transpile_report import TranspileReport
from qlstm_qiskit.hardware.loading import device_of
from qlstm_qiskit.space.candidate import Candidate


def transpile_candidates(
    candidates: Sequence[Candidate], n_outputs: int | None, backend: str | BackendSpec, cache: Path | None = None
) -> tuple[BackendV2, tuple[TranspileReport, ...]]:
    """Fit candidates to the device of a backend, as banks submit them: the device, and a report for each.

    Args:
        candidates: The circuits.
        n_outputs: Observables that are measured; all where None.
        backend: Its name or entry.
        cache: Folder in which transpiled circuits are kept; the user's own where None.

    Raises:
        OptionError: The backend has no device.
        CircuitError: A circuit has more qubits than the device.
    """
    spec = find_spec(backend) if isinstance(backend, str) else backend
    device = device_of(spec, max(candidate.n_qubits for candidate in candidates))
    transpiler = Transpiler(device, spec.transpile, cache or cache_folder())
    reports = []
    for candidate in candidates:
        item = split(candidate.circuit, candidate.inputs, candidate.weights)
        isa = transpiler.prepare(candidate.name, item.circuit, item.parameters, candidate.observables(n_outputs))
        report, reason = transpiler.report(isa), doubt(transpiler, isa)
        reports.append(replace(report, warning="; ".join(filter(None, [report.warning, reason])) or None))
    return device, tuple(reports)
