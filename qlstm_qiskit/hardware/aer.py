"""Aer as an executor: exact probabilities of the measured qubits, readout errors as matrices, shots as a multinomial draw.

The statistics of shots are those of a device, at the cost of an exact simulation; Aer's own EstimatorV2 adds Gaussian noise
instead and knows no readout errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.hardware.compact import noise_model, readout_errors
from qlstm_qiskit.hardware.executor import ISACircuit, Request, Values
from qlstm_qiskit.hardware.measurement import Basis, read_out, rotated

#: Gates that circuits are opened to. Aer 0.18 knows the controlled rotations too, but binds their parameters wrongly.
_BASIS_GATES = ["h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "u"]
_BASIS_GATES += ["cx", "cy", "cz", "ecr", "swap", "rxx", "ryy", "rzz", "rzx", "ccx"]

#: Parameter sets in one call of Aer: its results are Python objects of some kilobytes each.
_ROWS = 2048


class AerExecutor:
    """Expectation values by Aer on this machine.

    Args:
        shots: For each circuit; None gives exact expectation values.
        seed: Of the shots. Each call draws afresh: the same seed gives the same numbers in the same order of calls.
        method: Aer's simulation method; by default a density matrix where there is noise, else a statevector.
        noise: A device whose noise is simulated, on a circuit's own qubits (`ISACircuit.qubits`) only.
        readout: Whether bits are also read wrongly at that device's rates.
    """

    def __init__(
        self,
        shots: int | None = None,
        *,
        seed: int | None = None,
        method: str | None = None,
        noise: Target | None = None,
        readout: bool = True,
    ) -> None:
        self.shots = shots
        self._seeds = np.random.SeedSequence(seed)
        self._method = method or ("statevector" if noise is None else "density_matrix")
        self._noise, self._readout = noise, readout
        self._simulator = lru_cache(maxsize=None)(self._make_simulator)
        self._prepared: dict[tuple[ISACircuit, Basis], QuantumCircuit] = {}

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        generator = np.random.default_rng(self._seeds.spawn(1)[0])
        return [self._expect(request, generator) for request in requests]

    def _expect(self, request: Request, generator: np.random.Generator) -> Values:
        measurement = request.circuit.measurement
        means = []
        for basis in measurement.bases:
            probabilities = self._probabilities(request, basis)
            if self.shots is not None:
                probabilities = generator.multinomial(self.shots, probabilities) / self.shots
            means.append(probabilities @ basis.signs())
        return measurement.combine(means, len(request.values))

    def _probabilities(self, request: Request, basis: Basis) -> Values:
        """Probability of each outcome as it is read, (sets, 2^bits)."""
        simulator, readout = self._simulator(request.circuit.qubits)
        circuit = self._measured(request.circuit, basis)
        values = request.values
        result = np.empty((len(values), 1 << len(basis.qubits)))
        for start in range(0, len(values), _ROWS):
            part = values[start : start + _ROWS]
            result[start : start + _ROWS] = _run(simulator, circuit, request.circuit.parameters, part)
        result = np.clip(result, 0, None)
        result /= result.sum(axis=1, keepdims=True)
        return result if readout is None else read_out(result, readout[list(basis.qubits)])

    def _measured(self, circuit: ISACircuit, basis: Basis) -> QuantumCircuit:
        key = (circuit, basis)
        if key not in self._prepared:
            prepared = rotated(circuit.circuit, basis, circuit.basis_gates)
            prepared.global_phase = 0  # Aer cannot bind parameters of a phase that nobody sees
            prepared.save_probabilities(list(basis.qubits))
            self._prepared[key] = prepared
        return self._prepared[key]

    def _make_simulator(self, qubits: tuple[int, ...]) -> tuple[AerSimulator, NDArray[np.float64] | None]:
        if self._noise is None:
            return AerSimulator(method=self._method), None
        simulator = AerSimulator(method=self._method, noise_model=noise_model(self._noise, qubits))
        return simulator, readout_errors(self._noise, qubits) if self._readout else None


def prepare_for_aer(
    name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
) -> ISACircuit:
    """The circuit in gates that Aer knows; qubits stay where they are."""
    opened = transpile(circuit, basis_gates=_BASIS_GATES, optimization_level=1)
    return ISACircuit(name, opened, tuple(parameters), tuple(observables))


def _run(simulator: AerSimulator, circuit: QuantumCircuit, parameters: Sequence[Parameter], values: Values) -> Values:
    binds = {parameter: column.tolist() for parameter, column in zip(parameters, values.T, strict=True)}
    if binds:
        outcome = simulator.run([circuit], parameter_binds=[binds], shots=1, runtime_parameter_bind_enable=True).result()
    else:
        outcome = simulator.run([circuit], shots=1).result()
    if not outcome.success:
        raise CapacityError(f"Aer could not simulate {circuit.name!r} on {circuit.num_qubits} qubits: {outcome.status}.")
    rows = np.stack([item.data.probabilities for item in outcome.results])
    return rows if binds else np.repeat(rows, len(values), axis=0)
