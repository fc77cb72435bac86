"""A group of candidates of one structure, evaluated as one batched statevector.

A state has the shape (g or 1, c, b or 1, 2^n); see `factors` for the axes. Qubit 0 is the least significant bit of the last
axis.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm
from qlstm_qiskit.exact.factors import complex_of, stack_factors
from qlstm_qiskit.exact.schedule import Dense, GateSchedule, Monomial


@dataclass(frozen=True, eq=False)
class _Permutation:
    """A `Monomial` step for all candidates: `source` (c, 2^n); `phase` (c, 1, 2^n), or None where every phase is 1."""

    source: Tensor
    phase: Tensor | None

    def apply(self, state: Tensor) -> Tensor:
        moved = torch.gather(state, -1, self.source[None, :, None, :].expand_as(state))
        return moved if self.phase is None else moved * self.phase


@dataclass(frozen=True, eq=False)
class _Product:
    """A `Dense` step for all candidates: the factors at `places`, in the order of time, on `qubits`."""

    qubits: tuple[int, ...]
    places: tuple[int, ...]

    def matrix(self, matrices: dict[int, Tensor]) -> Tensor:
        """The product of the factors, of shape (g or 1, c, b or 1, d, d)."""
        product = matrices[self.places[0]]
        for place in self.places[1:]:
            product = matrices[place] @ product
        return product

    def apply(self, state: Tensor, matrix: Tensor, n_qubits: int) -> Tensor:
        # Qubit q is axis 3 + n - 1 - q of the unfolded state; the gate's first qubit must come last.
        axes = [2 + n_qubits - qubit for qubit in reversed(self.qubits)]
        ends = list(range(-len(axes), 0))
        unfolded = state.reshape(*state.shape[:3], *(2,) * n_qubits).movedim(axes, ends)
        g, c, b = unfolded.shape[:3]
        if matrix.shape[2] == 1:  # one matrix for all samples: one large product for each gate and candidate
            rows = unfolded.reshape(g, c, -1, len(matrix[0, 0, 0]))
            rows = rows @ matrix[:, :, 0].transpose(-1, -2)
        else:
            rows = unfolded.reshape(g, c, b, -1, matrix.shape[-1]) @ matrix.transpose(-1, -2)
        b = max(b, matrix.shape[2])
        folded = rows.reshape(rows.shape[0], c, b, *(2,) * n_qubits).movedim(ends, axes)
        return folded.reshape(rows.shape[0], c, b, 2**n_qubits)


class CandidateGroup:
    """Candidates with equal `GateSchedule.signature`, stacked for one dtype and device.

    Args:
        schedules: One for each candidate, all with the same signature.
        observables: For each candidate its outputs, each a sum of Pauli terms; equally many for all candidates.
    """

    def __init__(
        self,
        schedules: Sequence[GateSchedule],
        observables: Sequence[Sequence[Sequence[PauliTerm]]],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.n_qubits = schedules[0].n_qubits
        self._dtype, self._device = dtype, device
        places = itertools.count()
        self._steps = [self._stack_step(steps, places) for steps in zip(*(s.steps for s in schedules), strict=True)]
        factors = [[f for step in s.steps if isinstance(step, Dense) for f in step.factors] for s in schedules]
        self._stacks = stack_factors(factors, schedules[0].n_inputs, schedules[0].n_weights, dtype, device)
        self._readouts = self._stack_observables(observables)

    def bind(self, weights: Tensor) -> dict[int, Tensor]:
        """Matrices of all factors that do not depend on the inputs, by place; `weights` is (g, c, n_weights)."""
        return self._matrices(None, weights, uses_inputs=False)

    def expectations(self, bound: dict[int, Tensor], inputs: Tensor, weights: Tensor) -> Tensor:
        """Expectation values of shape (g or 1, c, b or 1, outputs); `inputs` is (b, n_inputs)."""
        matrices = bound | self._matrices(inputs, weights, uses_inputs=True)
        return self._measure(self._evolve(matrices))

    def _matrices(self, inputs: Tensor | None, weights: Tensor, *, uses_inputs: bool) -> dict[int, Tensor]:
        found: dict[int, Tensor] = {}
        for stack in self._stacks:
            if stack.uses_inputs == uses_inputs:
                found.update(zip(stack.places, stack.matrices(inputs, weights).unbind(-3), strict=True))
        return found

    def _evolve(self, matrices: dict[int, Tensor]) -> Tensor:
        """Run the steps on |0...0>; leading one-qubit steps act on single qubits, which keeps a product state small."""
        columns: dict[int, Tensor] = {}
        remaining = list(self._steps)
        while remaining and isinstance(remaining[0], _Product) and len(remaining[0].qubits) == 1:
            step = remaining.pop(0)
            assert isinstance(step, _Product)
            columns[step.qubits[0]] = step.matrix(matrices)[..., 0]
        state = self._product_state(columns)
        for step in remaining:
            if isinstance(step, _Product):
                state = step.apply(state, step.matrix(matrices), self.n_qubits)
            else:
                state = step.apply(state)
        return state

    def _product_state(self, columns: dict[int, Tensor]) -> Tensor:
        zero = torch.tensor([1.0, 0.0], dtype=complex_of(self._dtype), device=self._device).expand(1, 1, 1, 2)
        state = torch.ones(1, self._n_candidates, 1, 1, dtype=complex_of(self._dtype), device=self._device)
        for qubit in reversed(range(self.n_qubits)):
            state = (state.unsqueeze(-1) * columns.get(qubit, zero).unsqueeze(-2)).flatten(-2)
        return state

    def _measure(self, state: Tensor) -> Tensor:
        total: Tensor | None = None
        for source, weight in self._readouts:
            if source is None:
                values = (state.real.square() + state.imag.square()) @ weight
            else:
                values = ((state.conj() * state[..., source]) @ weight).real
            total = values if total is None else total + values
        assert total is not None
        return total

    def _stack_step(self, steps: tuple[Dense | Monomial, ...], places: Iterator[int]) -> _Permutation | _Product:
        first = steps[0]
        if isinstance(first, Dense):
            return _Product(first.qubits, tuple(itertools.islice(places, len(first.factors))))
        actions = [step.action(self.n_qubits) for step in steps if isinstance(step, Monomial)]
        sources, phases = (np.array(part) for part in zip(*actions, strict=True))
        phase = None
        if not np.allclose(phases, 1.0, rtol=0, atol=1e-14):
            phase = torch.as_tensor(phases, dtype=complex_of(self._dtype), device=self._device)[:, None]
        return _Permutation(torch.as_tensor(sources, device=self._device), phase)

    def _stack_observables(self, observables: Sequence[Sequence[Sequence[PauliTerm]]]) -> list[tuple[Tensor | None, Tensor]]:
        """``(source, weight)`` for each X part m in use: the terms' sum is Re sum_i conj(s_i) s_(i xor m) weight_i.

        `weight` has the shape (c, 2^n, outputs), without c where all candidates are measured alike; it is real, and
        `source` None, for the diagonal terms (m = 0).
        """
        self._n_candidates = len(observables)
        index = np.arange(2**self.n_qubits)
        n_outputs = len(observables[0])
        weights: dict[int, np.ndarray] = {0: np.zeros((len(observables), len(index), n_outputs), dtype=complex)}
        for c, outputs in enumerate(observables):
            for k, terms in enumerate(outputs):
                for term in terms:
                    # <i|P|i xor x> with Y = i X Z: i^(number of Y) times the sign that Z gives to the column
                    sign = 1.0 - 2.0 * (np.bitwise_count((index ^ term.x) & term.z) % 2)
                    phase = 1j ** ((term.x & term.z).bit_count() % 4)
                    table = weights.setdefault(term.x, np.zeros_like(weights[0]))
                    table[c, :, k] += term.coefficient * phase * sign
        readouts: list[tuple[Tensor | None, Tensor]] = []
        for x, table in weights.items():
            if (table == table[:1]).all():
                table = table[0]
            if x == 0:
                readouts.append((None, torch.as_tensor(table.real, dtype=self._dtype, device=self._device)))
            else:
                source = torch.as_tensor(index ^ x, device=self._device)
                weight = torch.as_tensor(table, dtype=complex_of(self._dtype), device=self._device)
                readouts.append((source, weight))
        return readouts
