"""Plans: the cost of a run on a device, before anything is submitted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from qiskit.transpiler import Target

from qlstm_qiskit.data import split_validation
from qlstm_qiskit.errors import DataError, OptionError, require_at_least
from qlstm_qiskit.experiments.runs.agreement import require_same_cut
from qlstm_qiskit.experiments.runs.ensemble import member_folder
from qlstm_qiskit.experiments.runs.load import ModelHeader, Run, load_header, load_spec
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.hardware import BackendSpec, plan_backend
from qlstm_qiskit.hardware.executors.cost import Plan, Workload, require_affordable
from qlstm_qiskit.hardware.interpreter.backend import PlanBackend, PrimitiveBackend
from qlstm_qiskit.nn import EVALUATION_BATCH, Forecaster, Recurrent
from qlstm_qiskit.nn.noise import drawing_from
from qlstm_qiskit.search import Strategy
from qlstm_qiskit.training.searching import SearchLoop


def require_affordable_evaluation(run: Run, windows: int, *, calls: int = 1, besides: int = 0) -> None:
    """Refuse predictions that the guard would stop halfway, before anything is submitted.

    Args:
        run: A trained run, on the backend that would evaluate it.
        windows: Number of windows per call.
        calls: Number of calls.
        besides: Further windows that are evaluated once, as those that calibrate intervals.

    Raises:
        BudgetError: They exceed a limit of the guard, and `confirm` is not set.
    """
    options = run.spec.backend_options
    if options is None or not options.recorded or options.guard.confirm or not run.layers:
        return
    if options.guard.max_circuits is None and options.guard.max_qpu_seconds is None:
        return
    work = _evaluation(run, options, windows) * calls
    if besides:
        work += _evaluation(run, options, besides)
    models = "" if len(run.members) == 1 else f" by {len(run.members)} models"
    require_affordable(work, options, f"evaluating {windows * calls + besides} windows{models}")


def _evaluation(run: Run, options: BackendSpec, windows: int, planned: Callable[[], PlanBackend] | None = None) -> Workload:
    """The work of predicting windows, by all members; `planned` gives what counts, in place of one for the backend."""
    work, shape = Workload(), (run.header.window, len(run.header.features), run.header.n_outputs)
    for gates, count in Counter(member.header.gates for member in run.members).items():
        header = run.header.model_copy(update={"gates": gates})
        counting = None if planned is None else planned()
        work += plan_work(run.spec, options, "predict", windows, shape, header=header, planned=counting).work * count
    return work


def circuits_of_evaluation(run: Run, windows: int) -> int | None:
    """How many circuits (parameter sets x measured bases) predictions take on a run's backend; None where it runs none.

    Args:
        run: A trained run.
        windows: Number of windows; those of real data that repeat themselves take less.
    """
    options = run.spec.backend_options
    if options is None or options.kind == "statevector" or not run.layers:
        return None
    planned = None
    if options.kind == "aer":
        backend = run.layers[0].bank.backend
        assert isinstance(backend, PrimitiveBackend)
        planned = partial(PlanBackend, options, backend.prepare, Target())
    return _evaluation(run, options, windows, planned).circuits


def plan_run(
    path: Path | str,
    backend: BackendSpec,
    task: str = "predict",
    *,
    windows: int | None = None,
    horizon: int | None = None,
    device: str | None = None,
    look: Callable[[Recurrent[Any]], object] | None = None,
) -> Plan:
    """The plan for a run folder; of an ensemble the sum over its members.

    Args:
        path: The folder.
        backend: The backend on which it would run.
        task: "predict": evaluate windows. "train": train it again, with its own optimiser and epochs.
        windows: Number of windows; where None, those of the test part, or of the training part for "train". To those of
            "predict" come the windows that calibrate intervals.
        horizon: Plan a forecast of `horizon` rows beyond the data, as in `roll_out`, in place of windows; only with "predict".
            Adaptive intervals follow as many windows before as calibrate them.
        device: A fake device to plan for, which needs no account.
        look: Called with the untrained layer whose circuits are planned.

    Raises:
        OptionError: An unknown task, a model without circuits, or a backend without a device.
        DataError: Too few training windows to leave any for the validation part.
    """
    if task not in ("predict", "train"):
        raise OptionError(f"task is {task!r}; it must be predict or train.")
    spec = load_spec(path)
    if spec.replicas > 1:
        sizes: dict[str, Any] = {"windows": windows, "horizon": horizon, "device": device, "look": look}
        folders = [member_folder(path, place) for place in range(spec.replicas)]
        kept = [load_header(folder, load_spec(folder)).gates for folder in folders]
        # those that have kept the same circuits take the same
        plans = [plan_run(folders[kept.index(own)], backend, task, **sizes) * n for own, n in Counter(kept).items()]
        return sum(plans[1:], start=plans[0])
    header = load_header(path, spec)
    shape, calls = (header.window, len(header.features), header.n_outputs), 1
    if horizon is not None:
        if spec.task.labelled:
            raise OptionError(f"{path} predicts the class of a window, and has no horizon; plan for a number of windows.")
        if task != "predict" or windows is not None:
            raise OptionError("horizon needs the task predict, without windows.")
        calls = math.ceil(require_at_least("horizon", horizon, 1) / header.horizon)
    if windows is None and horizon is None:
        dataset = spec.data.load()
        require_same_cut(dataset.name, Path(path), spec, header)
        windows = len(dataset.x_test) if task == "predict" else len(dataset.x_train)
    parts = [1 if horizon is not None else require_at_least("windows", windows, 1)]
    interval = spec.data.interval
    if task == "predict" and interval is not None and (aside := _calibration(spec)):  # evaluated anew on another backend
        parts += [aside] * (1 + (horizon is not None and interval.method == "adaptive"))
    plans = [plan_work(spec, backend, task, own, shape, device=device, header=header, look=look) * calls for own in parts]
    return sum(plans[1:], start=plans[0])


def _calibration(spec: RunSpec) -> int:
    """How many windows calibrate a run's intervals; none where the series is gone: the half-widths in the folder are taken."""
    try:
        part = spec.data.load().calibration
    except DataError:
        return 0
    return 0 if part is None else len(part[0])


def plan_work(
    spec: RunSpec,
    backend: BackendSpec,
    task: str,
    windows: int,
    shape: tuple[int, int, int],
    *,
    device: str | None = None,
    header: ModelHeader | None = None,
    look: Callable[[Recurrent[Any]], object] | None = None,
    planned: PlanBackend | None = None,
) -> Plan:
    """The plan for a model on windows of `shape` (window, features, outputs), from a run against a backend that only counts.

    The windows are cut from a random series without repeated values. If the real data repeats itself, less is submitted,
    because equal parameter sets of a call are evaluated once. A search that drops candidates is planned as if it kept them.

    `header` is the header of a trained model, which may have dropped candidates; for "predict". `look` is as in `plan_run`.
    `planned` counts in place of a backend made for it.
    """
    planned = planned or plan_backend(backend, device)
    estimator = spec.estimator(backend=planned, device="cpu")
    window, features, outputs = shape
    generator = torch.Generator()
    module = estimator.build_module(features, outputs, generator=generator)
    if module.circuits is None:
        raise OptionError(f"the model {spec.model!r} has no circuits, so it needs no QPU time.")
    if task == "train":
        SearchLoop(estimator.strategy, module, None, 1, generator)  # because the strategy may choose candidates
    if task == "predict" and header is not None and header.gates is not None:
        module.circuits.keep(header.gates)
    if look is not None:
        look(module.circuits)
    packed, unpacked, noise = Workload(), Workload(), torch.Generator()
    for kind, size, times in _batches(spec, estimator.strategy, task, windows, outputs):
        before = planned.work()
        with drawing_from(noise, module):
            _step(module, _windows(size, window, features, next(module.parameters()).dtype), kind, spec)
        after = planned.work()
        packed, unpacked = packed + (after[0] - before[0]) * times, unpacked + (after[1] - before[1]) * times
    return Plan(backend, packed, None if backend.pack == "off" else unpacked, planned.widest, planned.lost)


def _batches(spec: RunSpec, strategy: Strategy, task: str, windows: int, horizon: int) -> Iterator[tuple[str, int, int]]:
    """The batches to evaluate: "train" or "predict", the number of windows in a batch, and how often it is evaluated."""
    trainings = 1 if strategy.trials == 1 else strategy.trials + 1  # the best trial is trained again
    parts = [("predict", EVALUATION_BATCH, windows, 1)]
    if task == "train":
        n_train, n_valid = split_validation(windows, horizon if spec.task.ahead else 1, spec.valid_fraction)
        steps = 2 if strategy.alternates else 1
        parts = [
            ("train", (spec.batch_size or n_train) * spec.repeats, n_train * spec.repeats, steps * trainings * spec.epochs),
            ("predict", EVALUATION_BATCH, n_valid, trainings * spec.epochs),
        ]
    for kind, size, count, repeats in parts:
        full, rest = divmod(count, size)
        yield from ((kind, n, times * repeats) for n, times in ((size, full), (rest, 1)) if n and times)


def _windows(n: int, window: int, features: int, dtype: torch.dtype) -> torch.Tensor:
    """Consecutive windows of a random series, (n, window, features)."""
    series = torch.rand(n + window - 1, features, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return series.unfold(0, window, 1).transpose(1, 2)


def _step(module: Forecaster, windows: torch.Tensor, task: str, spec: RunSpec) -> None:
    """Submit the work of one batch to the backend."""
    if task == "train" and spec.optimizer != "spsa":
        module(windows).sum().backward()
        return
    with torch.no_grad():
        for _ in range(2 * spec.spsa_resamplings if task == "train" else 1):
            module(windows)
