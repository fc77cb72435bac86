"""What a `QuantumCircuit` says: gate table, angles as data, the lowering to a program, parameter shift; and proofs about it."""

from qlstm_qiskit.circuits.equal import Polynomial, Relabelling, polynomial, relabelling
from qlstm_qiskit.circuits.expressions import FUNCTIONS, Angle, Tree
from qlstm_qiskit.circuits.gates import GENERATORS, Generator
from qlstm_qiskit.circuits.program import Fixed, PauliTerm, Program, Rotation, lower, lower_observable
from qlstm_qiskit.circuits.shift import SplitCircuit, split
from qlstm_qiskit.circuits.structure import Structure, find_structure
from qlstm_qiskit.circuits.turns import separated

__all__ = [
    "FUNCTIONS",
    "GENERATORS",
    "Angle",
    "Fixed",
    "Generator",
    "PauliTerm",
    "Polynomial",
    "Program",
    "Relabelling",
    "Rotation",
    "SplitCircuit",
    "Structure",
    "Tree",
    "find_structure",
    "lower",
    "lower_observable",
    "polynomial",
    "relabelling",
    "separated",
    "split",
]
