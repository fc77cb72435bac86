"""Backends by name: the way from an entry of backends.yaml to something that evaluates circuits."""

from __future__ import annotations

import atexit
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import OptionError, QLSTMWarning
from qlstm_qiskit.hardware.config.file import find_spec
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import Backend
from qlstm_qiskit.hardware.contract.executor import Draws, Executor, ISACircuit, Prepare
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.device.transpile import Transpiler
    from qlstm_qiskit.hardware.executors.chunks import Takes
    from qlstm_qiskit.hardware.executors.primitives import Submit
    from qlstm_qiskit.hardware.interpreter.backend import PlanBackend
    from qlstm_qiskit.hardware.jobs.runtime import Connection

# What a kind needs is imported when it is asked for: Aer and IBM Runtime take a second each.


def load_backend(
    name: str | BackendSpec = "statevector",
    path: str | Path | None = None,
    *,
    seed: int | None = None,
    record: Path | str | None = None,
    run: str = "run",
    ordered: bool = True,
) -> Backend:
    """Return the backend of that name.

    Args:
        name: Of an entry of backends.yaml, or an entry that was read already.
        path: A file of entries; by default ./backends.yaml where there is one. Either is read on top of the packaged one.
        seed: Of simulated shots, where the entry has none of its own; fresh for each backend where None.
        record: Folder for the record of jobs that leave this machine (jobs.sqlite), made where it is missing. Work that is
            asked for again under the same `run` is answered from it, and unfinished jobs are waited for. By default a new
            folder in the user's folder for state, so that nothing is lost and nothing is answered from the past. A rehearsal
            in local testing mode of kind "ibm" is recorded where a folder is given.
        run: Which work of the folder.
        ordered: Whether that work asks for the same jobs in the same order each time, as a training does; anything else is
            an error then, and it stays on the device that it was begun on. Otherwise a job is known by what it asks for, and
            the record answers for a day: after that circuits are fitted to the device as it is then, and measured afresh.

    Raises:
        OptionError: There is no backend of that name; the message lists those that there are. Or account or device are
            missing.
        SpecError: An entry cannot be used.
        JobError: The service cannot be reached.
        LedgerError: The record cannot be used, or `run` was begun on another device.
    """
    spec = find_spec(name, path) if isinstance(name, str) else name
    seed = spec.seed if spec.seed is not None else seed
    if spec.kind == "statevector":
        return StatevectorBackend(name=spec.name) if spec.ideal else _inside(spec, seed)
    if spec.kind == "aer":
        return _aer(spec, seed)
    return _device(spec, seed, None if record is None else Path(record), run, ordered)


def plan_backend(spec: BackendSpec, device: str | None = None) -> PlanBackend:
    """A backend that counts what a device would be asked for, and returns random numbers.

    Args:
        spec: Of a kind with a device.
        device: Name of a fake device to plan for in place of the real one, which needs no account.

    Raises:
        OptionError: The backend has no device, or it is missing.
        JobError: The service cannot be reached.
    """
    from qlstm_qiskit.hardware.device.named import find_device
    from qlstm_qiskit.hardware.interpreter.backend import PlanBackend
    from qlstm_qiskit.hardware.jobs.maker_jobs import lost_with_process
    from qlstm_qiskit.hardware.jobs.makers import job_of_device

    if spec.kind in {"statevector", "aer"}:
        raise OptionError(f"backend {spec.name} runs on this machine and costs nothing; plan for one of kind ibm.")
    target = find_device(device) if device is not None else _connect(spec, None).device
    planned = PlanBackend(spec, _transpiler(spec, target), target.target, job_of_device(spec, target))
    planned.lost = "" if device is not None else lost_with_process(spec, target)
    return planned


def device_of(spec: BackendSpec, n_qubits: int = 1) -> BackendV2:
    """Return the device for which circuits of a backend are transpiled.

    Args:
        spec: The backend.
        n_qubits: Qubits that the device must have, where the least busy one is chosen.

    Raises:
        OptionError: It has none, or it cannot be found.
        JobError: IBM Quantum cannot be reached.
    """
    from qlstm_qiskit.hardware.device.named import device_named_in

    if spec.kind == "ibm" and spec.channel != "local":
        from qlstm_qiskit.hardware.jobs.runtime import connect

        return connect(spec, n_qubits).device
    if not (spec.noise or spec.device or spec.provider):
        raise OptionError(f"backend {spec.name!r} has no device; choose one that has, such as fake-fez or aer-noise-torino.")
    return device_named_in(spec)


def _inside(spec: BackendSpec, seed: int | None) -> Backend:
    """The exact interpreter with shots, noise or both."""
    from qlstm_qiskit.hardware.interpreter.sampled import Device, NoisyBackend, SampledBackend

    device = None
    if spec.noise is not None:
        from qlstm_qiskit.hardware.device.named import device_named_in
        from qlstm_qiskit.hardware.device.readout import noise_target

        own = device_named_in(spec)
        device = Device(noise_target(own), _transpiler(spec, own), spec.noise.readout)
    circuits = spec.model_copy(update={"kind": "aer", "sampling": "gaussian"})
    if spec.exact:
        assert device is not None
        return NoisyBackend(spec, device, lambda draws: _aer(circuits, seed, draws))
    return SampledBackend(spec, seed, lambda draws: _aer(circuits, seed, draws), device=device)


def _aer(spec: BackendSpec, seed: int | None, draws: Draws | None = None) -> Backend:
    from qlstm_qiskit.hardware.device.compact import compact
    from qlstm_qiskit.hardware.device.named import device_named_in
    from qlstm_qiskit.hardware.device.readout import noise_target
    from qlstm_qiskit.hardware.executors.aer import AerExecutor, prepare_for_aer
    from qlstm_qiskit.hardware.executors.cones import cutting
    from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend

    draws = draws or Draws()
    if spec.noise is None:
        executor = AerExecutor(spec.shots, seed=seed, method=spec.method, draws=draws)
        return PrimitiveBackend(spec, *cutting(spec, executor, prepare_for_aer), draws=draws)
    device, readout = device_named_in(spec), spec.noise.readout
    noise = noise_target(device)
    executor = AerExecutor(spec.shots, seed=seed, method=spec.method, noise=noise, readout=readout, draws=draws)
    on_device = _transpiler(spec, device)

    def prepare(
        name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> ISACircuit:
        return compact(on_device(name, circuit, parameters, observables))

    return PrimitiveBackend(spec, *cutting(spec, executor, prepare), draws=draws)


def _device(spec: BackendSpec, seed: int | None, record: Path | None, run: str, ordered: bool) -> Backend:
    from qlstm_qiskit.hardware.executors.chunks import ANYTHING
    from qlstm_qiskit.hardware.executors.cost import MeteredExecutor
    from qlstm_qiskit.hardware.executors.packing import PackingExecutor
    from qlstm_qiskit.hardware.executors.primitives import Direct
    from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
    from qlstm_qiskit.hardware.jobs.begun import MAX_AGE, begun_on, made, require_same_device, state_folder
    from qlstm_qiskit.hardware.jobs.ledger import FILE, Ledger
    from qlstm_qiskit.hardware.jobs.maker_jobs import device_name, lost_with_process
    from qlstm_qiskit.hardware.jobs.makers import job_of_device
    from qlstm_qiskit.hardware.jobs.pinned import PinnedDevice, calibration_of
    from qlstm_qiskit.hardware.jobs.runner import JobRunner

    draws, takes = Draws(), ANYTHING
    if not spec.recorded or (spec.local and record is None):
        connection, ledger = _connect(spec, None), None
        device = connection.device
        inner = _local(spec, device, seed, Direct(draws, spec.name))  # counts all jobs, so that each has a seed of its own
    else:
        file = (record or state_folder()) / FILE
        ledger = Ledger(file) if file.is_file() else None
        connection = _connect(spec, begun_on(ledger, run, ordered) if ledger is not None else None)
        ledger = ledger or Ledger(made(file.parent) / FILE)  # not before the login has succeeded
        device, name = connection.device, device_name(connection.device)
        if ordered:
            require_same_device(ledger, run, spec.name, name)
        ledger.claim()
        # a new calibration must not change the circuits of a resumed run
        pin = ledger.pinned(run, name, calibration_of(device.target), None if ordered else MAX_AGE)
        runner = JobRunner(ledger, connection.service, spec, run, device, ordered=ordered, since=pin[1])
        if (remark := lost_with_process(spec, device)) and not run.startswith("certify"):  # which never goes on
            warnings.warn(remark, QLSTMWarning, stacklevel=3)
        takes = job_of_device(spec, device)
        inner = _rehearsal(spec, device, seed, runner) if spec.local else _executor(spec, connection.make(seed), runner, takes)
        device = PinnedDevice(device, pin[0])
    executor = PackingExecutor(MeteredExecutor(inner, spec, takes), device.target, spec.pack)
    return PrimitiveBackend(spec, executor, _transpiler(spec, device), connection=connection, ledger=ledger, draws=draws)


def _connect(spec: BackendSpec, device: str | None) -> Connection:
    from qlstm_qiskit.hardware.jobs.runtime import connect

    connection = connect(spec, device=device)
    if spec.mode != "job":
        atexit.register(connection.close)
    return connection


def _local(spec: BackendSpec, device: BackendV2, seed: int | None, submit: Submit) -> Executor:
    """What stands for the device on this machine: IBM Runtime's primitives in local testing mode or, in a dry run, no noise."""
    from qlstm_qiskit.hardware.executors.aer import AerExecutor
    from qlstm_qiskit.hardware.executors.local import LocalExecutor
    from qlstm_qiskit.hardware.executors.primitives import Direct
    from qlstm_qiskit.hardware.jobs.runtime import make_primitive, seed_of_job

    if spec.guard.dry_run:
        draws = submit.draws if isinstance(submit, Direct) else Draws()
        ideal = AerExecutor(spec.shots, seed=seed, draws=draws)
        return LocalExecutor(device, lambda _: ideal, noisy=False)
    return LocalExecutor(
        device,
        lambda part: _executor(spec, lambda number, tags: make_primitive(spec, part, seed_of_job(seed, number), tags), submit),
    )


def _rehearsal(spec: BackendSpec, device: BackendV2, seed: int | None, submit: Submit) -> Executor:
    """What stands for the device on this machine, in the jobs that the device would be sent."""
    from qlstm_qiskit.hardware.executors.rehearsal import Rehearsal

    guard = spec.guard
    whole = guard.model_copy(update={"max_pubs": sys.maxsize, "max_executions": sys.maxsize})
    own = spec.model_copy(update={"guard": whole})
    return Rehearsal(lambda submit: _local(own, device, seed, submit), submit, spec.shots, guard.max_pubs, guard.max_executions)


def _executor(
    spec: BackendSpec, make: Callable[[int, Sequence[str]], Any], submit: Submit, takes: Takes | None = None
) -> Executor:
    from qlstm_qiskit.hardware.executors.chunks import ANYTHING
    from qlstm_qiskit.hardware.executors.primitives import EstimatorExecutor, SamplerExecutor

    takes = takes or ANYTHING
    if spec.primitive == "sampler":
        return SamplerExecutor(make, spec.shots or 0, spec.guard, submit, takes)
    mitigated = spec.mitigation.resilience_level > 0
    return EstimatorExecutor(make, spec.shots, spec.guard, submit, mitigated=mitigated, takes=takes)


def _transpiler(spec: BackendSpec, device: BackendV2) -> Prepare:
    from qlstm_qiskit.hardware.device.health import Watched
    from qlstm_qiskit.hardware.device.isa_cache import cache_folder

    return Watched(_shared_transpiler(device, spec.transpile, cache_folder()))


@lru_cache(maxsize=16)
def _shared_transpiler(device: BackendV2, spec: TranspileSpec, folder: Path) -> Transpiler:
    """One for all backends of a process that fit circuits to a device in the same way, so that each is transpiled once."""
    from qlstm_qiskit.hardware.device.transpile import Transpiler

    return Transpiler(device, spec, folder)
