"""A check of a backend: account, device, transpilation, and one tiny circuit."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import JobError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import Backend
from qlstm_qiskit.hardware.contract.executor import Request
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.device.health import Health
from qlstm_qiskit.hardware.device.named import device_named_in
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.jobs.maker_jobs import device_name, lost_with_process
from qlstm_qiskit.hardware.loading import load_backend

#: Largest plausible error of <Z> of one rotated qubit: noise of a device and of 100 shots.
TOLERANCE = 0.5


def check_backend(spec: BackendSpec) -> dict[str, Any]:
    """Run ``R_Y(theta)`` on |0> at theta = 0 and pi, with the backend's own shots: one job of two circuits.

    Returns:
        What was found, in the order in which it was checked.

    Raises:
        QLSTMError: The first step that does not work.
    """
    backend = load_backend(spec)
    facts: dict[str, Any] = {"backend": spec.name, "kind": spec.kind}
    if not isinstance(backend, PrimitiveBackend):
        of = "" if spec.noise_of is None else f", with the noise of {spec.noise_of}"
        return facts | {"device": f"the exact interpreter{of}"} | _calibration(spec, backend) | {"circuit": "nothing to run"}
    try:
        if backend.connection is not None:
            device = backend.connection.device
            facts |= {"account": "ok" if spec.kind == "ibm" and not spec.local else "none needed"}
            facts |= {"device": f"{device_name(device)}, {device.num_qubits or 'any number of'} qubits"}
            if spec.kind == "provider" and not spec.guard.dry_run:
                lost = lost_with_process(spec, device)  # which loading has said in full
                facts |= {"jobs": "end with their process" if lost else "are fetched by their ids after a crash"}
        facts |= _calibration(spec, backend)
        theta = Parameter("theta")
        circuit = QuantumCircuit(1, name="check")
        circuit.ry(theta, 0)
        isa = backend.prepare("check", circuit, [theta], [SparsePauliOp("Z")])
        qubits = ", ".join(map(str, compact(isa).qubits)) or "0"
        facts |= {"transpiled": f"{isa.circuit.size()} gates on qubit {qubits}"}
        values = backend.executor.expect([Request(isa, np.array([[0.0], [np.pi]]))])[0][:, 0]
    finally:
        backend.close()
    facts |= {"<Z> of |0>": round(float(values[0]), 4), "<Z> of |1>": round(float(values[1]), 4)}
    if abs(values[0] - 1) > TOLERANCE or abs(values[1] + 1) > TOLERANCE:
        raise JobError(
            f"backend {spec.name}: <Z> of |0> and |1> came out as {values[0]:.3f} and {values[1]:.3f} in place of 1 and -1; "
            "choose other qubits (transpile.layout) or another device."
        )
    return facts


def _calibration(spec: BackendSpec, backend: Backend) -> dict[str, str]:
    """What the device says about itself that spoils results, if anything."""
    connection = backend.connection if isinstance(backend, PrimitiveBackend) else None
    if connection is not None:
        device = connection.device
    elif spec.noise is not None:
        device = device_named_in(spec)
    else:
        return {}
    found = Health.of(device.target).sentences()
    return {"calibration": "; ".join(found)} if found else {}
