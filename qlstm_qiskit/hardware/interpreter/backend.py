"""The backend of the primitive interpreter: an executor, and how circuits are made ready for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from qiskit.primitives import BaseEstimatorV2
from qiskit.transpiler import Target

from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import CandidateLike, Pairs
from qlstm_qiskit.hardware.contract.executor import Draws, Executor, ISACircuit, Prepare, Request, Values
from qlstm_qiskit.hardware.device.compact import DENSITY_QUBITS, STATE_QUBITS
from qlstm_qiskit.hardware.executors.chunks import ANYTHING, Takes
from qlstm_qiskit.hardware.executors.cones import widest
from qlstm_qiskit.hardware.executors.cost import MeteredExecutor, Workload
from qlstm_qiskit.hardware.executors.local import parts_on_device
from qlstm_qiskit.hardware.executors.packing import PackingExecutor
from qlstm_qiskit.hardware.interpreter.bank import PrimitiveBank
from qlstm_qiskit.hardware.interpreter.estimator import ExecutorEstimator

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.jobs.ledger import Ledger
    from qlstm_qiskit.hardware.jobs.runtime import Connection


class PrimitiveBackend:
    """Expectation values from an executor, gradients by parameter shift.

    Args:
        spec: What it was made from.
        executor: Evaluates circuits.
        prepare: Makes them ready.
        connection, ledger: Of a device; closed with the backend.
        draws: What the executor counts its draws of shots with.
    """

    def __init__(
        self,
        spec: BackendSpec,
        executor: Executor,
        prepare: Prepare,
        *,
        connection: Connection | None = None,
        ledger: Ledger | None = None,
        draws: Draws | None = None,
    ) -> None:
        self.spec, self.executor, self.prepare, self.draws = spec, executor, prepare, draws or Draws()
        self.connection, self.ledger = connection, ledger

    @property
    def name(self) -> str:
        return self.spec.name

    def __deepcopy__(self, memo: dict[int, Any]) -> PrimitiveBackend:
        return self  # copies of a model share the connection and the record of jobs

    def estimator(self) -> BaseEstimatorV2:
        return ExecutorEstimator(self.executor, self.prepare, self.spec.shots)

    def bank(
        self, candidates: Sequence[CandidateLike], n_outputs: int | None = None, pairs: Pairs | None = None
    ) -> PrimitiveBank:
        return PrimitiveBank(candidates, n_outputs, self.executor, self.prepare, pairs, reduce=self.spec.reduce)

    def close(self) -> None:
        """Close a batch or session and the record of jobs."""
        if self.connection is not None:
            self.connection.close()
        if self.ledger is not None:
            self.ledger.close()


class PlanBackend(PrimitiveBackend):
    """Runs nothing: counts what models that are run on it ask for; expectation values are random.

    Args:
        spec: Of the backend that is planned for.
        prepare: Fits circuits to its device.
        target: The device.
        takes: What it takes in a job.

    Attributes:
        widest: Qubits that a simulation on this machine would have at once.
        lost: As of `Plan`.
    """

    def __init__(self, spec: BackendSpec, prepare: Prepare, target: Target, takes: Takes = ANYTHING) -> None:
        self._packed, self._unpacked = MeteredExecutor(None, spec, takes), MeteredExecutor(None, spec, takes)
        self._packing = PackingExecutor(self._packed, target, spec.pack)
        self._seen: WeakSet[ISACircuit] = WeakSet()
        self.widest, self.lost = 0, ""
        self._most = STATE_QUBITS if spec.guard.dry_run else DENSITY_QUBITS  # a dry run has no noise
        super().__init__(spec, self, prepare)

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Random numbers, (sets, observables) for each request."""
        for circuit in {request.circuit for request in requests} - set(self._seen) if self.spec.local else ():
            self._seen.add(circuit)
            self.widest = max(self.widest, widest(parts_on_device(circuit, self._most)))
        self._unpacked.expect(requests)
        return self._packing.expect(requests)

    def work(self) -> tuple[Workload, Workload]:
        """Of all calls so far: packed as the backend says, and without packing."""
        return self._packed.work, self._unpacked.work
