"""Circuits on devices by stock Qiskit, and their expectation values by stock simulators."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.providers import BackendV2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qlstm_qiskit.hardware.contract.executor import ISACircuit


def ring(n_qubits: int, *, closed: bool) -> tuple[QuantumCircuit, list[Parameter]]:
    """A circuit in which neighbours interact, and the last with the first where it is closed."""
    parameters = [Parameter(f"p{k}") for k in range(2 * n_qubits)]
    circuit = QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        circuit.ry(2 * parameters[qubit] + 0.3, qubit)
    for qubit in range(n_qubits if closed else n_qubits - 1):
        circuit.cx(qubit, (qubit + 1) % n_qubits)
    for qubit in range(n_qubits):
        circuit.rx(parameters[n_qubits + qubit], qubit)
    return circuit, parameters


def outputs(n_qubits: int) -> list[SparsePauliOp]:
    """Z on each qubit, a sum with other letters, and one with a constant."""
    single = [SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0)], n_qubits) for qubit in range(n_qubits)]
    mixed = SparsePauliOp.from_sparse_list([("XY", [0, n_qubits - 1], 0.7), ("ZZ", [0, 1], -0.4), ("", [], 0.2)], n_qubits)
    return [*single, mixed]


def placed(
    backend: BackendV2, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
) -> ISACircuit:
    """The circuit on all qubits of a device, by stock Qiskit."""
    isa = transpile(circuit, backend, optimization_level=2, seed_transpiler=1)
    laid = tuple(observable.apply_layout(isa.layout) for observable in observables)
    return ISACircuit("c", isa, tuple(parameters), laid, tuple(range(backend.num_qubits)))


def values(circuit: QuantumCircuit, parameters: Sequence[Parameter], point: NDArray[np.float64]) -> QuantumCircuit:
    return circuit.assign_parameters(dict(zip(parameters, point, strict=True)))


def exact(
    circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    state = Statevector(values(circuit, parameters, point))
    return np.array([state.expectation_value(observable).real for observable in observables])


def noisy(isa: ISACircuit, noise: NoiseModel, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expectation values with gate noise and without readout errors."""
    circuit = values(isa.circuit, isa.parameters, point)
    for k, observable in enumerate(isa.observables):
        circuit.save_expectation_value(observable, range(circuit.num_qubits), label=str(k))
    data = AerSimulator(noise_model=noise, method="density_matrix").run(circuit).result().data(0)
    return np.array([data[str(k)] for k in range(len(isa.observables))])
