"""Circuits as text in OpenQASM 3, of gates that other tools know."""

from __future__ import annotations

from qiskit import QuantumCircuit, qasm3
from qiskit.circuit.library import U3Gate, UGate

from qlstm_qiskit.errors import CircuitError

#: Gates of OpenQASM 3's library, stdgates.inc, under Qiskit's names, and what is no gate.
#: https://openqasm.com/language/standard_library.html
#: Without cu, which Cirq reads with three angles and pytket not at all, and without the language's own U: PennyLane lacks it.
_LIBRARY = frozenset(
    (
        *("p", "x", "y", "z", "h", "s", "sdg", "t", "tdg", "sx", "rx", "ry", "rz", "id", "u1", "u2", "u3"),
        *("cx", "cy", "cz", "cp", "crx", "cry", "crz", "ch", "swap", "ccx", "cswap"),
        *("barrier", "delay", "reset", "measure"),
    )
)

#: The file that the programs include, for tools that look for one; most have the library built in and ignore it.
LIBRARY_FILE = "stdgates.inc"
LIBRARY_TEXT = """\
// Gates of OpenQASM 3's standard library that Amazon Braket does not have, or has under other names. It reads this file from
// the current folder; h, x, y, z, s, t, rx, ry, rz, cy, cz, swap and cswap it has. Tools with the library built in do not
// need the file.
gate id a { i a; }
gate p(lambda) a { phaseshift(lambda) a; }
gate phase(lambda) a { phaseshift(lambda) a; }
gate sdg a { si a; }
gate tdg a { ti a; }
gate sx a { v a; }
gate u1(lambda) a { phaseshift(lambda) a; }
gate u2(phi, lambda) a { U(pi / 2, phi, lambda) a; }
gate u3(theta, phi, lambda) a { U(theta, phi, lambda) a; }
gate cx a, b { cnot a, b; }
gate CX a, b { cnot a, b; }
gate cp(lambda) a, b { cphaseshift(lambda) a, b; }
gate cphase(lambda) a, b { cphaseshift(lambda) a, b; }
gate crx(theta) a, b { ctrl @ rx(theta) a, b; }
gate cry(theta) a, b { ctrl @ ry(theta) a, b; }
gate crz(theta) a, b { ctrl @ rz(theta) a, b; }
gate ch a, b { ctrl @ h a, b; }
gate ccx a, b, c { ccnot a, b, c; }
"""


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
    circuit = _without_u(circuit)
    while strange := {item.name for item in circuit.data} - _LIBRARY:
        opened = _without_u(circuit.decompose(gates_to_decompose=sorted(strange)))
        if {item.name for item in opened.data} - _LIBRARY == strange and opened.size() == circuit.size():
            break
        circuit = opened
    return circuit


def _without_u(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with the library's u3 for each U, which are the same."""
    changed = circuit.copy_empty_like()
    for item in circuit.data:
        changed.append(item.replace(operation=U3Gate(*item.operation.params)) if isinstance(item.operation, UGate) else item)
    return changed
