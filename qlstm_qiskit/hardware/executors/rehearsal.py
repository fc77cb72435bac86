"""A rehearsal of jobs on this machine that is cut and counted as they would be sent to the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from qlstm_qiskit.hardware.contract.executor import Executor, Request, Values
from qlstm_qiskit.hardware.executors.chunks import Chunk, chunks, unchunk
from qlstm_qiskit.hardware.executors.primitives import PreparedJob, Submit


class Rehearsal:
    """Runs requests, packed or not, job by job on an executor that may take them apart (`local`).

    What runs side by side on the device runs one by one in a simulation, in a job that holds more circuits. The record has
    those that the device would be sent, so that it says what was planned; of PUBs it has those of the simulation
    (`qlstm jobs show`).

    Args:
        make: Makes the inner executor, given what runs its jobs. It must not cut them again.
        submit: Runs jobs.
        shots, max_pubs, max_executions: As of `chunks`.
    """

    def __init__(
        self, make: Callable[[Submit], Executor], submit: Submit, shots: int | None, max_pubs: int, max_executions: int
    ) -> None:
        self._submit, self._limits = submit, (shots, max_pubs, max_executions)
        self._inner = make(self._counted)
        self._pieces: Sequence[Chunk] = ()

    def expect(self, requests: Sequence[Request]) -> list[Values]:
        """Expectation values of each request, (sets, observables).

        Raises:
            RuntimeError: The inner executor has cut a job, so that its circuits would be counted several times.
        """
        cut, results = chunks(requests, *self._limits), []
        for pieces in cut:
            self._pieces = pieces
            results.append(self._inner.expect([piece.request for piece in pieces]))
        return unchunk(cut, results, len(requests))

    def _counted(self, jobs: Sequence[PreparedJob]) -> list[list[Values]]:
        circuits = sum(piece.circuits for piece in self._pieces)
        if len(jobs) > 1:
            raise RuntimeError(f"a rehearsed job was cut into {len(jobs)}, and each would be recorded with all of its circuits")
        return self._submit([replace(job, circuits=circuits) for job in jobs])
