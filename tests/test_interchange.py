"""The record of what other tools make of exports, and the documentation's table of it."""

import json
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector

from benchmarks import interchange
from qlstm_qiskit.experiments.export.qasm import to_qasm3
from qlstm_qiskit.storage import exists

ROWS = json.loads(interchange.RECORD.read_text(encoding="utf-8"))


def test_the_table_is_that_of_the_record() -> None:
    page = interchange.PAGE.read_text(encoding="utf-8")
    assert page.split(interchange.BEGIN)[1].split(interchange.END)[0] == interchange.table(ROWS)


def test_the_record_has_every_tool_with_its_pins_and_an_equal_way() -> None:
    assert list(dict.fromkeys(row["tool"] for row in ROWS)) == list(interchange.TOOLS)
    for tool, (script, packages) in interchange.TOOLS.items():
        assert exists(interchange.READERS / script)
        rows = [row for row in ROWS if row["tool"] == tool]
        pins = dict(package.split("==") for package in packages if "==" in package)
        pins = {name.split("[")[0]: version for name, version in pins.items()}
        for name, version in rows[0]["versions"].items():
            assert pins.get(name, version) == version, name
        assert any(interchange.outcome(row) == "equal" for row in rows), tool


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"read": {"bound": 3}, "difference": 1e-12}, "equal"),
        ({"read": {"bound": 2}, "difference": 1e-12}, "equal, 2 of 3; refused: no cu"),
        ({"read": {"bound": 2}, "difference": 0.24}, "**wrong values without a word**, by 0.2"),
        ({"read": {}, "difference": None}, "refused: no cu"),
    ],
)
def test_what_came_of_it(found: dict, words: str) -> None:
    assert interchange.outcome({"of": {"bound": 3}, "refusals": ["no cu"], **found}) == words


def test_expectation_values_are_taken_by_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of the readers against Qiskit: the program's meaning, and observables with their last letter for qubit 0."""
    monkeypatch.syspath_prepend(str(interchange.READERS))
    import common
    import meaning

    circuit = QuantumCircuit(3)
    for qubit in range(3):
        circuit.ry(0.3 + qubit, qubit)
    circuit.crx(0.4, 0, 2)
    circuit.cswap(1, 2, 0)
    circuit.u(0.1, 0.2, 0.3, 1)
    circuit.ch(2, 1)
    circuit.cp(0.7, 1, 0)
    observables = [[["IIZ", 1.0], ["XYI", -0.5]], [["ZXY", 2.0]]]
    state = meaning.state_of(to_qasm3(circuit, "judged"), {})
    found = common.expectations(state, {"observables": observables})
    expected = [
        Statevector(circuit).expectation_value(SparsePauliOp.from_list([tuple(term) for term in terms])).real
        for terms in observables
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for name in ("common", "meaning"):
        sys.modules.pop(name, None)
