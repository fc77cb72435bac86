"""What a run costs, on this machine and on a device, and how its circuits fit devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments import Run, plan_run
from qlstm_qiskit.experiments.runs.transpile import transpile_run
from qlstm_qiskit.hardware import BackendSpec, find_spec
from qlstm_qiskit.hardware.device.isa_cache import cache_folder
from qlstm_qiskit.report.pages.content import DataGrid, Element, Section, Text
from qlstm_qiskit.training.outlook import duration


def cost_sections(run: Run, chosen: BackendSpec | None, backends: Path | None) -> Iterator[Section]:
    """What a time step costs, the plan for a fake device that is chosen, and circuits fitted to that or to others.

    Args:
        run: A trained run.
        chosen: A device on this machine; those that the run was transpiled for where None.
        backends: As in `write_report`.
    """
    metrics = run.metrics
    rows = [["circuits per time step", f"{metrics['n_circuits']:,}"], ["trained parameters", f"{metrics['n_parameters']:,}"]]
    rows.append(["time of the training", duration(metrics["wall_seconds"])])
    if metrics.get("path"):
        rows.append(["circuits evaluated as", metrics["path"].replace("form", "multilinear form")])
    yield Section(
        "Cost",
        [
            DataGrid(
                "The model on this machine; circuits are those that a time step evaluates for one window.", ["", "value"], rows
            )
        ],
    )
    if chosen is not None and chosen.kind == "fake":
        about = "Predicting the test part. Planned, not run: the delay between shots plus 3 us for each shot, 2 s for each job."
        about += "" if len(run.members) == 1 else f" All {len(run.members)} members together."
        facts = [list(row) for row in plan_run(run.path, chosen).rows()]
        yield Section(f"Plan for {chosen.name}", [DataGrid(about, ["", "planned"], facts, left=("planned",))], below=True)
    for name in [chosen.name] if chosen is not None else _transpiled_for(run.path, backends):
        yield Section(f"Transpiled for {name}", _transpiled(run.path, name, backends), below=True)


def _transpiled_for(path: Path, backends: Path | None) -> list[str]:
    """The backends on this machine that `qlstm transpile` has fitted the run to: it leaves a picture of the layouts."""
    found = []
    for picture in sorted(path.glob("layout-*.png")):
        name = picture.stem.removeprefix("layout-")
        try:
            found += [name] if find_spec(name, backends).local else []
        except OptionError:  # of a file of backends that is not here
            continue
    return found


def _transpiled(path: Path, backend: str, backends: Path | None) -> list[Element]:
    found = transpile_run(path, backend, backends, cache_folder())
    header = ["circuit", "layer", "gates", "2-qubit gates", "depth", "SWAPs", "success", "qubits"]
    rows = [
        [
            report.name,
            str(layer),
            ", ".join(gates),
            "{} → {}".format(*report.two_qubit_gates),
            "{} → {}".format(*report.depth),
            str(report.swaps),
            f"{report.success:.3f}",
            ", ".join("-" if qubit < 0 else str(qubit) for qubit in report.qubits),
        ]
        for layer, (reports, used) in enumerate(zip(found.layers, found.gates, strict=True), 1)
        for report, gates in zip(reports, used, strict=True)
    ]
    caption = (
        f"Before → after fitting to {found.device.name}. Success is the estimated probability of a run without an error, "
        "readout included; qubits are those of the device."
    )
    warnings = dict.fromkeys(report.warning for reports in found.layers for report in reports if report.warning)
    return [DataGrid(caption, header, rows, left=("layer", "gates", "qubits")), *(Text(f"{text}.") for text in warnings)]
