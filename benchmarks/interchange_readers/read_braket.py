"""Exports as Amazon Braket's SDK and its local simulator read them."""

from __future__ import annotations

import os
from pathlib import Path

from braket.circuits import Circuit
from braket.devices import LocalSimulator
from braket.ir.openqasm import Program
from common import Case, expectations, main, text_of


def _inputs(case: Case) -> dict[str, float]:
    return {name: value for name, value in case["parameters"].items() if f"input float[64] {name};" in text_of(case)}


def _program(case: Case) -> list[float]:
    source = text_of(case) + "#pragma braket result state_vector\n"
    result = LocalSimulator().run(Program(source=source, inputs=_inputs(case)), shots=0).result()
    return expectations(result.values[0], case)


def _circuit(case: Case) -> list[float]:
    circuit = Circuit.from_ir(text_of(case))  # parameters stay free
    free = {parameter.name for parameter in circuit.parameters}
    inputs = {name: value for name, value in case["parameters"].items() if name in free}
    result = LocalSimulator().run(circuit.state_vector(), shots=0, inputs=inputs).result()
    return expectations(result.values[0], case)


def _there(read):
    """The reader, called in the folder of the file, where its include is looked for."""

    def called(case: Case) -> list[float]:
        before = Path.cwd()
        os.chdir(Path(case["file"]).parent)
        try:
            return read(case)
        finally:
            os.chdir(before)

    return called


main(
    ["amazon-braket-sdk", "amazon-braket-default-simulator"],
    {
        "Program, from its folder": ("qasm3", _there(_program)),
        "Circuit.from_ir, from its folder": ("qasm3", _there(_circuit)),
    },
)
