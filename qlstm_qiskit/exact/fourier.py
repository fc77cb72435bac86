"""The multilinear form in readable terms: products of sines and cosines of the data, and their coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.circuits import Angle

_FUNCTIONS = ("", "cos", "sin")


@dataclass(frozen=True, eq=False)
class FourierSeries:
    """A truncated Fourier series of the outputs of a bank.

    Attributes:
        angles: The data angles u_q that the series is in, as text ("v0", "2 v1"; "" for a qubit that reads no data).
        digits: For each product its factor of each angle: 0 for 1, 1 for cos u, 2 for sin u; (products, qubits).
        coefficients: (products, gates, outputs).
    """

    angles: tuple[str, ...]
    digits: NDArray[np.int64]
    coefficients: NDArray[np.float64]

    def label(self, product: int) -> str:
        """The product as text, such as "cos(v0) sin(v2)", or "1"."""
        factors = [
            f"{_FUNCTIONS[digit]}({angle})" for digit, angle in zip(self.digits[product], self.angles, strict=True) if digit
        ]
        return " ".join(factors) or "1"

    def terms(self, gate: int = 0, output: int = 0, smallest: float = 1e-12) -> list[tuple[str, float]]:
        """Products and coefficients of one output, the largest first, except for those up to `smallest`."""
        values = self.coefficients[:, gate, output]
        order = np.argsort(-np.abs(values), kind="stable")
        return [(self.label(int(p)), float(values[p])) for p in order if abs(values[p]) > smallest]

    def evaluate(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum the series at data angles u (samples, qubits), in radians: (samples, gates, outputs)."""
        factors = _factors(angles)
        products = np.ones((len(angles), len(self.digits)))
        for qubit in range(self.digits.shape[1]):
            products *= factors[:, qubit][:, self.digits[:, qubit]]
        return np.einsum("sp,pgk->sgk", products, self.coefficients)

    def shapley(self, angles: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
        """Exact Shapley values of the data angles against a baseline: a coalition has its own angles, the rest the baseline's.

        They add up to the difference of the series at `angles` and at the baseline. A value is the integral over s from 0 to
        1 of the derivative by the angle's share where all others have gone a share s of the way of their factors (Owen 1972,
        Multilinear extensions of games). That is a polynomial in s of a degree below the number of qubits, for which
        Gauss-Legendre quadrature is exact, so that no coalition is written down.

        Args:
            angles: Data angles u, (samples, qubits), in radians.
            baseline: Angles to compare with, (qubits,).

        Returns:
            (samples, qubits, gates, outputs).
        """
        n_qubits = self.digits.shape[1]
        start, end = _factors(np.broadcast_to(baseline, (1, n_qubits))), _factors(angles)
        places = np.arange(n_qubits)
        # (samples, products, qubits): each product's factors at the baseline, and how far they go.
        first, step = (values[:, places, self.digits] for values in (start, end - start))
        nodes, weights = np.polynomial.legendre.leggauss(-(-n_qubits // 2))
        others = np.zeros_like(step)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            factors = first + node * step
            ahead, behind = np.ones_like(factors), np.ones_like(factors)
            np.cumprod(factors[..., :-1], axis=-1, out=ahead[..., 1:])
            behind[..., :-1] = np.cumprod(factors[..., :0:-1], axis=-1)[..., ::-1]
            others += weight * ahead * behind
        return np.einsum("spq,pgk->sqgk", step * others, self.coefficients)


def _factors(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """1, cos u and sin u of each angle, (samples, qubits, 3)."""
    return np.stack([np.ones_like(angles), np.cos(angles), np.sin(angles)], axis=-1)


def describe_angle(angle: Angle | None) -> str:
    """A data angle as text, with v for the inputs."""
    if angle is None:
        return ""
    if angle.tree is not None:
        return _describe_tree(angle.tree)
    parts = [f"{'' if value == 1 else f'{value:g} '}v{column}" for column, value in angle.inputs]
    return " + ".join(parts + ([f"{angle.offset:g}"] if angle.offset else []))


def _describe_tree(tree: object) -> str:
    if not isinstance(tree, tuple):
        return f"{tree:g}"
    if tree[0] == "x":
        return f"v{tree[1]}"
    arguments = [_describe_tree(part) for part in tree[1:]]
    joiner = {"Add": " + ", "Mul": " * ", "Pow": " ** "}.get(tree[0])
    return f"({joiner.join(arguments)})" if joiner else f"{tree[0]}({', '.join(arguments)})"
