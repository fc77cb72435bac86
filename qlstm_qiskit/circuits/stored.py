"""Circuits in QPY, Qiskit's format of files: written, and read back without running anybody's code."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Sequence

from qiskit import QuantumCircuit, qpy
from qiskit.exceptions import QiskitError

#: The first version of QPY, its seventh byte, in which expressions are plain data; older ones may hold symengine's own format,
#: which can unpickle. Every Qiskit that this package runs with writes later ones.
_PLAIN_QPY = 13


def to_qpy(circuits: Sequence[QuantumCircuit] | QuantumCircuit) -> bytes:
    """Circuits as the content of a file, in the oldest version of QPY that holds them.

    Each Qiskit reads versions up to its own, and 2.0, which this package runs with, none above 13.
    """
    given = [circuits] if isinstance(circuits, QuantumCircuit) else list(circuits)
    for version in range(_PLAIN_QPY, qpy.QPY_VERSION):
        with contextlib.suppress(QiskitError, ValueError, TypeError, struct.error):  # it does not hold them
            content = _dumped(given, version)
            if from_qpy(content) == given:
                return content
    return _dumped(given, qpy.QPY_VERSION)


def _dumped(circuits: Sequence[QuantumCircuit], version: int) -> bytes:
    buffer = io.BytesIO()
    qpy.dump(circuits, buffer, version=version)
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
