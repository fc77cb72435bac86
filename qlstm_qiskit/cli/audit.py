"""`qlstm audit`: circuits against classical maps in their place."""

from __future__ import annotations

import json as plain_json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli.completion import known, names
from qlstm_qiskit.cli.options import Json, RunFolder, split_names
from qlstm_qiskit.cli.output import Steps, print_json, print_table
from qlstm_qiskit.errors import OptionError, require_at_least
from qlstm_qiskit.training.auditable import AUDITED, reason_not_audited

if TYPE_CHECKING:
    from qlstm_qiskit.experiments.studies.audited import Audit


def audit(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the audit; an existing one is continued.", show_default="RUN-audit, beside RUN"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Seeds for each model; the run's own is among them.")] = 10,
    banks: Annotated[
        list[str] | None,
        typer.Option(
            help="What stands in place of the circuits, e.g. products,tanh; may be repeated.",
            autocompletion=names("map"),
            show_default=",".join(AUDITED),
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Another number of epochs than the run's, to try things out.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Number of processes, each of one thread.", show_default="one per core")
    ] = None,
    json: Json = False,
) -> None:
    """Say whether it is the circuit: train a run's model again, and with classical maps in its circuits' place; test in pairs.

    The maps have the same inputs and outputs and about as many parameters; recipe and seeds are those of the run. The folder
    receives audit.json, audit.md and, with the extra `report`, audit.html, a page that a referee understands.

    Example: qlstm audit runs/demo

    Example: qlstm audit runs/demo --seeds 24 --banks products,tanh,frozen,products-all --out results/audit
    """
    chosen = known("map")(split_names(banks or None)) or list(AUDITED)
    _require_auditable(run)
    for name, value in (("seeds", seeds), ("epochs", epochs), ("jobs", jobs)):
        if value is not None:
            require_at_least(name, value, 1)
    beside = run if run.name not in ("", "..") else run.resolve()
    folder = beside.with_name(f"{run.resolve().name}-audit") if out is None else out
    found = _run(run, folder, jobs, {"seeds": seeds, "banks": chosen, "epochs": epochs})
    written = _written(found, folder)
    if json:
        print_json(found.model_dump(mode="json") | {"out": str(folder), "files": written})
        return
    _print(found)
    print(f"Written to {folder}: {', '.join(written)}, records.jsonl")


def _run(run: Path, out: Path, jobs: int | None, options: dict[str, Any]) -> Audit:
    """Train what is missing."""
    from joblib import cpu_count

    from qlstm_qiskit.experiments.studies.audit import audit_run

    try:
        with Steps("trainings") as steps:
            return audit_run(
                run,
                out,
                jobs=jobs or cpu_count(),
                report=lambda done, total, record: steps(done, total, _said(record)),
                **options,
            )
    except KeyboardInterrupt:
        print(f"interrupted; finished trainings are in {out}, the same command goes on", file=sys.stderr)
        raise typer.Exit(130) from None


def _written(found: Audit, out: Path) -> list[str]:
    """Write the Markdown, and the page where the extra `report` is installed; the names of all that there is."""
    from qlstm_qiskit.report.audit import audit_markdown
    from qlstm_qiskit.storage import write_atomically

    write_atomically(out / "audit.md", audit_markdown(found))
    if find_spec("plotly") is None or find_spec("jinja2") is None:
        return ["audit.json", "audit.md"]
    from qlstm_qiskit.report.pages.write import write_report

    write_report(out, out / "audit.html")
    return ["audit.json", "audit.md", "audit.html"]


def _require_auditable(run: Path) -> None:
    """Refuse what `audit_run` would, before anything that takes seconds to import."""
    try:
        config = plain_json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # damaged, which is said where it is read
    reason = reason_not_audited(config) if isinstance(config, dict) else None
    if reason is not None:
        raise OptionError(f"{run} cannot be audited: {reason}")


def _said(record: dict[str, Any]) -> str:
    from qlstm_qiskit.training.task import REGRESSION

    what = "diverged" if "error" in record else f"test MSE {record[REGRESSION.test]:.3g}"
    return f"{record['row']}, seed {record['seed']}: {what}"


def _print(found: Audit) -> None:
    from qlstm_qiskit.experiments.studies.audited import seeds_in_words
    from qlstm_qiskit.report.audit import errors, said_of, shared_times, sizes, verdicts

    costs = {row[0]: row for row in errors(found).rows}
    rows = [[row[0], *row[2:], *costs[row[0]][1:]] for row in sizes(found).rows]
    header = ["model", "parameters", "multiple", "whole\nmodel", "test MSE", "training\n(s)", "step\n(ms)", "circuits"]
    print_table(f"{found.model} on {found.dataset}, {seeds_in_words(len(found.seeds))}", header, rows)
    part = verdicts(found)
    print_table("Errors as a multiple of those with circuits", part.header, part.rows, text=("verdict",))
    print("\n".join([*shared_times(found), *said_of(found), "", found.answer]))
