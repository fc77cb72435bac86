"""A bank of noisy programs: exact expectation values of circuits with the noise of a device, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.exact.bound import BoundBank, LastBound, OfReplicas
from qlstm_qiskit.exact.checks import check_bank_parameters, replica_coefficients, sizes_of_bank
from qlstm_qiskit.exact.fourier import FourierSeries
from qlstm_qiskit.exact.graph import NEGLIGIBLE
from qlstm_qiskit.exact.memory import require_bytes
from qlstm_qiskit.exact.noise import NoisyProgram
from qlstm_qiskit.exact.noisy_form import NoisyForm, Outputs


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
        self._last = LastBound()

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
    ) -> BoundBank:
        """Fix angles and structural weights for one forward pass; arguments and errors as in `ExactBank.bind`.

        Raises:
            OptionError: The angles are not on the CPU.
        """
        check_bank_parameters(self.n_weights, weights, mixing)
        bind = partial(self._bind, samples, calls)
        return self._last.bound(gates, weights, mixing, samples, bind)

    def bind_apart(
        self, weights: Tensor, *, samples: int = 1, calls: int = 1, gates: tuple[int, ...] | None = None
    ) -> Callable[[Tensor], Tensor]:
        """As `bind`, for the outputs of each candidate: the result maps inputs to (batch, gates, candidates, outputs)."""
        ones = weights.new_ones(len(weights), self.n_candidates)
        check_bank_parameters(self.n_weights, weights, ones)
        bound = self._bound(self.form.apart, weights, ones, samples, calls)
        return lambda inputs: bound(inputs).reshape(len(inputs), len(weights), self.n_candidates, self.n_outputs)

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
        """As `bind` for R replicas; arguments and errors as in `ExactBank.bind_replicas`."""
        coefficients = replica_coefficients(self.n_weights, weights, mixing, apart=apart)
        form, (n, g) = self.form.apart if apart else self.form, weights.shape[:2]
        self._require_room(form, n * g, samples, calls, weights.device, f"{n} replicas of ")
        return BoundBank(
            OfReplicas(self, weights), weights[0], [form.bind_replicas(weights, coefficients)], form.n_outputs, is_native=True
        )

    has_forms = True  #: See `ExactBank.has_forms`.

    def form_bytes(self, n_gates: int, *, samples: int, calls: int, gradients: bool = True, apart: bool = False) -> int:
        """Bytes that the form of a pass takes; arguments as in `bind_replicas`."""
        form = self.form.apart if apart else self.form
        return form.bytes(n_gates, samples=samples, calls=calls, gradients=gradients)

    def apart(self, weights: Tensor, inputs: Tensor) -> Tensor:
        """Expectation values of each candidate, (batch, gates, candidates, outputs)."""
        return self.bind_apart(weights, samples=len(inputs))(inputs)

    def plan(self, weights: Tensor, *, samples: int = 1, calls: int = 1) -> str:
        """Which path a pass takes: there is one, the form."""
        return "form"

    def fourier(self, weights: Tensor, mixing: Tensor | None = None) -> FourierSeries:
        """The bank's outputs at these angles and structural weights as one truncated Fourier series of the data."""
        check_bank_parameters(self.n_weights, weights, mixing)
        return self.form.series(weights, weights.new_ones(len(weights), 1) if mixing is None else mixing)

    def _bind(self, samples: int, calls: int, weights: Tensor, mixing: Tensor | None) -> BoundBank:
        coefficients = weights.new_ones(len(weights), 1) if mixing is None else mixing
        return self._bound(self.form, weights, coefficients, samples, calls)

    def _bound(self, form: NoisyForm, weights: Tensor, mixing: Tensor, samples: int, calls: int) -> BoundBank:
        self._require_room(form, len(weights), samples, calls, weights.device)
        return BoundBank(self, weights, [form.bind(weights, mixing)], form.n_outputs, is_native=True)

    def _require_room(
        self, form: NoisyForm, n_gates: int, samples: int, calls: int, device: torch.device, whose: str = ""
    ) -> None:
        if device.type != "cpu":
            raise OptionError(f"noise inside the exact interpreter runs on the CPU; the angles are on {device}.")
        needed = form.bytes(n_gates, samples=samples, calls=calls, gradients=torch.is_grad_enabled())
        require_bytes(needed, f"the noisy form of {whose}{self.n_candidates} candidates on {samples} samples", device)
