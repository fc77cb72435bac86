"""`qlstm backends`: what can evaluate the circuits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qlstm_qiskit.cli.output import print_json, print_table

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.spec import BackendSpec

backends_app = typer.Typer(help="What can evaluate the circuits: simulators and quantum computers.", no_args_is_help=True)

BackendsFile = Annotated[
    Path | None,
    typer.Option("--backends", metavar="FILE", help="Your entries.  [default: ./backends.yaml where there is one]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@backends_app.command("list")
def backends_list(backends: BackendsFile = None, json: Json = False) -> None:
    """List the backends that can be named: the packaged ones and those of your backends.yaml.

    Example: qlstm backends list
    """
    from qlstm_qiskit.hardware.specs_file import load_specs

    specs = load_specs(backends)
    rows = [
        {
            "name": spec.name,
            "kind": spec.kind,
            "device": _device(spec),
            "shots": spec.shots,
            "exact": spec.exact,
            "local": spec.local,
            "about": spec.about(),
        }
        for spec in specs.values()
    ]
    if json:
        print_json({"backends": rows})
        return
    print_table(
        f"{len(rows)} backends",
        ["name", "kind", "device", "values", "about"],
        [[row["name"], row["kind"], row["device"] or "", _values(row["shots"]), row["about"]] for row in rows],
        text=("kind", "device", "values", "about"),
    )


def _device(spec: BackendSpec) -> str | None:
    if spec.kind == "ibm":
        return spec.device or "least busy"
    return spec.noise.device if spec.noise else spec.device or spec.provider


def _values(shots: object) -> str:
    return "exact" if shots is None else f"{shots} shots"
