"""Backends by name: from an entry of backends.yaml to what evaluates circuits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.hardware.backend import Backend, StatevectorBackend
from qlstm_qiskit.hardware.executor import ISACircuit, Prepare
from qlstm_qiskit.hardware.spec import BackendSpec
from qlstm_qiskit.hardware.specs_file import find_spec


def load_backend(
    name: str | BackendSpec = "statevector", path: str | Path | None = None, *, seed: int | None = None
) -> Backend:
    """Return the backend of that name.

    Args:
        name: Of an entry of backends.yaml, or an entry that was read already.
        path: A file of entries; by default ./backends.yaml where there is one. Either is read on top of the packaged one.
        seed: Of simulated shots, where the entry has none of its own; fresh for each backend where None.

    Raises:
        OptionError: There is no backend of that name; the message lists those that there are.
        SpecError: An entry cannot be used.
    """
    spec = find_spec(name, path) if isinstance(name, str) else name
    if spec.kind == "statevector":
        return StatevectorBackend(name=spec.name)
    seed = spec.seed if spec.seed is not None else seed
    if spec.kind == "aer":
        return _aer(spec, seed)
    raise NotImplementedError(spec.kind)


def _aer(spec: BackendSpec, seed: int | None) -> Backend:
    from qlstm_qiskit.hardware.aer import AerExecutor, prepare_for_aer
    from qlstm_qiskit.hardware.devices import find_device
    from qlstm_qiskit.hardware.isa_cache import cache_folder
    from qlstm_qiskit.hardware.primitive_backend import PrimitiveBackend
    from qlstm_qiskit.hardware.transpile import Transpiler

    if spec.noise is None:
        return PrimitiveBackend(spec, AerExecutor(spec.shots, seed=seed, method=spec.method), prepare_for_aer)
    device = find_device(spec.noise.device)
    executor = AerExecutor(spec.shots, seed=seed, method=spec.method, noise=device.target, readout=spec.noise.readout)
    return PrimitiveBackend(spec, executor, _compacted(Transpiler(device, spec.transpile, cache_folder()).prepare))


def _compacted(prepare: Prepare) -> Prepare:
    """Prepare a circuit, on its active qubits only."""
    from qlstm_qiskit.hardware.compact import compact

    def small(
        name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
    ) -> ISACircuit:
        return compact(prepare(name, circuit, parameters, observables))

    return small
