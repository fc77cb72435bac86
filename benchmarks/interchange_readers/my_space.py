"""A search space of one's own with controlled rotations, expressions, and gates outside OpenQASM 3's library."""

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import ECRGate, PauliEvolutionGate, efficient_su2
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit import SearchSpace

X, W = ParameterVector("x", 3), ParameterVector("w", 12)


def _controlled() -> QuantumCircuit:
    circuit = QuantumCircuit(3, name="controlled")
    for qubit in range(3):
        circuit.h(qubit)
        circuit.ry(X[qubit], qubit)
    circuit.crx(W[0], 0, 1)
    circuit.cry(W[1] + 0.25 * X[0], 1, 2)
    circuit.crz(2 * W[2] - 1 / 3, 2, 0)
    circuit.cp(W[3], 0, 2)
    circuit.ch(0, 1)
    circuit.cy(1, 2)
    circuit.cz(0, 2)
    circuit.cu(W[4], W[5], W[6], W[7], 1, 0)
    circuit.ccx(0, 1, 2)
    circuit.cswap(2, 0, 1)
    circuit.swap(0, 2)
    circuit.u(W[8], W[9], W[10], 1)
    circuit.p(W[11] / 3, 2)
    circuit.sx(0)
    circuit.sdg(1)
    circuit.tdg(2)
    circuit.t(1)
    circuit.y(2)
    circuit.ry(0.4, 0)
    circuit.rx(1.1, 1)
    return circuit


def _ising() -> QuantumCircuit:
    circuit = QuantumCircuit(3, name="ising")
    for qubit in range(3):
        circuit.rx(X[qubit], qubit)
    circuit.rzz(W[0], 0, 1)
    circuit.rxx(W[1] * 2 + 0.1, 1, 2)
    circuit.ryy(W[2] * X[1], 0, 2)
    circuit.append(ECRGate(), [0, 1])
    circuit.append(PauliEvolutionGate(SparsePauliOp("XZ"), time=0.3), [0, 2])
    circuit.iswap(0, 1)
    circuit.append(efficient_su2(3, reps=1).to_gate(), range(3))
    circuit.rx(-W[3], 2)
    return circuit


space = SearchSpace.from_circuits(
    [_controlled(), _ising()],
    inputs="x",
    observables=[SparsePauliOp.from_list([("IIZ", 0.5), ("IXY", -1.5)]), SparsePauliOp("YZI")],
)
