#!/usr/bin/env bash
# Qiskit 2.6.2: the product of a parameter and a number of at most 8 machine epsilons (1.776e-15) is that number.
#
# c * Parameter("t") is simplified to the constant c, not to c * t and not to 0, whatever t is bound to later; a sum leaves the whole
# term out. The expression still lists its parameter, so that nothing shows it. The size of c is compared with an absolute threshold,
# and so it is a matter of units: an energy of 6.6e-25 J (1 GHz) times a time. The same happens to t * s where s is bound to such a
# number first. No warning; division by such an expression raises ZeroDivisionError.
#
# Seen:
#   (1.777e-15 * t) at t = 1e15            1.777, right
#   (1.776e-15 * t) at t = 1e15            1.776e-15, not 1.776; gradient by t 0.0
#   (s + 1e-15 * t) at s = 0.5, t = 1e15   0.5, not 1.5
#   rx(energy * t * (1 / hbar)) with energy = 6.62607015e-25 and hbar = 1.054571817e-34, t = 0.25e-9: an angle of 6.6e-25, not pi/2,
#   and the same one at every t; with rx(energy / hbar * t) the angle is pi/2
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2
env/bin/python - <<'PY'
import math
import sys
from importlib.metadata import version

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

print(f"qiskit {version('qiskit')}")
t, s = Parameter("t"), Parameter("s")
results = []


def see(name, found, expected):
    """What came out, beside what has been seen before."""
    print(f"{name}: {found:.6g}")
    results.append(math.isclose(found, expected, rel_tol=1e-6))


large, small = 1.777e-15 * t, 1.776e-15 * t
see("1.777e-15 * t at t = 1e15", large.bind({t: 1e15}).numeric(), 1.777)
see("1.776e-15 * t at t = 1e15", small.bind({t: 1e15}).numeric(), 1.776e-15)
see("1.776e-15 * t at t = 2e15", small.bind({t: 2e15}).numeric(), 1.776e-15)
see("gradient by t", small.gradient(t), 0.0)
see("s + 1e-15 * t at s = 0.5, t = 1e15", (s + 1e-15 * t).bind({s: 0.5, t: 1e15}).numeric(), 0.5)
see("s * t at s = 1e-15, then t = 1e15", (s * t).bind({s: 1e-15}).bind({t: 1e15}).numeric(), 1e-15)
print(f"its parameters: {small.parameters}")
results.append(small.parameters == {t})

energy, hbar = 6.62607015e-25, 1.054571817e-34
for name, angle, expected in (
    ("energy * t * (1 / hbar)", energy * t * (1 / hbar), (energy, energy)),
    ("energy / hbar * t", energy / hbar * t, (math.pi / 2, math.pi)),
):
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    for time, value in zip((0.25e-9, 0.5e-9), expected, strict=True):
        see(f"angle of rx({name}) at t = {time}", circuit.assign_parameters({t: time}).data[0].operation.params[0], value)
sys.exit(not all(results))
PY
