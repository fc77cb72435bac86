"""A bank of programs, compiled once: expectation values of all candidates of all gates in batched tensor operations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from qlstm_qiskit.circuits import Program
from qlstm_qiskit.errors import CircuitError, OptionError, unknown_option
from qlstm_qiskit.exact.bound import BoundBank, LastBound, OfReplicas
from qlstm_qiskit.exact.checks import check_bank_parameters, replica_coefficients, sizes_of_bank
from qlstm_qiskit.exact.cost import state_cost
from qlstm_qiskit.exact.fourier import FourierSeries
from qlstm_qiskit.exact.memory import require_bytes
from qlstm_qiskit.exact.rotation_form import RotationForm, find_forms
from qlstm_qiskit.exact.schedule import schedule
from qlstm_qiskit.exact.states import Observables, StateBank
from qlstm_qiskit.exact.wide import is_wide, require_forms

#: How a bank may be evaluated: "form" builds the multilinear form once per pass, "states" pushes a statevector for each sample.
PATHS = ("auto", "form", "states")

#: Forms of a pass, candidates that take states, and bytes that the forms need.
Choice: TypeAlias = tuple[list[RotationForm], tuple[int, ...], int]


class ExactBank:
    """The exact interpreter of a bank of candidates; differentiable by torch autograd.

    Args:
        programs: One lowered circuit for each candidate; all take the same number of inputs.
        observables: For each candidate its outputs, each a sum of Pauli terms; equally many for all candidates.
        path: "auto" takes the multilinear form for the candidates that have one, on the CPU, where it costs less than
            states, and states for the others. "form" and "states" force one. Both have derivatives of any order; beyond the
            first they cost more. The form does not read an input that no output can depend on: NaN there goes unnoticed.
        sparse: See `find_forms`; the sums of a form are then taken in another order.
        shared: Whether all candidates are given the same angles in `weights`. Forms rely on it: of the gradients by them, only
            the sum over all candidates is right.
        names: Of the candidates, for messages; their places by default.

    Raises:
        CapacityError: A candidate that is too wide for a statevector has no form.
        CircuitError: The candidates disagree in inputs or outputs, or have no form where "form" is asked for.
        OptionError: An unknown path.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        observables: Sequence[Observables],
        path: str = "auto",
        *,
        sparse: bool = False,
        shared: bool = False,
        names: Sequence[str] = (),
    ) -> None:
        if path not in PATHS:
            raise unknown_option("path", path, PATHS)
        self.n_inputs, self.n_outputs = sizes_of_bank(programs, observables)
        self.n_weights = tuple(program.n_weights for program in programs)
        self.path, self._sparse, self._shared = path, sparse, shared
        self._programs, self._observables = tuple(programs), tuple(observables)
        self._compiled: dict[tuple[torch.dtype, torch.device, tuple[int, ...]], StateBank] = {}
        self._last = LastBound()
        self._choices: dict[tuple[Any, ...], Choice] = {}  # of the last kind of pass
        self._refused: dict[int, str] = {}
        self._is_wide = path != "states" and is_wide(programs)
        if self._is_wide:
            require_forms(programs, self._except(self.forms), self._refused, names or list(map(str, range(len(programs)))))
        if path == "form" and (odd := self._except(self.forms)):
            raise CircuitError(f"candidates {list(odd)} of this bank have no multilinear form; use path='auto'.")

    @property
    def n_candidates(self) -> int:
        return len(self.n_weights)

    @cached_property
    def forms(self) -> tuple[RotationForm, ...]:
        """The multilinear forms, one for each set of data angles; none where states are forced."""
        if self.path == "states":
            return ()
        return self._found(sparse=self._sparse, refused=self._refused)

    def take_forms(self, other: ExactBank) -> None:
        """Take the compiled forms of a bank of the same circuits, but nothing that depends on parameters."""
        self.forms = tuple(map(copy.copy, other.forms))
        self._refused |= other._refused

    @cached_property
    def _forms_apart(self) -> tuple[RotationForm, ...]:
        return () if self.path == "states" else self._found(apart=True, sparse=True)

    def _found(self, **options: Any) -> tuple[RotationForm, ...]:
        return find_forms(self._programs, self._observables, shared=self._shared, **options)

    def bind(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
    ) -> BoundBank:
        """Fix angles and structural weights for one forward pass.

        Without gradients, equal angles and weights give the bound bank of the time before.

        Args:
            weights: Angles in radians, (gates, sum of `n_weights`), candidate after candidate.
            mixing: Structural weights, (gates, candidates); None where the bank has a single candidate.
            samples, calls: Batch size and number of calls to come, for the check of memory.
            gates: Which gates the rows are of, where they are not all.

        Raises:
            ShapeError: A tensor has another shape or dtype.
            CapacityError: The pass would not fit in memory.
        """
        return self._bound(weights, mixing, samples, calls, gates, apart=False)

    def bind_apart(
        self, weights: Tensor, *, samples: int = 1, calls: int = 1, gates: tuple[int, ...] | None = None
    ) -> Callable[[Tensor], Tensor]:
        """As `bind`, for the outputs of each candidate: the result maps inputs to (batch, gates, candidates, outputs)."""
        ones = weights.new_ones(len(weights), self.n_candidates)
        bound = self._bound(weights, ones, samples, calls, gates, apart=True)
        return lambda inputs: bound(inputs).reshape(len(inputs), len(weights), self.n_candidates, self.n_outputs)

    def _bound(
        self,
        weights: Tensor,
        mixing: Tensor | None,
        samples: int,
        calls: int,
        gates: tuple[int, ...] | None,
        *,
        apart: bool,
    ) -> BoundBank:
        bind = partial(self._bind, samples, calls, apart)
        return self._last.bound((gates, apart), weights, mixing, samples, bind)

    def bind_replicas(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
        apart: bool = False,
    ) -> BoundBank:
        """As `bind` for R replicas, by the multilinear form; rows of inputs are those of the first replica, then of the next.

        Args:
            weights: Angles in radians, (R, gates, sum of `n_weights`).
            mixing: Structural weights, (R, gates, candidates); None where the bank has a single candidate.
            samples, calls, gates: As in `bind`, for each replica.
            apart: Outputs of each candidate, (batch, gates, candidates x outputs), in place of sums; without `mixing`.

        Raises:
            ShapeError: A tensor has another shape or dtype.
            CircuitError: A candidate has no multilinear form.
            CapacityError: The pass would not fit in memory.
        """
        coefficients = replica_coefficients(self.n_weights, weights, mixing, apart=apart)
        forms, n, g = self._forms_apart if apart else self.forms, *weights.shape[:2]
        if odd := self._except(forms):
            raise CircuitError(f"candidates {list(odd)} of this bank have no multilinear form.")
        needed = n * self.form_bytes(g, samples=samples, calls=calls, gradients=torch.is_grad_enabled(), apart=apart)
        require_bytes(needed, f"the multilinear forms of {n} replicas on {samples} samples each", weights.device)
        parts = [form.bind_replicas(weights, coefficients) for form in forms]
        n_outputs = self.n_outputs * (self.n_candidates if apart else 1)
        return BoundBank(OfReplicas(self, weights), weights[0], parts, n_outputs, is_native=True)

    def form_bytes(self, n_gates: int, *, samples: int, calls: int, gradients: bool = True, apart: bool = False) -> int:
        """Bytes that the multilinear forms of a pass take; arguments as in `bind_replicas`."""
        forms = self._forms_apart if apart else self.forms
        return sum(form.bytes(n_gates, samples=samples, calls=calls, gradients=gradients) for form in forms)

    @property
    def has_forms(self) -> bool:
        """Whether all candidates have a multilinear form, so that replicas may be bound."""
        return not self._except(self.forms)

    def apart(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate, (batch, gates, candidates, outputs): by states, unless they are too wide."""
        if self._is_wide:
            return self.bind_apart(weights, samples=len(inputs))(inputs)
        states = self._states(weights.dtype, weights.device, tuple(range(self.n_candidates)))
        states.require_memory(len(weights), len(inputs), 1)
        return states.expectations(weights, inputs).permute(2, 0, 1, 3)

    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries:
        """The bank's outputs at these angles and structural weights as one truncated Fourier series of the data.

        Raises:
            CircuitError: A candidate has no multilinear form, or the candidates read different angles of the data.
        """
        check_bank_parameters(self.n_weights, weights, mixing)
        if self._except(self.forms) or len(self.forms) != 1:
            raise CircuitError(
                "this bank has no single multilinear form: a candidate reads its data twice, or in other angles."
            )
        return self.forms[0].series(weights, weights.new_ones(len(weights), 1) if mixing is None else mixing)

    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str:
        """Which path a pass of this size takes: "form", "states" or "form+states"."""
        forms = self._choose_forms(self.forms, weights, samples, calls)
        return "+".join(["form"] * bool(forms) + ["states"] * bool(self._except(forms)))

    def _bind(self, samples: int, calls: int, apart: bool, weights: Tensor, mixing: Tensor | None) -> BoundBank:
        check_bank_parameters(self.n_weights, weights, mixing)  # here: those that were bound before were right
        how = (apart, self.path, weights.shape[0], weights.device.type, samples, calls, torch.is_grad_enabled())
        choice = self._choices.get(how)
        if choice is None:
            choice = self._choice(weights, samples, calls, apart)
            self._choices = {how: choice}  # a new one: other threads may be reading
        forms, rest, needed = choice
        require_bytes(needed, f"the multilinear form of {self.n_candidates} candidates on {samples} samples", weights.device)
        coefficients = weights.new_ones(len(weights), 1) if mixing is None else mixing
        parts: list[Callable[[Tensor], Tensor]] = [form.bind(weights, coefficients) for form in forms]
        if rest:
            states = self._states(weights.dtype, weights.device, rest)
            states.require_memory(len(weights), samples, calls)
            parts.append(states.bind_apart(weights) if apart else states.bind(weights, coefficients))
        n_outputs = self.n_outputs * (self.n_candidates if apart else 1)
        return BoundBank(self, weights, parts, n_outputs, is_native=bool(forms) and not rest)

    def _choice(self, weights: Tensor, samples: int, calls: int, apart: bool) -> Choice:
        """How a pass of this size is evaluated."""
        forms = self._choose_forms(self._forms_apart if apart else self.forms, weights, samples, calls)
        work: dict[str, Any] = {"samples": samples, "calls": calls, "gradients": torch.is_grad_enabled()}
        return forms, self._except(forms), sum(form.bytes(len(weights), **work) for form in forms)

    def _choose_forms(self, forms: Sequence[RotationForm], weights: Tensor, samples: int, calls: int) -> list[RotationForm]:
        """The forms that are worth it for a pass of this size: all of them where "form" is asked for."""
        if weights.device.type != "cpu":
            if self.path == "form":
                raise OptionError(f"path='form' runs on the CPU; the angles are on {weights.device}.")
            return []
        work: dict[str, Any] = {"samples": samples, "calls": calls, "gradients": torch.is_grad_enabled()}
        chosen = []
        for form in forms:
            by_states = partial(state_cost, n_qubits=len(form.angles), circuits=len(weights) * len(form.members), **work)
            own = form.cost(len(weights), **work)
            # Steps are counted where they matter: to schedule the candidates takes longer than many a pass.
            if (
                self.path == "form"
                or own <= by_states(steps=1)
                or own <= by_states(steps=max(self._n_steps[index] for index in form.members))
            ):
                chosen.append(form)
        return chosen

    @cached_property
    def _n_steps(self) -> list[int]:
        return [len(schedule(program).steps) for program in self._programs]

    def _except(self, forms: Sequence[RotationForm]) -> tuple[int, ...]:
        """The candidates that none of these forms covers."""
        return tuple(sorted(set(range(self.n_candidates)).difference(*(form.members for form in forms))))

    def _states(self, dtype: torch.dtype, device: torch.device, members: tuple[int, ...]) -> StateBank:
        key = (dtype, device, members)
        if key not in self._compiled:
            self._compiled[key] = StateBank(
                [self._programs[i] for i in members],
                [self._observables[i] for i in members],
                members,
                self.n_weights,
                dtype,
                device,
            )
        return self._compiled[key]
