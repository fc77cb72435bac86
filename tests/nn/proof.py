"""Which angles and candidates are dead, proven by pulling each observable back through the circuit as Pauli strings.

A rotation exp(-i a P / 2) leaves a string that commutes with P as it is and splits one that anticommutes into two. A string
counts at the end if it consists of Z and I alone: only then is its value on |0...0> not zero. So an angle that never splits a
string with a counting descendant is inert, and a circuit without counting strings is identically zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from qiskit.circuit import Parameter
from qiskit.quantum_info import Pauli

from qlstm_qiskit.space import Candidate


@dataclass
class Verdict:
    """What is proven of a candidate's first outputs."""

    is_zero: bool
    inert: set[Parameter]


def prove(candidate: Candidate, n_outputs: int) -> Verdict:
    gates = [(item.operation, [candidate.circuit.find_bit(q).index for q in item.qubits]) for item in candidate.circuit.data]
    alive: set[Parameter] = set()
    known: dict[tuple[int, str], bool] = {}

    def counts(position: int, string: Pauli) -> bool:
        """Whether the string, standing before gate `position` of the circuit read backwards, has a counting descendant."""
        label = string.to_label().lstrip("-i")
        key = (position, label)
        if key not in known:
            known[key] = step(position, Pauli(label))
        return known[key]

    def step(position: int, string: Pauli) -> bool:
        if position < 0:
            return not string.x.any()
        gate, qubits = gates[position]
        if gate.name in ("h", "cx"):
            return counts(position - 1, string.evolve(gate, qubits, frame="h"))
        assert gate.name in ("rx", "ry", "rz")
        label = ["I"] * candidate.n_qubits
        label[candidate.n_qubits - 1 - qubits[0]] = gate.name[1].upper()
        axis = Pauli("".join(label))
        if string.commutes(axis):
            return counts(position - 1, string)
        found = [counts(position - 1, string), counts(position - 1, string.dot(axis))]
        if any(found):
            alive.add(gate.params[0])
        return any(found)

    strings = [Pauli(observable.paulis[0]) for observable in candidate.observables(n_outputs)]
    counting = [counts(len(gates) - 1, string) for string in strings]  # all of them: each marks angles as alive
    return Verdict(not any(counting), set(candidate.weights) - alive)
