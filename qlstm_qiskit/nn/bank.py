"""A bank of candidate circuits for several gates, as one torch layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError, ShapeError, require_at_least
from qlstm_qiskit.exact import FourierSeries
from qlstm_qiskit.hardware import Backend, Bound, load_backend
from qlstm_qiskit.hardware.contract.backend import Bank
from qlstm_qiskit.hardware.interpreter.modules import Circuits, whole
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend
from qlstm_qiskit.nn.allocated import Allocated
from qlstm_qiskit.nn.calls import Called, does_more, has_own_forward
from qlstm_qiskit.nn.checks import require_device, require_known
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.nn.pairs import RestrictedParameter, checked_gates, filled, restricted, slots
from qlstm_qiskit.space import Candidate


class CircuitBank(Allocated, Circuits):
    """Weighted sums of candidate circuits: ``f_g(v) = sum_j w_gj f_j(v; theta_gj)`` for gates g.

    The angles theta and the structural weights w are parameters of the module. A bank with a single candidate has no
    structural weights: its coefficient is 1. With `gates`, each gate has parameters for its own candidates only, in flat
    tensors, gate after gate, and a structural weight even for a single candidate.

    Args:
        candidates: The circuits; all take the same number of inputs.
        n_gates: Number of weighted sums to compute side by side, each with its own angles and weights.
        n_outputs: Number of observables to read from each circuit; all by default.
        gates: For each gate, the indices of the candidates that it sums over; all by default.
        sharing: "none": every candidate has its own angles. "shared": all candidates of a gate use the same angles.
        circuits: "trained", or "frozen": the angles stay at their random start.
        mixing: "linear" (the paper's plain sum), "softmax", "gumbel-softmax" or "gumbel-straight-through"; see `Mixing`.
        backend: A backend or its name.
        kept: A flag per candidate: whether it takes part; all by default. The others still use up their random numbers and
            their share of the initial structural weights, so that those that are kept start as they would among all.
        angle_std: Standard deviation of the normal distribution from which the angles are drawn, in radians.
        generator: Source of randomness; torch's default generator where None.
        device, dtype: Of the parameters; float64 by default.

    Raises:
        OptionError: An unknown option or device, or shared angles for candidates with different numbers of weights.
    """

    noise_source: torch.Generator | None = None  #: torch's default one where None; see `drawing_from`

    def __init__(
        self,
        candidates: Sequence[Candidate],
        n_gates: int = 1,
        n_outputs: int | None = None,
        *,
        gates: Sequence[Sequence[int]] | None = None,
        sharing: str = "none",
        circuits: str = "trained",
        mixing: str = "linear",
        backend: Backend | str = "statevector",
        kept: Sequence[bool] | None = None,
        angle_std: float = 0.01,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        require_device(device)
        require_known(sharing, circuits, mixing)
        if not 0 <= angle_std < math.inf:
            raise OptionError(f"angle_std is {angle_std}; it must be a finite number of at least 0.")
        if len(candidates) == 1 and gates is None and mixing != "linear":
            raise OptionError(f"mixing={mixing!r} has no meaning for a single candidate; leave it out.")
        kept = [True] * len(candidates) if kept is None else list(kept)
        if len(kept) != len(candidates) or not any(kept) or (gates is not None and not all(kept)):
            raise OptionError(
                f"kept is {kept}; give a flag for each of the {len(candidates)} candidates, at least one of them True, and all "
                "of them where gates say what is kept."
            )
        self.n_gates, self.n_initial = require_at_least("n_gates", n_gates, 1), sum(kept)
        self.sharing, self.circuits, self.mixing, self.angle_std = sharing, circuits, mixing, angle_std
        self.backend = load_backend(backend) if isinstance(backend, str) else backend
        self._asked_outputs = n_outputs
        self.temperature: Tensor | None
        self.register_buffer("temperature", torch.ones((), dtype=dtype, device=device) if MIXINGS[mixing].sampled else None)
        sizes = {len(candidate.weights) for candidate in candidates}
        if sharing == "shared" and len(sizes) > 1:
            raise OptionError(
                f"sharing='shared' needs candidates with equally many weights; these have {sorted(sizes)}. Use sharing='none'."
            )
        self._arrange([candidate for candidate, keep in zip(candidates, kept, strict=True) if keep], gates)
        own = [keep for candidate, keep in zip(candidates, kept, strict=True) for _ in candidate.weights]
        columns = torch.tensor([True] * max(sizes) if sharing == "shared" else own, dtype=torch.bool, device=device)
        start = torch.randn(self.n_gates, len(columns), generator=generator, dtype=dtype, device=device)
        angles = angle_std * start[:, columns]
        numbers = [len(candidates)] * self.n_gates if gates is None else [len(own) for own in self.gates]
        starts = [[MIXINGS[mixing].start(number)] * len(self.candidates) for number in numbers]
        weights = torch.tensor(starts, dtype=dtype, device=device)
        if gates is not None:
            angles = angles if sharing == "shared" else angles[self._has_angle.to(angles.device)]
            weights = weights[self._has.to(weights.device)]
        self.angles = nn.Parameter(angles)
        if circuits == "frozen":
            self.freeze()
        self.structural_weights: nn.Parameter | None = None
        if len(candidates) > 1 or gates is not None:
            self.structural_weights = nn.Parameter(weights)

    def _arrange(self, candidates: Sequence[Candidate], gates: Sequence[Sequence[int]] | None) -> None:
        """Set the candidates and which gate sums over which, and compile them; nothing is set if that fails."""
        everything = tuple(range(len(candidates)))
        places = (everything,) * self.n_gates if gates is None else checked_gates(gates, self.n_gates, len(candidates))
        has = torch.tensor([[place in own for place in everything] for own in places])
        given = candidates, self._asked_outputs, None if has.all() else has.numpy()
        if type(own := self.backend) is StatevectorBackend:
            bank: Bank = own.bank(*given, shared=self.sharing == "shared")
        else:
            bank = own.bank(*given)
        self.candidates, self.gates, self._bank, self._has = tuple(candidates), places, bank, has
        self._has_angle = has.repeat_interleave(torch.tensor(bank.n_weights), dim=1)

    def restrict(self, gates: Sequence[Sequence[int]]) -> list[RestrictedParameter]:
        """Keep a subset of each gate's candidates, in place; the remaining parameters are new tensors.

        Args:
            gates: For each gate, the current indices of the candidates to keep.

        Returns:
            The old and the new tensor of each parameter, for an optimiser that continues.

        Raises:
            OptionError: A gate would keep no candidate, or one that it does not have.
        """
        kept = checked_gates(gates, self.n_gates, len(self.candidates))
        for gate, (own, before) in enumerate(zip(kept, self.gates, strict=True)):
            if not set(own) <= set(before):
                raise OptionError(f"gate {gate} sums over candidates {list(before)}; it cannot keep {list(own)}.")
        places = sorted(set().union(*kept))
        of_angles, of_weights = slots(self._has_angle), slots(self._has)
        columns = np.isin(np.repeat(np.arange(len(self.candidates)), self._bank.n_weights), places)
        renamed = {place: new for new, place in enumerate(places)}
        self._arrange([self.candidates[p] for p in places], [[renamed[p] for p in own] for own in kept])
        changed = []
        if self.sharing == "none":
            changed.append(restricted(self.angles, of_angles[:, columns][self._has_angle]))
            self.angles = changed[0].after
        if self.structural_weights is None:
            self.structural_weights = nn.Parameter(self.angles.new_ones(self.n_gates))
        else:
            changed.append(restricted(self.structural_weights, of_weights[:, places][self._has]))
            self.structural_weights = changed[-1].after
        return changed

    def freeze(self) -> None:
        """Freeze the angles; only the structural weights, if there are any, are trained."""
        self.angles.requires_grad_(False)
        self.circuits = "frozen"

    def linearise(self) -> None:
        """Replace the structural weights by plain ones that give the same coefficients, in place."""
        coefficients = self.coefficients(noise=False)
        if coefficients is None or self.structural_weights is None or self.mixing == "linear":
            return
        values = coefficients.detach()
        self.structural_weights = nn.Parameter(values if self.structural_weights.dim() == 2 else values[self._has])
        self.mixing, self.temperature = "linear", None

    @property
    def n_inputs(self) -> int:
        return self._bank.n_inputs

    @property
    def n_outputs(self) -> int:
        return self._bank.n_outputs

    @property
    def n_circuits(self) -> int:
        """Number of circuits that one call evaluates per sample."""
        return sum(map(len, self.gates))

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The structural weights, (gates, candidates), or flat if gates have different candidates; none for a single one."""
        if self.structural_weights is not None:
            yield self.structural_weights

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """The angles in radians: (gates, weights of all candidates), (gates, weights of one) if they are shared, or flat."""
        yield self.angles

    def coefficients(self, *, noise: bool = True) -> Tensor | None:
        """The coefficients of the weighted sums, (gates, candidates); None for a single candidate.

        They are zero where a gate lacks a candidate. With `noise`, a sampled mixing draws new noise per call while training.
        """
        if self.structural_weights is None:
            return None
        temperature = 1.0 if self.temperature is None else float(self.temperature)
        return MIXINGS[self.mixing].coefficients(
            self.table(self.structural_weights), self._has, temperature, self.training and noise, self.noise_source
        )

    def table(self, values: Tensor) -> Tensor:
        """Values in the shape of the structural weights as (gates, candidates); zero where a gate lacks a candidate."""
        return filled(values, self._has) if values.dim() == 1 else values

    def restart_weights(self) -> None:
        """Reset the structural weights to their initial values, at which the candidates of a gate count equally."""
        rows = [[MIXINGS[self.mixing].start(len(own))] * len(self.candidates) for own in self.gates]
        starts = torch.tensor(rows, dtype=self.angles.dtype)
        if self.structural_weights is not None:
            starts = starts if self.structural_weights.dim() == 2 else starts[self._has]
            self.structural_weights.data.copy_(starts)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new angles, from torch's default generator if None, and set the structural weights to their initial values.

        Candidates that were dropped, and the temperature of a sampled mixing, stay as they are.
        """
        with torch.no_grad():
            self.angles.copy_(torch.empty_like(self.angles).normal_(generator=generator).mul_(self.angle_std))
        self.restart_weights()

    def expanded_angles(self) -> Tensor:
        """The angles of every candidate, (gates, weights of all candidates); zero where a gate lacks the candidate."""
        self._let_hooks_set()
        return self._expanded()

    def _expanded(self) -> Tensor:
        if self.sharing == "shared":
            return self.angles.repeat(1, len(self.candidates))
        return self.angles if self.angles.dim() == 2 else filled(self.angles, self._has_angle)

    def bind(self, *, samples: int, calls: int = 1, gates: tuple[int, ...] | None = None) -> Bound:
        """Fix the parameters for one forward pass of `calls` calls with `samples` samples each.

        A bank with hooks is called for each input, because a hook may set new parameters each time, as pruning does.

        Args:
            samples, calls: Size of the pass.
            gates: Indices of the gates to evaluate; all by default.
        """
        if does_more(self, CircuitBank):
            return Called(self, samples, calls, gates, has_own_forward(self, CircuitBank))
        return self.bind_now(samples, calls, gates)

    def bind_now(self, samples: int, calls: int, gates: tuple[int, ...] | None = None) -> Bound:
        """As `bind`, with the current parameters and without hooks."""
        angles, coefficients = self._expanded(), self.coefficients()
        if gates is not None:
            angles, coefficients = angles[list(gates)], None if coefficients is None else coefficients[list(gates)]
        return self._bank.bind(angles, coefficients, samples=samples, calls=calls, gates=gates, **self._allocated(gates))

    def path(self, *, samples: int, calls: int = 1) -> str:
        """How a forward pass of this size is evaluated: "form", "states", "form+states" (see `ExactBank`) or "primitives"."""
        return self._bank.plan(self.angles, samples=samples, calls=calls)

    def fourier(self) -> FourierSeries:
        """The weighted sums as one truncated Fourier series of the inputs, exact; see `ExactBank.fourier`."""
        return self._bank.fourier(self.expanded_angles(), self.coefficients(noise=False))

    @whole
    def forward(self, inputs: Tensor, bound: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Evaluate the weighted sums.

        Args:
            inputs: Angles in radians, (..., n_inputs), in the dtype of the parameters.
            bound: Evaluates the sums if the bank is bound for several calls.

        Returns:
            (..., gates, outputs).

        Raises:
            ShapeError: The inputs have another dtype or number of columns.
        """
        if inputs.dtype != self.angles.dtype:
            raise ShapeError(f"inputs have the dtype {inputs.dtype}, the parameters {self.angles.dtype}; convert one.")
        if inputs.shape[-1:] != (self.n_inputs,):
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (..., {self.n_inputs}).")
        flat = inputs.resolve_neg().reshape(math.prod(inputs.shape[:-1]), self.n_inputs)
        values = (self.bind_now(len(flat), 1) if bound is None else bound)(flat)
        return values.reshape(*inputs.shape[:-1], values.shape[1], self.n_outputs)  # only the bound gates

    def _let_hooks_set(self) -> None:
        """Run the hooks without the circuits, because pruning and weight norm set parameters before each call."""
        if does_more(self, CircuitBank) and not has_own_forward(self, CircuitBank):
            shape = (self.n_gates, self.n_outputs)
            self(self.angles.new_zeros(1, self.n_inputs), bound=lambda flat: flat.new_zeros(len(flat), *shape))

    def extra_repr(self) -> str:
        return (
            f"candidates={len(self.candidates)}, gates={self.n_gates}, circuits={self.n_circuits}, "
            f"inputs={self.n_inputs}, outputs={self.n_outputs}, "
            f"sharing={self.sharing!r}, angles={self.circuits!r}, "
            f"mixing={self.mixing!r}, backend={self.backend.name!r}"
        )
