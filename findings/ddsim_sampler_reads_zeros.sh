#!/usr/bin/env bash
# MQT DDSIM 2.7.0 through Qiskit 2.6.2's BackendSamplerV2: every bit is 0, without an error or a warning.
#
# BackendSamplerV2 takes its bits from the memory of a backend's result. DDSIM's results have counts and no memory, which the
# sampler reads as shots whose bits are all 0. Counts from backend.run are right.
#
# Seen: a circuit that flips both of its qubits before it measures them.
#   backend.run(circuit, shots=100).result().get_counts()      {'11': 100}
#   BackendSamplerV2(backend).run([circuit], shots=100)        TypeError: DDSIM is given seed=None
#   the same sampler with options={"seed_simulator": 1}        {'00': 100}
# Exits 1 where one of the three is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2 mqt.ddsim==2.7.0
env/bin/python - <<'PY'
import sys
from importlib.metadata import version

from mqt.ddsim import DDSIMProvider
from qiskit import QuantumCircuit
from qiskit.primitives import BackendSamplerV2

circuit = QuantumCircuit(2)
circuit.x([0, 1])
circuit.measure_all()
backend = DDSIMProvider().get_backend("qasm_simulator")
by_run = backend.run(circuit, shots=100).result().get_counts()
try:
    without_seed = BackendSamplerV2(backend=backend).run([circuit], shots=100).result()[0].data.meas.get_counts()
except TypeError:
    without_seed = "TypeError"
sampler = BackendSamplerV2(backend=backend, options={"seed_simulator": 1})
with_seed = sampler.run([circuit], shots=100).result()[0].data.meas.get_counts()
print(f"qiskit {version('qiskit')}, mqt.ddsim {version('mqt.ddsim')}")
print(f"run: {by_run}; sampler without a seed: {without_seed}; sampler with a seed: {with_seed}")
sys.exit((by_run, without_seed, with_seed) != ({"11": 100}, "TypeError", {"00": 100}))
PY
