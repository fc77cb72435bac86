"""Programs with noise: the lowered circuit of a device, with channels behind its gates and errors of its readout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Fixed, Rotation
from qlstm_qiskit.errors import CircuitError


@dataclass(frozen=True, eq=False)
class Channel:
    """A numeric channel, such as the noise of one gate.

    Attributes:
        qubits: Those that it acts on.
        ptm: Pauli transfer matrix in the Schroedinger picture, ``ptm[i, j] = tr(P_i E(P_j)) / 2^k``, (4^k, 4^k). The letters
            I, X, Y, Z are the digits 0, 1, 2, 3 of an index to the base 4; the first qubit is the lowest digit, as in Qiskit's
            `PTM`.

    Raises:
        CircuitError: The matrix has another shape, or does not keep the trace.
    """

    qubits: tuple[int, ...]
    ptm: NDArray[np.float64]

    def __post_init__(self) -> None:
        size = 4 ** len(self.qubits)
        if self.ptm.shape != (size, size):
            raise CircuitError(
                f"a channel on {len(self.qubits)} qubits has a matrix of shape {self.ptm.shape}; expected ({size}, {size})."
            )
        if not np.allclose(self.ptm[0], np.eye(1, size), atol=1e-9):
            raise CircuitError("the first row of a channel's matrix is not (1, 0, ..., 0); a channel keeps the trace.")


@dataclass(frozen=True, eq=False)
class NoisyProgram:
    """A lowered circuit with noise on ``|0...0>``, and how its qubits are measured.

    Attributes:
        n_qubits, n_inputs, n_weights: Of the circuit.
        operations: In the order of time.
        readout: Probabilities of reading a bit as m where it is t: entry [q, m, t], (n_qubits, 2, 2).
        changes: For a qubit and the letter "X" or "Y", the gates, with their noise, that turn this letter into Z before it is
            measured.
    """

    n_qubits: int
    n_inputs: int
    n_weights: int
    operations: tuple[Fixed | Rotation | Channel, ...]
    readout: NDArray[np.float64]
    changes: Mapping[tuple[int, str], tuple[Fixed | Channel, ...]]
