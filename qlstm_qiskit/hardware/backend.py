"""Backends by name: what evaluates a bank of candidates, and which estimator stands behind a QNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.circuits import Program, lower_observable
from qlstm_qiskit.errors import unknown_option
from qlstm_qiskit.exact import ExactBank


class Backend(Protocol):
    """What every backend answers, whoever computes it."""

    @property
    def name(self) -> str:
        """The name under which `load_backend` finds it."""

    def estimator(self) -> BaseEstimatorV2:
        """A V2 estimator, for `EstimatorQNN`."""

    @property
    def precision(self) -> float:
        """The precision (standard error) to ask of the estimator; 0 where it is exact."""

    def bank(self, programs: Sequence[Program], observables: Sequence[Sequence[SparsePauliOp]]) -> ExactBank:
        """Compile candidates into a bank that a forward pass binds and calls; see `ExactBank`."""


class StatevectorBackend:
    """Exact expectation values on this machine, without shots: the default.

    Args:
        path: How to compute them; see `ExactBank`.
    """

    name = "statevector"
    precision = 0.0

    def __init__(self, path: str = "auto") -> None:
        self.path = path

    def estimator(self) -> BaseEstimatorV2:
        return StatevectorEstimator()

    def bank(self, programs: Sequence[Program], observables: Sequence[Sequence[SparsePauliOp]]) -> ExactBank:
        lowered = [
            [lower_observable(observable, program.n_qubits) for observable in outputs]
            for program, outputs in zip(programs, observables, strict=True)
        ]
        return ExactBank(programs, lowered, self.path)


_BACKENDS = {"statevector": StatevectorBackend}


def load_backend(name: str = "statevector") -> Backend:
    """Return the backend of that name.

    Raises:
        OptionError: There is no backend of that name; the message lists those that there are.
    """
    if name not in _BACKENDS:
        raise unknown_option("backend", name, _BACKENDS)
    return _BACKENDS[name]()
