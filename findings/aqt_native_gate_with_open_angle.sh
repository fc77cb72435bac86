#!/usr/bin/env bash
# qiskit-aqt-provider 2.0.1 (Qiskit 2.4.1): R_XX of an unbound parameter, AQT's own native gate, is refused with an empty message.
#
# The target of AQT's devices has rz, r and rxx for any angle. Its translation stage brings angles of rxx into the range that the hardware
# has, which it cannot with a parameter, and raises a TranspilerError whose message is "". So a circuit of native gates alone cannot be
# transpiled before its parameters are bound; neither can one with R_ZZ or a controlled R_X, which become R_XX. One-qubit gates keep their
# parameters, and R_ZZ written as CX, R_Z, CX does too.
#
# Seen: transpile of a circuit with one parameter, for AQTProvider().offline.ideal()
#   rxx, rzz, crx       TranspilerError, str(error) == "''"
#   rx                  r with the parameter
#   cx, rz, cx          r, rz, rxx, and the parameter in rz
# Exits 1 where one of them is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit-aqt-provider==2.0.1 qiskit==2.4.1
env/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit_aqt_provider import AQTProvider

backend, angle = AQTProvider().offline.ideal(), Parameter("angle")
found = {}
for name in ("rxx", "rzz", "crx", "rx", "cx rz cx"):
    circuit = QuantumCircuit(2)
    for gate in name.split():
        wires = {"rx": (0,), "rz": (1,)}.get(gate, (0, 1))
        getattr(circuit, gate)(*(() if gate == "cx" else (angle,)), *wires)
    try:
        made = transpile(circuit, backend, seed_transpiler=1)
        found[name] = sorted({item.name for item in made.data if item.is_parameterized()})
    except Exception as error:
        found[name] = (type(error).__name__, str(error))
print(f"qiskit {version('qiskit')}, qiskit-aqt-provider {version('qiskit-aqt-provider')}")
print("\n".join(f"{name}: {said}" for name, said in found.items()))
wordless = ("TranspilerError", "''")
sys.exit(found != {"rxx": wordless, "rzz": wordless, "crx": wordless, "rx": ["r"], "cx rz cx": ["rz"]})
PY
