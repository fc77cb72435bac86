"""`qlstm resume`: one command that continues whatever a folder has left unfinished."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qlstm_qiskit.cli.ensembles import member_folders
from qlstm_qiskit.cli.jobs import jobs_resume
from qlstm_qiskit.cli.options import BackendsFile, Json, Log, RunFolder, TrustProvider
from qlstm_qiskit.cli.train import finish
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.storage import exists


def resume(
    run: RunFolder,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed and cancelled jobs again.")] = False,
    backends: BackendsFile = None,
    log: Log = None,
    trust_provider: TrustProvider = False,
    json: Json = False,
) -> None:
    """Continue what was left unfinished in a run folder: its training, its jobs, or both.

    A training that was interrupted, even killed, ends in the same bits as without the interruption. Results of jobs that were
    submitted are fetched, and nothing is submitted twice; see `qlstm jobs resume`. A finished run prints its result.

    Example: qlstm resume runs/demo
    """
    if exists(run / "study.json"):
        raise OptionError(f"{run} holds a study; go on with: qlstm table --study {run / 'study.json'} --out {run}")
    if _is_of_jobs(run):
        jobs_resume(run, retry, backends, log, trust_provider, json)
        return
    for name, given in (("--retry", retry), ("--backends", backends)):
        if given:
            raise OptionError(f"{name} is for jobs, and the training of {run} has none; leave it out.")
    finish(run, json, log or [], trust=trust_provider)


def _is_of_jobs(run: Path) -> bool:
    """Whether there is work on a device to go on with, rather than a training on this machine."""
    from qlstm_qiskit.hardware.jobs.ledger import FILE

    recorded = any(exists(folder / FILE) for folder in member_folders(run))
    if not exists(run / "config.json"):
        return recorded
    from qlstm_qiskit.experiments import is_unfinished, load_spec

    options = load_spec(run).backend_options
    if options is not None and options.leaves:
        return True
    return recorded and not is_unfinished(run)
