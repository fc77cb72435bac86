"""Derivation: from a trained search to the circuits that each gate keeps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qlstm_qiskit.errors import OptionError, require_at_least, unknown_option
from qlstm_qiskit.nn import EVALUATION_BATCH, CircuitBank, Forecaster, Recurrent
from qlstm_qiskit.search.genotype import Genotype, cell_of
from qlstm_qiskit.search.trace import CellTrace, trace_cells
from qlstm_qiskit.space import Candidate
from qlstm_qiskit.space.fast import as_given

#: Weights are not refitted if the mean square of a circuit's expectation values is below this, since they would be huge.
_SMALLEST = 1e-4


#: From outputs and targets of windows to their mean loss, as criteria of torch are.
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Evidence:
    """The model and data by which candidates are scored.

    Attributes:
        forecaster: A copy of the trained search with plain, flat weights in every bank.
        windows, targets: (n, time, features) and (n, outputs), scaled.
        criterion: From outputs and targets to their mean loss; mean squared error where None.
    """

    forecaster: Forecaster
    windows: Tensor
    targets: Tensor
    criterion: Loss | None = None

    @property
    def layer(self) -> Recurrent[Any]:
        assert self.forecaster.circuits is not None
        return self.forecaster.circuits

    @property
    def banks(self) -> list[CircuitBank]:
        return [cell.bank for cell in self.layer.layers()]

    def loss(self) -> float:
        """Mean loss of the model in its current state."""
        with torch.no_grad():
            parts = zip(*(torch.split(part, EVALUATION_BATCH) for part in (self.windows, self.targets)), strict=True)
            if self.criterion is not None:
                return sum(len(x) * float(self.criterion(self.forecaster(x), y)) for x, y in parts) / len(self.targets)
            return sum(float((self.forecaster(x) - y).square().sum()) for x, y in parts) / self.targets.numel()


def _by_weight(evidence: Evidence) -> list[Tensor]:
    return [_coefficients(bank).abs() for bank in evidence.banks]


def _by_contribution(evidence: Evidence) -> list[Tensor]:
    pairs = zip(evidence.banks, trace_cells(evidence.layer, evidence.windows), strict=True)
    return [_coefficients(bank).square() * trace.values.var(dim=(0, 1), correction=0).sum(-1) for bank, trace in pairs]


def _by_perturbation(evidence: Evidence) -> list[Tensor]:
    tables, base = [], evidence.loss()
    for bank in evidence.banks:
        assert bank.structural_weights is not None
        table, flat = torch.zeros(bank.n_gates, len(bank.candidates), dtype=torch.float64), bank.structural_weights.data
        for number, (gate, place) in enumerate((gate, place) for gate, own in enumerate(bank.gates) for place in own):
            before = flat[number].clone()
            flat[number] = 0.0
            table[gate, place] = evidence.loss() - base
            flat[number] = before
        tables.append(table)
    return tables


#: Name -> score of each candidate of each gate, (gates, candidates) per layer; the candidates with the largest are kept.
#: "weight": the absolute weight, as in DARTS (arXiv 1806.09055). "contribution": the variance of w f over windows, time steps
#: and outputs. "perturbation": the increase of the loss without the candidate (Wang et al. 2021, arXiv 2108.04392).
DERIVATIONS: Mapping[str, Callable[[Evidence], list[Tensor]]] = MappingProxyType(
    {"perturbation": _by_perturbation, "contribution": _by_contribution, "weight": _by_weight}
)


class _KeptCircuit(NamedTuple):
    candidate: Candidate
    weight: float
    score: float
    place: int
    angles: Tensor


#: For each gate, the circuits that it keeps.
_Gates = list[list[_KeptCircuit]]


def derive(
    forecaster: Forecaster,
    windows: Tensor,
    targets: Tensor,
    *,
    strategy: str = "perturbation",
    top_k: int = 1,
    refit: bool = True,
    loss: Loss | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> tuple[Genotype, dict[str, Tensor]]:
    """Choose the candidates that each gate of a trained search keeps.

    Args:
        forecaster: The search; it is not changed.
        windows, targets: Data for the scores, (n, time, features) and (n, outputs), scaled; best a part that the search was
            not trained on.
        strategy: A name in `DERIVATIONS`.
        top_k: Number of candidates to keep in each gate, the best by score.
        refit: Fit the weights to each gate's full sum on these windows by least squares, and use them if they lower the
            loss. Otherwise the circuits keep the weights that they had in the full sum.
        loss: From outputs and targets to their mean loss, for a classifier an object of its task's criterion; mean squared
            error where None.
        provenance: Stored in the genotype.

    Returns:
        The genotype, and the parameters of the model "derived" that has its circuits.

    Raises:
        OptionError: An unknown strategy, or a model without circuits.
    """
    if strategy not in DERIVATIONS:
        raise unknown_option("derivation strategy", strategy, DERIVATIONS)
    require_at_least("top_k", top_k, 1)
    if forecaster.circuits is None:
        raise OptionError("this model has no circuits; derive from a search over candidates.")
    evidence = Evidence(_with_plain_weights(forecaster), windows, targets, loss)
    scores = DERIVATIONS[strategy](evidence)
    layers = [_kept(bank, table, top_k) for bank, table in zip(evidence.banks, scores, strict=True)]
    if refit:
        traces = trace_cells(evidence.layer, windows)
        refitted = [_refitted(kept, trace) for kept, trace in zip(layers, traces, strict=True)]
        layers = min(layers, refitted, key=lambda kept: _loss_with(evidence, kept))
    genotype = Genotype.from_circuits(
        [[[kept[:3] for kept in gate] for gate in layer] for layer in layers],
        evidence.layer.depth,
        dict(provenance or {}),
        cell_of(evidence.layer.gate_names),
    )
    return genotype, _parameters(forecaster, genotype, layers)


def _with_plain_weights(forecaster: Forecaster) -> Forecaster:
    """A copy in which every gate has plain weights, in flat tensors."""
    plain = copy.deepcopy(forecaster).eval()
    assert plain.circuits is not None
    for cell in plain.circuits.layers():
        cell.bank.linearise()
        cell.bank.restrict(cell.bank.gates)
    return plain


def _coefficients(bank: CircuitBank) -> Tensor:
    coefficients = bank.coefficients()
    assert coefficients is not None
    return coefficients.detach()


def _kept(bank: CircuitBank, scores: Tensor, top_k: int) -> _Gates:
    """The circuits that each gate of a bank keeps, best first."""
    table, weights = scores.tolist(), _coefficients(bank).tolist()
    parts = torch.split(bank.expanded_angles().detach(), [len(candidate.weights) for candidate in bank.candidates], dim=1)
    kept = []
    for gate, own in enumerate(bank.gates):
        best = sorted((-table[gate][place], place) for place in own)[:top_k]
        kept.append(
            [
                _KeptCircuit(as_given(bank.candidates[p]), weights[gate][p], _rounded(-score), p, parts[p][gate])
                for score, p in best
            ]
        )
    return kept


def _refitted(gates: _Gates, trace: CellTrace) -> _Gates:
    """The same with weights fitted to the full sums, except in gates where a circuit's values are close to zero."""
    fitted = []
    for gate, kept in enumerate(gates):
        columns = trace.values[:, :, gate, [item.place for item in kept]].movedim(-2, -1).reshape(-1, len(kept))
        if float(columns.square().mean(0).min()) < _SMALLEST:
            fitted.append(kept)
            continue
        solution = torch.linalg.lstsq(columns, trace.sums[:, :, gate].reshape(-1, 1)).solution[:, 0].tolist()
        fitted.append([item._replace(weight=_rounded(weight)) for item, weight in zip(kept, solution, strict=True)])
    return fitted


def _rounded(value: float) -> float:
    """Six digits: the last bits of library routines vary with memory alignment, and training amplifies the differences."""
    return float(f"{value:.6g}")


def _loss_with(evidence: Evidence, layers: list[_Gates]) -> float:
    """The loss if each gate sums only over the circuits that it keeps."""
    before = [bank.structural_weights for bank in evidence.banks]
    for bank, gates in zip(evidence.banks, layers, strict=True):
        table = torch.zeros_like(_coefficients(bank))
        for row, kept in zip(table, gates, strict=True):
            for item in kept:
                row[item.place] = item.weight
        bank.structural_weights = torch.nn.Parameter(table)
    loss = evidence.loss()
    for bank, weights in zip(evidence.banks, before, strict=True):
        bank.structural_weights = weights
    return loss


def _parameters(forecaster: Forecaster, genotype: Genotype, layers: list[_Gates]) -> dict[str, Tensor]:
    """The state of the genotype's model: banks in the order of its spaces, all else unchanged."""
    state = {name: value.detach().clone() for name, value in forecaster.state_dict().items() if ".bank." not in name}
    assert forecaster.circuits is not None
    for number, (cell, layer, space) in enumerate(zip(forecaster.circuits.layers(), layers, genotype.spaces(), strict=True)):
        kept = [item.candidate for gate in layer for item in gate]
        state |= {f"recurrent.cells.{number}.{name}": value for name, value in cell.beside_bank(kept).items()}
        assert space.gates is not None
        ordered = [
            {item.candidate.name: item for item in gate}[space.names[place]]
            for gate, own in zip(layer, space.gates, strict=True)
            for place in own
        ]
        bank = f"recurrent.cells.{number}.bank."
        state[bank + "angles"] = torch.cat([item.angles for item in ordered])
        state[bank + "structural_weights"] = state[bank + "angles"].new_tensor([item.weight for item in ordered])
    return state
