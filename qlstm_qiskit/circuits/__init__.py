"""What a `QuantumCircuit` says: the gate table, angles as data, and the lowering to a program."""

from qlstm_qiskit.circuits.expressions import FUNCTIONS, Angle, Tree
from qlstm_qiskit.circuits.gates import GENERATORS, Generator
from qlstm_qiskit.circuits.program import Fixed, PauliTerm, Program, Rotation, lower, lower_observable

__all__ = [
    "FUNCTIONS",
    "GENERATORS",
    "Angle",
    "Fixed",
    "Generator",
    "PauliTerm",
    "Program",
    "Rotation",
    "Tree",
    "lower",
    "lower_observable",
]
