"""Jobs at devices of any maker: begun here, or fetched by their ids by a process that knows no circuits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.providers import BackendV2, JobV1

from qlstm_qiskit.hardware.config.secrets import scrub
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.executors.counts import counts_of
from qlstm_qiskit.hardware.executors.results import REGISTER, Readout, ResultError, field_of, refuse
from qlstm_qiskit.hardware.jobs.failures import FOREIGN, MakerError

T = TypeVar("T")

#: How makers call what gives a job back by its id: IQM, IonQ and Braket the first, of the device; Azure's provider the second.
RETRIEVE = ("retrieve_job", "get_job")
#: States by the names that makers give them, in the words of Qiskit's `JobStatus`.
_STATES = {
    "CANCELLED": re.compile("(?i)cancel"),
    "ERROR": re.compile("(?i)error|fail|abort|reject|expired|timed? ?_?out"),
    "DONE": re.compile("(?i)^(done|completed?|ready|succe.*|finished)$"),
}
#: Begins the names of all circuits that are sent to a maker.
PREFIX = "qlstm-"


@dataclass(frozen=True)
class MakerService:
    """What a maker's device knows of jobs, as `fetch.Jobs` asks a service: by their ids; there is no search.

    Attributes:
        name: Of the device.
        retrieve: Gives a job by its id.
    """

    name: str
    retrieve: Callable[[str], Any]

    def __getstate__(self) -> None:
        raise TypeError("a maker's service may hold credentials and cannot be pickled or copied")

    def job(self, ids: str) -> MakerJob:
        """The job with these ids, as `MakerJob.job_id` has written them.

        Raises:
            MakerError: There is none, or another one is given.
        """
        parts = []
        for own in ids_of(ids):
            job = asked(lambda own=own: self.retrieve(own))  # type: ignore[misc]
            if not callable(getattr(job, "result", None)):
                raise MakerError(f"{own} is given as a {type(job).__name__}, which is no job")
            if id_of(job) not in (None, own):
                raise MakerError(f"{own} is given as job {id_of(job)}, which is another one")
            parts.append(job)
        return MakerJob(parts, ids)


class MakerJob:
    """What was sent to a maker's device in one go: one job, or several where it takes fewer circuits in one.

    Args:
        parts: The maker's jobs, or their results where its `run` gives those.
        ids: As recorded; None finds them out.
        check: Called with each result.
    """

    def __init__(self, parts: Sequence[Any], ids: str | None = None, check: Sequence[Callable[[Any], None]] = ()) -> None:
        self._parts, self._check = parts, check
        self.asked: Asked | None = None
        own = [id_of(part) for part in parts]
        known = [name for name in own if name]
        self._ids = ids or (None if len(known) < len(own) else known[0] if len(known) == 1 else json.dumps(known))

    def job_id(self) -> str | None:
        """The id, or the ids as JSON where there are several; None where the maker gives none."""
        return self._ids

    def status(self) -> str:
        """As `JobStatus` names it; "DONE" where the maker's job does not tell, since its result is waited for anyway."""
        states = {_state(part) for part in self._parts}
        if states & {"ERROR", "CANCELLED"}:
            return "ERROR" if "ERROR" in states else "CANCELLED"
        return next(iter(states - {"DONE"}), "DONE")

    def found(self) -> list[Any]:
        """The results of all parts, as the maker gives them."""
        found = [_result(part) for part in self._parts]
        for check, result in zip(self._check, found, strict=False):
            check(result)
        return found

    def result(self) -> PrimitiveResult[SamplerPubResult]:
        """The result as of a V2 sampler, once it is known what was asked.

        Raises:
            ResultError: It is not certainly the measurement that was asked for.
        """
        assert self.asked is not None, "a job that was fetched is told what was asked"
        return self.asked.read(self.found())

    def cancel(self) -> bool:
        """Cancel all parts; whether the maker has done so. What one of them raises is raised when all were tried."""
        done, errors = True, []
        for part in self._parts:
            own = getattr(part, "cancel", None)
            try:
                done &= own is not None and asked(own) is not False
            except (ResultError, *FOREIGN) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return done


@dataclass(frozen=True)
class Asked:
    """What a device was asked for: all that is needed to read its results.

    Attributes:
        widths, sets: Bits that are measured, and parameter sets, of each PUB.
        shots: Of each circuit.
        prefix: Of the names of the circuits.
    """

    widths: tuple[int, ...]
    sets: tuple[int, ...]
    shots: int
    prefix: str

    @classmethod
    def of(cls, readout: Readout, tag: str) -> Asked:
        """From the record of a job.

        Raises:
            ResultError: It does not say what was measured.
        """
        if readout.positions is None or readout.sets is None or not readout.shots:
            refuse("it is of a device, and the record does not say what was measured")
        shots = readout.shots if isinstance(readout.shots, int) else readout.shots[0]
        widths = [1 + max((position for term in terms for position in term), default=-1) for terms in readout.positions]
        return cls(tuple(widths), readout.sets, shots, tag)

    def read(self, found: Sequence[Any]) -> PrimitiveResult[SamplerPubResult]:
        """The results of devices as Qiskit's primitives would give them.

        Raises:
            ResultError: They are not certainly the measurement that was asked for.
        """
        widths = [width for width, sets in zip(self.widths, self.sets, strict=True) for _ in range(sets)]
        circuits = [_measured(f"{self.prefix}-{index}", width) for index, width in enumerate(widths)]
        counts: list[dict[int, int]] = []
        for result, part in zip(found, _parts(found, circuits), strict=True):
            _require_ours(result, self.prefix)
            counts += counts_of(result, part, self.shots)
        rest = iter(counts)
        pubs = zip(self.widths, self.sets, strict=True)
        return PrimitiveResult([_pub([next(rest) for _ in range(sets)], width) for width, sets in pubs])


def maker_service(spec: BackendSpec, device: BackendV2) -> MakerService | None:
    """What fetches jobs of a maker's device by their ids; None where nothing does."""
    if spec.guard.dry_run or spec.primitive != "sampler":
        return None
    for holder in (device, *_providers(device)):
        for name in RETRIEVE:
            found = getattr(holder, name, None)
            if callable(found):
                return MakerService(device_name(device), found)
    return None


def lost_with_process(spec: BackendSpec, device: BackendV2) -> str:
    """What becomes of jobs at a maker's device whose process ends; empty where they are fetched by their ids."""
    reason = why_lost(spec, device)
    return reason and (
        f"backend {spec.name}: a job that is under way when this process ends cannot be fetched again ({reason}); it may run "
        "and cost all the same, and is submitted again only by qlstm resume RUN --retry."
    )


def why_lost(spec: BackendSpec, device: BackendV2) -> str:
    """Why jobs at a maker's device end with their process; empty where they do not."""
    if spec.kind != "provider" or spec.guard.dry_run or maker_service(spec, device) is not None:
        return ""
    if maker_service(spec.model_copy(update={"primitive": "sampler"}), device) is not None:
        return f"primitive {spec.primitive} works inside the process, primitive: sampler does not"
    return f"neither {device_name(device)} nor its provider has retrieve_job"


def device_name(device: BackendV2) -> str:
    """The name of a device in messages and in the record."""
    return str(device.name or type(device).__name__)


def ids_of(text: str) -> list[str]:
    """The ids of the parts of a job."""
    return [str(own) for own in json.loads(text)] if text.startswith('["') else [text]


def id_of(job: Any) -> str | None:
    """The id of a maker's job; None where it has none."""
    own = getattr(job, "job_id", None)
    found = asked(own) if callable(own) else own
    return str(found) if found else None


def asked(call: Callable[[], T]) -> T:
    """What a maker's code answers.

    Raises:
        MakerError: It raises what `failures` does not know.
    """
    try:
        return call()
    except (ResultError, *FOREIGN):
        raise
    except Exception as error:
        raise MakerError(scrub(f"the device failed: {type(error).__name__}: {error}")) from error


def _providers(device: BackendV2) -> Iterator[Any]:
    for name in ("provider", "_provider"):
        found = getattr(device, name, None)
        if found is not None and not callable(found):
            yield found


def _state(job: Any) -> str:
    own = getattr(job, "status", None)
    if not (callable(own) and callable(getattr(job, "result", None))):
        return "DONE"
    try:
        found = asked(own)
    except NotImplementedError:
        return "DONE"
    if found is None or found == "":
        return "RUNNING" if _has_ended(job) is False else "DONE"
    name = str(getattr(found, "name", None) or found)
    known = next((state for state, names in _STATES.items() if names.search(name)), None)
    return known or ("DONE" if _has_ended(job) else name.upper())


def _has_ended(job: Any) -> bool | None:
    """What a job says of that beside its state; None where it says nothing, as Qiskit's own methods know the state alone."""
    for name in ("in_final_state", "done"):
        own = getattr(job, name, None)
        if callable(own) and getattr(own, "__func__", None) is not getattr(JobV1, name):
            with suppress(NotImplementedError):
                return bool(asked(own))
    return None


def _result(job: Any) -> Any:
    """What a job gives, or what `run` has given at once."""
    return asked(job.result) if callable(getattr(job, "result", None)) else job


def _parts(found: Sequence[Any], circuits: Sequence[QuantumCircuit]) -> Iterator[Sequence[QuantumCircuit]]:
    """The circuits of each result: as many as it has, and all that are left for the last."""
    start = 0
    for result in found[:-1]:
        own = field_of(result, "results")
        stop = start + (len(own) if isinstance(own, list | tuple) else 0)
        yield circuits[start:stop]
        start = stop
    yield circuits[start:]


def _require_ours(result: Any, prefix: str) -> None:
    """Refuse circuits that another job has named: ids may be given twice, or belong to another maker."""
    found = field_of(result, "results")
    for item in found if isinstance(found, list | tuple) else ():
        name = str(field_of(field_of(item, "header"), "name"))
        if name.startswith(PREFIX) and not name.startswith(f"{prefix}-"):
            refuse("its circuits are of another job")


def _measured(name: str, width: int) -> QuantumCircuit:
    circuit = QuantumCircuit(name=name)
    circuit.add_register(ClassicalRegister(width, REGISTER))
    return circuit


def _pub(counts: Sequence[dict[int, int]], width: int) -> SamplerPubResult:
    bits = BitArray.from_counts(counts, width)
    return SamplerPubResult(DataBin(**{REGISTER: bits}, shape=(len(counts),)))
