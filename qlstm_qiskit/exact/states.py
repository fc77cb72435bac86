"""Candidates as batched statevectors: the general path, for every circuit, device and order of derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm, Program
from qlstm_qiskit.exact.factors import complex_of
from qlstm_qiskit.exact.group import CandidateGroup
from qlstm_qiskit.exact.memory import free_bytes, require_memory
from qlstm_qiskit.exact.schedule import schedule

Observables = Sequence[Sequence[PauliTerm]]


class StateBank:
    """Some candidates of a bank as batched statevectors, for one dtype and device.

    Args:
        programs, observables: Of these candidates.
        members: Their places in the bank.
        n_weights: Numbers of weights of all candidates of the bank.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        observables: Sequence[Observables],
        members: Sequence[int],
        n_weights: Sequence[int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._members, self._n_weights = tuple(members), tuple(n_weights)
        self._observables, self._dtype, self._device = observables, dtype, device
        self._schedules = [schedule(program) for program in programs]
        signatures: dict[tuple[object, ...], list[int]] = {}
        for index, item in enumerate(self._schedules):
            signatures.setdefault(item.signature, []).append(index)
        self._signatures = list(signatures.values())
        order = [index for indices in self._signatures for index in indices]
        position = sorted(range(len(order)), key=order.__getitem__)
        self._order = None if position == list(range(len(order))) else position

    @property
    def n_groups(self) -> int:
        """How many batched evaluations a call makes: the number of distinct circuit structures."""
        return len(self._signatures)

    @property
    def n_steps(self) -> int:
        """The longest schedule."""
        return max(len(item.steps) for item in self._schedules)

    @property
    def n_permutations(self) -> int:
        return sum(item.n_permutations for item in self._schedules)

    def require_memory(self, gates: int, samples: int, calls: int) -> int:
        """Bytes that `calls` calls need, or `CapacityError`; asked before the groups, which hold tables, are compiled."""
        return require_memory(
            max(item.n_qubits for item in self._schedules),
            gates * len(self._members),
            samples,
            self.n_steps * calls if torch.is_grad_enabled() else 0,
            complex_of(self._dtype).itemsize,
            self.n_permutations,
            free_bytes(self._device),
        )

    def bind(self, weights: Tensor, mixing: Tensor) -> Callable[[Tensor], Tensor]:
        """Fix angles and structural weights of the whole bank; the result maps inputs to (batch, gates, outputs)."""
        bound = self._bind(weights)
        coefficients = mixing if len(self._members) == mixing.shape[1] else mixing[:, list(self._members)]
        return lambda inputs: torch.einsum("gcbk,gc->bgk", self._evaluate(bound, inputs, len(weights)), coefficients)

    def bind_apart(self, weights: Tensor) -> Callable[[Tensor], Tensor]:
        """As `bind`, unmixed: (batch, gates, candidates x outputs), 0 for candidates of the bank that are not of these."""
        bound, n_candidates = self._bind(weights), len(self._n_weights)

        def evaluate(inputs: Tensor) -> Tensor:
            values = self._evaluate(bound, inputs, len(weights)).permute(2, 0, 1, 3)
            if len(self._members) < n_candidates:
                place = torch.tensor(self._members, device=values.device)
                empty = values.new_zeros(*values.shape[:2], n_candidates, values.shape[3])
                values = empty.index_copy(2, place, values)
            return values.flatten(2)

        return evaluate

    def expectations(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Expectation values of these candidates, (gates, candidates, batch, outputs)."""
        return self._evaluate(self._bind(weights), inputs, len(weights))

    @cached_property
    def _groups(self) -> list[CandidateGroup]:
        # Constants made in inference mode, or in a transform or tracer, could not be used later: modes belong to a thread.
        with ThreadPoolExecutor(max_workers=1) as plain_thread:
            return plain_thread.submit(self._compile).result()

    def _compile(self) -> list[CandidateGroup]:
        return [
            CandidateGroup(
                [self._schedules[i] for i in indices], [self._observables[i] for i in indices], self._dtype, self._device
            )
            for indices in self._signatures
        ]

    def _bind(self, weights: Tensor) -> list[tuple[CandidateGroup, dict[int, Tensor], Tensor]]:
        per_candidate = torch.split(weights, list(self._n_weights), dim=1)
        bound = []
        for group, indices in zip(self._groups, self._signatures, strict=True):
            own = torch.stack([per_candidate[self._members[index]] for index in indices], dim=1)
            bound.append((group, group.bind(own), own))
        return bound

    def _evaluate(self, bound: list[tuple[CandidateGroup, dict[int, Tensor], Tensor]], inputs: Tensor, gates: int) -> Tensor:
        if not len(inputs):
            return inputs.new_zeros(gates, len(self._members), 0, len(self._observables[0]))
        shape = (gates, -1, len(inputs), len(self._observables[0]))
        values = [group.expectations(matrices, inputs, weights).expand(shape) for group, matrices, weights in bound]
        joined = values[0] if len(values) == 1 else torch.cat(values, dim=1)
        return joined if self._order is None else joined[:, self._order]
