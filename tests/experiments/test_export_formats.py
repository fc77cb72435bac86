"""What others read of exports: gates of the library in OpenQASM 3, old versions of QPY, and parameters in their own order."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit, qasm3, qpy
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import (
    CUGate,
    ECRGate,
    PauliEvolutionGate,
    RXXGate,
    efficient_su2,
    get_standard_gate_name_mapping,
)
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector
from torch import nn

from qlstm_qiskit.circuits.stored import from_qpy, to_qpy
from qlstm_qiskit.experiments.export.qasm import LIBRARY_FILE, LIBRARY_TEXT, to_qasm3
from qlstm_qiskit.experiments.export.write import export_model
from qlstm_qiskit.nn import QLSTM, Forecaster
from qlstm_qiskit.space import SearchSpace
from tests.experiments.test_export import header, randomised


def wrapped() -> QuantumCircuit:
    """A library ansatz of 12 angles as one gate, behind an encoding, with gates that OpenQASM 3's library does not have."""
    x = ParameterVector("x", 3)
    circuit = QuantumCircuit(3, name="wrapped")
    for qubit in range(3):
        circuit.ry(x[qubit], qubit)
    circuit.append(efficient_su2(3, reps=1).to_gate(), range(3))
    circuit.append(ECRGate(), [0, 1])
    circuit.append(RXXGate(Parameter("last")), [1, 2])
    circuit.append(PauliEvolutionGate(SparsePauliOp("XZ"), time=0.3), [0, 2])
    circuit.sxdg(1)
    return circuit


@pytest.mark.parametrize("kind", ["qasm3", "qpy"])
def test_an_ansatz_as_one_gate_predicts_the_same(kind: str, tmp_path: Path) -> None:
    layer = QLSTM(1, 2, space=SearchSpace.from_circuits([wrapped()], inputs="x"), batch_first=True)
    forecaster = randomised(Forecaster(layer, nn.Linear(2, 1, dtype=torch.float64)))
    done = export_model(forecaster, header(1, 1), tmp_path / "out", kind)
    assert done.difference < 1e-12
    for path in (tmp_path / "out" / "circuits").iterdir():
        if path.name == LIBRARY_FILE:
            assert kind == "qasm3"
        elif kind == "qasm3":
            assert "gate " not in path.read_text(), "a definition of its own"
        else:
            assert path.read_bytes()[6] == 13, "the version that Qiskit 2.0 reads"


def test_an_evolution_under_a_pauli_string_is_read_and_written_without_advice_on_sparse_matrices(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = QLSTM(1, 2, space=SearchSpace.from_circuits([wrapped()], inputs="x"), batch_first=True)
        export_model(
            randomised(Forecaster(layer, nn.Linear(2, 1, dtype=torch.float64))), header(1, 1), tmp_path / "out", "qasm3"
        )


def test_opened_gates_do_the_same() -> None:
    circuit = wrapped()
    values = np.linspace(-2, 2, circuit.num_parameters)
    text = to_qasm3(circuit.assign_parameters(values), "wrapped")
    assert "gate " not in text
    assert Operator(qasm3.loads(text)).equiv(Operator(circuit.assign_parameters(values)))


def test_gates_that_few_tools_read_are_written_otherwise() -> None:
    """PennyLane does not know U; Cirq takes cu with three angles, and pytket not at all."""
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.u(0.3, 0.4, 0.5, 0)
    circuit.cu(0.6, 0.7, 0.8, 0.9, 0, 1)
    circuit.append(CUGate(0.6, 0.7, 0.8, 0.9, ctrl_state=0), [1, 0])
    text = to_qasm3(circuit, "u")
    gates = {line.split()[0].split("(")[0] for line in text.splitlines()[3:]}
    assert gates <= {"h", "u3", "p", "cx", "x"}
    assert Operator(qasm3.loads(text)).equiv(Operator(circuit))


def test_the_library_beside_the_programs_says_what_the_standard_says() -> None:
    """Amazon Braket's own gates, on the right of each definition, are Qiskit's under other names."""
    own = {
        "cnot": "cx",
        "ccnot": "ccx",
        "phaseshift": "p",
        "cphaseshift": "cp",
        "si": "sdg",
        "ti": "tdg",
        "v": "sx",
        "i": "id",
        "U": "u",
    }
    defined = re.findall(r"gate (\w+)(?:\((.*?)\))? (.*?) \{ (?:(ctrl) @ )?(\w+)(?:\((.*?)\))? (.*?); \}", LIBRARY_TEXT)
    assert len(defined) == LIBRARY_TEXT.count("gate ")
    names = {"phase": "p", "CX": "cx", "cphase": "cp"}
    standard = get_standard_gate_name_mapping()
    for name, angles, qubits, control, inner, arguments, on in defined:
        assert qubits == on, name
        values = dict(zip(filter(None, angles.split(", ")), (0.3, 0.5, 0.7), strict=False)) | {"pi / 2": np.pi / 2}
        expected = type(standard[names.get(name, name)])(*[values[angle] for angle in angles.split(", ") if angle])
        found = type(standard[own.get(inner, inner)])(*[values[angle] for angle in arguments.split(", ") if angle])
        assert Operator(found.control() if control else found).equiv(Operator(expected)), name


def test_a_circuit_is_written_in_the_oldest_qpy_that_holds_it() -> None:
    x = Parameter("x")
    plain = QuantumCircuit(2)
    plain.ry(x.sin() * 2 + 1, 0)
    plain.append(PauliEvolutionGate(SparsePauliOp("XX"), time=x), [0, 1])
    newer = QuantumCircuit(1)
    newer.delay(newer.add_stretch("gap"), 0)
    for circuits, version in (([plain], 13), ([newer], 14), ([plain, newer], 14)):
        content = to_qpy(circuits)
        assert from_qpy(content) == circuits
        assert content[6] == version
    unequal = QuantumCircuit(1)
    unequal.delay(x, 0, unit="ns")  # is not equal to itself read back
    assert to_qpy(unequal)[6] == qpy.QPY_VERSION


def test_weights_keep_their_order_through_openqasm_3() -> None:
    """Qiskit writes w[10] as _w_10_, which comes before _w_2_ by its name."""
    x, w = ParameterVector("x", 11), ParameterVector("w", 12)
    circuit = QuantumCircuit(2, name="long")
    for place, angle in enumerate([*x, *w]):
        (circuit.ry if place % 2 else circuit.rx)(angle * (1 + place / 10), place % 2)
        circuit.cx(0, 1)
    read = qasm3.loads(qasm3.dumps(circuit))
    names = [parameter.name for parameter in read.parameters]
    assert names.index("_w_10_") < names.index("_w_2_")
    before, after = (SearchSpace.from_circuits([one], inputs="x").candidates()[0] for one in (circuit, read))
    assert [int(re.findall(r"\d+", weight.name)[0]) for weight in after.weights] == list(range(12))
    inputs, weights = np.linspace(0, 1, 11), np.linspace(-1, 2, 12)
    values = [
        Statevector(
            own.circuit.assign_parameters(dict(zip([*own.inputs, *own.weights], [*inputs, *weights], strict=True)))
        ).expectation_value(own.observables()[0])
        for own in (before, after)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-12)
