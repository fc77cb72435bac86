"""`qlstm backends certify`: the conformance suite of a backend."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qlstm_qiskit.cli.completion import backend_names
from qlstm_qiskit.cli.options import BackendsFile, Json
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import JobError


def backends_certify(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A backend; see `qlstm backends list`.", autocompletion=backend_names)
    ],
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Send circuits that leave this machine, also beyond the limits of the guard.")
    ] = False,
    backends: BackendsFile = None,
    json: Json = False,
) -> None:
    """Run small circuits on a backend's device, by Qiskit alone and by this package, and say what each makes of them.

    Says first how many circuits and shots will be sent. Fails where something goes wrong that this package relies on.

    Example: qlstm backends certify fake-manila
    """
    from qlstm_qiskit.hardware import find_spec

    spec = find_spec(name, backends)  # before anything that takes seconds to import
    if spec.kind == "statevector":
        return _print_exact(name, json)
    from qlstm_qiskit.hardware.certify.suite import certify_backend

    found = certify_backend(spec.confirmed() if confirm else spec, lambda text: print(text, file=sys.stderr if json else None))
    if json:
        print_json(found.facts())
    else:
        rows = [[check.name, str(check.raw), str(check.here), check.remedy] for check in found.checks]
        header = ["check", "by Qiskit alone", "here", "what this package does"]
        print_table(f"{name}: {found.device}", header, rows, text=header)
    if (failing := found.first_failing) is not None:
        cause = failing.here.cause.rstrip(" .")
        raise JobError(
            f"backend {name} fails the check {failing.name!r}: {cause}. This package relies on it; "
            "change the entry, choose another device, or tell its maker."
        )
    return None


def _print_exact(name: str, json: bool) -> None:
    if json:
        print_json({"backend": name, "kind": "statevector", "device": "the exact interpreter", "checks": [], "passed": True})
    else:
        print(f"{name} is the exact interpreter, which runs no circuits: there is nothing to certify.")
