#!/usr/bin/env bash
# qiskit-ibm-runtime 0.51.0: PUBs with shots of their own, as Qiskit's V2 primitives define them, are on their way out.
#
# A sampler PUB is (circuit, parameter values, shots), and BaseSamplerV2.run says that the shots of a PUB come before those of the
# call. Qiskit 2.6.2's own StatevectorSampler takes PUBs with different shots in one call, and so does BackendSamplerV2, which makes
# one run of the device for each number of shots. In qiskit-ibm-runtime SamplerV2 takes them with a DeprecationWarning, and the class
# that is to replace it, qiskit_ibm_runtime.executor_sampler.Sampler, refuses them. Whoever spends more shots on some circuits must
# send as many jobs as there are numbers of shots, or repeat circuits.
#
# Seen, for a circuit with 10 and with 20 shots:
#   StatevectorSampler, BackendSamplerV2    [10, 20]; the latter in 2 runs
#   qiskit_ibm_runtime.SamplerV2            [10, 20], DeprecationWarning about different shots across pubs
#   executor_sampler.Sampler                IBMInputValueError; with 10 and 10 shots: [10, 10]
# Exits 1 where one of these is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check qiskit==2.6.2 qiskit-aer==0.18.2 qiskit-ibm-runtime==0.51.0
env/bin/python -W ignore - <<'PY'
import sys
import warnings
from importlib.metadata import version

from qiskit import QuantumCircuit
from qiskit.primitives import BackendSamplerV2, StatevectorSampler
from qiskit_ibm_runtime import SamplerV2
from qiskit_ibm_runtime.exceptions import IBMInputValueError
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

print(f"qiskit {version('qiskit')}, qiskit-ibm-runtime {version('qiskit-ibm-runtime')}")


class Counted(FakeManilaV2):
    runs = 0

    def run(self, *args, **options):
        Counted.runs += 1
        return super().run(*args, **options)


circuit = QuantumCircuit(1)
circuit.sx(0)
circuit.measure_all()
different, equal = [(circuit, None, 10), (circuit, None, 20)], [(circuit, None, 10), (circuit, None, 10)]


def shots(sampler, pubs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [result.data.meas.num_shots for result in sampler.run(pubs).result()]
    said = any("across pubs is deprecated" in str(warning.message) for warning in caught)
    print(type(sampler).__module__, type(sampler).__name__, found, "deprecated" if said else "")
    return found, said


same = shots(StatevectorSampler(), different) == ([10, 20], False)
same &= shots(BackendSamplerV2(backend=Counted()), different) == ([10, 20], False)
print("runs of the device:", Counted.runs)
same &= Counted.runs == 2
same &= shots(SamplerV2(FakeManilaV2()), different) == ([10, 20], True)
same &= shots(Sampler(FakeManilaV2()), equal)[0] == [10, 10]
try:
    shots(Sampler(FakeManilaV2()), different)
    same = False
except IBMInputValueError as error:
    print("IBMInputValueError:", error)
sys.exit(not same)
PY
