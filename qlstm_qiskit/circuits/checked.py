"""The meaning of a user's circuit, settled once, before anything evaluates it.

Whatever takes a `QuantumCircuit` from outside passes it through `checked`. What comes out is a unitary circuit on ``|0...0>``
that every interpreter, exporter and transpiler reads alike:

- Measurements at the end are left out: interpreters measure observables. Any other instruction that is not unitary is refused
  by name.
- A circuit that was transpiled has its qubits where they were before: the layout, routing included, is undone by naming the
  wires anew. Wires that nothing touches are dropped; those that the transpiler has added come last.
- A gate that has a definition means its definition, since that is what a device runs. A gate whose own matrix says otherwise
  (Trotter steps of `PauliEvolutionGate`, a wrong ``__array__``) is replaced by one that has the definition alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Gate, Instruction, ParameterExpression
from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator
from qiskit.synthesis import ProductFormula
from qiskit.transpiler.passes import HighLevelSynthesis

from qlstm_qiskit.circuits.gates import library_name
from qlstm_qiskit.circuits.unadvised import unadvised
from qlstm_qiskit.errors import CircuitError

#: Largest difference of two matrices, up to a global phase, that are taken as one.
_SAME = 1e-10

#: Gates on more qubits are not compared with their definitions, which hold in any case.
_MOST_COMPARED = 10

#: The operation of an instruction, the qubits of its circuit that it acts on, and its classical bits.
_Item: TypeAlias = tuple[Any, tuple[int, ...], tuple[Any, ...]]


@dataclass(frozen=True, eq=False)
class Checked:
    """A user's circuit as every interpreter reads it.

    Attributes:
        circuit: Unitary, with no layout and no classical bits; a copy.
        n_outputs: The first `n_outputs` qubits are the user's own; any others were added by a transpiler.
        wires: For each qubit of the given circuit its place in `circuit`; None where it was dropped, since nothing touches it.
    """

    circuit: QuantumCircuit
    n_outputs: int
    wires: tuple[int | None, ...]


def checked(circuit: QuantumCircuit, read: Iterable[int] = ()) -> Checked:
    """Check a circuit and bring it into the form that all interpreters read alike; see the module.

    Args:
        circuit: Of a user.
        read: Qubits that observables act on, which are kept if a layout is undone.

    Raises:
        CircuitError: It is not a circuit, has no qubits, or holds an instruction that is not unitary (it is named).
    """
    if not isinstance(circuit, QuantumCircuit):
        raise CircuitError(f"a circuit is a {type(circuit).__name__}; give QuantumCircuit objects.")
    if not circuit.num_qubits:
        raise CircuitError(f"the circuit {circuit.name!r} has no qubits; nothing can be measured on it.")
    declared = [*getattr(circuit, "iter_vars", tuple)(), *getattr(circuit, "iter_stretches", tuple)()]
    if declared:
        raise CircuitError(
            f"the circuit {circuit.name!r} declares {declared[0].name!r}, a value at run time; bind it to a number."
        )
    n = circuit.num_qubits
    items = _without_final_measurements(_items(circuit))
    found = [(meaning(operation, qubits, clbits), qubits, clbits) for operation, qubits, clbits in items]
    same = len(found) == len(circuit.data) and all(a[0] is b[0] for a, b in zip(found, items, strict=True))
    if circuit.layout is not None:
        order, n_outputs = _order(circuit, items, set(read))
    elif same and not circuit.num_clbits and _in_registers(circuit):
        return Checked(circuit.copy(), n, tuple(range(n)))
    else:
        order, n_outputs = list(range(n)), n
    wires: list[int | None] = [None] * n
    for place, wire in enumerate(order):
        wires[wire] = place
    return Checked(_built(circuit, found, wires, len(order)), n_outputs, tuple(wires))


def without_layout(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit on its wires as they are; what a transpiler says of where they were is left out.

    Args:
        circuit: Of a user.
    """
    if circuit.layout is None:
        return circuit
    result = QuantumCircuit(*circuit.qregs, *circuit.cregs, name=circuit.name, metadata=circuit.metadata)
    return result.compose(circuit, circuit.qubits, circuit.clbits)


def meaning(operation: Any, qubits: Sequence[int], clbits: Sequence[Any] = ()) -> Any:
    """The operation itself where all ways to read it agree, else a gate that has its definition alone.

    Args:
        operation: Of an instruction of a circuit.
        qubits: Those that it acts on, for messages.
        clbits: Classical bits that it acts on.

    Raises:
        CircuitError: It is not unitary, or has neither a matrix nor a definition.
    """
    name = library_name(operation)
    if isinstance(operation, ControlFlowOp):
        raise unsupported(operation, qubits, "control flow")
    if clbits or operation.num_clbits or operation.name in ("measure", "reset"):
        raise unsupported(operation, qubits, "not a unitary gate")
    for value in operation.params if name else ():
        if isinstance(value, Real) and not math.isfinite(value):
            raise unsupported(operation, qubits, f"its parameter {value} is not a finite number")
        if name == "delay" and not isinstance(value, Real):
            raise unsupported(operation, qubits, f"its duration is {value}, not a number")
    if name or (type(operation) is UnitaryGate and Operator(operation).is_unitary()):
        return operation
    if not isinstance(operation, Instruction):
        return _defined(operation, _opened(_synthesised(operation, qubits), qubits, operation)[0])
    matrix = None if is_parameterised(operation) else own_matrix(operation)
    if isinstance(operation, PauliEvolutionGate) and not isinstance(operation.synthesis, ProductFormula):
        return _defined(operation, definition_of(operation, qubits))  # Qiskit 2 neither transpiles nor stores others
    own = _has_own_matrix(operation)
    if not own or matrix is None or _has_definition(operation, qubits):
        definition, changed = _opened(definition_of(operation, qubits), qubits, operation)
        return _defined(operation, definition) if changed or (own and not _agree(matrix, definition)) else operation
    if not Operator(matrix).is_unitary():
        raise unsupported(operation, qubits, "its matrix is not unitary")
    return UnitaryGate(matrix, label=operation.name)


def is_parameterised(gate: Any) -> bool:
    """Whether an angle of the gate has a parameter."""
    return any(isinstance(value, ParameterExpression) and value.parameters for value in gate.params)


def definition_of(gate: Any, qubits: Sequence[int]) -> QuantumCircuit:
    """The gate's definition as a circuit, or `CircuitError`."""
    try:
        definition = getattr(gate, "definition", None)
    except Exception as error:  # a user's code
        raise unsupported(gate, qubits, f"its definition fails ({_reason(error)})") from error
    if definition is None:
        raise unsupported(gate, qubits, "it has neither a matrix nor a definition")
    return definition


def own_matrix(gate: Any) -> NDArray[np.complexfloating[Any, Any]] | None:
    """The matrix that a gate states of itself, or None where it has none or it fails."""
    try:
        with unadvised():
            return np.asarray(gate.to_matrix(), dtype=np.complex128) if _has_own_matrix(gate) else None
    except Exception:  # noqa: BLE001 - a user's code
        return None


def unsupported(gate: Any, qubits: Sequence[int], reason: str) -> CircuitError:
    """The error for an instruction that cannot be evaluated."""
    return CircuitError(
        f"cannot evaluate the instruction {gate.name!r} on qubits {list(qubits)}: {reason}. "
        f"A candidate is a unitary circuit; its observables are measured by the interpreter."
    )


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "message", error)).split())


def _has_own_matrix(gate: Any) -> bool:
    return hasattr(gate, "__array__") or getattr(type(gate), "to_matrix", Gate.to_matrix) is not Gate.to_matrix


def _has_definition(gate: Any, qubits: Sequence[int]) -> bool:
    try:
        return definition_of(gate, qubits) is not None
    except CircuitError:
        return False


def _agree(matrix: NDArray[np.complexfloating[Any, Any]] | None, definition: QuantumCircuit) -> bool:
    """Whether a matrix is that of a definition, up to a global phase; False where that is not looked at."""
    if matrix is None or definition.parameters or definition.num_qubits > _MOST_COMPARED:
        return False
    other = Operator(definition).data
    overlap = np.vdot(other, matrix)
    phase = overlap / abs(overlap) if overlap else 1.0
    return matrix.shape == other.shape and bool(np.abs(matrix - phase * other).max() < _SAME)


def _opened(definition: QuantumCircuit, qubits: Sequence[int], outer: Any) -> tuple[QuantumCircuit, bool]:
    """A definition whose parts all mean what their definitions say, and whether any part did not before."""
    items = _items(definition)
    try:
        found = [(meaning(part, [qubits[q] for q in own], clbits), own, clbits) for part, own, clbits in items]
    except CircuitError as error:
        raise CircuitError(f"{outer.name!r} holds what cannot be evaluated: {error}") from error
    if all(new[0] is old[0] for new, old in zip(found, items, strict=True)):
        return definition, False
    n = definition.num_qubits
    return _built(definition, found, list(range(n)), n), True


def _defined(gate: Any, definition: QuantumCircuit) -> Instruction:
    """A gate of the same name that has a definition and no matrix of its own."""
    kind = Gate if all(isinstance(item.operation, Gate) for item in definition.data) else Instruction
    sizes = (definition.num_qubits,) if kind is Gate else (definition.num_qubits, 0)
    result = kind(gate.name, *sizes, list(definition.parameters), label=getattr(gate, "label", None))
    result.definition = definition
    return result


def _synthesised(operation: Any, qubits: Sequence[int]) -> QuantumCircuit:
    """What the transpiler makes of an operation that is not an instruction: a Clifford, or a gate with modifiers."""
    circuit = QuantumCircuit(operation.num_qubits)
    circuit.append(operation, range(operation.num_qubits))
    try:
        result: QuantumCircuit = HighLevelSynthesis()(circuit)
    except (QiskitError, ValueError, TypeError) as error:
        raise unsupported(operation, qubits, f"Qiskit cannot synthesise it ({_reason(error)})") from error
    if any(item.operation is operation or item.operation.name == operation.name for item in result.data):
        raise unsupported(operation, qubits, "Qiskit cannot synthesise it")
    return result


def _items(circuit: QuantumCircuit) -> list[_Item]:
    place = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    return [(item.operation, tuple(place[qubit] for qubit in item.qubits), tuple(item.clbits)) for item in circuit.data]


def _without_final_measurements(items: Sequence[_Item]) -> list[_Item]:
    """Instructions without the measurements after which nothing happens to their bits, and without barriers beside them."""
    busy: set[Any] = set()
    kept: list[_Item] = []
    late: list[_Item] = []  # barriers at the end
    dropped = False
    for item in reversed(items):
        operation, qubits, clbits = item
        name = library_name(operation)
        is_free = busy.isdisjoint(qubits) and busy.isdisjoint(clbits)
        if name == "measure" and is_free:
            dropped = True
        elif name == "barrier" and is_free:
            late.append(item)
            kept.append(item)
        else:
            busy.update(qubits, clbits)
            kept.append(item)
    return [item for item in reversed(kept) if not (dropped and any(item is barrier for barrier in late))]


def _order(circuit: QuantumCircuit, items: Sequence[_Item], read: set[int]) -> tuple[list[int], int]:
    """Wires of a transpiled circuit in the order of the user's qubits, then others in use; and how many qubits the user had."""
    try:
        own = list(circuit.layout.final_index_layout(filter_ancillas=True))
        if len(set(own)) != len(own) or not set(own) <= set(range(circuit.num_qubits)):
            raise ValueError(f"{own} on {circuit.num_qubits} qubits")
    except (AttributeError, KeyError, TypeError, ValueError, QiskitError) as error:
        raise CircuitError(
            f"the layout of the circuit {circuit.name!r} cannot be read ({error}); give the circuit before transpilation."
        ) from error
    used = {wire for operation, wires, _ in items if library_name(operation) != "barrier" for wire in wires}
    return own + sorted((used | read) - set(own)), len(own)


def _in_registers(circuit: QuantumCircuit) -> bool:
    """Whether the circuit's qubits are those of its registers, in their order."""
    qubits = [qubit for register in circuit.qregs for qubit in register]
    return qubits == circuit.qubits


def _built(circuit: QuantumCircuit, items: Sequence[_Item], wires: Sequence[int | None], n_qubits: int) -> QuantumCircuit:
    """A circuit of these instructions with qubit q as ``wires[q]``; barriers leave out wires that are dropped."""
    as_before = list(wires) == list(range(n_qubits)) and _in_registers(circuit)
    bits = circuit.qregs if as_before else [n_qubits]
    result = QuantumCircuit(*bits, name=circuit.name, global_phase=circuit.global_phase, metadata=circuit.metadata)
    for operation, qubits, _ in items:
        places = [wires[qubit] for qubit in qubits]
        if None not in places:
            result.append(operation, places)
        elif any(place is not None for place in places):
            result.barrier([place for place in places if place is not None])
    return result
