#!/usr/bin/env bash
# qiskit-ibm-runtime 0.51.0, data of its fake devices: the readout error of a qubit is not always the mean of the two rates beside it.
#
# A calibration has three numbers for a qubit's readout: prob_meas1_prep0 and prob_meas0_prep1, the two rates of misreading, and
# readout_error, which is the one that a target's measure instruction has and from which Aer's NoiseModel.from_backend makes a symmetric
# error. On 62 of the 68 fake devices whose calibration has the rates, readout_error is their mean on every qubit. On six it is not, on
# some qubits, perhaps because they were measured at different times; those of a qubit on FakeMiami are apart by 0.033. So whoever corrects
# <Z> of a qubit by the two rates, and a neighbour who takes twice the readout error, disagree on these devices also about its size, not
# only about its offset. And which rates a target was made of can be told from readout_error alone.
#
# Seen: miami 0.033, strasbourg 0.0072, kingston 0.0062, aachen 0.0060, pittsburgh 0.0022, nighthawk 0.0021 (largest difference between
# readout_error and the mean); the target's error is readout_error on all of them.
# Exits 1 where this is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2 qiskit-ibm-runtime==0.51.0
env/bin/python -W ignore - <<'PY'
import inspect
import sys
from importlib.metadata import version

import qiskit_ibm_runtime.fake_provider as provider
from qiskit.providers import BackendV2

print(f"qiskit {version('qiskit')}, qiskit-ibm-runtime {version('qiskit-ibm-runtime')}")
apart, agree, without = {}, 0, []
for name, kind in vars(provider).items():
    if not (inspect.isclass(kind) and issubclass(kind, BackendV2) and getattr(kind, "backend_name", "")):
        continue
    device = kind()
    try:
        known = device.properties()
        rows = [
            (known.qubit_property(q, "prob_meas1_prep0")[0], known.qubit_property(q, "prob_meas0_prep1")[0], known.readout_error(q))
            for q in range(device.num_qubits)
        ]
    except Exception as error:
        without.append((name, type(error).__name__))
        continue
    errors = [device.target["measure"][(q,)].error for q in range(device.num_qubits)]
    assert all(abs(error - row[2]) < 1e-12 for error, row in zip(errors, rows)), name
    largest = max(abs((one + other) / 2 - error) for one, other, error in rows)
    if largest > 1e-6:
        apart[name] = largest
    else:
        agree += 1
for name, largest in sorted(apart.items(), key=lambda item: -item[1]):
    print(f"{name}: up to {largest:.4f}")
print(f"equal on {agree} devices; no rates on {without}")
expected = {"FakeMiami", "FakeStrasbourg", "FakeKingston", "FakeAachen", "FakePittsburgh", "FakeNighthawk"}
sys.exit(not (set(apart) == expected and 0.03 < apart["FakeMiami"] < 0.035))
PY
