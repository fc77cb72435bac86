"""Shots of noisy circuits from their exact probabilities, as a Qiskit `Result`.

Aer spends most of its time on drawing shots one by one: 4096 of a noisy four-qubit circuit take ten times as long as the
density matrix that they are drawn from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit_aer import AerSimulator

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.hardware.contract.measurement import read_out


def can_sample(circuit: QuantumCircuit) -> bool:
    """Whether all measurements are at the end, into bits of their own."""
    measured: set[object] = set()
    bits: set[object] = set()
    for item in circuit.data:
        if item.name == "barrier":
            continue
        if item.name != "measure" and (item.clbits or measured & set(item.qubits) or item.name == "reset"):
            return False
        if item.name == "measure":
            if item.clbits[0] in bits or item.qubits[0] in measured:
                return False
            measured.add(item.qubits[0])
            bits.add(item.clbits[0])
    return bool(bits)


def sample(
    circuits: Sequence[QuantumCircuit],
    simulator: AerSimulator,
    readout: NDArray[np.float64],
    shots: int,
    seed: int | None,
    method: str,
) -> Result:
    """Shots of circuits that `can_sample`.

    Args:
        circuits: Of the simulator's instructions, without free parameters.
        simulator: With the noise of gates, and without that of readout.
        readout: P(read | true) of each qubit, (qubits, read, true).
        shots: For each circuit.
        seed: Of the shots.
        method: Of the simulation.

    Raises:
        CapacityError: Aer cannot simulate them, as a rule for want of memory.
    """
    opened, places = [], []
    for circuit in circuits:
        bare, pairs = circuit.copy_empty_like(), []
        for item in circuit.data:
            if item.name == "measure":
                pairs.append((circuit.find_bit(item.qubits[0]).index, circuit.find_bit(item.clbits[0]).index))
            else:
                bare.append(item)
        bare.save_probabilities([qubit for qubit, _ in pairs])
        opened.append(bare)
        places.append(pairs)
    outcome = simulator.run(opened, shots=1, method=method).result()
    if not outcome.success:
        names = ", ".join(dict.fromkeys(circuit.name for circuit in circuits))
        raise CapacityError(f"Aer could not simulate {names} on {circuits[0].num_qubits} qubits: {outcome.status}.")
    generator = np.random.default_rng(seed)
    results = []
    for circuit, pairs, item in zip(circuits, places, outcome.results, strict=True):
        probabilities = np.clip(np.asarray(item.data.probabilities), 0, None)
        read = read_out(probabilities[None], readout[[qubit for qubit, _ in pairs]])[0]
        counts = generator.multinomial(shots, read / read.sum())
        words = [hex(sum((k >> position & 1) << bit for position, (_, bit) in enumerate(pairs))) for k in range(len(counts))]
        shots_in_order = generator.permutation(np.repeat(np.arange(len(counts)), counts))
        memory = np.array(words, dtype=object)[shots_in_order].tolist()
        data = ExperimentResultData(
            counts={word: int(count) for word, count in zip(words, counts, strict=True) if count}, memory=memory
        )
        header = {
            "name": circuit.name,
            "memory_slots": circuit.num_clbits,
            "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
        }
        results.append(ExperimentResult(shots, True, data, header=header, metadata={"method": method}))
    return Result(success=outcome.success, results=results, status=outcome.status)
