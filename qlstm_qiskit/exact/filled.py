"""A dense multilinear form with its matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from qlstm_qiskit.exact import plain
from qlstm_qiskit.exact.adjoint import features, products
from qlstm_qiskit.exact.batched import batched_product
from qlstm_qiskit.exact.tables import FormTables


class Filled:
    """A dense form at fixed angles and structural weights.

    Args:
        form: Its tables.
        angles: From inputs (batch, n_inputs) to the data angles; None where the first inputs are them.
        n_angles: Number of data angles.
        matrix: (features, outputs x gates), or that of each of R replicas, (R, features, outputs x gates).

    Attributes:
        n_gates, n_high: Gates, and products that are contracted first.
        matrix: The same numbers with a row for each of those products: (n_high, n_low x outputs x gates).
    """

    def __init__(self, form: FormTables, angles: Callable[[Tensor], Tensor] | None, n_angles: int, matrix: Tensor) -> None:
        self.form, self.n_angles, self._angles = form, n_angles, angles
        self.n_gates = matrix.shape[-1] // form.n_outputs
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
        return sums.view(len(sums), self.form.n_outputs, self.n_gates).transpose(1, 2)

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
        return self.by_gates(batched_product(low.unsqueeze(1), half).view(len(low), -1))


def _product(rows: Tensor, matrix: Tensor) -> Tensor:
    """Rows times a matrix, or those of each replica times its own."""
    matrices = matrix.unsqueeze(0) if matrix.dim() == 2 else matrix
    return batched_product(rows.view(len(matrices), -1, rows.shape[1]), matrices).flatten(0, 1)
