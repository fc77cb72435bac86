"""A bank of candidate circuits for several gates, as one torch layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError, ShapeError, require_at_least, unknown_option
from qlstm_qiskit.exact import FourierSeries
from qlstm_qiskit.hardware import Backend, Bound, load_backend
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.space import Candidate

SHARINGS = ("none", "shared")
CIRCUITS = ("trained", "frozen")


class CircuitBank(nn.Module):
    """Weighted sums of candidate circuits: ``f_g(v) = sum_j w_gj f_j(v; theta_gj)`` for gates g.

    The angles theta and the structural weights w are parameters of the module. A bank with a single candidate has no
    structural weights: its coefficient is 1.

    Args:
        candidates: The circuits; all take the same number of inputs.
        n_gates: How many weighted sums to compute side by side, each with angles and weights of its own.
        n_outputs: How many observables to read from each circuit; all by default.
        sharing: "none": every candidate has angles of its own. "shared": all candidates of a gate use the same angles.
        circuits: "trained", or "frozen": the angles stay at their random start.
        mixing: "linear" (the paper's plain sum) or "softmax".
        backend: A backend or its name.
        kept: Which of the candidates take part; all by default. The others only take their share of the random numbers and of
            the initial structural weights, so that those that are kept start as they would among all.
        angle_std: Standard deviation of the normal distribution that the angles are drawn from, in radians.
        generator: Source of randomness; torch's default generator where None.
        device, dtype: Of the parameters; float64 by default.

    Raises:
        OptionError: An unknown option, or shared angles for candidates with different numbers of weights.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        n_gates: int = 1,
        n_outputs: int | None = None,
        *,
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
        for kind, given, allowed in (
            ("sharing", sharing, SHARINGS),
            ("setting of circuits", circuits, CIRCUITS),
            ("mixing", mixing, MIXINGS),
        ):
            if given not in allowed:
                raise unknown_option(kind, given, allowed)
        if not 0 <= angle_std < math.inf:
            raise OptionError(f"angle_std is {angle_std}; it must be a finite number of at least 0.")
        if len(candidates) == 1 and mixing != "linear":
            raise OptionError(f"mixing={mixing!r} has no meaning for a single candidate; leave it out.")
        kept = [True] * len(candidates) if kept is None else list(kept)
        if len(kept) != len(candidates) or not any(kept):
            raise OptionError(
                f"kept is {kept}; give a flag for each of the {len(candidates)} candidates, at least one of them True."
            )
        self.candidates = tuple(candidate for candidate, keep in zip(candidates, kept, strict=True) if keep)
        self.n_gates = require_at_least("n_gates", n_gates, 1)
        self.sharing, self.circuits, self.mixing = sharing, circuits, mixing
        self.backend = load_backend(backend) if isinstance(backend, str) else backend
        self._bank = self.backend.bank(self.candidates, n_outputs)
        sizes = {len(candidate.weights) for candidate in candidates}
        if sharing == "shared" and len(sizes) > 1:
            raise OptionError(
                f"sharing='shared' needs candidates with equally many weights; these have {sorted(sizes)}. Use sharing='none'."
            )
        own = [keep for candidate, keep in zip(candidates, kept, strict=True) for _ in candidate.weights]
        columns = torch.tensor([True] * max(sizes) if sharing == "shared" else own, dtype=torch.bool, device=device)
        start = torch.randn(self.n_gates, len(columns), generator=generator, dtype=dtype, device=device)[:, columns]
        self.angles = nn.Parameter(angle_std * start, requires_grad=circuits == "trained")
        self.structural_weights: nn.Parameter | None = None
        if len(candidates) > 1:
            weight = MIXINGS[mixing].start(len(candidates))
            shape = (self.n_gates, len(self.candidates))
            self.structural_weights = nn.Parameter(torch.full(shape, weight, dtype=dtype, device=device))

    @property
    def n_inputs(self) -> int:
        return self._bank.n_inputs

    @property
    def n_outputs(self) -> int:
        return self._bank.n_outputs

    def arch_parameters(self) -> Iterator[nn.Parameter]:
        """The structural weights, (gates, candidates); none for a single candidate."""
        if self.structural_weights is not None:
            yield self.structural_weights

    def circuit_parameters(self) -> Iterator[nn.Parameter]:
        """The angles in radians: (gates, weights of all candidates), or (gates, weights of one) where they are shared."""
        yield self.angles

    def coefficients(self) -> Tensor | None:
        """The coefficients of the weighted sums, (gates, candidates); None for a single candidate."""
        if self.structural_weights is None:
            return None
        return MIXINGS[self.mixing].coefficients(self.structural_weights)

    def bind(self, *, samples: int, calls: int = 1) -> Bound:
        """Fix the parameters for one forward pass of `calls` calls with `samples` samples each."""
        return self._bank.bind(self._expanded_angles(), self.coefficients(), samples=samples, calls=calls)

    def path(self, *, samples: int, calls: int = 1) -> str:
        """How a forward pass of this size is evaluated: "form", "states", "form+states" (see `ExactBank`) or "primitives"."""
        return self._bank.plan(self.angles, samples=samples, calls=calls)

    def fourier(self) -> FourierSeries:
        """The weighted sums as one truncated Fourier series of the inputs, exact; see `ExactBank.fourier`."""
        return self._bank.fourier(self._expanded_angles(), self.coefficients())

    def _expanded_angles(self) -> Tensor:
        """The angles of every candidate, (gates, weights of all candidates)."""
        return self.angles.repeat(1, len(self.candidates)) if self.sharing == "shared" else self.angles

    def forward(self, inputs: Tensor) -> Tensor:
        """Evaluate the weighted sums.

        Args:
            inputs: Angles in radians, (..., n_inputs), in the dtype of the parameters.

        Returns:
            (..., gates, outputs).
        """
        if inputs.dtype != self.angles.dtype:
            raise ShapeError(f"inputs have the dtype {inputs.dtype}, the parameters {self.angles.dtype}; convert one.")
        if inputs.shape[-1:] != (self.n_inputs,):
            raise ShapeError(f"inputs have the shape {tuple(inputs.shape)}; expected (..., {self.n_inputs}).")
        flat = inputs.reshape(math.prod(inputs.shape[:-1]), self.n_inputs)
        values = self.bind(samples=len(flat))(flat)
        return values.reshape(*inputs.shape[:-1], self.n_gates, self.n_outputs)

    def extra_repr(self) -> str:
        return (
            f"candidates={len(self.candidates)}, gates={self.n_gates}, inputs={self.n_inputs}, outputs={self.n_outputs}, "
            f"sharing={self.sharing!r}, circuits={self.circuits!r}, mixing={self.mixing!r}, backend={self.backend.name!r}"
        )
