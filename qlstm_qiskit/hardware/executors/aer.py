"""Aer as an executor: exact probabilities of the measured qubits, readout errors as matrices, shots as a multinomial draw.

The statistics of shots are those of a device, at the cost of an exact simulation; Aer's own EstimatorV2 adds Gaussian noise
instead and knows no readout errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.exact import require_bytes
from qlstm_qiskit.hardware.contract.executor import Draws, ISACircuit, Request, Values, circuit_bytes
from qlstm_qiskit.hardware.contract.measurement import Basis, read_out, rotated
from qlstm_qiskit.hardware.device.compact import DENSITY_QUBITS, STATE_QUBITS, Gates, gates_of, noise_model
from qlstm_qiskit.hardware.device.delays import without_delays
from qlstm_qiskit.hardware.device.readout import readout_errors
from qlstm_qiskit.hardware.executors.products import product_means

#: Gates that circuits are opened to. Aer 0.18 knows the controlled rotations too, but binds their parameters wrongly.
_BASIS_GATES = ["h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg", "rx", "ry", "rz", "p", "u"]
_BASIS_GATES += ["cx", "cy", "cz", "ecr", "swap", "rxx", "ryy", "rzz", "rzx", "ccx"]

#: Parameter sets in one call of Aer: its results are Python objects of some kilobytes each.
_ROWS = 2048


class AerExecutor:
    """Expectation values by Aer on this machine.

    Args:
        shots: For each circuit whose request has none of its own; None gives exact expectation values.
        seed: Of the shots. Each call draws afresh: the same seed gives the same numbers in the same order of calls.
        method: Aer's simulation method; by default a density matrix where there is noise, else a statevector.
        noise: A device whose noise is simulated, on a circuit's own qubits (`ISACircuit.qubits`) only.
        readout: Whether bits are also read wrongly at that device's rates.
        draws: Counts the calls.
    """

    def __init__(
        self,
        shots: int | None = None,
        *,
        seed: int | None = None,
        method: str | None = None,
        noise: Target | None = None,
        readout: bool = True,
        draws: Draws | None = None,
    ) -> None:
        self.shots = shots
        self._entropy, self._draws = np.random.SeedSequence(seed).entropy, draws or Draws()
        self._method = method or ("statevector" if noise is None else "density_matrix")
        self._noise, self._readout = noise, readout
        self._simulators: dict[tuple[tuple[int, ...], Gates], tuple[AerSimulator, NDArray[np.float64] | None]] = {}
        self._prepared: dict[tuple[ISACircuit, Basis], QuantumCircuit] = {}

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        generator = np.random.default_rng(np.random.SeedSequence(self._entropy, spawn_key=(self._draws.count,)))
        self._draws.count += 1
        tasks = [(k, basis) for k, request in enumerate(requests) for basis in request.circuit.measurement.bases]
        means: list[list[Values]] = [[] for _ in requests]
        every = iter(self._probabilities([(requests[k], basis) for k, basis in tasks if not self._as_product(basis)]))
        for k, basis in tasks:
            shots = requests[k].shots or self.shots
            if self._as_product(basis):
                means[k].append(product_means(requests[k], basis, shots, int(generator.integers(2**31))))
                continue
            probabilities = next(every)
            if shots is not None:
                probabilities = generator.multinomial(shots, probabilities) / shots
            means[k].append(probabilities @ basis.signs())
        return [
            request.circuit.measurement.combine(own, len(request.values)) for request, own in zip(requests, means, strict=True)
        ]

    def _as_product(self, basis: Basis) -> bool:
        """Whether there are too many outcomes for a table of their probabilities, and the method does not need one."""
        return self._method == "matrix_product_state" and len(basis.qubits) > STATE_QUBITS

    def _probabilities(self, tasks: Sequence[tuple[Request, Basis]]) -> list[Values]:
        """Probability of each outcome as it is read, (sets, 2^bits), of each circuit in each basis.

        Circuits on the same qubits share a call of Aer, which reads the noise again in each.
        """
        needed = sum(8 * len(request.values) << len(basis.qubits) for request, basis in tasks)
        require_bytes(needed, "the probabilities of all outcomes", torch.device("cpu"))
        results = [np.empty((len(request.values), 1 << len(basis.qubits))) for request, basis in tasks]
        groups: dict[tuple[tuple[int, ...], bool], list[int]] = {}
        for k, (request, _) in enumerate(tasks):
            groups.setdefault((request.circuit.qubits, bool(request.circuit.parameters)), []).append(k)
        for (qubits, _), members in groups.items():
            simulator, readout = self._simulator(qubits, [self._measured(tasks[k][0].circuit, tasks[k][1]) for k in members])
            for batch in _batches([(k, len(results[k])) for k in members]):
                circuits = [self._measured(tasks[k][0].circuit, tasks[k][1]) for k, _ in batch]
                parameters = [tasks[k][0].circuit.parameters for k, _ in batch]
                found = _run(simulator, circuits, parameters, [tasks[k][0].values[rows] for k, rows in batch])
                for (k, rows), values in zip(batch, found, strict=True):
                    results[k][rows] = values
            for k in members:
                clipped = np.clip(results[k], 0, None)
                clipped /= clipped.sum(axis=1, keepdims=True)
                results[k] = clipped if readout is None else read_out(clipped, readout[list(tasks[k][1].qubits)])
        return results

    def _measured(self, circuit: ISACircuit, basis: Basis) -> QuantumCircuit:
        key = (circuit, basis)
        if key not in self._prepared:
            prepared = rotated(circuit.circuit, basis, circuit.basis_gates)
            prepared.global_phase = 0  # Aer cannot bind parameters of a phase that nobody sees
            prepared.save_probabilities(list(basis.qubits))
            self._prepared[key] = prepared
        return self._prepared[key]

    def _simulator(
        self, qubits: tuple[int, ...], circuits: Sequence[QuantumCircuit]
    ) -> tuple[AerSimulator, NDArray[np.float64] | None]:
        """A simulator with the noise of these device qubits, and their readout errors; of many, only that of gates in use."""
        wide = self._noise is not None and len(qubits) > DENSITY_QUBITS
        used = gates_of(circuits) if wide else frozenset()
        if (qubits, used) not in self._simulators:
            noise = None
            if self._noise is not None:
                noise = noise_model(self._noise, qubits, gates=used if wide else None)
            readout = readout_errors(self._noise, qubits) if self._noise is not None and self._readout else None
            simulator = AerSimulator(method=self._method, noise_model=noise)
            if self._method == "density_matrix":
                # Aer fuses maps of more than 7 qubits by itself; those of 6 take half the time fused, fewer take longer
                simulator.set_options(fusion_threshold=5)
            self._simulators[qubits, used] = simulator, readout
        return self._simulators[qubits, used]


def prepare_for_aer(
    name: str, circuit: QuantumCircuit, parameters: Sequence[Parameter], observables: Sequence[SparsePauliOp]
) -> ISACircuit:
    """The circuit in gates that Aer knows, without delays; qubits stay where they are. Equal ones are opened once."""
    same = _Same(circuit_bytes(circuit), frozenset(circuit.parameters), circuit)
    return ISACircuit(name, _opened(same), tuple(parameters), tuple(observables))


@dataclass(frozen=True)
class _Same:
    """A circuit, equal to others that do the same with the same parameters."""

    content: bytes
    parameters: frozenset[Parameter]
    circuit: QuantumCircuit = field(compare=False)


@lru_cache(maxsize=1024)
def _opened(same: _Same) -> QuantumCircuit:
    return transpile(without_delays(same.circuit), basis_gates=_BASIS_GATES, optimization_level=1)


def _batches(sizes: Sequence[tuple[int, int]]) -> list[list[tuple[int, slice]]]:
    """Rows of numbered items, (number, how many), cut into calls of at most `_ROWS` rows."""
    batches: list[list[tuple[int, slice]]] = []
    room = 0
    for k, size in sizes:
        start = 0
        while start < size:
            if room == 0:
                batches.append([])
                room = _ROWS
            stop = min(size, start + room)
            batches[-1].append((k, slice(start, stop)))
            room -= stop - start
            start = stop
    return batches


def _run(
    simulator: AerSimulator,
    circuits: Sequence[QuantumCircuit],
    parameters: Sequence[Sequence[Parameter]],
    values: Sequence[Values],
) -> list[Values]:
    """Probabilities (sets, outcomes) of each circuit, all with parameters or all without."""
    binds = [
        {parameter: column.tolist() for parameter, column in zip(own, sets.T, strict=True)}
        for own, sets in zip(parameters, values, strict=True)
    ]
    bound = any(binds)
    options = {"parameter_binds": binds, "runtime_parameter_bind_enable": True} if bound else {}
    outcome = simulator.run(list(circuits), shots=1, **options).result()
    if not outcome.success:
        names = ", ".join(dict.fromkeys(circuit.name for circuit in circuits))
        raise CapacityError(f"Aer could not simulate {names} on {circuits[0].num_qubits} qubits: {outcome.status}.")
    rows = iter(outcome.results)
    return [
        np.stack([next(rows).data.probabilities for _ in sets])
        if bound
        else np.repeat([next(rows).data.probabilities], len(sets), axis=0)
        for sets in values
    ]
