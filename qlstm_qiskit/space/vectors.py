"""Elements of parameter vectors, in order, also where OpenQASM 3 has made single parameters of them."""

from __future__ import annotations

import re

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVectorElement

from qlstm_qiskit.errors import CircuitError

#: What Qiskit's exporter makes of w[10], since OpenQASM 3 has no such names. By name, w_10 would come before w_2.
_ELEMENT = re.compile(r"_(.+)_(\d+)_")


def in_order(circuit: QuantumCircuit) -> list[Parameter]:
    """The parameters of a circuit in Qiskit's order, by name, and elements of a vector by their numbers."""
    found = list(circuit.parameters)
    groups: dict[str, list[int]] = {}
    for place, parameter in enumerate(found):
        element = _element(parameter)
        if element is not None:
            groups.setdefault(element[0], []).append(place)
    for places in groups.values():
        ordered = sorted((found[place] for place in places), key=_number)
        for place, parameter in zip(places, ordered, strict=True):
            found[place] = parameter
    return found


def vector_named(circuit: QuantumCircuit, name: str) -> tuple[Parameter, ...]:
    """The elements of a `ParameterVector`, or the parameter, of that name.

    Raises:
        CircuitError: The circuit has neither.
    """
    for parameter in circuit.parameters:
        if isinstance(parameter, ParameterVectorElement) and parameter.vector.name == name:
            return tuple(parameter.vector)
        if parameter.name == name:
            return (parameter,)
    written = tuple(p for p in in_order(circuit) if (element := _element(p)) is not None and element[0] == name)
    if written:
        return written
    found = ", ".join(parameter.name for parameter in circuit.parameters) or "none"
    raise CircuitError(
        f"the circuit {circuit.name!r} has no parameter or ParameterVector {name!r} to carry the data (found: {found}); "
        f"say which parameters are inputs with inputs=[...]."
    )


def _element(parameter: Parameter) -> tuple[str, int] | None:
    found = None if isinstance(parameter, ParameterVectorElement) else _ELEMENT.fullmatch(parameter.name)
    return None if found is None else (found[1], int(found[2]))


def _number(parameter: Parameter) -> int:
    element = _element(parameter)
    assert element is not None
    return element[1]
