"""Shots that a trained model needs: its error against the number of shots, split into model, device and shot noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from qlstm_qiskit.errors import CircuitError, OptionError, require_at_least
from qlstm_qiskit.experiments.runs.load import Run, load_run
from qlstm_qiskit.hardware import EXACT, BackendSpec, SampledBackend, find_spec
from qlstm_qiskit.training.task import TASKS, Task

#: Default numbers of shots, from 64 to 65,536.
SHOTS = tuple(2**k for k in range(6, 17))

#: Qubits up to which a curve takes seconds; of wider circuits the covariance of all outputs is found in every call.
MOST_QUBITS = 31


def widest_circuit(run: Run) -> int:
    """Qubits of the widest circuit of a run; 0 for a model without circuits."""
    return max((candidate.n_qubits for cell in run.layers for candidate in cell.bank.candidates), default=0)


@dataclass(frozen=True)
class ShotCurve:
    """Errors of a model on the test part against the number of shots, scaled.

    Attributes:
        backend: The backend that evaluated it.
        metric: Name of the error.
        shots: Numbers of shots per circuit.
        errors, standard_errors: Mean over repeats with fresh shots, and its standard error.
        model: The error with exact values of ideal circuits.
        device: The additional error from the noise of a device, without shots; 0 if the backend has no noise.
        naive: Errors of the naive forecasts, which need no model.
        noise_of: The device whose noise is included.
    """

    backend: str
    metric: str
    shots: tuple[int, ...]
    errors: tuple[float, ...]
    standard_errors: tuple[float, ...]
    model: float
    device: float
    naive: dict[str, float]
    noise_of: str | None = None

    @property
    def task(self) -> Task:
        """The task whose error it is."""
        return next(task for task in TASKS.values() if task.metric == self.metric)

    @property
    def where(self) -> str:
        """The device in words."""
        return "on an ideal device" if self.noise_of is None else f"and the noise of {self.noise_of}"

    @property
    def without_shots(self) -> float:
        """The limit of the error for ever more shots."""
        return self.model + self.device

    @property
    def beats_naive(self) -> float | None:
        """The number of shots that beats every naive forecast; None if that takes more than were tried."""
        return self.below(min(self.naive.values())) if self.naive else None

    @property
    def within_tenth(self) -> float | None:
        """The number of shots that brings the error within 10 % of that without shot noise; None if that takes more."""
        return self.below(1.1 * self.without_shots)

    def below(self, bound: float) -> float | None:
        """The number of shots from which on the error stays at or below a bound; None if that takes more than were tried.

        It is interpolated linearly between logarithms.
        """
        above = [k for k, error in enumerate(self.errors) if error > bound]
        if not above:
            return float(self.shots[0])
        k = above[-1]
        if k + 1 == len(self.shots):
            return None
        low, high = np.log(self.errors[k]), np.log(max(self.errors[k + 1], np.finfo(float).tiny))
        share = (low - np.log(bound)) / (low - high) if bound > 0 else 1.0
        return float(np.exp(np.log(self.shots[k]) + share * (np.log(self.shots[k + 1]) - np.log(self.shots[k]))))

    def fewest(self, bound: float) -> int:
        """The fewest of the shots tried for which the error stays at or below a bound.

        Raises:
            OptionError: None of them are enough, or the bound is not a positive number.
        """
        if not 0 < bound < math.inf:
            raise OptionError(f"the {self.metric} to reach is {bound:g}; give a positive number.")
        needed = self.below(bound)
        if needed is None:
            raise OptionError(
                f"no number of shots up to {self.shots[-1]:,} brings the {self.metric} to {bound:g}: without shot noise it is "
                f"{self.without_shots:.3g}. Ask for more than that, or train a better model."
            )
        return math.ceil(needed)


def shot_curve(
    path: Path | str,
    shots: Sequence[int] = SHOTS,
    *,
    backend: str | BackendSpec = "exact-shots",
    repeats: int = 8,
    seed: int = 0,
) -> ShotCurve:
    """Evaluate a run on its test part for several numbers of shots, in one process, with or without the noise of a device.

    Args:
        path: The run folder.
        shots: Numbers of shots, in ascending order.
        backend: An entry of kind "statevector" with shots, whose number is replaced.
        repeats: Number of evaluations with fresh shots to average for each number.
        seed: Seed of the shots.

    Raises:
        OptionError: Another kind of backend, numbers that are not in ascending order, or a model without circuits.
        RunError: The folder cannot be read.
    """
    require_at_least("repeats", repeats, 1)
    require_at_least("seed", seed, 0)
    numbers = tuple(require_at_least("shots", number, 1) for number in shots)
    if not numbers or any(second <= first for first, second in pairwise(numbers)):
        raise OptionError(f"shots are {list(shots)}; give numbers in rising order, such as 256, 1024, 4096.")
    spec = find_spec(backend) if isinstance(backend, str) else backend
    if spec.kind != "statevector" or spec.exact:
        raise OptionError(
            f"backend {spec.name} has no shots that could be varied here; choose one of kind statevector with shots, such as "
            "exact-shots."
        )
    sampled = load_run(path, backend=spec.model_copy(update={"seed": seed}))
    backends = _backends(sampled)
    if not backends:
        raise OptionError(f"the model {sampled.spec.model} of {path} has no circuits, and needs no shots.")
    dataset, task = sampled.dataset, sampled.spec.task
    windows, targets = np.tile(dataset.x_test, (repeats, 1, 1)), dataset.as_series(dataset.y_test)
    found = []
    for number in numbers:
        for own in backends:
            own.shots = number
        predictions = sampled.outputs(windows).reshape(repeats, *targets.shape)
        found.append([task.error(dataset.as_series(own), targets) for own in predictions])
    model = _error(load_run(path, backend=EXACT))
    exact = {"shots": None, "sampling": "gaussian", "seed": None}
    noisy = model if spec.noise is None else _error(load_run(path, backend=spec.model_copy(update=exact)))
    errors = np.array(found)
    return ShotCurve(
        backend=spec.name,
        metric=task.metric,
        shots=numbers,
        errors=tuple(errors.mean(axis=1).tolist()),
        standard_errors=tuple((errors.std(axis=1, ddof=min(1, repeats - 1)) / repeats**0.5).tolist()),
        model=model,
        device=noisy - model,
        naive={name: figures[task.metric] for name, figures in task.references(dataset).items()},
        noise_of=spec.noise_of,
    )


def expected_errors(path: Path | str, backend: BackendSpec, shots: Sequence[int] = SHOTS, *, repeats: int = 8) -> ShotCurve:
    """As `shot_curve`; with ideal circuits if there is no noise, or if the exact interpreter cannot apply it to them."""
    try:
        return shot_curve(path, shots, backend=backend, repeats=repeats)
    except (CircuitError, OptionError):
        return shot_curve(path, shots, repeats=repeats)


def _error(run: Run) -> float:
    data = run.dataset
    return run.spec.task.error(data.as_series(run.outputs(data.x_test)), data.as_series(data.y_test))


def _backends(run: Run) -> list[SampledBackend]:
    found = {id(cell.bank.backend): cell.bank.backend for cell in run.layers}
    return [own for own in found.values() if isinstance(own, SampledBackend)]
