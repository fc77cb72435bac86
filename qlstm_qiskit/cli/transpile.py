"""`qlstm transpile`: the circuits of a run on a device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.completion import backend_names
from qlstm_qiskit.cli.options import BackendsFile, Json, RunFolder
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import OptionError

if TYPE_CHECKING:
    from qlstm_qiskit.hardware import BackendSpec
    from qlstm_qiskit.hardware.device.transpile_report import TranspileReport


def transpile(
    run: RunFolder,
    backend: Annotated[
        str | None, typer.Option(help="A backend with a device; see `qlstm backends list`.", autocompletion=backend_names)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="A device's snapshot in place of a backend, such as fez, torino or nighthawk.")
    ] = None,
    backends: BackendsFile = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the picture of the layouts.", show_default="RUN")] = None,
    json: Json = False,
) -> None:
    """Fit the circuits of a run to a device: what they cost there, and on which qubits they run.

    Transpiled circuits are kept in the user's cache folder, or in $QLSTM_CACHE, and found there by later commands.

    Example: qlstm transpile runs/demo --backend fake-fez

    Example: qlstm transpile runs/demo --device torino
    """
    from dataclasses import asdict

    spec = _spec(backend, device, backends)  # a name that there is none of is refused before what takes seconds to import
    from qlstm_qiskit.experiments.runs.transpile import transpile_run
    from qlstm_qiskit.hardware.device.isa_cache import cache_folder
    from qlstm_qiskit.report.layout import draw_layout

    found = transpile_run(run, spec, cache=cache_folder())
    figure = (out or run) / f"layout-{spec.name}.png" if found.device.num_qubits else None
    if figure is not None:
        draw_layout(figure, found.device, [report for layer in found.layers for report in layer])
    if json:
        layers = [
            {
                "layer": number,
                "gates": found.gate_names,
                "candidates": [asdict(report) | {"gates": own} for report, own in zip(layer, gates, strict=True)],
            }
            for number, (layer, gates) in enumerate(zip(found.layers, found.gates, strict=True), 1)
        ]
        place = {"run": str(run), "backend": spec.name, "device": found.device.name}
        print_json(place | {"layers": layers, "figure": None if figure is None else str(figure)})
        return
    for layer, gates, name in zip(found.layers, found.gates, found.cell_names, strict=True):
        where = f" of {name}" if name else ""
        title = f"{len(layer)} circuit{'s' * (len(layer) > 1)}{where} on {found.device.name}"
        if all(own == found.gate_names for own in gates):
            title += f"; the {', '.join(found.gate_names)} gates share them"
            gates = ()
        _print_layer(title, layer, gates)
    print(f"Figure: {figure}" if figure is not None else f"No figure: {found.device.name} does not say how many qubits it has.")


def _spec(backend: str | None, device: str | None, backends: Path | None) -> BackendSpec:
    """The entry of a backend, or of a device's snapshot."""
    from qlstm_qiskit.hardware import BackendSpec, find_spec

    if backend is not None and device is None:
        return find_spec(backend, backends)
    if device is None or backend is not None:
        raise OptionError("give exactly one of a backend with a device and a device's name (--backend or --device).")
    from qlstm_qiskit.hardware.device.named import find_device

    return BackendSpec(name=find_device(device).name.replace("_", "-"), kind="fake", device=device)


def _print_layer(title: str, layer: Sequence[TranspileReport], gates: Sequence[Sequence[str]]) -> None:
    """The table of a layer, with a column for the gates where they differ."""
    rows = [
        [
            report.name,
            "{} -> {}".format(*report.two_qubit_gates),
            "{} -> {}".format(*report.depth),
            report.swaps,
            "-" if math.isnan(report.success) else f"{report.success:.3f}",
            ", ".join("-" if qubit < 0 else str(qubit) for qubit in report.qubits),
        ]
        for report in layer
    ]
    header = ["circuit", "2-qubit gates", "depth", "SWAPs", "success", "qubits"]
    if gates:
        header.append("gates")
        rows = [[*row, ", ".join(own)] for row, own in zip(rows, gates, strict=True)]
    print_table(title, header, rows, text=("qubits", "gates"))
    warnings: dict[str, list[str]] = {}
    for report in layer:
        if report.warning is not None:
            warnings.setdefault(report.warning, []).append(report.name)
    for warning, names in warnings.items():
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        print(f"Warning: {listed}: {warning}")
