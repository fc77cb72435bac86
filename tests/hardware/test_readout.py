"""Both rates of misreading: from a device's calibration, in Aer's noise, in the exact interpreter, and in shots."""

import copy

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import InstructionProperties
from qiskit_aer.noise import NoiseModel

from qlstm_qiskit import SearchSpace, load_backend
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.device.compact import compact_backend
from qlstm_qiskit.hardware.device.named import device_names, find_device
from qlstm_qiskit.hardware.device.readout import MeasurementProperties, noise_target, readout_errors
from tests.speed import slow_but

QUICK = ["fez", "manila", "miami"]


@pytest.mark.parametrize("name", slow_but(QUICK, [name for name in device_names() if name not in ("fractional",)]))
def test_rates_are_those_of_the_calibration_and_those_that_aer_takes(name: str) -> None:
    device = find_device(name)
    known, qubits = device.properties(), range(min(device.num_qubits, 30))
    found = readout_errors(noise_target(device), qubits)
    for qubit in qubits:
        one_for_zero, zero_for_one = (known.qubit_property(qubit, f"prob_meas{m}_prep{1 - m}")[0] for m in (1, 0))
        np.testing.assert_array_equal(found[qubit], [[1 - one_for_zero, zero_for_one], [one_for_zero, 1 - zero_for_one]])
    few = range(min(3, device.num_qubits))
    aer = dict(NoiseModel.from_backend(compact_backend(device, few))._local_readout_errors)
    for qubit in few:
        np.testing.assert_allclose(found[qubit].T, aer[(qubit,)].probabilities, atol=1e-15)
    own = device.target["measure"][(0,)]
    assert not isinstance(own, MeasurementProperties), "the device's own target is left alone"
    assert noise_target(device) is noise_target(device)


def _plus() -> SearchSpace:
    """|+> whatever the input is, and what is read of it."""
    x = Parameter("x")
    circuit = QuantumCircuit(1, name="plus")
    circuit.rz(x, 0)
    circuit.ry(np.pi / 2, 0)
    return SearchSpace.from_circuits([circuit], inputs=[x], observables=[SparsePauliOp("Z")])


def _mean(**options: object) -> float:
    backend = load_backend(BackendSpec.model_validate({"name": "b", "reduce": False, **options}), seed=3)
    bank = backend.bank(_plus().candidates()).bind(torch.zeros(1, 0, dtype=torch.float64))
    return float(bank(torch.zeros(1, 1, dtype=torch.float64)).detach())


def test_half_way_between_zero_and_one_the_offset_shows() -> None:
    """<Z> of |+> reads p(0|1) - p(1|0) in place of 0 (a layout on qubit 7 of Fez, whose gates have errors of 1e-3 at most)."""
    device = find_device("fez")
    ((keep, zero_for_one), (one_for_zero, _)) = readout_errors(noise_target(device), [7])[0]
    assert keep == 1 - one_for_zero
    offset = zero_for_one - one_for_zero
    assert offset > 0.005
    noise, place = {"device": "fez"}, {"layout": [7]}
    for options in ({"kind": "aer"}, {"kind": "statevector"}):
        value = _mean(**options, noise=noise, transpile=place)
        assert value == pytest.approx(offset, abs=1e-3)
        assert _mean(**options, noise=noise | {"readout": False}, transpile=place) == pytest.approx(0, abs=1e-3)
    exact = _mean(kind="aer", noise=noise, transpile=place)
    shots = 40_000
    for options in ({"kind": "aer", "noise": noise}, {"kind": "fake", "device": "fez"}):
        assert _mean(**options, shots=shots, transpile=place) == pytest.approx(exact, abs=5 / shots**0.5)


def test_a_target_that_says_otherwise_and_a_device_without_rates_keep_their_one_error() -> None:
    device = type(find_device("manila"))()
    before = device.target["measure"][(2,)]
    device.target.update_instruction_properties("measure", (2,), InstructionProperties(before.duration, 0.25))
    found = readout_errors(noise_target(device), range(3))
    np.testing.assert_array_equal(found[2], [[0.75, 0.25], [0.25, 0.75]])
    assert found[1, 0, 1] != found[1, 1, 0]
    generic = GenericBackendV2(3, seed=1)
    assert noise_target(generic) is generic.target


def test_a_failing_calibration_is_none() -> None:
    class Offline(GenericBackendV2):
        def properties(self) -> None:
            raise OSError("no network")

    device = Offline(2, seed=1)
    assert noise_target(device) is device.target


def test_copies_keep_both_rates() -> None:
    own = MeasurementProperties(1e-6, 0.1, 0.05, 0.15)
    for other in (own, copy.deepcopy(own)):
        assert (other.duration, other.error, other.prob_meas1_prep0, other.prob_meas0_prep1) == (1e-6, 0.1, 0.05, 0.15)
