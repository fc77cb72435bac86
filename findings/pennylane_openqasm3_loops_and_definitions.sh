#!/usr/bin/env bash
# PennyLane 0.45.1's from_qasm3: loops end one too early, and gates with a definition act on wires of another name.
#
# OpenQASM 3 includes the end of a range: `for int i in [0:2]` has three rounds. PennyLane has two, and too few for [2:-1:0] as
# well. A gate of the program's own acts on wires named as in its definition, not on those that it is given; a gate on a whole
# register acts on one wire that is named as the register. No warning; a device that is made without a list of wires accepts the new
# ones.
#
# Seen (wires of the X gates that the program becomes, beside what the specification says):
#   qubit[3] q; for int i in [0:2] { x q[i]; }                                      q[0] q[1]    not q[0] q[1] q[2]
#   qubit[3] q; for int i in [2:-1:0] { x q[i]; }                                   q[2] q[1]    not q[2] q[1] q[0]
#   gate flip a { x a; } qubit[3] q; flip q[1];                                     a            not q[1]
#   qubit[3] q; x q;                                                                q            not q[0] q[1] q[2]
#   qubit[3] q; for int i in {0, 1, 2} { x q[i]; }                                  q[0] q[1] q[2], right
# https://openqasm.com/versions/3.0/language/types.html (ranges), .../gates.html (definitions, broadcasting)
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check PennyLane==0.45.1 'openqasm3[parser]==1.0.1'
env/bin/python - <<'PY'
import sys
import warnings
from importlib.metadata import version

import openqasm3
import pennylane as qml

SEEN = {
    "qubit[3] q; for int i in [0:2] { x q[i]; }": ["q[0]", "q[1]"],
    "qubit[3] q; for int i in [2:-1:0] { x q[i]; }": ["q[2]", "q[1]"],
    "gate flip a { x a; } qubit[3] q; flip q[1];": ["a"],
    "qubit[3] q; x q;": ["q"],
    "qubit[3] q; for int i in {0, 1, 2} { x q[i]; }": ["q[0]", "q[1]", "q[2]"],
}
print(f"PennyLane {version('PennyLane')}, openqasm3 {version('openqasm3')}")
same = []
for program, seen in SEEN.items():
    openqasm3.parse(program)  # the reference parser reads it
    with warnings.catch_warnings(record=True) as warned, qml.queuing.AnnotatedQueue() as queue:
        warnings.simplefilter("always")
        qml.from_qasm3(program)()
    operations = qml.tape.QuantumScript.from_queue(queue).operations
    wires = [str(operation.wires[0]) for operation in operations]
    print(f"{program}  {' '.join(wires)}; {len(warned)} warnings")
    same.append(wires == seen and {operation.name for operation in operations} == {"PauliX"} and not warned)
sys.exit(not all(same))
PY
