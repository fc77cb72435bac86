"""The exact backend."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator

from qlstm_qiskit.circuits import PauliTerm, lower_observable
from qlstm_qiskit.circuits.once import once
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

    def bank(
        self,
        candidates: Sequence[CandidateLike],
        n_outputs: int | None = None,
        pairs: Pairs | None = None,
        *,
        shared: bool = False,
    ) -> ExactBank:
        """As `Backend.bank`; `shared` as in `ExactBank`."""
        programs, names = [candidate.program for candidate in candidates], [candidate.name for candidate in candidates]
        same = tuple(map(id, programs)), n_outputs
        # The programs are kept with them: no other ones may get their ids.
        _, observables = once(("observables", *same), lambda: (programs, [_lowered(one, n_outputs) for one in candidates]))
        bank = ExactBank(programs, observables, self.path, shared=shared, names=names)
        before = once(("bank", *same, self.path, shared), lambda: bank)
        if before is not bank:
            bank.take_forms(before)
        return bank

    def close(self) -> None:
        """Nothing is held open."""


def _lowered(candidate: CandidateLike, n_outputs: int | None) -> list[tuple[PauliTerm, ...]]:
    return [lower_observable(observable, candidate.program.n_qubits) for observable in candidate.observables(n_outputs)]
