"""Devices of any maker: circuits are sent under names of our own, and results read through `counts`.

Qiskit's primitives read a result without memory as zeros, and believe one that is marked as failed; and their jobs end with
their process.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BackendEstimatorV2
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.providers import BackendV2, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.transpiler import Target

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.executors.chunks import ANYTHING, Takes
from qlstm_qiskit.hardware.executors.counts import counts_of
from qlstm_qiskit.hardware.executors.results import ResultError, field_of
from qlstm_qiskit.hardware.jobs.failures import MakerError, chain_of
from qlstm_qiskit.hardware.jobs.maker_jobs import PREFIX, Asked, MakerJob, asked, device_name, why_lost

#: What is said of the option ...
_OF_MEMORY = re.compile(
    r"(?i)\b(option|keyword|argument|support)\w*\W(.{0,20}\W)?memory\b|\bmemory\W(.{0,20}\W)?(option|keyword|argument|support)"
)
#: ... rather than of a machine that is out of it.
_OUT_OF_MEMORY = re.compile(r"(?i)(out of|no|insufficient|not enough|more|less) memory|allocat|limit|exceed")


def maker_primitive(spec: BackendSpec, device: BackendV2, seed: int | None, tags: Sequence[str] = ()) -> Any:
    """A V2 sampler or estimator on a maker's device, for one job; `seed` where the device takes one, `tags` as recorded."""
    own = seed if seed is not None and takes_seed(device) else None
    read = ReadDevice(device, sure_of_seed=spec.seed is not None, prefix=tags[-1] if tags else f"{PREFIX}0")
    if spec.primitive == "sampler":
        return MakerSampler(read, own)
    return BackendEstimatorV2(backend=read, options=None if own is None else {"seed_simulator": own})


def job_of_device(spec: BackendSpec, device: BackendV2) -> Takes:
    """What a device takes in one job: those of makers say how many circuits, and are given one number of shots."""
    if spec.kind != "provider" or spec.guard.dry_run:
        return ANYTHING
    return Takes(device.max_circuits or None, same_shots=True)


def require_takes(spec: BackendSpec, device: BackendV2) -> None:
    """Refuse, before anything is submitted, what a maker's device does not accept, by its own account.

    Raises:
        OptionError: The entry has a seed or a time to wait, which the device would ignore, or more or fewer shots than it
            takes.
    """
    if spec.guard.dry_run:  # a simulation here takes both
        return
    name = device_name(device)
    if spec.seed is not None and not takes_seed(device):
        raise OptionError(
            f"backend {spec.name}: {name} would ignore seed, as it has no option seed_simulator; leave seed out of the entry."
        )
    if spec.timeout_s is not None and (reason := why_lost(spec, device)):
        advice = "set primitive: sampler, or leave timeout_s out" if reason.startswith("primitive") else "leave timeout_s out"
        raise OptionError(
            f"backend {spec.name}: {name} would ignore timeout_s, as its jobs cannot be fetched later ({reason}); {advice}."
        )
    least, most = shots_taken(device)
    if spec.shots is not None and not least <= spec.shots <= most:
        allowed = f"at most {most:g}" if least <= 1 else f"{least:g} to {most:g}"
        raise OptionError(f"backend {spec.name}: shots is {spec.shots}; {name} takes {allowed}. Change shots in its entry.")


def takes_seed(device: BackendV2) -> bool:
    """Whether a device has an option for the seed of its shots, as simulators have."""
    return hasattr(device.options, "seed_simulator")


def shots_taken(device: BackendV2) -> tuple[float, float]:
    """The fewest and the most shots that a device says it takes."""
    least, most = 1.0, np.inf
    rule = getattr(device.options, "validator", {}).get("shots")
    with suppress(TypeError, ValueError):
        if isinstance(rule, tuple | list):
            least, most = float(min(rule)), float(max(rule))
    limit = getattr(device, "max_shots", None)
    with suppress(TypeError, ValueError):
        most = min(most, float(limit)) if limit else most
    return least, most


class MakerSampler:
    """A V2 sampler on a maker's device: all is submitted when `run` returns, and its jobs have the maker's ids.

    Args:
        device: Runs the circuits.
        seed: Of simulated shots.
    """

    def __init__(self, device: ReadDevice, seed: int | None = None) -> None:
        self._device, self.seed = device, seed

    def run(self, pubs: Sequence[Any]) -> MakerJob:
        """Submit PUBs, all with the same number of shots.

        Raises:
            MakerError: The device does not take them.
        """
        coerced = [SamplerPub.coerce(pub) for pub in pubs]
        shots = {pub.shots for pub in coerced}
        assert len(shots) == 1, "chunks are of one number of shots"
        circuits = [own for pub in coerced for own in np.ravel(pub.parameter_values.bind_all(pub.circuit)).tolist()]
        job = self._device.begin(circuits, memory=True, shots=coerced[0].shots, seed_simulator=self.seed)
        widths, sets = zip(*((pub.circuit.num_clbits, math.prod(pub.shape)) for pub in coerced), strict=True)
        job.asked = Asked(widths, sets, coerced[0].shots, self._device.prefix)
        return job


class ReadDevice(BackendV2):
    """A maker's device whose results are read here and handed on as Qiskit's primitives know them.

    Circuits are run in as many jobs as its `max_circuits` wants, all of them before the first is waited for.

    Args:
        device: The maker's.
        sure_of_seed: Whether a result that names another seed than it was given is refused.
        prefix: Of the names of circuits.
    """

    def __init__(self, device: BackendV2, sure_of_seed: bool = False, prefix: str = f"{PREFIX}0") -> None:
        super().__init__(name=device_name(device))
        self._device, self._sure_of_seed, self.prefix = device, sure_of_seed, prefix

    @property
    def target(self) -> Target:
        return self._device.target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Run circuits; options `shots`, `memory` and `seed_simulator`, of which those that are None are left out.

        Raises:
            ResultError: The device does not take them.
        """
        given = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        try:
            job = self.begin(given, **options)
        except MakerError as error:
            raise ResultError(str(error)) from None
        return _Begun(lambda: self._read(job, given, options))

    def begin(self, given: Sequence[QuantumCircuit], **options: Any) -> MakerJob:
        """Submit circuits; options as of `run`.

        Raises:
            MakerError: The device does not take them, by what it raises or gives.
        """
        size = self._device.max_circuits or len(given) or 1
        parts, checks = [], []
        for number, start in enumerate(range(0, len(given), size)):
            circuits = self._named(given, start, start + size)
            own = {key: value for key, value in options.items() if value is not None}
            if number and "seed_simulator" in own:  # one seed for all would give all of them the same noise
                own["seed_simulator"] = int(np.random.SeedSequence([own["seed_simulator"], number]).generate_state(1)[0] >> 1)
            parts.append(self._submit(circuits, own))
            checks.append(self._seed_check(own.get("seed_simulator")))
        return MakerJob(parts, check=checks)

    def _named(self, given: Sequence[QuantumCircuit], start: int, stop: int) -> list[QuantumCircuit]:
        return [given[index].copy(name=f"{self.prefix}-{index}") for index in range(start, min(stop, len(given)))]

    def _submit(self, circuits: list[QuantumCircuit], options: dict[str, Any]) -> Any:
        def submitted(chosen: dict[str, Any]) -> Any:
            job = asked(lambda: self._device.run(circuits, **chosen))
            if not callable(getattr(job, "result", None)) and field_of(job, "results") is None:
                raise MakerError(f"run() of the device gave a {type(job).__name__}, which is neither a job nor a result")
            return job

        try:
            return submitted(options)
        except Exception as error:
            if "memory" not in options or not _refuses_memory(error):
                raise  # what a service has seen must not be sent twice
        return submitted({key: value for key, value in options.items() if key != "memory"})

    def _read(self, job: MakerJob, given: Sequence[QuantumCircuit], options: dict[str, Any]) -> Result:
        try:
            found = job.found()
        except MakerError as error:
            raise ResultError(str(error)) from None
        results: list[ExperimentResult] = []
        for result in found:
            circuits = self._named(given, len(results), len(results) + (self._device.max_circuits or len(given)))
            counts = counts_of(result, circuits, options["shots"])
            results += [_as_qiskit(circuit, own, options) for circuit, own in zip(circuits, counts, strict=True)]
        return Result(success=True, results=results, status="COMPLETED")

    def _seed_check(self, seed: int | None) -> Callable[[Any], None]:
        def check(result: Any) -> None:
            items = field_of(result, "results")
            said = [field_of(item, "seed_simulator") for item in items] if isinstance(items, list | tuple) else []
            if seed is not None and self._sure_of_seed and said and None not in said and seed not in said:
                raise ResultError("the device has ignored seed; leave seed out of the entry")

        return check


@dataclass(frozen=True)
class _Begun:
    """Jobs at a device that are read when their result is wanted."""

    result: Callable[[], Result]


def _refuses_memory(error: Exception) -> bool:
    """Whether a device does not know the option `memory`, by what it raises."""
    if any(isinstance(own, MemoryError | OSError) for own in chain_of(error)):
        return False
    return _OF_MEMORY.search(str(error)) is not None and _OUT_OF_MEMORY.search(str(error)) is None


def _as_qiskit(circuit: QuantumCircuit, counts: dict[int, int], options: dict[str, Any]) -> ExperimentResult:
    found: dict[str, Any] = {"counts": {hex(outcome): number for outcome, number in counts.items()}}
    if options.get("memory"):
        found["memory"] = [word for outcome, number in counts.items() for word in [hex(outcome)] * number]
    header = {
        "name": circuit.name,
        "memory_slots": circuit.num_clbits,
        "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
    }
    return ExperimentResult(options["shots"], True, ExperimentResultData(**found), header=header)
