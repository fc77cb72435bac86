"""The cost of a pass on each path, in nanoseconds of one core; the cheaper path is taken.

The constants are measured (`python -m benchmarks.paths` checks the choice on a grid of sizes). Only ratios matter.
"""

from __future__ import annotations

#: Backward passes cost about twice as much as the forward pass that they belong to, on both paths.
_WITH_GRADIENTS = 3


def form_cost(*, steps: int, lane_steps: int, terms: int, samples: int, calls: int, gradients: bool) -> float:
    """Build a multilinear form and evaluate it `calls` times on `samples` samples.

    Args:
        steps: Plane rotations of the form; each has an overhead of its own.
        lane_steps: Plane rotations of single numbers, for all candidates and gates.
        terms: Numbers of the form's matrix.
    """
    build = 100_000 + 14 * steps + 0.6 * lane_steps + 5 * terms
    evaluate = calls * (40_000 + 0.1 * samples * terms)
    return (build + evaluate) * (_WITH_GRADIENTS if gradients else 1)


def state_cost(*, n_qubits: int, steps: int, circuits: int, samples: int, calls: int, gradients: bool) -> float:
    """Push a statevector of each circuit and sample through all steps, `calls` times."""
    amplitudes = circuits * samples * 2**n_qubits
    return calls * (300_000 + steps * (65_000 + 6 * amplitudes)) * (_WITH_GRADIENTS if gradients else 1)
