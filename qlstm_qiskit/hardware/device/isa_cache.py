"""Transpiled circuits on disk: one file each, whole or not there; one that is damaged counts as not there."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
from dataclasses import asdict
from pathlib import Path

from platformdirs import user_cache_path
from qiskit import QuantumCircuit, qpy
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.hardware.contract.executor import ISACircuit
from qlstm_qiskit.hardware.device.transpile_report import TranspileReport
from qlstm_qiskit.storage import write_atomically

CachedCircuit = tuple[QuantumCircuit, tuple[SparsePauliOp, ...], TranspileReport]


def cache_folder() -> Path:
    """The user's folder for transpiled circuits: ``$QLSTM_CACHE``, or the platform's folder for caches."""
    return Path(os.environ.get("QLSTM_CACHE") or user_cache_path("qlstm_qiskit", appauthor=False, opinion=False) / "isa")


def write_entry(path: Path, isa: ISACircuit, report: TranspileReport) -> None:
    """Keep a transpiled circuit; a folder that cannot be written to keeps nothing, which costs time only."""
    buffer = io.BytesIO()
    qpy.dump(isa.circuit, buffer)
    terms = [[[p, q, c.real, c.imag] for p, q, c in observable.to_sparse_list()] for observable in isa.observables]
    body = json.dumps({"qpy": base64.b64encode(buffer.getvalue()).decode(), "observables": terms, "report": asdict(report)})
    with contextlib.suppress(OSError, RunError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{_digest(body)}\n{body}\n")


def read_entry(path: Path) -> CachedCircuit | None:
    """Read what `write_entry` wrote, or None. Parameters are new objects with the old names."""
    try:
        digest, body = path.read_text().split("\n")[:2]
        if digest != _digest(body):
            return None
        content = json.loads(body)
        circuit = qpy.load(io.BytesIO(base64.b64decode(content["qpy"])))[0]
        observables = tuple(
            SparsePauliOp.from_sparse_list([(p, q, complex(re, im)) for p, q, re, im in terms], circuit.num_qubits)
            for terms in content["observables"]
        )
        return circuit, observables, TranspileReport.from_json(content["report"])
    except Exception:  # noqa: BLE001 - whatever is wrong with it, the circuit is made again
        return None


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
