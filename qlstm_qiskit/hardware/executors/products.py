"""Joint shots of wide circuits by Aer's matrix product states, whose cost grows with entanglement and not with width."""

from __future__ import annotations

import numpy as np
from qiskit import ClassicalRegister
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.hardware.contract.executor import Request, Values
from qlstm_qiskit.hardware.contract.measurement import Basis, means_of_bits, rotated


def product_means(request: Request, basis: Basis, shots: int | None, seed: int) -> Values:
    """Means of each term of a basis, (sets, terms), without the probabilities of all outcomes.

    Args:
        request: What is evaluated.
        basis: One of its bases.
        shots: Of each set; exact up to what Aer truncates where None.
        seed: Of the shots.

    Raises:
        CapacityError: Aer cannot simulate it, as a rule for want of memory.
    """
    circuit, names = rotated(request.circuit.circuit, basis, request.circuit.basis_gates), request.circuit.parameters
    circuit.global_phase = 0  # Aer cannot bind parameters of a phase that nobody sees
    if shots is None:
        for number, term in enumerate(basis.terms):
            string = SparsePauliOp("Z" * len(term.positions))
            circuit.save_expectation_value(string, [basis.qubits[place] for place in term.positions], label=str(number))
    else:
        register = ClassicalRegister(len(basis.qubits))
        circuit.add_register(register)
        circuit.measure(basis.qubits, register)
    columns = [dict(zip(names, request.values.T.tolist(), strict=True))] if names else None
    copies = 1 if names or shots is None else len(request.values)  # each set has shots of its own
    outcome = (
        AerSimulator(method="matrix_product_state")
        .run([circuit] * copies, shots=shots or 1, memory=True, seed_simulator=seed, parameter_binds=columns)
        .result()
    )
    if not outcome.success:
        raise CapacityError(f"Aer could not simulate {request.circuit.name} by matrix product states: {outcome.status}.")
    runs = range(len(outcome.results))
    if shots is None:
        found = np.array([[outcome.data(run)[str(number)] for number in range(len(basis.terms))] for run in runs])
    else:
        found = np.concatenate([means_of_bits(basis, _bits(outcome.get_memory(run), basis)) for run in runs])
    return found if len(found) == len(request.values) else np.repeat(found, len(request.values), axis=0)


def _bits(words: list[str], basis: Basis) -> np.ndarray:
    """Bits (1, shots, bits) of a memory, whose words begin with the last bit."""
    content = np.frombuffer("".join(words).encode(), dtype=np.uint8).reshape(1, len(words), len(basis.qubits))
    return content[:, :, ::-1] == ord("1")
