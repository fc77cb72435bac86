"""Linear maps of the products of cos u and sin u that circuits reach, in place of the circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.exact import ExactBank, batched_product
from qlstm_qiskit.exact.codes import Array, digits_of
from qlstm_qiskit.exact.form import MultilinearForm
from qlstm_qiskit.exact.rotation_form import find_forms
from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.checks import require_parameters
from qlstm_qiskit.nn.classical import ClassicalBank, Prepared


class ProductMap(ClassicalBank):
    """A linear map of products of cos u and sin u of the data angles u: those that the circuits reach, lowest order first.

    A bank of circuits whose data angles are read once is such a map, with coefficients that its angles and structural weights
    decide (`MultilinearForm`). Here the coefficients are free: as many as the circuits have parameters, or all of them if
    there are fewer. Of an order that does not fit as a whole, products are taken evenly over the list.
    """

    kind = "products"
    every = False  #: Whether all products are taken, however many.

    _factors: Tensor
    _feature: Tensor
    _output: Tensor

    def _build(self, circuits: CircuitBank, budget: float) -> None:
        forms = _forms_of(circuits, self.kind)
        digits, feature, output = _reached(forms)
        order = (digits > 0).sum(1)[feature]
        chosen = np.arange(len(feature)) if self.every else _lowest(order, max(1, round(budget)))
        count = self.n_gates * len(chosen)
        require_parameters(count, "a linear map on products", circuits.angles.device)
        kept, place = np.unique(feature[chosen], return_inverse=True)
        self._forms = forms
        self.register_buffer("_factors", torch.as_tensor(_places(digits[kept])), persistent=False)
        self.register_buffer("_feature", torch.as_tensor(place), persistent=False)
        self.register_buffer("_output", torch.as_tensor(output[chosen]), persistent=False)
        self.coefficients = nn.Parameter(torch.empty(self.n_gates, len(chosen)))

    def _fan_in(self) -> Mapping[str, int]:
        return {"coefficients": int(torch.bincount(self._output, minlength=self.n_outputs).max())}

    def prepared(self, own: Mapping[str, Tensor]) -> Prepared:
        coefficients = own["coefficients"]  # (R, gates, slots)
        n_replicas, n_gates, _ = coefficients.shape
        matrix = coefficients.new_zeros(int(self._feature.max()) + 1, self.n_outputs, n_replicas, n_gates)
        matrix = matrix.index_put((self._feature, self._output), coefficients.permute(2, 0, 1))
        matrix = matrix.permute(2, 0, 1, 3).flatten(2)

        def evaluate(inputs: Tensor) -> Tensor:
            n_rows = inputs.shape[1]
            products = self.products(inputs.flatten(0, 1)).view(n_replicas, n_rows, len(self._factors))
            return batched_product(products, matrix).view(n_replicas, n_rows, self.n_outputs, n_gates).transpose(2, 3)

        return evaluate

    def n_kept(self) -> int:
        n_products, n_factors = self._factors.shape
        return n_products * 2 * n_factors + self.n_gates * self.n_outputs

    def products(self, inputs: Tensor) -> Tensor:
        """The products that are used, (batch, products); `inputs` is (batch, n_inputs)."""
        angles = torch.cat([form._data_angles(inputs) for form in self._forms], dim=1)
        table = torch.cat([torch.ones_like(angles[:, :1]), torch.cos(angles), torch.sin(angles)], dim=1)
        found = table[:, self._factors[:, 0]]
        for factor in self._factors[:, 1:].unbind(1):
            found = found * table[:, factor]
        return found


class FullProductMap(ProductMap):
    """A `ProductMap` of all products that the circuits reach: it can compute whatever they can."""

    kind = "products-all"
    every = True


def _forms_of(circuits: CircuitBank, kind: str) -> tuple[MultilinearForm, ...]:
    """The multilinear forms of all candidates of a bank, with the products that each output can depend on."""
    exact = circuits._bank
    assert isinstance(exact, ExactBank), "classical maps replace circuits of the exact interpreter"
    forms = find_forms(exact._programs, exact._observables, sparse=True)
    without = set(range(len(circuits.candidates))).difference(*(form.members for form in forms))
    if without:
        names = ", ".join(circuits.candidates[place].name for place in sorted(without)[:3])
        raise OptionError(
            f"bank={kind!r} takes the products that circuits reach, and there is no list of them for {names}: an input is read "
            "twice, or there are too many. Give tanh or frozen (--bank; --banks of an audit)."
        )
    return forms


def _reached(forms: Sequence[MultilinearForm]) -> tuple[Array, ...]:
    """Products as digits (products, angles of all forms), and (product, output) of all that an output can depend on."""
    width, digits, feature, output = sum(len(form.angles) for form in forms), [], [], []
    before = start = 0
    for form in forms:
        own = digits_of(form.codes, form.width, len(form.angles))
        padded = np.zeros((len(own), width), dtype=np.int64)
        padded[:, start : start + len(form.angles)] = own
        assert form.slots is not None, "forms are sparse"
        digits.append(padded)
        feature.append(form.slots[0].astype(np.int64) + before)
        output.append(form.slots[1].astype(np.int64))
        before, start = before + len(own), start + len(form.angles)
    # The constant, and what else several forms have, is one product.
    every, place = np.unique(np.concatenate(digits), axis=0, return_inverse=True)
    pairs = np.unique(np.stack([place.reshape(-1)[np.concatenate(feature)], np.concatenate(output)]), axis=1)
    return every, pairs[0], pairs[1]


def _lowest(order: Array, count: int) -> Array:
    """Places of the `count` lowest orders; of the one that does not fit as a whole, evenly spread."""
    chosen: list[int] = []
    for degree in np.unique(order):
        own, left = np.flatnonzero(order == degree), count - len(chosen)
        if len(own) > left:
            own = own[np.arange(left) * len(own) // max(1, left)]
        chosen.extend(own.tolist())
    return np.array(sorted(chosen), dtype=np.int64)


def _places(digits: Array) -> Array:
    """Of each product its factors that are not 1, as columns of (1, cosines, sines) of all angles, filled up by the 1."""
    n_angles = digits.shape[1]
    columns = np.where(digits > 0, 1 + np.arange(n_angles) + n_angles * (digits - 1), 0)
    most = max(1, int((digits > 0).sum(1).max(initial=0)))
    ordered: Array = -np.sort(-columns, axis=1)[:, :most]
    return ordered
