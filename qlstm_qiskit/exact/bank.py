"""A bank of programs, compiled once: expectation values of all candidates of all gates in batched tensor operations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qlstm_qiskit.circuits import PauliTerm, Program
from qlstm_qiskit.errors import CircuitError, ShapeError
from qlstm_qiskit.exact.factors import complex_of
from qlstm_qiskit.exact.group import CandidateGroup
from qlstm_qiskit.exact.memory import free_bytes, require_memory
from qlstm_qiskit.exact.schedule import schedule


class ExactBank:
    """The exact interpreter of a bank of candidates; differentiable by torch autograd.

    Args:
        programs: One lowered circuit for each candidate; all take the same number of inputs.
        observables: For each candidate its outputs, each a sum of Pauli terms; equally many for all candidates.

    Raises:
        CircuitError: The candidates disagree in inputs or outputs.
    """

    def __init__(self, programs: Sequence[Program], observables: Sequence[Sequence[Sequence[PauliTerm]]]) -> None:
        if not programs:
            raise CircuitError("a bank needs at least one candidate; none was given.")
        for name, sizes in (
            ("inputs", {program.n_inputs for program in programs}),
            ("outputs", {len(outputs) for outputs in observables}),
        ):
            if len(sizes) > 1:
                raise CircuitError(f"all candidates of a bank need the same number of {name}; got {sorted(sizes)}.")
        self.n_inputs = programs[0].n_inputs
        self.n_outputs = len(observables[0])
        self.n_weights = tuple(program.n_weights for program in programs)
        self.n_qubits = max(program.n_qubits for program in programs)
        self._observables = observables
        self._schedules = [schedule(program) for program in programs]
        self._members: dict[tuple[object, ...], list[int]] = {}
        for index, item in enumerate(self._schedules):
            self._members.setdefault(item.signature, []).append(index)
        self._compiled: dict[tuple[torch.dtype, torch.device], list[CandidateGroup]] = {}

    @property
    def n_candidates(self) -> int:
        return len(self.n_weights)

    @property
    def n_groups(self) -> int:
        """How many batched evaluations a call makes: the number of distinct circuit structures."""
        return len(self._members)

    def bind(self, weights: Tensor, mixing: Tensor | None = None, *, samples: int = 1, calls: int = 1) -> BoundBank:
        """Fix angles and structural weights for one forward pass.

        Args:
            weights: Angles in radians, (gates, sum of `n_weights`), candidate after candidate.
            mixing: Structural weights, (gates, candidates); None where the bank has a single candidate.
            samples, calls: Batch size and number of calls to come, for the check of memory.

        Raises:
            ShapeError: A tensor has another shape or dtype.
            CapacityError: The pass would not fit in memory.
        """
        expected = (len(weights), sum(self.n_weights))
        if weights.dim() != 2 or tuple(weights.shape) != expected:
            raise ShapeError(f"weights have the shape {tuple(weights.shape)}; expected (gates, {expected[1]}).")
        if weights.dtype not in (torch.float32, torch.float64):
            raise ShapeError(f"weights have the dtype {weights.dtype}; expected torch.float32 or torch.float64.")
        if mixing is None and self.n_candidates > 1:
            raise ShapeError(f"a bank of {self.n_candidates} candidates needs structural weights to mix them; got None.")
        if mixing is not None and tuple(mixing.shape) != (len(weights), self.n_candidates):
            raise ShapeError(f"mixing has the shape {tuple(mixing.shape)}; expected ({len(weights)}, {self.n_candidates}).")
        keeps = max(len(item.steps) for item in self._schedules) * calls if torch.is_grad_enabled() else 0
        tables = sum(item.n_permutations for item in self._schedules)
        require_memory(
            self.n_qubits,
            len(weights) * self.n_candidates,
            samples,
            keeps,
            complex_of(weights.dtype).itemsize,
            tables,
            free_bytes(weights.device),
        )
        return BoundBank(self, weights, mixing)

    def _groups(self, dtype: torch.dtype, device: torch.device) -> list[CandidateGroup]:
        key = (dtype, device)
        if key not in self._compiled:
            with torch.inference_mode(False):  # constants made in inference mode could not be used for training later
                self._compiled[key] = [
                    CandidateGroup(
                        [self._schedules[i] for i in members], [self._observables[i] for i in members], dtype, device
                    )
                    for members in self._members.values()
                ]
        return self._compiled[key]


class BoundBank:
    """A bank with fixed angles and structural weights; call it with inputs, once for each time step."""

    def __init__(self, bank: ExactBank, weights: Tensor, mixing: Tensor | None) -> None:
        self._bank, self._weights, self._mixing = bank, weights, mixing
        self._n_gates = len(weights)
        per_candidate = torch.split(weights, list(bank.n_weights), dim=1)
        self._groups = []
        order: list[int] = []
        for group, members in zip(bank._groups(weights.dtype, weights.device), bank._members.values(), strict=True):
            group_weights = torch.stack([per_candidate[index] for index in members], dim=1)
            self._groups.append((group, group.bind(group_weights), group_weights))
            order += members
        position = sorted(range(len(order)), key=order.__getitem__)
        self._order = None if position == list(range(len(order))) else torch.tensor(position, device=weights.device)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Mixed outputs ``sum_j w_j f_j(inputs)``, (batch, gates, outputs); `inputs` is (batch, n_inputs), in radians."""
        values = self._expectations(inputs)
        if self._mixing is None:
            mixed = values.squeeze(1)
        else:
            mixed = torch.einsum("gcbk,gc->gbk", values, self._mixing)
        return mixed.transpose(0, 1)

    def candidates(self, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate before mixing, (batch, gates, candidates, outputs)."""
        return self._expectations(inputs).permute(2, 0, 1, 3)

    def _expectations(self, inputs: Tensor) -> Tensor:
        if inputs.dim() != 2 or inputs.shape[1] != self._bank.n_inputs:
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (batch, {self._bank.n_inputs}).")
        if not len(inputs):
            return self._weights.new_zeros(self._n_gates, self._bank.n_candidates, 0, self._bank.n_outputs)
        shape = (self._n_gates, -1, len(inputs), self._bank.n_outputs)
        values = [group.expectations(bound, inputs, weights).expand(shape) for group, bound, weights in self._groups]
        joined = values[0] if len(values) == 1 else torch.cat(values, dim=1)
        return joined if self._order is None else joined[:, self._order]
