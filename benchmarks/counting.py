"""An executor and an estimator that only count what they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qlstm_qiskit.hardware.contract.executor import Request


class CountingExecutor:
    """Counts circuits, job by job, and answers random numbers: equal values would have a bank ask for less."""

    def __init__(self) -> None:
        self.jobs: list[list[int]] = []
        self._rng = np.random.default_rng(0)

    def expect(self, requests: Sequence[Request]) -> list[NDArray[np.float64]]:
        self.jobs.append([len(request.values) for request in requests])
        return [self._rng.uniform(-1, 1, (len(item.values), len(item.circuit.observables))) for item in requests]


class CountingEstimator(BaseEstimatorV2):
    """Counts circuits, PUB by PUB and job by job, and answers zeros."""

    def __init__(self) -> None:
        self.jobs: list[list[int]] = []

    def run(self, pubs: Any, *, precision: float | None = None) -> Any:
        coerced = [EstimatorPub.coerce(pub, precision or 0.0) for pub in pubs]
        self.jobs.append([pub.parameter_values.size for pub in coerced])
        zeros = [PubResult(DataBin(evs=np.zeros(pub.shape), shape=pub.shape)) for pub in coerced]
        job: Any = PrimitiveJob(lambda: PrimitiveResult(zeros))
        job._submit()
        return job
