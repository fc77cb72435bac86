"""The backend of the primitive interpreter: an executor, and how circuits are made ready for it."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.primitives import BaseEstimatorV2

from qlstm_qiskit.hardware.backend import CandidateLike
from qlstm_qiskit.hardware.bank import PrimitiveBank
from qlstm_qiskit.hardware.estimator import ExecutorEstimator
from qlstm_qiskit.hardware.executor import Executor, Prepare
from qlstm_qiskit.hardware.spec import BackendSpec


class PrimitiveBackend:
    """Expectation values from an executor, gradients by parameter shift.

    Args:
        spec: What it was made from.
        executor: Evaluates circuits.
        prepare: Makes them ready.
    """

    def __init__(self, spec: BackendSpec, executor: Executor, prepare: Prepare) -> None:
        self.spec, self.executor, self.prepare = spec, executor, prepare

    @property
    def name(self) -> str:
        return self.spec.name

    def estimator(self) -> BaseEstimatorV2:
        return ExecutorEstimator(self.executor, self.prepare)

    def bank(self, candidates: Sequence[CandidateLike], n_outputs: int | None = None) -> PrimitiveBank:
        return PrimitiveBank(candidates, n_outputs, self.executor, self.prepare)
