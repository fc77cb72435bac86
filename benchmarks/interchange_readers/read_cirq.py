"""Exports as Cirq reads them."""

from __future__ import annotations

import cirq
from cirq.contrib.qasm_import import circuit_from_qasm
from common import Case, expectations, main, text_of


def _values(text: str, case: Case) -> list[float]:
    circuit = circuit_from_qasm(text)
    n_qubits = len(case["observables"][0][0][0])
    resolved = cirq.resolve_parameters(circuit, case["parameters"])
    state = resolved.final_state_vector(qubit_order=[cirq.NamedQubit(f"q_{k}") for k in range(n_qubits)], dtype=complex)
    return expectations(state, case)


main(
    ["cirq-core"],
    {
        "circuit_from_qasm": ("qasm3", lambda case: _values(text_of(case), case)),
    },
)
