"""`qlstm report`: a page on a run, a study or a scaling folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlstm_qiskit.cli.completion import backend_names
from qlstm_qiskit.cli.options import BackendsFile, Json
from qlstm_qiskit.cli.output import print_json


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN|DIR", help="A run folder, or one of `qlstm table`, `audit` or `scaling`.")
    ],
    out: Annotated[Path, typer.Option(help="The page, FILE.html; an existing one is replaced.")],
    backend: Annotated[
        str | None,
        typer.Option(
            help="For a run: fit its circuits to this fake device, and plan what predicting costs there.",
            autocompletion=backend_names,
        ),
    ] = None,
    backends: BackendsFile = None,
    json: Json = False,
) -> None:
    """Write one self-contained HTML page on a run or a study; it works offline, in light and dark.

    Example: qlstm report runs/demo --out demo.html

    Example: qlstm report results/table2 --out table2.html
    """
    from qlstm_qiskit.hardware import find_spec

    if backend is not None:
        find_spec(backend, backends)  # a name that there is none of is refused before anything that takes seconds to import
    from qlstm_qiskit.report.pages.write import write_report

    written = write_report(folder, out, backend=backend, backends=backends)
    if json:
        facts = {"folder": str(folder), "kind": written.kind, "out": str(out), "bytes": written.size}
        print_json(facts | {"sections": written.sections, "figures": written.figures})
        return
    print(f"Written: {out} ({written.size / 1e6:.1f} MB), a page on the {written.kind} {folder}")
