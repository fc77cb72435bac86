#!/usr/bin/env bash
# iqm-client 36.0.0 (Qiskit 2.1.2): a copy of the target of IQM's star keeps its class and loses what its transpiler stage reads.
#
# On the star (IQMFakeDeneb) qubits interact through a resonator. The target says CZ between qubits; a stage of IQM's own, which Qiskit
# finds by the backend, replaces them by MOVE into the resonator, CZ with it, and MOVE back. The stage reads attributes that IQMTarget
# has beside Qiskit's. copy, deepcopy and pickle of the target go by Qiskit's way, which knows nothing of them. Whoever keeps a target, to
# fit circuits to it tomorrow or in another process, gets an AttributeError out of the transpiler. And whoever gives the target without
# the backend, which Qiskit takes for the same thing, gets circuits without MOVE, without a word; the device refuses them.
#
# Seen:
#   transpile(circuit, backend)                               2 move, 1 cz
#   generate_preset_pass_manager(target=copy.deepcopy(backend.target), scheduling_method=the backend's)
#                                                             AttributeError: 'IQMTarget' object has no attribute 'iqm_dqa'
#   transpile(circuit, target=backend.target)                 0 move, 1 cz; backend.run: CircuitValidationError
# Exits 1 where one of them is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check "iqm-client[qiskit]==36.0.0" qiskit==2.1.2
env/bin/python -W ignore - <<'PY'
import copy
import pickle
import sys
from importlib.metadata import version

from iqm.qiskit_iqm import IQMFakeDeneb
from qiskit import QuantumCircuit, generate_preset_pass_manager, transpile

backend = IQMFakeDeneb()
circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
circuit.measure_all()
gates = transpile(circuit, backend, seed_transpiler=1).count_ops()
own = (gates["move"], gates["cz"])
copies = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda target: pickle.loads(pickle.dumps(target))}
failures = {}
for name, make in copies.items():
    stage = backend.get_scheduling_stage_plugin()
    try:
        generate_preset_pass_manager(1, target=make(backend.target), scheduling_method=stage, seed_transpiler=1).run(circuit)
        failures[name] = None
    except Exception as error:
        failures[name] = f"{type(error).__name__}: {error}"
alone = transpile(circuit, target=backend.target, seed_transpiler=1)
gates = alone.count_ops()
without = (gates.get("move", 0), gates["cz"])
try:
    backend.run(alone, shots=10).result()
    refused = None
except Exception as error:
    refused = type(error).__name__
print(f"qiskit {version('qiskit')}, iqm-client {version('iqm-client')}")
print(f"by the backend: {own} move and cz; by copies of its target: {failures}; by the target alone: {without}, run: {refused}")
lost = "AttributeError: 'IQMTarget' object has no attribute 'iqm_dqa'"
sys.exit((own, failures, without, refused) != ((2, 1), dict.fromkeys(copies, lost), (0, 1), "CircuitValidationError"))
PY
