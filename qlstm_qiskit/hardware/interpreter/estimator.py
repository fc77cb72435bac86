"""Estimators of our own, so that whatever takes a V2 estimator (EstimatorQNN, algorithms) runs on any backend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.contract.executor import Executor, ISACircuit, Prepare, Request
from qlstm_qiskit.hardware.interpreter.pubs import CheckedPub, PubReader

#: An observable as Pauli strings with their coefficients.
Terms = tuple[tuple[str, float], ...]

#: Prepared circuits that are kept.
_MOST_PREPARED = 1024


class CheckedEstimator(BaseEstimatorV2):
    """Another V2 estimator, with circuits and observables checked as in all of this package.

    Args:
        inner: What evaluates them.
    """

    def __init__(self, inner: BaseEstimatorV2) -> None:
        self._inner, self._reader = inner, PubReader()

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs.

        Raises:
            CircuitError: A circuit or an observable cannot be evaluated.
        """
        read = [self._reader.read(pub, precision) for pub in pubs]
        result = self._inner.run([item.pub for item in read]).result()
        scaled = [_scaled(own, item.factors) for own, item in zip(result, read, strict=True)]
        return _done(PrimitiveResult(scaled, metadata=result.metadata))


class ExecutorEstimator(BaseEstimatorV2):
    """A V2 estimator on an executor; all PUBs of a run are one job.

    Args:
        executor: What evaluates the circuits.
        prepare: Makes a circuit ready for it. Circuits are logical ones, and each is prepared once.
        shots: Of the executor, which set the precision; None where it is exact.
    """

    def __init__(self, executor: Executor, prepare: Prepare, shots: int | None = None) -> None:
        self._executor, self._prepare, self._shots = executor, prepare, shots
        self._reader = PubReader()
        self._prepared: dict[tuple[bytes, tuple[Parameter, ...], tuple[Terms, ...]], ISACircuit] = {}

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs; `data` has `evs` and, as upper bounds of their standard errors, `stds`.

        Raises:
            CircuitError: A circuit or an observable cannot be evaluated.
            OptionError: A precision is asked for that takes more shots than the executor has.
        """
        read = [self._reader.read(pub, precision) for pub in pubs]
        for asked in {item.pub.precision for item in read}:
            if asked is not None and self._shots is not None and asked < 0.999 * self._shots**-0.5:
                needed = f"{math.ceil(asked**-2):,}" if asked else "infinitely many"
                raise OptionError(
                    f"a precision of {asked:g} needs {needed} shots, and the backend takes {self._shots:,}; give its entry in "
                    "backends.yaml more shots, or ask for no precision."
                )
        return _done(self._run(read))

    def _run(self, read: list[CheckedPub]) -> PrimitiveResult[PubResult]:
        requests, places = [], []
        for item in read:
            pub = item.pub
            observables, place = _distinct(pub)
            bindings, n = pub.parameter_values, int(np.prod(pub.parameter_values.shape, dtype=np.intp))
            parameters = list(pub.circuit.parameters)
            values = bindings.as_array(parameters).reshape(n, -1) if parameters else np.zeros((n, 0))
            requests.append(Request(self._ready(item, observables), values.astype(np.float64)))
            places.append(np.broadcast_arrays(np.arange(n).reshape(bindings.shape), place))
        results: list[PubResult] = []
        for own, (sets, place), item in zip(self._executor.expect(requests), places, read, strict=True):
            sums = requests[len(results)].circuit.observables
            bounds = np.array([np.abs(observable.coeffs).sum() for observable in sums]) * self._error
            found = PubResult(DataBin(evs=own[sets, place], stds=bounds[place], shape=sets.shape))
            results.append(_scaled(found, item.factors))
        return PrimitiveResult(results, metadata={})

    @property
    def _error(self) -> float:
        return 0.0 if self._shots is None else self._shots**-0.5

    def _ready(self, item: CheckedPub, observables: tuple[Terms, ...]) -> ISACircuit:
        """The circuit, prepared once: what is equal is known again by what it does, whichever object it is."""
        circuit = item.pub.circuit
        key = item.content, tuple(circuit.parameters), observables
        if key not in self._prepared:
            sums = [SparsePauliOp.from_list(list(terms), num_qubits=circuit.num_qubits) for terms in observables]
            while len(self._prepared) >= _MOST_PREPARED:
                del self._prepared[next(iter(self._prepared))]
            self._prepared[key] = self._prepare(circuit.name, circuit, tuple(circuit.parameters), sums)
        return self._prepared[key]


def _done(result: PrimitiveResult[PubResult]) -> PrimitiveJob[PrimitiveResult[PubResult]]:
    """A job that has its result: computed before, not in the job's thread, which doubles the time of small circuits."""
    job: PrimitiveJob[PrimitiveResult[PubResult]] = PrimitiveJob(lambda: result)
    job._submit()
    return job


def _scaled(result: PubResult, factors: NDArray[np.float64]) -> PubResult:
    """A result with its values times factors, broadcast as its observables are."""
    if factors.all():
        return result
    data: dict[str, Any] = {name: np.asarray(result.data[name]) * factors for name in ("evs", "stds")}
    return PubResult(DataBin(**data, shape=result.data.shape), metadata=result.metadata)


def _distinct(pub: EstimatorPub) -> tuple[tuple[Terms, ...], NDArray[np.intp]]:
    """The distinct observables of a PUB, and which of them stands at each place of its array."""
    distinct: dict[Terms, int] = {}
    place = np.empty(pub.observables.shape, dtype=np.intp)
    for index in np.ndindex(pub.observables.shape):
        terms = tuple(sorted(pub.observables[index].items()))
        place[index] = distinct.setdefault(terms, len(distinct))
    return tuple(distinct), place
