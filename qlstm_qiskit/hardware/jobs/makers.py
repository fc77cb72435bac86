"""Devices of any maker behind Qiskit's primitives: circuits are sent under names of our own, and results read through `counts`.

Qiskit's primitives read a result without memory as zeros, and believe one that is marked as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import BackendV2, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.transpiler import Target

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.config.secrets import scrub
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.executors.counts import counts_of
from qlstm_qiskit.hardware.executors.results import ResultError, field_of
from qlstm_qiskit.hardware.jobs.failures import FOREIGN


def maker_primitive(spec: BackendSpec, device: BackendV2, seed: int | None) -> Any:
    """A V2 sampler or estimator on a maker's device, for one job; `seed` where the device takes one."""
    seeded = seed is not None and takes_seed(device)
    kind = BackendSamplerV2 if spec.primitive == "sampler" else BackendEstimatorV2
    read = ReadDevice(device, sure_of_seed=spec.seed is not None)
    return kind(backend=read, options={"seed_simulator": seed} if seeded else None)


def require_takes(spec: BackendSpec, device: BackendV2) -> None:
    """Refuse, before anything is submitted, what a maker's device does not accept, by its own account.

    Raises:
        OptionError: The entry has a seed, which the device would ignore, or more or fewer shots than it takes.
    """
    if spec.guard.dry_run:  # a simulation here takes both
        return
    name = device_name(device)
    if spec.seed is not None and not takes_seed(device):
        raise OptionError(
            f"backend {spec.name}: {name} would ignore seed, as it has no option seed_simulator; leave seed out of the entry."
        )
    least, most = shots_taken(device)
    if spec.shots is not None and not least <= spec.shots <= most:
        allowed = f"at most {most:g}" if least <= 1 else f"{least:g} to {most:g}"
        raise OptionError(f"backend {spec.name}: shots is {spec.shots}; {name} takes {allowed}. Change shots in its entry.")


def takes_seed(device: BackendV2) -> bool:
    """Whether a device has an option for the seed of its shots, as simulators have."""
    return hasattr(device.options, "seed_simulator")


def device_name(device: BackendV2) -> str:
    """The name of a device in messages and in the record."""
    return str(device.name or type(device).__name__)


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


class ReadDevice(BackendV2):
    """A maker's device whose results are read here and handed on as Qiskit's primitives know them.

    Circuits are run in as many jobs as its `max_circuits` wants, all of them before the first is waited for.

    Args:
        device: The maker's.
        sure_of_seed: Whether a result that names another seed than it was given is refused.
    """

    def __init__(self, device: BackendV2, sure_of_seed: bool = False) -> None:
        super().__init__(name=device_name(device))
        self._device, self._sure_of_seed = device, sure_of_seed

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
        circuits = [circuit.copy(name=f"qlstm-{index}") for index, circuit in enumerate(given)]
        size = self._device.max_circuits or len(circuits) or 1
        begun = []
        for number, start in enumerate(range(0, len(circuits), size)):
            part, own = circuits[start : start + size], {key: value for key, value in options.items() if value is not None}
            if number and "seed_simulator" in own:  # one seed for all would give all of them the same noise
                own["seed_simulator"] = int(np.random.SeedSequence([own["seed_simulator"], number]).generate_state(1)[0] >> 1)
            begun.append((part, own, self._submit(part, own)))
        return _Begun(lambda: self._read(begun))

    def _submit(self, circuits: list[QuantumCircuit], options: dict[str, Any]) -> Any:
        try:
            return self._device.run(circuits, **options)
        except Exception as error:  # noqa: BLE001 - somebody else's code
            if "memory" not in options or "memory" not in str(error):
                self._raise(error)
        with_counts = {key: value for key, value in options.items() if key != "memory"}
        try:
            return self._device.run(circuits, **with_counts)
        except Exception as error:  # noqa: BLE001
            self._raise(error)

    def _read(self, begun: Sequence[tuple[list[QuantumCircuit], dict[str, Any], Any]]) -> Result:
        results: list[ExperimentResult] = []
        for circuits, options, job in begun:
            result = self._result(job)
            counts = counts_of(result, circuits, options["shots"])
            self._require_seed(result, options.get("seed_simulator"))
            results += [_as_qiskit(circuit, own, options) for circuit, own in zip(circuits, counts, strict=True)]
        return Result(success=True, results=results, status="COMPLETED")

    def _result(self, job: Any) -> Any:
        """What a job gives, or what `run` has given at once."""
        if not callable(getattr(job, "result", None)):
            if field_of(job, "results") is not None:
                return job
            raise ResultError(f"run() of the device gave a {type(job).__name__}, which is neither a job nor a result")
        try:
            return job.result()
        except Exception as error:  # noqa: BLE001
            self._raise(error)

    def _require_seed(self, result: Any, seed: int | None) -> None:
        said = [field_of(item, "seed_simulator") for item in field_of(result, "results")]
        if seed is not None and self._sure_of_seed and None not in said and seed not in said:
            raise ResultError("the device has ignored seed; leave seed out of the entry")

    def _raise(self, error: Exception) -> NoReturn:
        """What a device raises, as it is where `failures` understands it, and in words where it is a mistake in its code."""
        if isinstance(error, FOREIGN):
            raise error
        raise ResultError(scrub(f"the device failed: {type(error).__name__}: {error}")) from None


@dataclass(frozen=True)
class _Begun:
    """Jobs at a device that are read when their result is wanted."""

    result: Callable[[], Result]


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
