"""Circuits in QPY, Qiskit's format of files: written, and read back without running anybody's code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

from qiskit import QuantumCircuit, qpy

#: The first version of QPY, its seventh byte, in which expressions are plain data; older ones may hold symengine's own format,
#: which can unpickle. Every Qiskit that this package runs with writes later ones.
_PLAIN_QPY = 13


def to_qpy(circuits: Sequence[QuantumCircuit] | QuantumCircuit) -> bytes:
    """Circuits as the content of a file."""
    buffer = io.BytesIO()
    qpy.dump(circuits, buffer)
    return buffer.getvalue()


def from_qpy(content: bytes) -> list[QuantumCircuit]:
    """The circuits of a file, with parameters of the names that they had.

    Raises:
        Exception: Of whatever kind Qiskit has for what is wrong with the file; `ValueError` for one of an old version.
    """
    if len(content) > 6 and content[6] < _PLAIN_QPY:
        raise ValueError("its expressions may be symengine's")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of vectors some of whose elements a circuit does not use
        loaded: list[QuantumCircuit] = qpy.load(io.BytesIO(content))
    return loaded
