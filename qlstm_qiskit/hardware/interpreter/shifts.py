"""Angles of gates from inputs and weights, and the parameter sets and coefficients of their shifts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.circuits import Angle, SplitCircuit
from qlstm_qiskit.exact import evaluate_tree
from qlstm_qiskit.hardware.contract.executor import Values


class AngleMap:
    """Angles of the gates of some circuits from inputs and weights, in torch.

    Args:
        splits: The circuits; all read the same inputs.
        n_inputs: Number of inputs.
        n_weights: Number of weights of each circuit.
    """

    def __init__(self, splits: Sequence[SplitCircuit], n_inputs: int, n_weights: Sequence[int]) -> None:
        sizes = [len(item.angles) for item in splits]
        ends = np.cumsum(sizes)
        self.columns = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
        self._offset = np.zeros(sum(sizes))
        self._by_input = np.zeros((n_inputs, sum(sizes)))
        self._by_weight = np.zeros((sum(n_weights), sum(sizes)))
        self._trees: list[tuple[int, slice, Angle]] = []
        self._reads: list[tuple[bool, frozenset[int]]] = []
        first = 0
        for item, columns, count in zip(splits, self.columns, n_weights, strict=True):
            for column, angle in zip(range(columns.start, columns.stop), item.angles, strict=True):
                self._reads.append((angle.depends_on_weights, angle.input_columns))
                self._offset[column] = angle.offset
                for index, coefficient in angle.inputs:
                    self._by_input[index, column] = coefficient
                for index, coefficient in angle.weights:
                    self._by_weight[first + index, column] = coefficient
                if angle.tree is not None:
                    self._trees.append((column, slice(first, first + count), angle))
            first += count

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Angles (..., angles), circuit after circuit, from inputs (..., inputs) and weights (..., weights)."""
        offset, by_input, by_weight = (
            torch.as_tensor(item).to(weights) for item in (self._offset, self._by_input, self._by_weight)
        )
        angles = offset + inputs @ by_input + weights @ by_weight
        if not self._trees:
            return angles
        columns = list(angles.unbind(-1))
        for column, own, angle in self._trees:
            value = evaluate_tree(angle.tree, inputs.unbind(-1), weights[..., own].unbind(-1))
            columns[column] = torch.as_tensor(value).to(weights).expand_as(columns[column])
        return torch.stack(columns, dim=-1)

    def wanted(self, *, weights: bool, inputs: Sequence[int]) -> NDArray[np.bool_]:
        """The angles whose gradient is needed, if that of the weights is, and that of these columns of the inputs."""
        needed = set(inputs)
        found = [(weights and by_weight) or bool(needed & by_input) for by_weight, by_input in self._reads]
        return np.array(found, dtype=np.bool_)


class Shifts:
    """The shifts of one circuit as matrices."""

    def __init__(self, item: SplitCircuit) -> None:
        entries = [
            (column, sign * shift, sign * coefficient)
            for column, rule in enumerate(item.rules)
            for shift, coefficient in rule
            for sign in (1, -1)
        ]
        self._column = np.array([column for column, _, _ in entries], dtype=np.intp)
        unit = np.eye(len(item.rules))[self._column]
        self._shifts = unit * np.array([[shift] for _, shift, _ in entries]).reshape(-1, 1)
        self._coefficients = unit * np.array([[coefficient] for _, _, coefficient in entries]).reshape(-1, 1)

    def sets(self, angles: Values, wanted: NDArray[np.bool_]) -> Values:
        """Parameter sets (rows x shifts, angles) of all shifts of the wanted angles, for rows of angles."""
        shifted: Values = angles[:, None] + self._shifts[wanted[self._column]]
        return shifted.reshape(shifted.shape[0] * shifted.shape[1], angles.shape[1])

    def jacobian(self, values: Values, rows: int, wanted: NDArray[np.bool_]) -> Values:
        """Derivatives (rows, outputs, angles) from the expectation values at those sets."""
        coefficients = self._coefficients[wanted[self._column]]
        return np.einsum("rmk,mp->rkp", values.reshape(rows, len(coefficients), values.shape[-1]), coefficients)
