"""`qlstm jobs`: the jobs that a run has submitted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qlstm_qiskit.cli import services
from qlstm_qiskit.cli.ensembles import member_folders, replicas_of
from qlstm_qiskit.cli.options import BackendsFile, Json, Log, RunFolder, TrustProvider
from qlstm_qiskit.cli.output import print_json, print_table
from qlstm_qiskit.errors import JobError, LedgerError, OptionError

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.jobs.ledger import Entry, Ledger

jobs_app = typer.Typer(help="List, resume or cancel the jobs that a run has submitted to a device.", no_args_is_help=True)


@jobs_app.command("list")
def jobs_list(run: RunFolder, json: Json = False) -> None:
    """List the jobs of a run: what was asked, where, and what became of it.

    Example: qlstm jobs list runs/demo
    """
    each = [(folder.name, _entries(folder)) for folder in member_folders(run)]
    several, entries = len(each) > 1, [entry for _, own in each for entry in own]
    if json:
        rows = [({"member": int(name)} if several else {}) | _facts(entry) for name, own in each for entry in own]
        print_json({"run": str(run), "jobs": rows})
        return
    print_table(
        f"{len(entries)} jobs of {run}{_summary(entries)}",
        [*(["member"] if several else []), "id", "work", "step", "device", "status", "job", "circuits", "QPU s"],
        [
            [
                *([name] if several else []),
                e.id,
                e.run,
                _step(e),
                e.device,
                e.status,
                e.job or "",
                e.circuits,
                _or_empty(e.usage),
            ]
            for name, own in each
            for e in own
        ],
        text=("work", "step", "device", "status", "job"),
    )


@jobs_app.command("show")
def jobs_show(
    run: RunFolder,
    id: Annotated[int, typer.Argument(metavar="ID", help="Number of the job in `qlstm jobs list`.")],
    json: Json = False,
) -> None:
    """Show one job: what was submitted, and what became of it.

    Example: qlstm jobs show runs/demo 3
    """
    with _ledger(run) as ledger:
        entry = ledger.entry(id)
        result = None
        if entry.status == "done":
            from qlstm_qiskit.hardware.jobs.answers import result_of

            result = result_of(ledger, entry)
    if json:
        print_json(_facts(entry) | {"result": None if result is None else [array.tolist() for array in result]})
        return
    for name, value in _facts(entry).items():
        print(f"{name}: {'-' if value is None else value}")
    if result is not None:
        print(f"result: {', '.join(' x '.join(map(str, array.shape)) for array in result)} values")


@jobs_app.command("resume")
def jobs_resume(
    run: RunFolder,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed and cancelled jobs again.")] = False,
    backends: BackendsFile = None,
    log: Log = None,
    trust_provider: TrustProvider = False,
    json: Json = False,
) -> None:
    """Fetch the results of all jobs that were submitted and never came back, and continue an unfinished training.

    `qlstm resume` does the same where there are jobs.

    Nothing is submitted twice: what was submitted is fetched, and only what never was is submitted now. Backends are as they
    were recorded, with account, token_env, instance, channel, mode, tags, timeout_s and the limits of guard as your
    backends.yaml has them now.

    Example: qlstm jobs resume runs/demo
    """
    from qlstm_qiskit.hardware.jobs.ledger import FILE, Entry
    from qlstm_qiskit.hardware.jobs.pending import retry_ended

    if log:
        from qlstm_qiskit.experiments import is_unfinished

        if not is_unfinished(run):
            raise OptionError(f"--log has nothing to log: {run} was finished before.")
    folders = list(member_folders(run))
    several = len(folders) > 1
    folders = [folder for folder in folders if (folder / FILE).exists()] if several else folders
    if _killed_early(run, folders):
        _go_on(run, backends, log or [], quiet=json, trust=trust_provider)
        return
    fetched, again, entries = list[Entry](), list[Entry](), list[Entry]()
    errors: list[JobError] = []
    facts: dict[str, list[Any]] = {"fetched": [], "again": [], "jobs": []}
    for folder in folders:
        with _ledger(folder) as ledger:
            ledger.claim()
            done, failed = services.fetched(ledger, backends, retry, trust_provider)
            retried, every = retry_ended(ledger) if retry else [], ledger.entries()
        fetched, again, entries, errors = fetched + done, again + retried, entries + every, errors + failed
        member = {"member": int(folder.name)} if several else {}  # whose jobs are numbered by themselves
        for name, own in (("fetched", done), ("again", retried)):
            facts[name] += [member | {"id": entry.id} if several else entry.id for entry in own]
        facts["jobs"] += [member | _facts(entry) for entry in every]
    if json:
        print_json({"run": str(run), "errors": [str(error) for error in errors], **facts})
    else:
        print(f"{len(fetched)} results fetched{_summary(entries)}")
        if again:
            print(f"{len(again)} failed or cancelled jobs will be submitted again when the run goes on")
    if errors:
        raise JobError(" ".join(map(str, errors)))
    trained = (run / "config.json").exists() and any(entry.run == "train" for entry in entries)
    if not (trained and _go_on(run, backends, log or [], quiet=json, trust=trust_provider)) and not json:
        _print_next([*fetched, *again, *(entry for entry in entries if entry.status == "prepared")])


def _print_next(entries: list[Entry]) -> None:
    """What to type for jobs of work that does not go on by itself."""
    commands = {entry.run.partition(" ")[0] for entry in entries} & {"evaluate", "predict"}
    if commands:
        print(f"Now run qlstm {' and '.join(sorted(commands))} again: what is done is answered from the record")


def _killed_early(run: Path, folders: list[Path]) -> bool:
    """Whether a training on a device ended before it had a record of jobs; `folders`: those that may have one."""
    there = [(run / name).exists() for name in ("config.json", "jobs.sqlite", "metrics.json")]
    if folders and (folders != [run] or there != [True, False, False]):
        return False
    from qlstm_qiskit.experiments import load_spec

    options = load_spec(run).backend_options
    if options is None or not options.leaves:
        raise LedgerError(f"{run} trains, or trained, on this machine, where there are no jobs; train into another folder.")
    return True


def _go_on(run: Path, file: Path | None, loggers: list[str], *, quiet: bool, trust: bool) -> bool:
    """Finish the training of a run folder; whether it was unfinished."""
    from qlstm_qiskit.experiments import is_unfinished, load_spec, resume_run
    from qlstm_qiskit.experiments.runs.trust import require_trusted
    from qlstm_qiskit.report import draw_run

    if not is_unfinished(run):
        return False
    spec = load_spec(run)
    require_trusted(run, spec, trust, file)
    options = spec.backend_options and services.today(spec.backend_options, file)
    finished = resume_run(run, options=options, loggers=loggers, verbose=0 if quiet else 1, trust=True)
    draw_run(finished)
    if not quiet:
        task = finished.spec.task
        print(f"Training went on to its end, epoch {finished.epochs}: test {task.title} {finished.metrics[task.test]:.6g}")
    return True


@jobs_app.command("cancel")
def jobs_cancel(
    run: RunFolder,
    id: Annotated[
        list[int] | None,
        typer.Argument(metavar="[ID]...", help="Jobs to cancel, by their numbers; by default all that have not ended."),
    ] = None,
    backends: BackendsFile = None,
    trust_provider: TrustProvider = False,
    json: Json = False,
) -> None:
    """Cancel jobs that have not ended, at the service and in the record; in the record only where a provider cannot do it.

    Example: qlstm jobs cancel runs/demo 3
    """
    from qlstm_qiskit.hardware.jobs.fetch import GIVEN_UP, Jobs

    with _ledger(run) as ledger:
        chosen = [ledger.entry(number) for number in id] if id else ledger.entries(statuses=["prepared", "submitted"])
        alive = [entry for entry in chosen if entry.status in {"prepared", "submitted"}]
        after = []
        for spec in services.backends_of(ledger, alive, backends):
            own = [entry for entry in alive if entry.backend == spec.name]
            jobs = Jobs(ledger, services.service_for_cancelling(ledger, spec, own, backends, trust_provider), spec)
            after += [jobs.cancel(entry) for entry in own]
    given_up = [entry.id for entry in after if entry.error == GIVEN_UP]
    cancelled = [entry.id for entry in after if entry.status == "cancelled" and entry.id not in given_up]
    if json:
        facts = [_facts(entry) for entry in after]
        print_json({"run": str(run), "cancelled": cancelled, "given_up": given_up, "jobs": facts})
        return
    print(f"{len(cancelled)} jobs cancelled")
    if given_up:
        print(f"{len(given_up)} jobs given up in the record only: they may still run, cancel them at the provider")
    for entry in [entry for entry in chosen if entry not in alive] + [e for e in after if e.status != "cancelled"]:
        print(f"job {entry.id} had ended: {entry.status}")


def _entries(run: Path) -> list[Entry]:
    """The jobs of a run folder; none where nothing was submitted from it."""
    from qlstm_qiskit.hardware.jobs.ledger import FILE

    if run.is_dir() and not (run / FILE).exists():
        return []
    with _ledger(run) as ledger:
        return ledger.entries()


def _ledger(run: Path) -> Ledger:
    from qlstm_qiskit.hardware.jobs.ledger import FILE, Ledger
    from qlstm_qiskit.storage import exists

    if replicas_of(run) > 1:
        raise LedgerError(
            f"{run} is an ensemble, and each of its members has a record of its own; give a member, such as "
            f"{run / 'members' / '0'}."
        )
    if not exists(run):
        raise LedgerError(f"there is no run folder {run}; name one that `qlstm train` has made.")
    return Ledger(run / FILE, create=False)


def _facts(entry: Entry) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(entry)


def _summary(entries: list[Entry]) -> str:
    counts = Counter(entry.status for entry in entries)
    seconds = sum(entry.usage or 0.0 for entry in entries)
    return "".join(f", {count} {status}" for status, count in counts.items()) + (
        f", {seconds:g} QPU seconds" if seconds else ""
    )


def _step(entry: Entry) -> str:
    return f"{entry.step}" + (f" (try {entry.attempt + 1})" if entry.attempt else "")


def _or_empty(value: object) -> object:
    return "" if value is None else value
