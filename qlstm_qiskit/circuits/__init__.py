"""The content of a `QuantumCircuit`: gate table, angles as data, the lowering to a program, parameter shift; and proofs."""

from qlstm_qiskit.circuits.checked import Checked, checked, without_layout
from qlstm_qiskit.circuits.equal import Polynomial, Relabelling, polynomial, relabelling
from qlstm_qiskit.circuits.expressions import FUNCTIONS, Angle, Tree
from qlstm_qiskit.circuits.gates import GENERATORS, Generator
from qlstm_qiskit.circuits.observables import (
    ObservableLike,
    checked_observable,
    measured_circuit,
    rewired,
    support,
)
from qlstm_qiskit.circuits.program import (
    Fixed,
    PauliTerm,
    Program,
    Rotation,
    check_parameters,
    check_weights,
    lower,
    lower_observable,
)
from qlstm_qiskit.circuits.shift import SplitCircuit, split
from qlstm_qiskit.circuits.structure import Structure, find_structure
from qlstm_qiskit.circuits.turns import separated

__all__ = [
    "FUNCTIONS",
    "GENERATORS",
    "Angle",
    "Checked",
    "Fixed",
    "Generator",
    "ObservableLike",
    "PauliTerm",
    "Polynomial",
    "Program",
    "Relabelling",
    "Rotation",
    "SplitCircuit",
    "Structure",
    "Tree",
    "check_parameters",
    "check_weights",
    "checked",
    "checked_observable",
    "find_structure",
    "lower",
    "lower_observable",
    "measured_circuit",
    "polynomial",
    "relabelling",
    "rewired",
    "separated",
    "split",
    "support",
    "without_layout",
]
