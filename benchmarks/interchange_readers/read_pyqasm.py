"""Exports as pyqasm reads them, and as the specification's parser and definitions say."""

from __future__ import annotations

import pyqasm
from common import Case, expectations, filled_in, main, text_of
from meaning import state_of


def _unrolled(case: Case, text: str) -> list[float]:
    module = pyqasm.loads(text)
    module.unroll()
    return expectations(state_of(pyqasm.dumps(module), {}), case)


main(
    ["pyqasm", "openqasm3"],
    {
        "loads": ("qasm3", lambda case: _unrolled(case, text_of(case))),
        "loads, filled in": ("qasm3", lambda case: _unrolled(case, filled_in(case))),
        "openqasm3.parse": ("qasm3", lambda case: expectations(state_of(text_of(case), case["parameters"]), case)),
    },
)
