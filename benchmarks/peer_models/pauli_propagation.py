"""Expectation values of wide circuits by pauli-prop (Qiskit's Pauli propagation, in Rust), as a backend of our layers.

    pip install pauli-prop==0.2.1

It has no gradients and knows bound circuits only, so it is used as well as it can be:

- Each output is cut to its light cone once, and Clifford gates are absorbed once, by pauli-prop's own means.
- In each step every output is propagated through the trained rotations of its cone, without truncation, once for all samples
  and time steps; its strings are then evaluated on the product state of the encoded data in torch, with autograd.
- Gradients by trained angles are parameter shifts of the propagated coefficients: two propagations for each angle of the cone,
  again for all samples and time steps together.

Circuits must begin with H and R_Y by the input of each qubit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pauli_prop.propagation import (
    RotationGates,
    circuit_to_rotation_gates,
    evolve_through_cliffords,
    propagate_through_rotation_gates,
)
from qiskit import QuantumCircuit
from qiskit.quantum_info import Clifford, SparsePauliOp

from qlstm_qiskit.hardware.contract.executor import Draws
from qlstm_qiskit.space import Candidate

_MOST = 1 << 14


class PauliPropagation:
    """A backend whose banks evaluate one candidate of the encoding H-RY."""

    name = "pauli-prop"

    def __init__(self) -> None:
        self.draws = Draws()

    def bank(self, candidates: Sequence[Candidate], n_outputs: int | None = None, pairs: Any = None) -> PropagationBank:
        (candidate,) = candidates
        return PropagationBank(candidate, n_outputs)

    def close(self) -> None:
        """Nothing is held open."""


class PropagationBank:
    """One candidate."""

    def __init__(self, candidate: Candidate, n_outputs: int | None) -> None:
        self.n_inputs, self.n_weights, self.n_candidates = len(candidate.inputs), (len(candidate.weights),), 1
        self.outputs = [_Output(candidate, observable) for observable in candidate.observables(n_outputs)]
        self.n_outputs = len(self.outputs)

    def bind(self, weights: torch.Tensor, mixing: torch.Tensor | None = None, **_: Any) -> _Bound:
        assert mixing is None
        return _Bound(self, [_Coefficients.apply(own, self.outputs) for own in weights])

    def plan(self, *_: Any, **__: Any) -> str:
        return "pauli-prop"


class _Output:
    """An observable in its light cone: trained rotations behind which Clifford gates are absorbed."""

    def __init__(self, candidate: Candidate, observable: SparsePauliOp) -> None:
        circuit = candidate.circuit
        ((letters, qubits, _),) = observable.to_sparse_list()
        seen, kept = set(qubits), []
        encoding = 2 * candidate.n_qubits
        for item in reversed(circuit.data[encoding:]):
            own = [circuit.find_bit(qubit).index for qubit in item.qubits]
            if seen.intersection(own):
                seen.update(own)
                kept.append((item.operation, own))
        self.qubits = sorted(seen)
        place = {qubit: k for k, qubit in enumerate(self.qubits)}
        columns = {parameter: k for k, parameter in enumerate(candidate.weights)}
        cone, self.columns = QuantumCircuit(len(place)), []
        for gate, own in reversed(kept):
            if gate.params:
                self.columns.append(columns[gate.params[0]])
                gate = type(gate)(float(len(self.columns)))  # which of them it is, and its sign behind Clifford gates
            cone.append(gate, [place[qubit] for qubit in own])
        self.clifford: Clifford
        self.clifford, rotations = evolve_through_cliffords(cone)
        gates = circuit_to_rotation_gates(rotations)
        self.gates, self.marks = gates, np.array(gates.thetas)
        self.start = SparsePauliOp.from_sparse_list([(letters, [place[qubit] for qubit in qubits], 1.0)], len(place))
        operator = self._propagated(np.random.default_rng(0).uniform(0.5, 1, len(self.columns)))
        self.strings = operator.paulis
        evolved = operator.paulis.evolve(self.clifford, frame="h")
        self.signs = np.where(evolved.phase == 2, -1.0, 1.0)
        # I is 1, X is cos x, Z is -sin x, Y is 0 on the product state of the data
        self.letters = evolved.x + 2 * evolved.z

    def _propagated(self, angles: NDArray[np.float64]) -> SparsePauliOp:
        """The strings before Clifford gates, for angles of the columns."""
        thetas = np.sign(self.marks) * angles[np.abs(self.marks).astype(int) - 1]
        gates = RotationGates(self.gates.gates, self.gates.qargs, thetas.tolist())
        return propagate_through_rotation_gates(self.start, gates, _MOST, 0.0, "h")[0]

    def coefficients(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of all strings, for angles of the columns; pauli-prop leaves out those that vanish."""
        found = self._propagated(angles)
        if len(found) == len(self.strings) and found.paulis == self.strings:
            return found.coeffs.real * self.signs
        places = {label: k for k, label in enumerate(self.strings.to_labels())}
        result = np.zeros(len(self.strings))
        result[[places[label] for label in found.paulis.to_labels()]] = found.coeffs.real
        return result * self.signs


class _Coefficients(torch.autograd.Function):
    """Coefficients of the strings of all outputs, one after the other, with derivatives by parameter shift."""

    @staticmethod
    def forward(ctx: Any, angles: torch.Tensor, outputs: Sequence[_Output]) -> torch.Tensor:
        ctx.save_for_backward(angles)
        ctx.outputs = outputs
        values = angles.detach().numpy()
        return torch.from_numpy(np.concatenate([output.coefficients(values[output.columns]) for output in outputs]))

    @staticmethod
    def backward(ctx: Any, by: torch.Tensor) -> tuple[torch.Tensor, None]:
        (angles,) = ctx.saved_tensors
        values, gradient, start = angles.detach().numpy(), np.zeros(len(angles)), 0
        for output in ctx.outputs:
            own = by[start : start + len(output.strings)].numpy()
            start += len(own)
            for k, column in enumerate(output.columns):
                sides = []
                for sign in (1, -1):
                    moved = values[output.columns].copy()
                    moved[k] += sign * np.pi / 2
                    sides.append(own @ output.coefficients(moved))
                gradient[column] += (sides[0] - sides[1]) / 2
        return torch.from_numpy(gradient), None


class _Bound:
    """Strings of all outputs with their coefficients."""

    is_native = False

    def __init__(self, bank: PropagationBank, coefficients: Sequence[torch.Tensor]) -> None:
        self._coefficients, outputs = coefficients, bank.outputs
        width, size = max(len(output.qubits) for output in outputs), bank.n_inputs
        table = np.full((sum(len(output.strings) for output in outputs), width), 0)  # the factor 1
        owner, start = [], 0
        for number, output in enumerate(outputs):
            rows = slice(start, start := start + len(output.strings))
            table[rows, : len(output.qubits)] = np.array(output.qubits) + size * output.letters
            owner += [number] * len(output.strings)
        self._kept = torch.from_numpy(np.flatnonzero(~(table >= 3 * size).any(axis=1)))  # no Y
        self._table = torch.from_numpy(table)[self._kept]
        self._owner, self._n_outputs = torch.tensor(owner)[self._kept], bank.n_outputs

    def __call__(self, inputs: torch.Tensor, *, constant: int = 0) -> torch.Tensor:
        """Outputs (batch, gates, outputs)."""
        factors = torch.cat([torch.ones_like(inputs), inputs.cos(), -inputs.sin()], dim=1)
        products = factors[:, self._table[:, 0]]
        for column in self._table.T[1:]:
            products = products * factors[:, column]
        empty = inputs.new_zeros(len(inputs), self._n_outputs)
        return torch.stack([empty.index_add(1, self._owner, products * own[self._kept]) for own in self._coefficients], dim=1)
