"""The contract of a backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BaseEstimatorV2
from qiskit.quantum_info import SparsePauliOp
from torch import Tensor

from qlstm_qiskit.circuits import Program
from qlstm_qiskit.exact import FourierSeries
from qlstm_qiskit.hardware.contract.executor import Draws

Pairs = NDArray[np.bool_]


class CandidateLike(Protocol):
    """What a backend needs to know of a candidate; see `space.Candidate`."""

    @property
    def name(self) -> str: ...
    @property
    def circuit(self) -> QuantumCircuit: ...
    @property
    def inputs(self) -> tuple[Parameter, ...]: ...
    @property
    def weights(self) -> tuple[Parameter, ...]: ...
    @property
    def program(self) -> Program: ...
    def observables(self, k: int | None = None) -> list[SparsePauliOp]: ...


class Bound(Protocol):
    """A bank with fixed angles and structural weights; see `exact.BoundBank`."""

    @property
    def is_native(self) -> bool: ...
    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor: ...
    def candidates(self, inputs: Tensor) -> Tensor: ...


class Bank(Protocol):
    """Compiled candidates; see `exact.ExactBank`."""

    n_inputs: int
    n_outputs: int
    n_weights: tuple[int, ...]

    def bind(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
    ) -> Bound: ...
    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str: ...
    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries: ...


class Backend(Protocol):
    """What every backend answers, whoever computes it."""

    @property
    def name(self) -> str:
        """The name under which `load_backend` finds it."""

    @property
    def draws(self) -> Draws:
        """How often shots were drawn at random so far."""

    def estimator(self) -> BaseEstimatorV2:
        """A V2 estimator, for `EstimatorQNN`."""

    def bank(self, candidates: Sequence[CandidateLike], n_outputs: int | None = None, pairs: Pairs | None = None) -> Bank:
        """Compile candidates, each read at its first `n_outputs` observables (all where None).

        `pairs`, (gates, candidates), says which gates sum over which candidates, if not all over all; the structural weights
        of other pairs are zero, so that they need not be evaluated.
        """

    def close(self) -> None:
        """End what is held open: a batch or session, and the right to submit for a run."""
