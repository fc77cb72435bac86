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


def random_structured_candidate(seed: int) -> Candidate:
    """A random product encoding, then random Clifford gates, T gates and rotations by weights: it has a multilinear form."""
    rng = np.random.default_rng(seed)
    n_qubits = int(rng.integers(1, 5))
    inputs, weights = ParameterVector("x", n_qubits), ParameterVector("w", 3)
    circuit = QuantumCircuit(n_qubits, name=f"structured-{seed}")
    for qubit in range(n_qubits):
        getattr(circuit, rng.choice(["h", "s", "t", "id"]))(qubit)
        if rng.random() < 0.85:
            factor, offset = rng.choice([1, -1, 2, 0.5]), float(rng.choice([0, 0.4]))
            getattr(circuit, rng.choice(["rx", "ry", "rz", "p"]))(factor * inputs[qubit] + offset, qubit)
        getattr(circuit, rng.choice(["h", "sdg", "t", "sx", "id"]))(qubit)
    clifford = [name for name in ("cx", "cy", "cz", "swap", "ecr", "iswap", "dcx") if n_qubits > 1]
    rotations = [name for name, (size, n_angles) in ROTATIONS.items() if size <= n_qubits and n_angles == 1]
    forms = (lambda w, _: w, lambda w, _: -w / 2 + 0.3, lambda w, v: w + 2 * v, lambda w, v: w * v, lambda w, _: w.sin())
    for step in range(12):
        wires = _wires(rng, n_qubits, n_qubits)
        if clifford and rng.random() < 0.4:
            getattr(circuit, rng.choice(clifford))(*wires[:2])
        elif rng.random() < 0.3:
            getattr(circuit, rng.choice(["h", "t", "sx", "y"]))(wires[0])
        else:
            first, second = weights[step % 3], weights[int(rng.integers(3))]
            name = str(rng.choice(rotations))
            getattr(circuit, name)(forms[rng.integers(len(forms))](first, second), *wires[: ROTATIONS[name][0]])
    for weight in weights:
        circuit.ry(weight, int(rng.integers(n_qubits)))
    return Candidate(circuit.name, circuit, tuple(inputs), tuple(weights))


def _wires(rng: np.random.Generator, n_qubits: int, size: int) -> list[int]:
    return [int(qubit) for qubit in rng.permutation(n_qubits)[:size]]
