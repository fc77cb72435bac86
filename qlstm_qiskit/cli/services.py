"""What knows the recorded jobs of a run: IBM Quantum, or the device of another maker."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlstm_qiskit.errors import JobError, OptionError, QLSTMWarning

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.config.spec import BackendSpec
    from qlstm_qiskit.hardware.jobs.ledger import Entry, Ledger


def fetched(ledger: Ledger, file: Path | None, retry: bool, trust: bool) -> tuple[list[Entry], list[JobError]]:
    """Fetch what was submitted: the jobs that are done now, and what went wrong with others."""
    from qlstm_qiskit.hardware.jobs.ledger import UNDER_WAY, UNSENT
    from qlstm_qiskit.hardware.jobs.pending import fetch_pending

    entries = ledger.entries(statuses=UNDER_WAY)
    done: list[Entry] = []
    errors: list[JobError] = []
    for spec in backends_of(ledger, entries, file):
        own = [entry for entry in entries if entry.backend == spec.name]
        # what nobody has an id of is given up without a question
        asked = any(entry.job or (entry.error != UNSENT and not retry) for entry in own)
        service = _service(ledger, spec, file, trust, asked)
        here, failed = fetch_pending(ledger, service, spec, give_up=retry)
        done, errors = done + here, errors + failed
    return done, errors


def service_for_cancelling(ledger: Ledger, spec: BackendSpec, entries: list[Entry], file: Path | None, trust: bool) -> Any:
    """What can cancel jobs; None, in words, for a provider whose code is gone, so that its jobs are given up.

    Raises:
        OptionError: The code is there and fails: its maker may know the jobs once it runs again.
    """
    from qlstm_qiskit.hardware.config.code import is_gone

    try:
        return _service(ledger, spec, file, trust, any(entry.job for entry in entries))
    except OptionError as error:
        if spec.kind != "provider":
            raise
        if not is_gone(spec.provider or ""):
            raise OptionError(f"{_sentence(error)} Nothing was cancelled or given up.") from None
        warnings.warn(f"{_sentence(error)} Its jobs are given up in the record only.", QLSTMWarning, stacklevel=2)
        return None


def _sentence(error: OptionError) -> str:
    return f"{str(error).rstrip('.')}."


def _service(ledger: Ledger, spec: BackendSpec, file: Path | None, trust: bool, asked: bool) -> Any:
    """What knows the jobs of a backend; None for those that end with their process, or where a maker is not to be asked."""
    if spec.kind == "ibm" and not spec.local:
        from qlstm_qiskit.hardware.jobs import runtime

        return runtime.open_service(spec)
    if spec.kind != "provider" or not asked:
        return None
    from qlstm_qiskit.experiments.runs.trust import require_trusted_code
    from qlstm_qiskit.hardware.device.named import device_named_in
    from qlstm_qiskit.hardware.jobs.maker_jobs import maker_service

    require_trusted_code(ledger.path, spec, trust, file)
    return maker_service(spec, device_named_in(spec))


def backends_of(ledger: Ledger, entries: list[Entry], file: Path | None) -> list[BackendSpec]:
    """The backends of these jobs as they were recorded, with today's access."""
    from pydantic import ValidationError

    from qlstm_qiskit.hardware.config.file import find_spec
    from qlstm_qiskit.hardware.config.spec import BackendSpec

    found = {}
    for entry in entries:
        try:
            recorded = BackendSpec.model_validate_json(ledger.remembered(entry) or "")
        except ValidationError:  # not recorded, or by another version
            found[entry.backend] = find_spec(entry.backend, file)
            continue
        if recorded.name != entry.backend:
            raise ledger.damaged(f"job {entry.id} is of backend {entry.backend}, which is recorded as {recorded.name}")
        found[entry.backend] = today(recorded, file)
    return list(found.values())


def today(spec: BackendSpec, file: Path | None) -> BackendSpec:
    """A recorded backend with the access and the limits that its entry of `file`, or of ./backends.yaml, has today."""
    from qlstm_qiskit.hardware.config.file import PACKAGED, USERS, find_spec, load_specs
    from qlstm_qiskit.hardware.config.spec import renewed

    if file is not None:
        now = find_spec(spec.name, file)
    elif USERS.is_file():
        known = load_specs().get(spec.name)
        if known is None or known == load_specs(PACKAGED).get(spec.name):  # it is not in the user's file
            return spec
        now = known
    else:
        return spec
    if now.kind != spec.kind:
        raise OptionError(f"backend {spec.name} was of kind {spec.kind} and is {now.kind} now; give its entry of then.")
    return renewed(spec, now)
