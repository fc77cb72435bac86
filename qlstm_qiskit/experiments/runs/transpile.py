"""Circuits of a run after transpilation for a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qiskit.providers import BackendV2

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.runs.ensemble import require_one_model
from qlstm_qiskit.experiments.runs.load import load_run
from qlstm_qiskit.hardware import EXACT, BackendSpec
from qlstm_qiskit.hardware.config.file import find_spec
from qlstm_qiskit.hardware.device.transpile_report import TranspileReport
from qlstm_qiskit.space.transpiled import transpile_candidates


@dataclass(frozen=True, eq=False)
class TranspiledRun:
    """Transpilation reports on the candidates of each layer.

    Attributes:
        device: The device that the circuits were transpiled for.
        layers: Reports per layer, in the order of the candidates.
        gates: For each layer and candidate, the gates that sum over it.
        gate_names: Names of all gates of a layer.
        cell_names: The name of each layer in words; see `Recurrent`.
    """

    device: BackendV2
    layers: tuple[tuple[TranspileReport, ...], ...]
    gates: tuple[tuple[tuple[str, ...], ...], ...]
    gate_names: tuple[str, ...]
    cell_names: tuple[str, ...]


def transpile_run(
    path: Path | str, backend: str | BackendSpec, backends: Path | None = None, cache: Path | None = None
) -> TranspiledRun:
    """Transpile all circuits of a run's model for the device of a backend; those of an ensemble's members are the same.

    Args:
        path: The run folder.
        backend: An entry of backends.yaml, or its name.
        backends: A file of such entries in place of ./backends.yaml.
        cache: Folder for transpiled circuits; the user's cache folder where None.

    Raises:
        RunError: The folder is missing or damaged.
        OptionError: The model has no circuits, or the backend has no device.
        CircuitError: A circuit has more qubits than the device.
    """
    spec = find_spec(backend, backends) if isinstance(backend, str) else backend
    run = load_run(path, backend=EXACT)
    if len({member.header.gates for member in run.members}) > 1:
        require_one_model(path, run.spec, "its members have kept different circuits; transpile fits those of")
    recurrent = run.members[0].forecaster.circuits
    if recurrent is None:
        raise OptionError(f"the model of {path} is {run.spec.title}, which has no circuits; choose the run of another model.")
    banks = [cell.bank for cell in recurrent.layers()]
    found = [transpile_candidates(bank.candidates, bank.n_outputs, spec, cache) for bank in banks]
    gates = tuple(
        tuple(
            tuple(gate for gate, own in zip(recurrent.gate_names, bank.gates, strict=True) if place in own)
            for place in range(len(bank.candidates))
        )
        for bank in banks
    )
    reports = tuple(own for _, own in found)
    return TranspiledRun(found[0][0], reports, gates, recurrent.gate_names, recurrent.cell_names)
