"""An executor as a V2 estimator, so that whatever takes one (EstimatorQNN, algorithms) runs on a backend of ours."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveJob, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub, EstimatorPubLike
from qiskit.quantum_info import SparsePauliOp

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.executor import Executor, ISACircuit, Prepare, Request

#: An observable as Pauli strings with their coefficients.
Terms = tuple[tuple[str, float], ...]


class ExecutorEstimator(BaseEstimatorV2):
    """A V2 estimator on an executor; all PUBs of a run are one job.

    Args:
        executor: What evaluates the circuits.
        prepare: Makes a circuit ready for it. Circuits are logical ones, and each is prepared once.
        shots: Of the executor, which set the precision; None where it is exact.
    """

    def __init__(self, executor: Executor, prepare: Prepare, shots: int | None = None) -> None:
        self._executor, self._prepare, self._shots = executor, prepare, shots
        self._prepared: dict[tuple[int, tuple[Terms, ...]], tuple[QuantumCircuit, ISACircuit]] = {}

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> PrimitiveJob[PrimitiveResult[PubResult]]:
        """Evaluate PUBs; `data` has `evs` and, as upper bounds of their standard errors, `stds`.

        Raises:
            OptionError: A precision is asked for that takes more shots than the executor has.
        """
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        for asked in {pub.precision for pub in coerced}:
            if asked is not None and self._shots is not None and asked < 0.999 * self._shots**-0.5:
                needed = f"{math.ceil(asked**-2):,}" if asked else "infinitely many"
                raise OptionError(
                    f"a precision of {asked:g} needs {needed} shots, and the backend takes {self._shots:,}; give its entry in "
                    "backends.yaml more shots, or ask for no precision."
                )
        result = self._run(coerced)  # here and not in the job's thread, which doubles the time of small circuits
        job: PrimitiveJob[PrimitiveResult[PubResult]] = PrimitiveJob(lambda: result)
        job._submit()
        return job

    def _run(self, pubs: list[EstimatorPub]) -> PrimitiveResult[PubResult]:
        requests, places = [], []
        for pub in pubs:
            observables, place = _distinct(pub)
            bindings, n = pub.parameter_values, int(np.prod(pub.parameter_values.shape, dtype=np.intp))
            parameters = list(pub.circuit.parameters)
            values = bindings.as_array(parameters).reshape(n, -1) if parameters else np.zeros((n, 0))
            requests.append(Request(self._ready(pub.circuit, observables), values.astype(np.float64)))
            places.append(np.broadcast_arrays(np.arange(n).reshape(bindings.shape), place))
        results: list[PubResult] = []
        for own, (sets, place) in zip(self._executor.expect(requests), places, strict=True):
            sums = requests[len(results)].circuit.observables
            bounds = np.array([np.abs(observable.coeffs).sum() for observable in sums]) * self._error
            results.append(PubResult(DataBin(evs=own[sets, place], stds=bounds[place], shape=sets.shape)))
        return PrimitiveResult(results, metadata={})

    @property
    def _error(self) -> float:
        return 0.0 if self._shots is None else self._shots**-0.5

    def _ready(self, circuit: QuantumCircuit, observables: tuple[Terms, ...]) -> ISACircuit:
        known = self._prepared.get((id(circuit), observables))
        if known is None:  # the circuit is kept beside the result, so that its id stays its own
            sums = [SparsePauliOp.from_list(list(terms), num_qubits=circuit.num_qubits) for terms in observables]
            known = circuit, self._prepare(circuit.name, circuit, tuple(circuit.parameters), sums)
            self._prepared[id(circuit), observables] = known
        return known[1]


def _distinct(pub: EstimatorPub) -> tuple[tuple[Terms, ...], NDArray[np.intp]]:
    """The distinct observables of a PUB, and which of them stands at each place of its array."""
    distinct: dict[Terms, int] = {}
    place = np.empty(pub.observables.shape, dtype=np.intp)
    for index in np.ndindex(pub.observables.shape):
        terms = tuple(sorted(pub.observables[index].items()))
        place[index] = distinct.setdefault(terms, len(distinct))
    return tuple(distinct), place
