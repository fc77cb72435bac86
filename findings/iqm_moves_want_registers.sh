#!/usr/bin/env bash
# iqm-client 36.0.0 (Qiskit 2.1.2): a circuit that measures into bits without a register ends in an IndexError on IQM's star.
#
# Qiskit's circuits may have classical bits that are in no register (circuit.add_bits), and its transpiler takes them. IQM's stage, which puts
# in the MOVE gates of the star (IQMFakeDeneb), names each measurement by the register of its bit and takes the first of none. On IQM's other
# devices, which need no MOVE, the same circuit is transpiled.
#
# Seen: two qubits, h, cx, both measured.
#   into a register, on the star    transpiled, 2 move
#   into loose bits, on the star    IndexError: list index out of range
#   into loose bits, on Adonis      transpiled
# Exits 1 where one of them is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check "iqm-client[qiskit]==36.0.0" qiskit==2.1.2
env/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

from iqm.qiskit_iqm import IQMFakeAdonis, IQMFakeDeneb
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit import Clbit

loose, whole = QuantumCircuit(2), QuantumCircuit(2)
loose.add_bits([Clbit(), Clbit()])
whole.add_register(ClassicalRegister(2, "c"))
for circuit in (loose, whole):
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
found = []
for circuit, device in ((whole, IQMFakeDeneb()), (loose, IQMFakeDeneb()), (loose, IQMFakeAdonis())):
    try:
        found.append(transpile(circuit, device, seed_transpiler=1).count_ops().get("move", 0))
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
print(f"qiskit {version('qiskit')}, iqm-client {version('iqm-client')}")
print(f"a register on the star: {found[0]} move; loose bits on the star: {found[1]}; loose bits on Adonis: {found[2]} move")
sys.exit(found != [2, "IndexError: list index out of range", 0])
PY
