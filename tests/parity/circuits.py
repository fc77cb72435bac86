"""Random circuits over all supported gates, with re-uploaded inputs and parameter expressions."""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression, ParameterVector

from qlstm_qiskit.space import Candidate

#: Gate -> (qubits, angles).
FIXED = {
    **dict.fromkeys(("h", "x", "y", "z", "s", "sdg", "t", "tdg", "sx", "sxdg"), 1),
    **dict.fromkeys(("cx", "cy", "cz", "swap", "ecr", "iswap", "ch", "dcx"), 2),
    "ccx": 3,
}
ROTATIONS = {
    **dict.fromkeys(("rx", "ry", "rz", "p"), (1, 1)),
    "u": (1, 3),
    **dict.fromkeys(("crx", "cry", "crz", "rxx", "ryy", "rzz", "rzx", "cp"), (2, 1)),
    "cu": (2, 4),
}


def random_candidate(seed: int) -> Candidate:
    """A circuit of 2 to 4 qubits in which every parameter occurs, most of them more than once."""
    rng = np.random.default_rng(seed)
    n_qubits = int(rng.integers(2, 5))
    inputs, weights = ParameterVector("x", 2), ParameterVector("w", 3)
    circuit = QuantumCircuit(n_qubits, name=f"random-{seed}")
    unused: list[Parameter] = [*inputs, *weights]
    rng.shuffle(unused)  # type: ignore[arg-type]
    parameters = [*inputs, *weights]

    def angle() -> float | ParameterExpression:
        first = unused.pop() if unused else parameters[rng.integers(len(parameters))]
        second = parameters[rng.integers(len(parameters))]
        forms = (
            lambda: first,
            lambda: float(rng.uniform(0.5, 2)) * first,
            lambda: -first + 0.3,
            lambda: 2 * first - 0.5 * second + 0.1,
            lambda: first * second,
            lambda: first.sin() + second / 3,
            lambda: first**2 / 4,
        )
        return forms[rng.integers(len(forms))]()

    for _ in range(14):
        if rng.random() < 0.45:
            name = str(rng.choice([gate for gate, size in FIXED.items() if size <= n_qubits]))
            getattr(circuit, name)(*_wires(rng, n_qubits, FIXED[name]))
        else:
            name = str(rng.choice(list(ROTATIONS)))
            size, n_angles = ROTATIONS[name]
            angles = [angle() if rng.random() < 0.9 else float(rng.uniform(-3, 3)) for _ in range(n_angles)]
            getattr(circuit, name)(*angles, *_wires(rng, n_qubits, size))
    while unused:
        circuit.ry(angle(), int(rng.integers(n_qubits)))
    return Candidate(circuit.name, circuit, tuple(inputs), tuple(weights))


def _wires(rng: np.random.Generator, n_qubits: int, size: int) -> list[int]:
    return [int(qubit) for qubit in rng.permutation(n_qubits)[:size]]
