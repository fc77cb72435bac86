"""Cost of candidates on a device, as a term of the loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.space import Candidate

MEASURES = ("two-qubit-gates", "log-success")


class DeviceCost(BaseModel):
    """The expected cost of a gate's circuits on a device, ``strength * sum_j p_j cost_j / max_j cost_j``.

    p are the weights as probabilities. ProxylessNAS (Cai et al. 2019, arXiv 1812.00332) adds expected latency in this way.

    Attributes:
        backend: A backend with a device, for which circuits are transpiled once, before training.
        measure: "two-qubit-gates" after transpilation, or "log-success": -log of the estimated success probability.
        strength: Factor of the mean over gates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backend: str
    measure: Literal["two-qubit-gates", "log-success"] = "two-qubit-gates"
    strength: Annotated[float, Field(gt=0)] = 1e-3

    def costs(self, candidates: Sequence[Candidate], n_outputs: int) -> list[float]:
        """The cost of each candidate, in units of the largest; all zero if none costs anything.

        Raises:
            OptionError: The backend has no device, or the device reports no gate errors.
        """
        from qlstm_qiskit.space.transpiled import transpile_candidates

        _, reports = transpile_candidates(candidates, n_outputs, self.backend)
        values = [float(r.two_qubit_gates[1] if self.measure == "two-qubit-gates" else -math.log(r.success)) for r in reports]
        if any(math.isnan(value) for value in values):
            raise OptionError(f"backend {self.backend!r} does not say how good its gates are; use two-qubit-gates.")
        largest = max(values)
        return [value / largest if largest else 0.0 for value in values]
