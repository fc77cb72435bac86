"""`qlstm export`: a trained model in formats that others read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlstm_qiskit.cli.completion import known, names
from qlstm_qiskit.cli.options import Json, RunFolder
from qlstm_qiskit.cli.output import print_json


def export(
    run: RunFolder,
    format: Annotated[
        str,
        typer.Option(
            help="Format to write: qasm3, qpy, or multilinear (numbers for inference with numpy alone).",
            autocompletion=names("format"),
            callback=known("format"),
        ),
    ],
    out: Annotated[Path, typer.Option(help="A folder that is new or empty.")],
    json: Json = False,
) -> None:
    """Write the model of a run as circuits, with and without its trained angles, or as its multilinear form.

    What was written is read back, and its predictions are compared with the model's.

    Example: qlstm export runs/demo --format qasm3 --out exported
    """
    from qlstm_qiskit.experiments.export.write import export_run

    written = export_run(run, format, out)
    if json:
        facts = {"run": str(run), "format": format, "out": str(out), "files": written.files}
        print_json(facts | {"difference": written.difference})
        return
    print(f"Wrote {len(written.files)} files to {out}; read back, they predict as the run does.")
    print(f"Largest difference on random windows: {written.difference:.1g} (scaled units)")
    if format == "multilinear":
        print(f"Predict with numpy alone: python {out / 'predict.py'} FILE.csv")
