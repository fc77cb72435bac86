"""The suite: what is sent, both levels, and the certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qlstm_qiskit.errors import BudgetError
from qlstm_qiskit.hardware.certify.outcome import CHECKS, Certificate, Check, not_applicable
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.executors.cost import Workload, duration, qpu_seconds, require_affordable

if TYPE_CHECKING:
    from qiskit.providers import BackendV2

    from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend

#: Shots of the device alone where the backend is exact.
_SHOTS = 1024
#: Qubits up to which a fake device is run as it is; of a larger one, those that circuits are placed on.
_WHOLE = 20


def certify_backend(spec: BackendSpec, say: Callable[[str], None] = lambda _: None) -> Certificate:
    """Run small circuits on a backend's device by Qiskit alone and by this package, and compare both with what they should be.

    Args:
        spec: The backend. Circuits are not packed, and choose their qubits.
        say: Is told what will be sent, before anything is.

    Raises:
        BudgetError: Circuits leave this machine, and neither limits of the guard nor `confirm` allow it. Nothing was sent.
        QLSTMError: The device cannot be reached or loaded.
    """
    if spec.kind == "statevector":
        return Certificate(spec.name, spec.kind, "the exact interpreter")
    from qlstm_qiskit.hardware.certify.compared import noisy_reference
    from qlstm_qiskit.hardware.certify.here import Here
    from qlstm_qiskit.hardware.certify.raw import raw_outcomes, raw_work
    from qlstm_qiskit.hardware.device.named import states_noise
    from qlstm_qiskit.hardware.jobs.maker_jobs import device_name

    spec = spec.model_copy(update={"pack": "off", "transpile": spec.transpile.model_copy(update={"layout": None})})
    device = _device(spec)
    if not (spec.local or spec.kind == "provider"):
        spec = spec.model_copy(update={"device": device.name})  # the least busy one may be another in a minute
    alone = device if (spec.kind == "provider" or spec.local) and not spec.guard.dry_run else None
    n_qubits, shots = min(3, device.num_qubits or 3), spec.shots or _SHOTS
    no_seeds = _no_seeds(spec, device)
    planned = _planned(spec, device, n_qubits, no_seeds)
    work = planned + (raw_work(n_qubits, shots) if alone is not None else Workload())
    _require_allowed(spec, work, shots, device_name(device), say)
    why = "a dry run submits nothing" if spec.guard.dry_run else "the device has no way in but IBM Runtime"
    raw = dict.fromkeys(CHECKS, not_applicable(why))
    if alone is not None:
        raw = raw_outcomes(_part(spec, alone), shots)
    load = _Loader(spec)
    here = Here(
        spec,
        load,
        n_qubits,
        lambda backend: noisy_reference(spec, backend, device, n_qubits),
        seeds=no_seeds,
        states_noise=states_noise(device),
    ).run()
    checks = tuple(Check(name, raw[name], here[name]) for name in CHECKS)
    return Certificate(spec.name, spec.kind, device_name(device), spec.shots, work, checks)


def _device(spec: BackendSpec) -> BackendV2:
    """The device behind a backend, also where it does not take the entry's shots or seed."""
    from qlstm_qiskit.hardware.device.named import device_named_in
    from qlstm_qiskit.hardware.jobs.runtime import connect

    if spec.kind == "aer" and spec.noise is None:
        from qiskit_aer import AerSimulator

        return AerSimulator()
    return device_named_in(spec) if spec.kind in {"aer", "provider"} or spec.local else connect(spec).device


def _part(spec: BackendSpec, device: BackendV2) -> BackendV2:
    """The device, or of a large fake one the qubits that the largest probe is placed on."""
    from qlstm_qiskit.hardware.certify.probes import idle
    from qlstm_qiskit.hardware.config.parts import TranspileSpec
    from qlstm_qiskit.hardware.device.compact import compact, compact_backend
    from qlstm_qiskit.hardware.device.transpile import Transpiler

    if spec.kind == "provider" or (device.num_qubits or 0) <= _WHOLE or (spec.kind == "aer" and spec.noise is None):
        return device
    probe = idle()
    circuit = probe.circuit.copy()
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    placed = Transpiler(device, TranspileSpec(seeds=1)).prepare("place", circuit, probe.inputs, list(probe.measured))
    return compact_backend(device, compact(placed).qubits)


def _no_seeds(spec: BackendSpec, device: BackendV2) -> str | None:
    """Why a backend takes no seed; None where it does."""
    from qlstm_qiskit.hardware.jobs.makers import takes_seed

    if not spec.local and spec.kind == "ibm":
        return "shots of a real device have no seed"
    if spec.kind == "provider" and not takes_seed(device):
        return "the device has no option for seeds; none is given"
    return None


def _planned(spec: BackendSpec, device: BackendV2, n_qubits: int, no_seeds: str | None) -> Workload:
    """What the suite asks of a backend, counted by running it against random numbers."""
    from qlstm_qiskit.hardware.certify.here import Here
    from qlstm_qiskit.hardware.device.transpile import Transpiler
    from qlstm_qiskit.hardware.interpreter.backend import PlanBackend

    backend = PlanBackend(spec, Transpiler(device, spec.transpile).prepare, device.target)
    Here(spec, lambda _: backend, n_qubits, seeds=no_seeds).run()
    return backend.work()[0]


def _require_allowed(spec: BackendSpec, work: Workload, shots: int, device: str, say: Callable[[str], None]) -> None:
    """Say what is sent, and refuse what nobody has allowed."""
    where = f"{device}, which may be beyond this machine" if spec.leaves else f"{device} on this machine"
    cost = f" (about {duration(qpu_seconds(work, spec))} of QPU time)" if spec.leaves else ""
    what = f"{work.circuits:,} circuits of {shots:,} shots in {work.jobs:,} jobs"
    say(f"At most {what}{cost} go to {where}.")
    if not spec.leaves:
        return
    require_affordable(work, spec, "The suite")
    limited = spec.guard.max_circuits is not None or spec.guard.max_qpu_seconds is not None
    if not (limited or spec.guard.confirm):
        raise BudgetError(
            f"backend {spec.name}: {what} would leave this machine{cost}, and its entry sets no limit. Nothing was submitted. "
            "Confirm with --confirm, or give the entry guard: {max_circuits: ...}."
        )


class _Loader:
    """Loads the backend again and again; what is recorded goes to one folder, each time as work of its own."""

    def __init__(self, spec: BackendSpec) -> None:
        from pathlib import Path

        self._spec, self._count = spec, 0
        self._folder: Path | None = None

    def __call__(self, seed: int | None) -> PrimitiveBackend:
        from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
        from qlstm_qiskit.hardware.loading import load_backend

        self._count += 1
        backend = load_backend(self._spec, seed=seed, record=self._folder, run=f"certify {self._count}")
        assert isinstance(backend, PrimitiveBackend)
        if backend.ledger is not None:
            self._folder = backend.ledger.path.parent if backend.ledger.path is not None else None
        return backend
