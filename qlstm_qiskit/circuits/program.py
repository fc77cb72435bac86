"""The lowering of a `QuantumCircuit` to a `Program`, the one description that the exact interpreter reads.

A program is a list of fixed unitaries and rotations in the order of time. Composite gates are opened by their Qiskit
definitions until every gate is in the gate table or has numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction, Parameter
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator, SparsePauliOp

from qlstm_qiskit.circuits.checked import definition_of, is_parameterised, meaning
from qlstm_qiskit.circuits.expressions import Angle, to_angle
from qlstm_qiskit.circuits.gates import DECOMPOSITIONS, GENERATORS, NO_EFFECT, Generator, Matrix, library_name
from qlstm_qiskit.circuits.observables import checked_observable
from qlstm_qiskit.circuits.unadvised import unadvised
from qlstm_qiskit.errors import CircuitError

Columns = dict[Parameter, tuple[str, int]]

_TABLED = frozenset({*GENERATORS, *DECOMPOSITIONS})


@dataclass(frozen=True, eq=False)
class Fixed:
    """A numeric unitary.

    Attributes:
        qubits: Those that it acts on.
        matrix: Little-endian in their order, (2^k, 2^k).
    """

    qubits: tuple[int, ...]
    matrix: Matrix


@dataclass(frozen=True, eq=False)
class Rotation:
    """``exp(-i scale angle G)`` on `qubits`.

    Attributes:
        qubits: Those that it acts on.
        generator: G and its scale.
        angle: In radians.
    """

    qubits: tuple[int, ...]
    generator: Generator
    angle: Angle


@dataclass(frozen=True)
class PauliTerm:
    """``coefficient * P`` where bit q of `x` (`z`) says that P has an X (Z) on qubit q; both bits make a Y.

    Attributes:
        x, z: Bit masks.
        coefficient: A real number.
    """

    x: int
    z: int
    coefficient: float


@dataclass(frozen=True, eq=False)
class Program:
    """A lowered circuit on ``|0...0>``: apply `operations` in order.

    Attributes:
        n_qubits, n_inputs, n_weights: Of the circuit.
        operations: In the order of time.
    """

    n_qubits: int
    n_inputs: int
    n_weights: int
    operations: tuple[Fixed | Rotation, ...]


def lower(circuit: QuantumCircuit, inputs: Sequence[Parameter], weights: Sequence[Parameter]) -> Program:
    """Lower a circuit.

    Args:
        circuit: Unitary circuit without classical bits; it acts on ``|0...0>``.
        inputs: Parameters that carry data, in the order of the columns of the data.
        weights: Parameters that are trained, in the order of the columns of the angles.

    Raises:
        CircuitError: An instruction is not unitary (it is named), or a parameter is in neither list.
    """
    columns = check_parameters(circuit, inputs, weights)
    operations = tuple(_operations(circuit, tuple(range(circuit.num_qubits)), columns))
    return Program(circuit.num_qubits, len(inputs), len(weights), operations)


def check_parameters(circuit: QuantumCircuit, inputs: Sequence[Parameter], weights: Sequence[Parameter]) -> Columns:
    """The column of each parameter.

    Args:
        circuit, inputs, weights: As in `lower`.

    Raises:
        CircuitError: One of the circuit's parameters is in neither list, one is listed twice, or two have one name.
    """
    columns: Columns = {}
    for kind, listed in (("x", inputs), ("w", weights)):
        for column, parameter in enumerate(listed):
            if not isinstance(parameter, Parameter):
                raise CircuitError(f"{parameter!r} is listed as a parameter; list Parameter objects, not names.")
            if parameter in columns:
                raise CircuitError(f"the parameter {parameter.name} is listed more than once; list each parameter once.")
            columns[parameter] = (kind, column)
    stray = sorted(parameter.name for parameter in circuit.parameters if parameter not in columns)
    if stray:
        raise CircuitError(f"parameters {', '.join(stray)} are neither inputs nor weights; list each in one of them.")
    names = [parameter.name for parameter in columns]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CircuitError(f"several parameters are named {', '.join(twice)}; give each a name of its own.")
    return columns


def check_weights(circuit: QuantumCircuit, weights: Sequence[Parameter]) -> None:
    """Refuse weights that the circuit does not use; inputs it need not use.

    Args:
        circuit: Of a candidate.
        weights: Its trained parameters.

    Raises:
        CircuitError: It does not use one of them.
    """
    absent = sorted(parameter.name for parameter in weights if parameter not in circuit.parameters)
    if absent:
        raise CircuitError(f"the weights {', '.join(absent)} are listed, which its circuit does not use; drop them.")


def _operations(circuit: QuantumCircuit, wires: tuple[int, ...], columns: Columns) -> Iterator[Fixed | Rotation]:
    """Lower the instructions of a circuit (or of a gate's definition) whose qubits lie on `wires`."""
    for item in circuit.data:
        qubits = tuple(wires[circuit.find_bit(qubit).index] for qubit in item.qubits)
        yield from _lower_instruction(item.operation, qubits, item.clbits, columns)


def _lower_instruction(
    given: Any, qubits: tuple[int, ...], clbits: Sequence[Any], columns: Columns
) -> Iterator[Fixed | Rotation]:
    gate = meaning(given, qubits, clbits)
    name = library_name(gate)
    if name in NO_EFFECT:
        return
    parameterised = is_parameterised(gate)
    angles = [to_angle(value, columns) for value in gate.params] if parameterised and name in _TABLED else []
    matrix = None if parameterised else _numeric_matrix(gate)
    if matrix is not None:
        yield Fixed(qubits, matrix)
    elif angles and name in GENERATORS:
        yield Rotation(qubits, GENERATORS[name], angles[0])
    elif angles:
        for part, index in DECOMPOSITIONS[name]:
            yield Rotation(qubits, GENERATORS[part], angles[index])
    else:
        yield from _operations(definition_of(gate, qubits), qubits, columns)


def _numeric_matrix(gate: Instruction) -> Matrix | None:
    """The gate's unitary, or None where Qiskit has none for it or its definition is cheaper to read."""
    if gate.num_qubits > 2 and not hasattr(gate, "__array__") and getattr(gate, "definition", None) is not None:
        return None
    try:
        with unadvised():
            operator = Operator(gate)
    except QiskitError:
        return None
    if not operator.is_unitary():
        return None
    return np.asarray(operator.data, dtype=np.complex128)


def lower_observable(observable: SparsePauliOp, n_qubits: int) -> tuple[PauliTerm, ...]:
    """Translate a Hermitian sum of Pauli strings.

    Args:
        observable: Whatever `checked_observable` takes.
        n_qubits: Of the circuit.

    Raises:
        CircuitError: Wrong number of qubits, or a coefficient that is not a real number.
    """
    terms = []
    for pauli, coefficient in checked_observable(observable, n_qubits).simplify().to_list():
        letters = pauli[::-1]
        x = sum(1 << qubit for qubit, letter in enumerate(letters) if letter in "XY")
        z = sum(1 << qubit for qubit, letter in enumerate(letters) if letter in "YZ")
        terms.append(PauliTerm(x, z, complex(coefficient).real))
    return tuple(terms)
