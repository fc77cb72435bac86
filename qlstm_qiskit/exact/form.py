"""The multilinear form: a bank of trained circuits as one matrix on products of 1, cos u and sin u of the data angles.

Where every candidate reads each data angle once, each gate's output is

    f_k(v) = sum_f M[f, k] prod_q t_q(f),   t_q in (1, cos u_q, sin u_q),

a truncated Fourier series (Schuld et al., arXiv 2008.08605). M is built once for each set of angles and structural weights; its
cost does not depend on the number of samples or time steps, and evaluating it does not depend on the number of candidates.
`rotation_form` builds it for circuits, `noisy_form` for circuits with the noise of a device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qlstm_qiskit.circuits import Angle
from qlstm_qiskit.exact.adjoint import build_matrix, features, products, sparse_sums
from qlstm_qiskit.exact.batched import batched_product
from qlstm_qiskit.exact.codes import digits_of, distinct, factors_of, parts_of
from qlstm_qiskit.exact.factors import evaluate_tree
from qlstm_qiskit.exact.fourier import FourierSeries, describe_angle
from qlstm_qiskit.exact.tables import Array, FormTables

#: A feature is a product of entries of tables over this many qubits each.
_PART_QUBITS = 5

#: Coefficients of replicas that are turned together: more of them, and their gradients, would not stay in a core's cache.
_BLOCK_BYTES = 2**18

#: All products of the qubits' features are used where at least one in `_GRID_SHARE` occurs and there are at most `_GRID_LIMIT`.
_GRID_SHARE, _GRID_LIMIT = 3, 3**8


class MultilinearForm(FormTables):
    """The compiled form of candidates that read the same data angles.

    Attributes:
        members: Places in the bank of the candidates that it covers.
        angles: Data angles; None where there is none.
        frozen: See `FormTables`.

    Args:
        angles: Data angles.
        n_outputs: Of each gate.
        n_weights: Of all candidates of the bank.
    """

    members: tuple[int, ...]
    _copies = 1  # of the coefficients, in a pass

    def __init__(self, angles: Sequence[Angle | None], n_outputs: int, n_weights: int) -> None:
        super().__init__()
        self.angles, self.n_outputs, self._n_weights = tuple(angles), n_outputs, n_weights
        self._trees: dict[tuple[Any, int], int] = {}

    @property
    def largest(self) -> int:
        """Coefficients of one gate that are turned together."""
        return self.n_rows

    def bytes(self, n_gates: int, *, samples: int, calls: int, gradients: bool) -> int:
        """What a pass holds in float64: coefficients, angles, matrix, and what each call keeps for gradients."""
        values = self.n_outputs * n_gates
        tables = len(self.codes) * 3**self.width
        apart = 0 if self.is_grid else len(self.angles) + 2 * len(self.feature_codes)
        kept = tables + values * (3**self.width if self.is_grid else 1) + apart
        once = (self._copies * self.n_rows + 3 * self.n_angles + 3 * self.n_slots) * n_gates
        return 8 * (once + kept * samples * (calls + 1 if gradients else 1))

    def bind(self, weights: Tensor, mixing: Tensor) -> Callable[[Tensor], Tensor]:
        """Build the matrix for angles and structural weights of the bank; the result maps inputs to (batch, gates, outputs)."""
        matrix, shape = self.build(weights, mixing), (self.n_outputs, len(weights))
        if self.slots is not None:
            return lambda inputs: sparse_sums(self.features(inputs), matrix, self)
        if not self.is_grid:
            return lambda inputs: (self.features(inputs) @ matrix).view(-1, *shape).transpose(1, 2)
        by_high = matrix.reshape(3 ** (len(self.angles) - self.width), -1)

        def evaluate(inputs: Tensor) -> Tensor:
            """Contract one half of the qubits and then the other: the products of both are never written down."""
            low, high = products(self._data_angles(inputs), self.width)
            half = (high @ by_high).view(len(low), low.shape[1], -1)
            return torch.bmm(low.unsqueeze(1), half).view(len(low), *shape).transpose(1, 2)

        return evaluate

    def bind_replicas(self, weights: Tensor, mixing: Tensor) -> Callable[[Tensor], Tensor]:
        """As `bind` for R replicas: maps (R x batch, n_inputs), replica after replica, to (R x batch, gates, outputs).

        Args:
            weights: Angles, (R, gates, columns).
            mixing: Coefficients, (R, gates, candidates).
        """
        (n, g), n_outputs = weights.shape[:2], self.n_outputs
        at_once = max(1, _BLOCK_BYTES // (8 * g * max(self.largest, 1)))
        parts = [
            self.build(*(part[first : first + at_once].flatten(0, 1) for part in (weights, mixing)))
            for first in range(0, n, at_once)
        ]
        if self.slots is not None:
            rows = [own for part in parts for own in torch.split(part, g, dim=1)]

            def add(inputs: Tensor) -> Tensor:
                own = self.features(inputs).chunk(n)
                return torch.cat([sparse_sums(*pair, self) for pair in zip(own, rows, strict=True)])

            return add
        # From (features, outputs x replicas x gates) to a matrix for each replica.
        apart = [part.view(len(part), n_outputs, -1, g).permute(2, 0, 1, 3).flatten(2) for part in parts]
        matrix = torch.cat(apart) if len(apart) > 1 else apart[0].contiguous()
        if not self.is_grid:
            return lambda inputs: (
                batched_product(self.features(inputs).view(n, -1, matrix.shape[1]), matrix)
                .view(-1, n_outputs, g)
                .transpose(1, 2)
            )
        by_high = matrix.view(n, 3 ** (len(self.angles) - self.width), -1)

        def evaluate(inputs: Tensor) -> Tensor:
            """As in `bind`."""
            low, high = products(self._data_angles(inputs), self.width)
            half = batched_product(high.view(n, -1, high.shape[1]), by_high).view(len(low), low.shape[1], -1)
            return batched_product(low.unsqueeze(1), half).view(len(low), n_outputs, g).transpose(1, 2)

        return evaluate

    def build(self, weights: Tensor, mixing: Tensor) -> Tensor:
        """The matrix M, (features, outputs x gates), or its rows (rows, gates) where it is sparse; differentiable.

        Args:
            weights: Angles of all candidates of the bank, (gates, columns).
            mixing: Coefficients of all candidates, (gates, candidates).
        """
        if self._trees:
            values = [evaluate_tree(tree, (), weights[:, start:].unbind(1)) for tree, start in self._trees]
            weights = torch.cat([weights, torch.stack(values, dim=1)], dim=1)
        return build_matrix(weights, mixing, self)

    def series(self, weights: Tensor, mixing: Tensor) -> FourierSeries:
        """The form at these angles and structural weights, to read."""
        with torch.no_grad():
            matrix = self.build(weights, mixing).to(torch.float64).numpy()
        if self.slots is not None:
            feature, output = self.slots
            whole = np.zeros((len(self.feature_codes), self.n_outputs, len(weights)))
            whole[feature, output] = matrix
            matrix = whole
        shape = (len(self.feature_codes), self.n_outputs, len(weights))
        digits = digits_of(self.codes, self.width, len(self.angles))
        return FourierSeries(tuple(map(describe_angle, self.angles)), digits, matrix.reshape(shape).transpose(0, 2, 1))

    def features(self, inputs: Tensor) -> Tensor:
        """Products of the data angles, (batch, features); `inputs` is (batch, n_inputs)."""
        return features(self._data_angles(inputs), self)

    def _data_angles(self, inputs: Tensor) -> Tensor:
        if self._identity:
            surplus = inputs.shape[1] > len(self.angles)  # inputs that no circuit reads
            return inputs[:, : len(self.angles)] if surplus else inputs
        columns = inputs.unbind(1)
        zero = inputs.new_zeros(len(inputs))
        return torch.stack([zero if angle is None else _evaluate(angle, columns) for angle in self.angles], dim=1)

    @cached_property
    def _identity(self) -> bool:
        return all(angle == Angle(inputs=((q, 1.0),)) for q, angle in enumerate(self.angles))

    def _row(self, angle: Angle, start: int) -> tuple[float, list[tuple[int, float]]]:
        """An angle as offset and (column, coefficient) pairs; an expression becomes a column of its own."""
        if angle.tree is not None:
            column = self._trees.setdefault((angle.tree, start), len(self._trees))
            return 0.0, [(self._n_weights + column, 1.0)]
        return angle.offset, [(start + column, value) for column, value in angle.weights]

    def _set_products(self, codes: Sequence[Array], sparse: bool) -> None:
        """Which products of the data angles' features occur."""
        self.feature_codes = distinct(codes)
        n_products = 3 ** len(self.angles)
        self.is_grid = not sparse and n_products <= min(_GRID_SHARE * len(self.feature_codes), _GRID_LIMIT)
        # Where most products occur, all of them do no harm: they factor into those of two halves of the qubits, which are
        # contracted one after the other, and no sample's 3^n products are ever written down.
        if self.is_grid:
            self.feature_codes = np.arange(n_products)
        n_parts = 2 if self.is_grid else max(1, -(-len(self.angles) // _PART_QUBITS))
        self.width = -(-len(self.angles) // n_parts)
        self.codes = parts_of(self.feature_codes, self.width, n_parts)
        self.factors = factors_of(self.codes, self.width)

    def _set_entries(self, code: Array, output: Array, rest: tuple[Array, ...], sparse: bool) -> None:
        """Where each entry goes: products by their code, and outputs; `rest` is row, candidate and factor of each."""
        feature = np.searchsorted(self.feature_codes, code)
        slot = feature * self.n_outputs + output
        if sparse:
            kept, slot = np.unique(output * len(self.feature_codes) + feature, return_inverse=True)
            self.slots = np.stack([kept % len(self.feature_codes), kept // len(self.feature_codes)]).astype(np.int32)
        self._entries = (slot.astype(np.int32), *rest)


def _evaluate(angle: Angle, columns: Sequence[Tensor]) -> Any:
    if angle.tree is not None:
        return evaluate_tree(angle.tree, columns, ())
    return angle.offset + sum(value * columns[column] for column, value in angle.inputs)


def compressed(rows: Sequence[tuple[float, list[tuple[int, float]]]]) -> tuple[Array, Array, Array, Array]:
    """Angles as offset, pointer, column, value (compressed sparse rows)."""
    pairs = [pair for _, row in rows for pair in row]
    return (
        np.array([offset for offset, _ in rows]),
        np.cumsum([0, *(len(row) for _, row in rows)]).astype(np.int64),
        np.array([column for column, _ in pairs], dtype=np.int64),
        np.array([value for _, value in pairs], dtype=np.float64),
    )
