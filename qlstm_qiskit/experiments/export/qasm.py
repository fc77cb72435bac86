"""Circuits as text in OpenQASM 3, of gates that other tools know."""

from __future__ import annotations

from qiskit import QuantumCircuit, qasm3

from qlstm_qiskit.errors import CircuitError

#: Gates of OpenQASM 3's library, stdgates.inc, and of the language itself, under Qiskit's names, and what is no gate.
#: https://openqasm.com/language/standard_library.html
_LIBRARY = frozenset(
    (
        *("p", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "rx", "ry", "rz", "id", "u", "u1", "u2", "u3"),
        *("cx", "cy", "cz", "cp", "crx", "cry", "crz", "ch", "swap", "ccx", "cswap", "cu"),
        *("barrier", "delay", "reset", "measure"),
    )
)


def to_qasm3(circuit: QuantumCircuit, name: str) -> str:
    """A circuit in OpenQASM 3; parameters become inputs of the program.

    Gates that the library does not have are opened: some tools read gates of the library alone, and Qiskit sorts the parameters
    of a definition by their names, w10 before w2.

    Args:
        circuit: Its parameters have names that OpenQASM 3 allows.
        name: For the message.

    Raises:
        CircuitError: It holds what OpenQASM 3, or Qiskit's writer of it, has no words for.
    """
    try:  # with constants, angles would be rounded to multiples of pi
        return qasm3.Exporter(disable_constants=True).dumps(_opened(circuit))
    except qasm3.QASM3ExporterError as error:
        raise CircuitError(f"{name} cannot be written in OpenQASM 3: {error.message}; use --format qpy.") from None


def _opened(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit without gates that the library does not have, but for those that have no definition."""
    while strange := {item.name for item in circuit.data} - _LIBRARY:
        opened = circuit.decompose(gates_to_decompose=sorted(strange))
        if {item.name for item in opened.data} - _LIBRARY == strange and opened.size() == circuit.size():
            break
        circuit = opened
    return circuit
