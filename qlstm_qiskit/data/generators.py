"""The five synthetic series of the paper, deterministic, in original units."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import jv

from qlstm_qiskit.data.scaler import Floats, Scaler


def bessel() -> Floats:
    """J_2 at 256 points from 2 to 100."""
    values: Floats = jv(2, np.linspace(2, 100, 256))
    return values


def damped_shm() -> Floats:
    """Angular velocity (rad/s) of a damped pendulum, 240 points over 20 s.

    ``theta'' = -0.15 theta' - 9.81 sin(theta)``, ``theta(0) = 0``, ``theta'(0) = 3``.
    """
    return _pendulum().copy()


@functools.cache
def _pendulum() -> Floats:
    """`damped_shm`, integrated once in a process: 70 ms, and a study asks for each of its runs."""
    times = np.linspace(0, 20, 240)
    solution = solve_ivp(
        lambda _, state: (state[1], -0.15 * state[1] - 9.81 * np.sin(state[0])),
        (0, 20),
        (0.0, 3.0),
        method="DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-12,
    )
    velocity: Floats = solution.y[1]
    return velocity


def delayed_quantum_control() -> Floats:
    """Revivals of a delayed control, 2200 points: ``sum_n exp(-10 (t - 2 n)^2) exp(-t / 16)``, n = 0 .. 10."""
    times = np.arange(-2, 20, 0.01)
    pulses = np.exp(-10 * (times[:, None] - 2 * np.arange(11)) ** 2).sum(axis=1)
    values: Floats = pulses * np.exp(-times / 16)
    return values


def narma(order: int, length: int = 300) -> tuple[Floats, Floats]:
    """A nonlinear autoregressive moving average: its input u and its output y, both (length,).

    ``y_{t+1} = 0.3 y_t + 0.05 y_t sum_{j < order} y_{t-j} + 1.5 u_{t-order+1} u_t + 0.1``, terms of negative index 0.
    """
    times = np.arange(length)
    u = 0.1 * (np.prod([np.sin(2 * np.pi * f * times / length) for f in (2.11, 3.73, 4.11)], axis=0) + 1)
    y = np.zeros(length)
    y[0] = 0.196
    for t in range(length - 1):
        past = y[max(t - order + 1, 0) : t + 1].sum()
        delayed = u[t - order + 1] if t >= order - 1 else 0.0
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * past + 1.5 * delayed * u[t] + 0.1
    return u, y


def _univariate(series: Callable[[], Floats]) -> Callable[[], Series]:
    """The paper's protocol for a series that predicts itself: scaled over the whole series."""

    def build() -> Series:
        values = series()
        scaler = Scaler.fit(values[:, None])
        return Series(values[:, None], values, ("value",), "value", scaler)

    return build


def _narma(order: int) -> Callable[[], Series]:
    """The paper's protocol for NARMA: predict the output from the input, unscaled."""

    def build() -> Series:
        u, y = narma(order)
        return Series(u[:, None], y, ("u",), "y", Scaler.identity(1))

    return build


class Series(NamedTuple):
    """A series under the paper's protocol: inputs (rows, features), target (rows,), their names and the scaler of both."""

    inputs: Floats
    target: Floats
    features: tuple[str, ...]
    target_name: str
    scaler: Scaler


#: Name -> function that computes the series.
PAPER_SERIES: Mapping[str, Callable[[], Series]] = MappingProxyType(
    {
        "bessel": _univariate(bessel),
        "damped_shm": _univariate(damped_shm),
        "delayed_quantum_control": _univariate(delayed_quantum_control),
        "narma5": _narma(5),
        "narma10": _narma(10),
    }
)
