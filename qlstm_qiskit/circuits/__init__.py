"""What a `QuantumCircuit` says: the gate table, angles as data, and the lowering to a program; parameter shift."""

from qlstm_qiskit.circuits.expressions import FUNCTIONS, Angle, Tree
from qlstm_qiskit.circuits.gates import GENERATORS, Generator
from qlstm_qiskit.circuits.program import Fixed, PauliTerm, Program, Rotation, lower, lower_observable
from qlstm_qiskit.circuits.shift import SplitCircuit, split

__all__ = [
    "FUNCTIONS",
    "GENERATORS",
    "Angle",
    "Fixed",
    "Generator",
    "PauliTerm",
    "Program",
    "Rotation",
    "SplitCircuit",
    "Tree",
    "lower",
    "lower_observable",
    "split",
]
