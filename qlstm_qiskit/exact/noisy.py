"""A bank of noisy programs: exact expectation values of circuits with the noise of a device, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qlstm_qiskit.errors import OptionError, ShapeError
from qlstm_qiskit.exact.adjoint import same_tensor
from qlstm_qiskit.exact.checks import check_bank_parameters, sizes_of_bank
from qlstm_qiskit.exact.fourier import FourierSeries
from qlstm_qiskit.exact.graph import NEGLIGIBLE
from qlstm_qiskit.exact.memory import require_bytes
from qlstm_qiskit.exact.noise import NoisyProgram
from qlstm_qiskit.exact.noisy_form import NoisyForm, Outputs
from qlstm_qiskit.exact.plain import is_watched


class NoisyBank:
    """The exact interpreter of a bank of candidates with noise; the contract is that of `ExactBank`.

    Noise does not depend on angles, so that an expectation value stays a trigonometric polynomial of every angle, and the
    multilinear form is built by pulling observables back through gates and channels (`graph`).

    Attributes:
        form: The multilinear form of all candidates.

    Args:
        programs: One for each candidate; all take the same number of inputs.
        observables: For each candidate its outputs, each a sum of Pauli terms on its program's qubits; equally many for all.
        sparse, negligible: See `NoisyForm`.

    Raises:
        CircuitError: The candidates disagree in inputs or outputs, or a circuit reads the same data angle twice or multiplies
            data and weights.
        CapacityError: The strings of the observables do not fit in memory.
    """

    def __init__(
        self,
        programs: Sequence[NoisyProgram],
        observables: Sequence[Outputs],
        *,
        sparse: bool = False,
        negligible: float = NEGLIGIBLE,
    ) -> None:
        self.n_inputs, self.n_outputs = sizes_of_bank(programs, observables)
        self.n_weights = tuple(program.n_weights for program in programs)
        self.form = NoisyForm(programs, observables, sparse=sparse, negligible=negligible)
        self._last: dict[tuple[int, ...] | None, _Last] = {}

    @property
    def n_candidates(self) -> int:
        return len(self.n_weights)

    def bind(
        self,
        weights: Tensor,
        mixing: Tensor | None = None,
        *,
        samples: int = 1,
        calls: int = 1,
        gates: tuple[int, ...] | None = None,
    ) -> BoundNoisyBank:
        """Fix angles and structural weights for one forward pass; arguments and errors as in `ExactBank.bind`.

        Raises:
            OptionError: The angles are not on the CPU.
        """
        check_bank_parameters(self.n_weights, weights, mixing)
        if torch.is_grad_enabled() or is_watched():
            return self._bind(weights, mixing, samples, calls)
        last = self._last.get(gates)
        if last is None or last.samples < samples or not (_same(last.weights, weights) and _same(last.mixing, mixing)):
            bound = self._bind(weights, mixing, samples, calls)
            last = _Last(weights.clone(), None if mixing is None else mixing.clone(), samples, bound)
            self._last[gates] = last
        return last.bound

    def bind_apart(
        self, weights: Tensor, *, samples: int = 1, calls: int = 1, gates: tuple[int, ...] | None = None
    ) -> Callable[[Tensor], Tensor]:
        """As `bind`, for the outputs of each candidate: the result maps inputs to (batch, gates, candidates, outputs)."""
        ones = weights.new_ones(len(weights), self.n_candidates)
        check_bank_parameters(self.n_weights, weights, ones)
        evaluate = self._evaluation(self.form.apart, weights, ones, samples, calls)
        shape = (len(weights), self.n_candidates, self.n_outputs)

        def apart(inputs: Tensor) -> Tensor:
            self._check(inputs)
            if not len(inputs):
                return weights.new_zeros(0, *shape) + 0 * weights.sum()
            return evaluate(inputs).reshape(len(inputs), *shape)

        return apart

    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str:
        """Which path a pass takes: there is one, the form."""
        return "form"

    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries:
        """The bank's outputs at these angles and structural weights as one truncated Fourier series of the data."""
        check_bank_parameters(self.n_weights, weights, mixing)
        return self.form.series(weights, weights.new_ones(len(weights), 1) if mixing is None else mixing)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": {}}  # a copy starts without what was bound for the original

    def _bind(self, weights: Tensor, mixing: Tensor | None, samples: int, calls: int) -> BoundNoisyBank:
        coefficients = weights.new_ones(len(weights), 1) if mixing is None else mixing
        return BoundNoisyBank(self, weights, self._evaluation(self.form, weights, coefficients, samples, calls))

    def _evaluation(
        self, form: NoisyForm, weights: Tensor, mixing: Tensor, samples: int, calls: int
    ) -> Callable[[Tensor], Tensor]:
        if weights.device.type != "cpu":
            raise OptionError(f"noise inside the exact interpreter runs on the CPU; the angles are on {weights.device}.")
        needed = form.bytes(len(weights), samples=samples, calls=calls, gradients=torch.is_grad_enabled())
        require_bytes(needed, f"the noisy form of {self.n_candidates} candidates on {samples} samples", weights.device)
        return form.bind(weights, mixing)

    def _check(self, inputs: Tensor) -> None:
        if inputs.dim() != 2 or inputs.shape[1] != self.n_inputs:
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (batch, {self.n_inputs}).")


class BoundNoisyBank:
    """A noisy bank with fixed angles and structural weights; call it with inputs, once for each time step.

    Args:
        bank: Whose it is.
        weights: Angles in radians, (gates, sum of `n_weights`).
        evaluate: From inputs (batch, n_inputs) to outputs (batch, gates, outputs).
    """

    is_native = True

    def __init__(self, bank: NoisyBank, weights: Tensor, evaluate: Callable[[Tensor], Tensor]) -> None:
        self._bank, self._weights, self._evaluate = bank, weights, evaluate

    def __call__(self, inputs: Tensor, *, constant: int = 0) -> Tensor:
        """As `BoundBank`: mixed outputs, (batch, gates, outputs)."""
        self._bank._check(inputs)
        if not len(inputs):
            return self._weights.new_zeros(0, len(self._weights), self._bank.n_outputs) + 0 * self._weights.sum()
        return self._evaluate(inputs)

    def candidates(self, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate before mixing, (batch, gates, candidates, outputs)."""
        return self._bank.bind_apart(self._weights, samples=len(inputs))(inputs)


class _Last(NamedTuple):
    """What was bound without gradients, copies of the parameters, and the batch size that was checked to fit."""

    weights: Tensor
    mixing: Tensor | None
    samples: int
    bound: BoundNoisyBank


def _same(before: Tensor | None, now: Tensor | None) -> bool:
    if before is None or now is None:
        return before is now
    return same_tensor(before, now)
