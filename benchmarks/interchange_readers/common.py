"""What all readers of exports share: cases in, values out, expectation values of states.

A reader runs in the environment of one tool, without this package: ``python READER.py CASES.json`` prints a JSON line per case
and way of reading, with values or with the words of the refusal.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

#: A case: name, format, file, parameters (name -> value), observables (pairs of a Pauli string and a coefficient, per output).
Case = dict[str, Any]
_PAULIS = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
_INPUT = re.compile(r"input float\[64\] (\w+);")


def text_of(case: Case) -> str:
    """The program as it was written."""
    return Path(case["file"]).read_text(encoding="utf-8")


def filled_in(case: Case) -> str:
    """The program with numbers for its inputs."""
    return _INPUT.sub(lambda found: f"float[64] {found[1]} = {case['parameters'][found[1]]!r};", text_of(case))


def without_include(text: str) -> str:
    """The program without the line that includes the standard library."""
    return text.replace('include "stdgates.inc";\n', "")


def expectations(state: Any, case: Case) -> list[float]:
    """The exported observables, of a state whose first qubit is the most significant."""
    amplitudes = np.asarray(state, dtype=complex).reshape((2,) * len(case["observables"][0][0][0]))
    return [sum(weight * _pauli(amplitudes, letters) for letters, weight in terms) for terms in case["observables"]]


def _pauli(amplitudes: np.ndarray, letters: str) -> float:
    changed = amplitudes
    for qubit, letter in enumerate(reversed(letters)):  # qubit 0 is the last letter
        if letter != "I":
            changed = np.moveaxis(np.tensordot(_PAULIS[letter], changed, (1, qubit)), 0, qubit)
    return float(np.vdot(amplitudes, changed).real)


def main(packages: list[str], ways: dict[str, tuple[str, Callable[[Case], list[float]]]]) -> None:
    """Print versions, then each case of its format in each way: name -> (format, function of a case)."""
    print(json.dumps({"versions": {name: version(name) for name in packages}}))
    for case in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        for way, (kind, read) in ways.items():
            if kind == case["format"]:
                try:
                    found: dict[str, Any] = {"values": read(case)}
                except Exception as error:  # whatever a tool has for what it cannot read
                    found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]}
                print(json.dumps({"way": way, "case": case["name"], **found}))
