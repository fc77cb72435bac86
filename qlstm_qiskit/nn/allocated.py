"""Shots of a bank that differ between gates and time steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware import Backend
from qlstm_qiskit.hardware.contract.backend import Bank


class Allocated:
    """What a bank of circuits has of shots of its own.

    Attributes:
        shots: Of the circuits of each gate in each call of a pass, (calls, gates); the backend's own where None.
    """

    shots: NDArray[np.int64] | None = None
    backend: Backend
    n_gates: int
    gates: tuple[tuple[int, ...], ...]
    _bank: Bank

    @property
    def n_measured(self) -> tuple[int, ...]:
        """Of each gate, how many circuits a device would run for one call and sample: each candidate in each of its bases."""
        bases = getattr(self._bank, "n_bases", None)
        return tuple(sum(1 if bases is None else bases[place] for place in own) for own in self.gates)

    def allocate(self, shots: ArrayLike | None) -> None:
        """Run circuits with other numbers of shots than the backend's, one for each gate and call of a pass.

        All candidates of a gate have its shots. Gradients that come from more circuits, by parameter shift, take the
        backend's own number.

        Args:
            shots: Whole numbers (calls, gates), calls in the order in which they are made: the time steps of a layer. None
                takes the backend's own number again.

        Raises:
            OptionError: The backend draws no shots, or these are no such numbers.
        """
        if shots is None:
            self.shots = None
            return
        spec = getattr(self.backend, "spec", None)
        if spec is None or spec.exact:
            raise OptionError(f"backend {self.backend.name} draws no shots; give one with shots, such as exact-shots.")
        rows = np.asarray(shots)
        if rows.ndim != 2 or rows.shape[1] != self.n_gates or rows.dtype.kind not in "iu" or (rows < 1).any():
            raise OptionError(
                f"shots have the shape {rows.shape} and the type {rows.dtype}; give whole numbers from 1 on, "
                f"(calls, {self.n_gates} gates)."
            )
        self.shots = rows.astype(np.int64)

    def _allocated(self, gates: Sequence[int] | None) -> dict[str, Any]:
        """What a bank is bound with beside its parameters, for all gates or those of a stage."""
        if self.shots is None:
            return {}
        return {"shots": self.shots if gates is None else self.shots[:, list(gates)]}
