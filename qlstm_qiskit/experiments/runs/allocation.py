"""Shot allocation of a trained model: more shots where predictions are sensitive to them, for the same number in all.

To first order the shots of gate g in time step t add ``v_tg / n_tg`` to the variance of a prediction. The sum is smallest, for
a given number of shots in all, where ``n_tg`` is in proportion to ``sqrt(v_tg)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.experiments.runs.load import Run, load_run
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from qlstm_qiskit.hardware.jobs.makers import require_takes
from qlstm_qiskit.nn import EVALUATION_BATCH, CircuitBank, Forecaster

Values = NDArray[np.float64]

#: Windows that sensitivities are averaged over, and for how many draws of shots in all.
_WINDOWS, _DRAWS = 512, 2048
#: No circuit gets less than an equal share divided by this.
_FEWEST = 32


@dataclass(frozen=True)
class Allocation:
    """Shots for each time step and gate.

    Attributes:
        equal: Shots of each circuit, were all the same.
        shots: Of the circuits of each cell of the layer, (calls, gates).
        per_window: Shots of all circuits together that one window takes; never more than with equal ones.
        expected_gain: By how much less the variance of predictions by shots is expected to be, as a factor.
    """

    equal: int
    shots: tuple[NDArray[np.int64], ...]
    per_window: int
    expected_gain: float

    def facts(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "equal": self.equal,
            "shots": [own.tolist() for own in self.shots],
            "per_window": self.per_window,
            "expected_gain": self.expected_gain,
        }


def allocate_shots(run: Run) -> Allocation:
    """Let the circuits of a run have shots where its predictions are sensitive to them, in place.

    Sensitivities are measured on the training windows, on the exact interpreter with the shots and the noise of the backend
    as far as it takes them, with shots of a seed of its own: the same run and backend give the same allocation.

    Args:
        run: As `load_run` gives it, on a backend with shots.

    Returns:
        What each circuit has now.

    Raises:
        OptionError: The model has no circuits, or the backend has no shots, wants the same for all circuits of a job, or
            takes no numbers as small or as large as they would be.
        DataError: The training series cannot be read.
    """
    spec = run.spec.backend_options
    assert spec is not None, "a run that was loaded knows its backend"
    if not run.layers:
        raise OptionError(f"the model {run.spec.model} of {run.path} has no circuits, and needs no shots.")
    if spec.shots is None:
        raise OptionError(f"backend {spec.name} draws no shots; give one with shots, such as aer-noise-fez.")
    if spec.kind == "ibm" and spec.primitive == "estimator":
        raise OptionError(
            f"backend {spec.name}: IBM Runtime's estimator takes one precision for all circuits of a job; set primitive: "
            "sampler."
        )
    windows = run.dataset.x_train
    chosen = windows[np.unique(np.linspace(0, len(windows) - 1, _WINDOWS).astype(np.intp))]
    with closing(_inside(run.path, spec)) as sampled:
        drawn = np.tile(chosen, (-(-_DRAWS // len(chosen)), 1, 1))
        # of the mean of several members, too: their parts differ by a factor that is the same for all
        variances = [own for member in sampled.members for own in _variances(member.forecaster, drawn, spec.shots)]
        costs = [np.array([cell.bank.n_measured] * len(own)) for cell, own in zip(sampled.layers, variances, strict=True)]
    of, each = _flat(variances), _flat(costs)
    found = best_shots(of, each, spec.shots)
    if spec.kind == "provider":
        for number in (found.min(), found.max()):
            require_takes(spec.model_copy(update={"shots": int(number)}), _cells(run)[0].bank.backend.connection.device)
    parts = np.split(found, np.cumsum([own.size for own in variances])[:-1])
    shots = tuple(part.reshape(own.shape) for part, own in zip(parts, variances, strict=True))
    for cell, own in zip(run.layers, shots, strict=True):
        cell.bank.allocate(own)
    gain = float(of.sum() / spec.shots / (of / found).sum()) if of.any() else 1.0
    return Allocation(spec.shots, shots, int((each * found).sum()), gain)


def _inside(path: Path, spec: BackendSpec) -> Run:
    """The run on the exact interpreter with the shots of a backend, and its noise where circuits are taken with it."""
    inside = spec.inside().model_copy(update={"seed": 0})
    try:
        return load_run(path, backend=inside)
    except CircuitError:
        return load_run(path, backend=inside.model_copy(update={"noise": None, "transpile": TranspileSpec()}))


def _cells(run: Run) -> list[Any]:
    return list(run.layers)


def _flat(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([part.ravel() for part in parts])


def best_shots(variances: Values, costs: NDArray[np.int64], equal: int) -> NDArray[np.int64]:
    """Shots that make ``sum(variances / shots)`` smallest, for ``sum(costs * shots)`` of at most ``sum(costs) * equal``.

    Without limits they are in proportion to ``sqrt(variances / costs)``. None is less than a 32nd of `equal`, or than 1.

    Args:
        variances: What one shot of each group of circuits adds to the variance of predictions.
        costs: Circuits of each group.
        equal: Shots of each, were all the same.
    """
    least = max(1, equal // _FEWEST)
    ideal = np.sqrt(np.divide(variances, costs, out=np.zeros(len(variances)), where=costs > 0))
    few = ideal == 0
    if few.all():
        return np.full(len(variances), equal)
    while True:  # those that would get too few have the least, and the others share the rest
        rest = costs.sum() * equal - least * costs[few].sum()
        shots = np.where(few, least, ideal * (rest / (costs * ideal)[~few].sum()))
        if (shots >= least).all():
            break
        few |= shots < least
        if few.all():  # one shot each, but for rounding
            return np.full(len(variances), least)
    whole = np.floor(shots).astype(np.int64)
    left = int(costs.sum()) * equal - int((costs * whole).sum())
    for place in np.argsort(whole - shots, kind="stable"):  # the largest remainders first
        if 0 < costs[place] <= left:
            whole[place] += 1
            left -= int(costs[place])
    return whole


@dataclass(frozen=True)
class _Call:
    """What the gates of one stage gave in one time step.

    Attributes:
        gates: Their places.
        probe: Zeros that were added to their outputs, (batch, gates, outputs); gradients by them are those by the outputs.
        noise: Of their shots, in the same shape, from draws of their own.
    """

    gates: tuple[int, ...]
    probe: Tensor
    noise: Tensor


def _variances(forecaster: Forecaster, windows: Values, shots: int) -> list[Values]:
    """What one shot adds to the variance of a prediction (the sum over its steps), for each cell, (calls, gates)."""
    cells: list[Any] = [] if forecaster.circuits is None else list(forecaster.circuits.layers())
    parameter, totals = next(forecaster.parameters()), [np.zeros(0)] * len(cells)
    for part in torch.split(torch.as_tensor(windows, dtype=parameter.dtype, device=parameter.device), EVALUATION_BATCH):
        calls: list[list[_Call]] = [[] for _ in cells]
        handles = [
            cell.bank.register_forward_hook(partial(_note, own, cell.stages)) for cell, own in zip(cells, calls, strict=True)
        ]
        predictions = forecaster(part)
        for handle in handles:
            handle.remove()
        found = [np.zeros((len(own) // len(cell.stages), cell.bank.n_gates)) for cell, own in zip(cells, calls, strict=True)]
        probes = [call.probe for own in calls for call in own]
        for column in predictions.unbind(1):
            gradients = iter(torch.autograd.grad(column.sum(), probes, retain_graph=True, materialize_grads=True))
            for cell, own, total in zip(cells, calls, found, strict=True):
                for place, call in enumerate(own):
                    reached = (next(gradients) * call.noise).sum(2).square().sum(0)
                    total[place // len(cell.stages), list(call.gates)] += reached.cpu().numpy()
        totals = [own if not total.size else total + own for total, own in zip(totals, found, strict=True)]
    return [total * shots / len(windows) for total in totals]


def _note(calls: list[_Call], stages: Sequence[tuple[int, ...]], bank: CircuitBank, given: Any, outputs: Tensor) -> Tensor:
    """A hook of a bank that adds a probe to what it gives, and notes it."""
    gates, inputs = stages[len(calls) % len(stages)], given[0].detach()
    with torch.no_grad():  # half of the square of a difference of two draws is, on average, the variance of one
        first, second = (bank.bind_now(len(inputs), 1, gates)(inputs) for _ in range(2))
    calls.append(_Call(gates, torch.zeros_like(outputs, requires_grad=True), (first - second) / 2**0.5))
    return outputs + calls[-1].probe
