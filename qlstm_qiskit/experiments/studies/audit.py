"""Audits: a run's model trained again with many seeds, and the same model with classical maps in place of its circuits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import torch

from qlstm_qiskit.data import split_validation
from qlstm_qiskit.errors import OptionError, QLSTMError, RunError, require_at_least, unknown_option
from qlstm_qiskit.experiments.runs.load import CONFIG, METRICS, load_metrics, load_spec
from qlstm_qiskit.experiments.runs.own import OwnSpace
from qlstm_qiskit.experiments.runs.settle import settle
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.training.folder import SIDE_BY_SIDE
from qlstm_qiskit.experiments.studies.audited import AUDIT, Audit, AuditedRow, AuditTest, Retrained, answer, plain, verdict_of
from qlstm_qiskit.experiments.studies.records import STUDY, Record, load_study_folder, read_environments
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.spaces import OwnCircuits
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.experiments.studies.table import Table, Test, table
from qlstm_qiskit.nn import CLASSICAL_BANKS
from qlstm_qiskit.storage import exists, strict_json, write_atomically
from qlstm_qiskit.training.auditable import AUDITED, reason_not_audited
from qlstm_qiskit.training.task import REGRESSION

#: The row of the model as it is, and the family of the tests.
CIRCUITS, FAMILY = "circuits", "replacements"

#: Fields of a run that rows do not take from it: what is their own, and what only this run began with.
_NOT_TAKEN = {"data", "seed", "backend", "backend_options", "space", "start", "bank", "device"}


class AuditedCircuits(OwnCircuits):
    """The own circuits of the run that is audited, for all rows; no code is called.

    Args:
        space: They.
    """

    def __init__(self, space: OwnSpace) -> None:
        super().__init__()
        self._space = space

    def of(self, spec: RunSpec, place: str, known: str | None) -> RunSpec:
        """A spec with them; `place` and `known` have no part in it."""
        return spec.model_copy(update={"space": self._space})


def audit_run(
    path: Path | str,
    out: Path | str,
    *,
    seeds: int = 10,
    banks: Sequence[str] = AUDITED,
    epochs: int | None = None,
    jobs: int = 1,
    report: Callable[[int, int, Record], None] | None = None,
) -> Audit:
    """Train a run's model with its circuits and with classical maps in their place, and compare the errors in pairs.

    What is killed goes on where it was, as with `run_study`; finished trainings are not done again.

    Args:
        path: The run folder.
        out: A folder for the trainings, their records, and audit.json.
        seeds: How many; the run's own is among them.
        banks: Names in `CLASSICAL_BANKS`.
        epochs: Another number of epochs than the run's, to try things out.
        jobs, report: As in `run_study`.

    Raises:
        OptionError: The run cannot be audited, or a map does not fit its circuits.
        RunError: The run is damaged, or the folder holds something else.
        DataError: The series has changed.
    """
    path, spec = Path(path), load_spec(path)
    if exists(Path(out) / CONFIG):
        raise RunError(f"{out} holds a run; choose another folder for an audit.")
    begun = load_study_folder(out)[0].first_seed if exists(Path(out) / STUDY) else None
    study = audit_study(path, spec, seeds=seeds, banks=banks, first_seed=begun)
    study = study if epochs is None else study.with_epochs(epochs)
    sizes = {row: _sizes(study, row) for row in study.rows}  # what cannot be built is said before anything is trained
    records = run_study(study, out, jobs=jobs, report=report)
    together = {name for name, own in read_environments(out).items() if SIDE_BY_SIDE.items() <= own.items()}
    found = _audit(path, spec, study, records, sizes, together)
    write_atomically(Path(out) / AUDIT, strict_json(found.model_dump(mode="json"), indent=2) + "\n")
    return found


def audit_study(
    path: Path, spec: RunSpec, *, seeds: int = 10, banks: Sequence[str] = AUDITED, first_seed: int | None = None
) -> Study:
    """The study of an audit: a row with the circuits, and a row for each kind of map; each is tested against the first.

    Args:
        path: The run folder, for messages.
        spec: The run.
        seeds, banks: See `audit_run`.
        first_seed: Where an audit that is there begins; 0, or the run's own if that is not among them.

    Raises:
        OptionError: The run cannot be audited, or a kind is unknown or given twice.
    """
    reason = reason_not_audited(spec.model_dump(mode="json") | {"bank": spec.bank})
    if reason is not None:
        raise OptionError(f"{path} cannot be audited: {reason}")
    require_at_least("seeds", seeds, 1)
    if not banks or len(set(banks)) < len(banks):
        raise OptionError(
            f"banks are {', '.join(banks) or 'none'}; give each once, at least one of {', '.join(CLASSICAL_BANKS)}."
        )
    for name in banks:
        if name not in CLASSICAL_BANKS:
            raise unknown_option("bank", name, CLASSICAL_BANKS)
    content = spec.model_dump(mode="json", exclude_defaults=True)
    fields = {name: value for name, value in content.items() if name not in _NOT_TAKEN}
    fields |= {} if spec.space is None else {"space": "circuits of the run"}
    data = dict(content["data"])
    name = data.pop("dataset", None) or Path(str(spec.data.csv)).stem
    rows = {CIRCUITS: {"run": fields}} | {kind: {"run": fields | {"bank": kind}} for kind in banks}
    study = Study.model_validate(
        {
            "name": f"audit of {spec.title}",
            "title": f"Is it the circuit? {spec.title} on {name}",
            "first_seed": (0 if spec.seed < seeds else spec.seed) if first_seed is None else first_seed,
            "seeds": seeds,
            "datasets": {name: data},
            "rows": rows,
            "families": {FAMILY: [(CIRCUITS, kind) for kind in banks]},
        }
    )
    if isinstance(spec.space, OwnSpace):
        study._own = AuditedCircuits(spec.space)
    return study


def _sizes(study: Study, row: str) -> tuple[int, int]:
    """Trained parameters of what stands in the place of circuits, and of the whole model."""
    (name,) = study.datasets
    work = study.task(row, name, study.first_seed).work
    assert isinstance(work, RunSpec)
    try:
        _, dataset, _ = settle(work)
        module = work.estimator(device="cpu").build_module(
            len(dataset.features), dataset.n_outputs, generator=torch.Generator()
        )
    except QLSTMError as error:
        raise type(error)(f"row {row!r} of the audit: {error}") from None
    assert module.stack is not None
    banks = [parameter for cell in module.stack.layers() for parameter in cell.bank.parameters()]
    in_banks, in_all = (sum(p.numel() for p in own if p.requires_grad) for own in (banks, module.parameters()))
    return in_banks, in_all


def _audit(
    path: Path,
    spec: RunSpec,
    study: Study,
    records: Sequence[Record],
    sizes: Mapping[str, tuple[int, int]],
    together: Set[str],
) -> Audit:
    found, (name,) = table(study, records), study.datasets
    first = study.task(CIRCUITS, name, study.first_seed).work
    assert isinstance(first, RunSpec)
    dataset = first.data.load()
    n_train, _ = split_validation(len(dataset.x_train), dataset.horizon, first.valid_fraction)
    batch_size = first.batch_size or n_train
    steps = None if first.patience else math.ceil(n_train / batch_size)
    tests = tuple(map(_test, found.families[FAMILY]))
    return Audit(
        run=str(path),
        model=spec.title,
        dataset=name,
        seeds=tuple(range(study.first_seed, study.first_seed + study.seeds)),
        windows=(n_train, len(dataset.x_test)),
        epochs=first.epochs,
        patience=first.patience,
        batch_size=batch_size,
        optimizer=first.optimizer,
        lr=first.estimator().learning_rate,
        from_start=spec.start is not None,
        hybrid=spec.n_qubits is not None,
        rows=tuple(_row(row, found, records, sizes[row], steps, together) for row in study.rows),
        tests=tests,
        answer=answer(
            {test.row: test.verdict for test in tests},
            study.seeds,
            {test.row: sizes[test.row][0] / sizes[CIRCUITS][0] for test in tests},
        ),
        retrained=_retrained(path, spec, first, records),
    )


def _row(
    row: str, found: Table, records: Sequence[Record], sizes: tuple[int, int], steps: int | None, together: Set[str]
) -> AuditedRow:
    """A row of an audit; `steps` of an epoch where they tell the time of one, and `together` environments of shared times."""
    (name,) = found.datasets
    cell, work = found.cells[row, name], found.study.task(row, name, found.study.first_seed).work
    assert isinstance(work, RunSpec)
    ended = [record for record in records if record["row"] == row and "error" not in record]
    seconds = [record["wall_seconds"] for record in ended]
    times = [] if steps is None else [1000 * record["wall_seconds"] / (record["epochs"] * steps) for record in ended]
    low, high = cell.summary.median_interval
    return AuditedRow(
        row=row,
        errors=tuple(map(plain, cell.values)),
        median=plain(cell.summary.median),
        interval=(plain(low), plain(high)),
        parameters=sizes[0],
        all_parameters=sizes[1],
        seconds=float(np.median(seconds)) if seconds else None,
        step_ms=float(np.median(times)) if times else None,
        circuits=(cell.n_circuits or 0) * work.data.window,
        shared=any(record.get("environment") in together for record in ended),
    )


def _test(test: Test) -> AuditTest:
    own, size = test.comparison, test.effect
    biserial = -own.rank_biserial + 0.0  # of the map; no minus before a zero
    return AuditTest(
        row=test.second,
        n=own.n,
        factor=plain(size.factor),
        interval=None if size.interval is None else (plain(size.interval[0]), plain(size.interval[1])),
        superiority=size.superiority,
        rank_biserial=biserial,
        p=own.p,
        p_holm=own.p_holm,
        detectable=plain(size.detectable),
        verdict=verdict_of(own.p_holm, own.p_least, biserial),
    )


def _retrained(path: Path, spec: RunSpec, first: RunSpec, records: Sequence[Record]) -> Retrained | None:
    """The run beside the same seed here; None where what was trained was not the same, or did not end."""
    if spec.start is not None or first.epochs != spec.epochs or not exists(path / METRICS):
        return None
    there = load_metrics(path)
    here = [r for r in records if (r["row"], r["seed"]) == (CIRCUITS, spec.seed) and "error" not in r]
    if there.get("interrupted") or not here or REGRESSION.test not in there:
        return None
    return Retrained(seed=spec.seed, there=there[REGRESSION.test], here=here[0][REGRESSION.test])
