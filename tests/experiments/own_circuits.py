"""A file with circuits as users write them, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

#: Gates of all kinds: in several places, in expressions, with numbers, made of circuits, controlled, as matrices.
FILE = """\
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp, random_unitary

from qlstm_qiskit import Candidate, SearchSpace

Path(__file__).with_name("was_run").touch()
TURNS = ("rx", "ry", "rz")


def circuit(turn, twist, n_qubits=2):
    x, w = ParameterVector("x", n_qubits), ParameterVector("w", 12)
    made = QuantumCircuit(n_qubits, name=f"{turn}|{twist}")
    for qubit in range(n_qubits):
        made.h(qubit)
        getattr(made, turn)(2 * x[qubit], qubit)
    made.cx(0, 1)
    for qubit in range(n_qubits):
        getattr(made, twist)(w[10 + qubit], qubit)
    return made


def odd():
    a, b, angle, late = Parameter("b"), Parameter("a"), Parameter("angle"), Parameter("Late")
    inner = QuantumCircuit(1)
    inner.h(0)
    inner.rz(0.3, 0)
    made = QuantumCircuit(2, global_phase=0.7, metadata={"of": "mine"})
    made.append(inner.to_gate().control(1), [1, 0])
    made.ry(a * angle + 0.25, 0)
    made.append(UnitaryGate(random_unitary(4, seed=1)), [0, 1])
    made.rzz(late / 3 - angle, 0, 1)
    made.ry(angle.sin(), 1)
    measured = (SparsePauliOp.from_list([("XZ", 0.5), ("YI", -0.25)]), SparsePauliOp("ZZ"))
    return Candidate("odd", made, (a, b), (angle, late), measured)  # b is not used


space = SearchSpace.from_circuits([*(circuit(turn, twist) for turn in TURNS for twist in ("rx", "ry")), odd()])


def lively():
    return space.without_dead()


def sized(n_qubits, depth):
    return SearchSpace.product(["H-RY"], {"twist": lambda n: _layer(n)})


def _layer(n_qubits):
    w, made = ParameterVector("w", n_qubits), QuantumCircuit(n_qubits)
    for qubit in range(n_qubits):
        made.ry(w[qubit], qubit)
        made.cz(qubit, (qubit + 1) % n_qubits)
    return made
"""


def write_file(folder: Path, changes: tuple[str, str] = ("", "")) -> str:
    """Write it, with some text replaced; the name of its space."""
    assert changes[0] in FILE
    (folder / "circuits.py").write_text(FILE.replace(*changes) if changes[0] else FILE)
    return f"{folder / 'circuits.py'}:space"


def was_run(folder: Path) -> bool:
    """Whether it was run since it was last asked."""
    marker = folder / "was_run"
    found = marker.exists()
    marker.unlink(missing_ok=True)
    return found


def write_series(folder: Path) -> str:
    """A CSV file with a column `value`."""
    path = folder / "wave.csv"
    pd.DataFrame({"value": np.sin(np.arange(40) / 3)}).to_csv(path, index=False)
    return str(path)
