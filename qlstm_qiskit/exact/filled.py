"""A multilinear form with its matrix: evaluated for one input by autograd, or for all steps of a sequence without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qlstm_qiskit.exact import kernels, plain
from qlstm_qiskit.exact.adjoint import features, products
from qlstm_qiskit.exact.tables import Array, FormTables


class Filled:
    """A dense form at fixed angles and structural weights.

    Args:
        form: Its tables.
        angles: From inputs (batch, n_inputs) to the data angles; None where the first inputs are them.
        n_angles: Number of data angles.
        matrix: (features, outputs x gates), or that of each of R replicas, (R, features, outputs x gates).

    Attributes:
        matrix: The same numbers with a row for each product that is contracted first: (n_high, n_low x outputs x gates).
    """

    def __init__(self, form: FormTables, angles: Callable[[Tensor], Tensor] | None, n_angles: int, matrix: Tensor) -> None:
        self.form, self.n_angles, self._angles = form, n_angles, angles
        self._n_gates = matrix.shape[-1] // form.n_outputs
        self.n_high = 3 ** (n_angles - form.width) if form.is_grid else matrix.shape[-2]
        self.matrix = matrix.view(*matrix.shape[:-2], self.n_high, -1) if form.is_grid else matrix

    @property
    def reads_inputs(self) -> bool:
        """Whether the data angles are the inputs."""
        return self._angles is None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs (batch, gates, outputs) of inputs (batch, n_inputs), or (R x batch, n_inputs), replica after replica."""
        return self._evaluate(inputs, self.matrix, products, features)

    def in_plain(self, inputs: Tensor, matrix: Tensor) -> Tensor:
        """As a call, in plain torch and with this matrix."""
        return self._evaluate(inputs, matrix, plain.tables, plain.features)

    def by_gates(self, sums: Tensor) -> Tensor:
        """Sums (batch, outputs x gates) as (batch, gates, outputs)."""
        return sums.view(len(sums), self.form.n_outputs, self._n_gates).transpose(1, 2)

    def _evaluate(self, inputs: Tensor, matrix: Tensor, tables: Callable[..., Any], of_form: Callable[..., Any]) -> Tensor:
        if self._angles is not None:
            angles = self._angles(inputs)
        else:
            surplus = inputs.shape[1] > self.n_angles  # inputs that no circuit reads
            angles = inputs[:, : self.n_angles] if surplus else inputs
        if not self.form.is_grid:
            return self.by_gates(_product(of_form(angles, self.form), matrix))
        # One half of the qubits and then the other: the products of both are never written down.
        low, high = tables(angles, self.form.width)
        half = _product(high, matrix).view(len(low), low.shape[1], -1)
        return self.by_gates(torch.bmm(low.unsqueeze(1), half).view(len(low), -1))


class Steps:
    """A filled form at all steps of a sequence, with the adjoint of each written out: no node of a graph for any of them.

    Sums are taken by the same operations as in `Filled`, so that both agree to the bit.

    Args:
        filled: The form; its data angles are the first inputs.
        sizes: Rows of each step.
        keep: Whether `backward` follows.
    """

    def __init__(self, filled: Filled, sizes: Sequence[int], keep: bool) -> None:
        form, matrix = filled.form, filled.matrix.detach()
        self.filled, self._form, self._keeps, self._n_angles = filled, form, keep, filled.n_angles
        rooms = tuple(sizes) if keep else (max(sizes),)  # without a way back, each step uses the room of the one before
        self._matrix, self._transposed = matrix, matrix.mT

        def room(*shape: int) -> tuple[Tensor, ...]:
            return matrix.new_empty(sum(rooms), *shape).split(rooms)

        self._high = room(filled.n_high)
        if form.is_grid:
            low = 3**form.width
            self._low, self._half = room(low), room(low, matrix.shape[-1] // low)
        else:
            self._tables = room(len(form.codes), 3**form.width)

    def begin(self) -> None:
        """Start a way back: `by_matrix` is zero again."""
        self.by_matrix = torch.zeros_like(self._matrix)

    def forward(self, step: int, inputs: Array) -> Tensor:
        """Outputs (rows, outputs x gates) of the inputs (rows, n_inputs) of a step."""
        form, n, place, angles = self._form, len(inputs), step if self._keeps else 0, inputs[:, : self._n_angles]
        high = self._high[place][:n]
        if not form.is_grid:
            kernels.features_forward(angles, form.width, form.factors, self._tables[place][:n].numpy(), high.numpy())
            return _product(high, self._matrix)
        low, half = self._low[place][:n], self._half[place][:n]
        kernels.tables_forward(angles, form.width, low.numpy(), high.numpy())
        _product(high, self._matrix, out=half.view(n, -1))
        return torch.bmm(low.unsqueeze(1), half).view(n, -1)

    def backward(self, step: int, by_outputs: Tensor, by_inputs: Array) -> None:
        """Fill the gradient by the inputs of a step, and add that by the matrix to `by_matrix`."""
        form, high, by_angles = self._form, self._high[step], by_inputs[:, : self._n_angles]
        by_inputs[:, self._n_angles :] = 0
        if not form.is_grid:
            by_high = _product(by_outputs, self._transposed)
            self.by_matrix += _gradient(high, by_outputs, self.by_matrix)
            kernels.features_backward(by_high.numpy(), form.width, form.factors, self._tables[step].numpy(), by_angles)
            return
        low, by_one = self._low[step], by_outputs.unsqueeze(1)
        by_low = torch.bmm(by_one, self._half[step].mT)
        by_half = torch.bmm(low.unsqueeze(2), by_one).view(len(low), -1)
        by_high = _product(by_half, self._transposed)
        self.by_matrix += _gradient(high, by_half, self.by_matrix)
        tables = (low, high, by_low.squeeze(1), by_high)
        kernels.tables_backward(*(table.numpy() for table in tables), form.width, by_angles)


def _product(rows: Tensor, matrix: Tensor, out: Tensor | None = None) -> Tensor:
    """Rows times a matrix, or those of each replica times its own."""
    if matrix.dim() == 2:
        return torch.mm(rows, matrix) if out is None else torch.mm(rows, matrix, out=out)
    n = len(matrix)
    own = torch.bmm(rows.view(n, -1, rows.shape[1]), matrix, out=None if out is None else out.view(n, -1, out.shape[1]))
    return own.view(len(rows), -1)


def _gradient(rows: Tensor, by_products: Tensor, like: Tensor) -> Tensor:
    """The gradient of `_product` by the matrix."""
    if like.dim() == 2:
        return torch.mm(rows.t(), by_products)
    n = len(like)
    return torch.bmm(rows.view(n, -1, rows.shape[1]).mT, by_products.view(n, -1, by_products.shape[1]))
