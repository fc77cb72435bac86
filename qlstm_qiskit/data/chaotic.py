"""Three chaotic series of 1,000 points, deterministic, to the last bit as reservoirpy 0.4.2 makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from qlstm_qiskit.data.scaler import Floats

#: Points of each series.
LENGTH = 1000

#: Part of the windows before the test part: 60 % train and 20 % validate.
CHAOTIC_FRACTION = 0.8

#: Which rows the scale to [0, 1] is taken from: all of them, as in the published protocol, or those before the test part.
SCALINGS = ("whole-series", "training-part")

#: Of the random past that the Mackey-Glass equation starts from; reservoirpy's own.
_SEED = 5555


def henon(length: int = LENGTH) -> Floats:
    """The Henon map from 0: ``x' = 1 - 1.4 x^2 + y``, ``y' = 0.3 x``; its x, (length,)."""
    states = np.zeros((length, 2))
    for before, state in pairwise(states):
        state[0] = 1 - 1.4 * before[0] ** 2 + before[1]
        state[1] = 0.3 * before[0]
    return states[:, 0]


def mackey_glass(length: int = LENGTH, delay: int = 17) -> Floats:
    """The Mackey-Glass equation, a point per unit of time, (length,).

    ``x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x``, from 1.2 after a random past around it, by the fourth-order
    Runge-Kutta scheme that takes the delayed value as constant within a step.
    """
    values = np.empty(delay + length)
    values[:delay] = 1.2 * np.ones(delay) + 0.2 * (np.random.default_rng(_SEED).random(delay) - 0.5)
    value = 1.2
    for place in range(delay, delay + length):
        values[place] = value
        delayed, decay = values[place - delay], -0.1
        k1 = decay * value + 0.2 * delayed / (1 + delayed**10)
        k2 = 2 * k1 + decay * k1
        k3 = 2 * k1 + decay * k2
        k4 = k1 + decay * k3
        value = value + (k1 + k2 + k3 + k4) / 6
    return values[delay:]


def lorenz(length: int = LENGTH) -> Floats:
    """The Lorenz equations of 1963 from (1, 1, 1) on, for 0.03 `length` units of time; their x, (length,).

    Both ends are among the points, as in reservoirpy: they are 0.03 length / (length - 1) apart, which a longer series changes.
    ``x' = 10 (y - x)``, ``y' = x (28 - z) - y``, ``z' = x y - 8/3 z``. The solver's tolerance is its default: in chaos another
    one gives another series.
    """
    end = length * 0.03
    solution = solve_ivp(
        lambda _, state: (
            10.0 * (state[1] - state[0]),
            state[0] * (28.0 - state[2]) - state[1],
            state[0] * state[1] - 8.0 / 3.0 * state[2],
        ),
        (0.0, end),
        (1.0, 1.0, 1.0),
        t_eval=np.linspace(0.0, end, length),
    )
    first: Floats = solution.y[0]
    return first


class ChaoticSeries(NamedTuple):
    """A chaotic series and the tasks on it.

    Attributes:
        read: Computes it, (1000,).
        leads: How many steps ahead are predicted in the study `chaos`.
    """

    read: Callable[[], Floats]
    leads: tuple[int, ...]


#: Name -> the series. Each predicts itself.
CHAOTIC_SERIES: Mapping[str, ChaoticSeries] = MappingProxyType(
    {
        "henon": ChaoticSeries(henon, (1, 2, 4)),
        "mackey_glass": ChaoticSeries(mackey_glass, (1, 70, 140)),
        "lorenz": ChaoticSeries(lorenz, (1, 12, 25)),
    }
)
