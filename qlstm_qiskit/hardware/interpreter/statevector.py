"""The exact backend."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator

from qlstm_qiskit.circuits import lower_observable
from qlstm_qiskit.exact import ExactBank
from qlstm_qiskit.hardware.contract.backend import CandidateLike, Pairs
from qlstm_qiskit.hardware.contract.executor import Draws
from qlstm_qiskit.hardware.interpreter.estimator import CheckedEstimator


class StatevectorBackend:
    """Exact expectation values on this machine, without shots: the default.

    Args:
        path: How to compute them; see `ExactBank`.
        name: Of its entry in backends.yaml.
    """

    def __init__(self, path: str = "auto", name: str = "statevector") -> None:
        self.path, self.name, self.draws = path, name, Draws()

    def estimator(self) -> BaseEstimatorV2:
        return CheckedEstimator(StatevectorEstimator())

    def bank(self, candidates: Sequence[CandidateLike], n_outputs: int | None = None, pairs: Pairs | None = None) -> ExactBank:
        observables = [
            [lower_observable(observable, candidate.program.n_qubits) for observable in candidate.observables(n_outputs)]
            for candidate in candidates
        ]
        names = [candidate.name for candidate in candidates]
        return ExactBank([candidate.program for candidate in candidates], observables, self.path, names=names)

    def close(self) -> None:
        """Nothing is held open."""
