"""The cost of a training step: time and peak memory of the quantum LSTM beside `torch.nn.LSTM`."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_limits

from qlstm_qiskit.data import load_dataset
from qlstm_qiskit.errors import OptionError, RunError, require_at_least
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.space import BLOCKS, ENCODINGS, SearchSpace
from qlstm_qiskit.training import QLSTMRegressor
from qlstm_qiskit.training.optimizers import optimizer_options
from qlstm_qiskit.training.plain import CheckedOptions

#: What is compared, by names in `training.MODELS`: the classical LSTM first.
COMPARED = ("lstm", "diffqas")

_WARM_UP = 3

_MEASURE = "import sys; from qlstm_qiskit.experiments.scaling.step_cost import write_memory; write_memory(sys.argv[1])"
#: A small process between this one and the one that measures, see `memory_apart`.
_LAUNCH = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {_MEASURE!r}, sys.argv[1]]))"


class Point(BaseModel):
    """A size of the quantum LSTM.

    Attributes:
        hidden: Hidden size; a series of one feature needs one qubit more.
        depth: Variational layers of each circuit.
        candidates: Circuits of each gate; see `spread`.
        window: Time steps that it reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = 3
    depth: int = 2
    candidates: int = 36
    window: int = 4


def spread(count: int) -> SearchSpace:
    """A part of the paper's 36 candidates in which no encoding and no block is preferred.

    In the table of encodings by blocks they are taken diagonal after diagonal: 6, 12, 18, ... have each encoding and each block
    equally often, fewer are a part of more, and the first is the handcrafted config1, H-RY|linear-RY.

    Raises:
        OptionError: There are fewer.
    """
    space, encodings, blocks = SearchSpace.paper(), list(ENCODINGS), list(BLOCKS)
    if require_at_least("candidates", count, 1) > len(space):
        raise OptionError(f"candidates is {count}; the paper's space has {len(space)}.")
    order = [f"{e}|{blocks[(row + shift) % len(blocks)]}" for shift in range(len(blocks)) for row, e in enumerate(encodings)]
    return SearchSpace(choices=tuple(choice for choice in space.choices if choice[0] in order[:count]))


def regressor_at(point: Point, model: str, **options: Any) -> QLSTMRegressor:
    """The untrained estimator of one of `COMPARED`; `options` are further arguments of it."""
    if model == "diffqas":
        options |= {"depth": point.depth, "space": spread(point.candidates)}
    return QLSTMRegressor(model, point.hidden, **options)


def training_step(point: Point, model: str, dataset: str, batch: int) -> tuple[Forecaster, Callable[[], None]]:
    """A new model, and a function that trains it by one step on the first windows: forward, backward and the optimiser."""
    data, regressor = load_dataset(dataset, window=point.window), regressor_at(point, model)
    module = regressor.build_module(len(data.features), data.horizon, generator=torch.Generator().manual_seed(0))
    options = optimizer_options(CheckedOptions.of(regressor), module)
    kind = options.pop("optimizer")
    named = {name.removeprefix("optimizer__"): value for name, value in options.items()}
    optimizer = kind(module.parameters(), lr=regressor.learning_rate, **named)
    windows, targets = torch.as_tensor(data.x_train[:batch]), torch.as_tensor(data.y_train[:batch])

    def run() -> None:
        optimizer.zero_grad()
        (module(windows) - targets).square().mean().backward()
        optimizer.step()

    return module, run


def alternating_ms(runs: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median milliseconds of calls that are made in turn, after a warm-up: what slows the machine down slows all of them."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(_WARM_UP + repeats):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            own.append(time.perf_counter() - start)
    return [1e3 * statistics.median(own[_WARM_UP:]) for own in times]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def memory_apart(point: Point, dataset: str, batch: int) -> list[dict[str, float]]:
    """Peak memory of training steps, for each of `COMPARED`, measured in a fresh process of one thread.

    All are growths of `ru_maxrss`, the largest resident memory of a process so far, in MiB:

    - `loaded_mib`: from after the imports to after some steps of a smallest model of the kind (hidden 1, depth 1, one
      candidate, window 1). That is what is loaded once whatever the model's size: code of torch and of the compiled kernels,
      threads, pools of memory. What the quantum LSTM shares with the classical one is in both.
    - `memory_mib`: from there, before the model is built, to after some steps of it: circuits and their analysis, parameters,
      gradients, the optimiser's state, all that the backward pass needs, and what further code these load. Memory that was
      freed before is used again without being seen, so it is exact to about 1 MiB only.

    Compiling is in neither where the machine has trained such a model before.

    Linux starts a program with the peak of the process that started it, so the process is started by a small one.

    Raises:
        RunError: The process ended with an error.
    """
    asked = json.dumps({"point": point.model_dump(), "dataset": dataset, "batch": batch})
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", _LAUNCH, asked], capture_output=True, text=True, env=variables, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RunError(f"the process that measures memory ended with {done.returncode}: {said[0]}")
    return [dict(found) for found in json.loads(done.stdout.splitlines()[-1])]


def write_memory(asked: str) -> None:
    """What the process of `memory_apart` does."""
    options = json.loads(asked)
    point = Point.model_validate(options.pop("point"))
    start, found, kept = _peak_mib(), [], []

    def train(size: Point, model: str) -> None:
        kept.append(training_step(size, model, **options))
        for _ in range(_WARM_UP):
            kept[-1][1]()

    with one_thread():
        for model in COMPARED:
            train(Point(hidden=1, depth=1, candidates=1, window=1), model)
            found.append({"loaded_mib": _peak_mib() - start})
        for model, own in zip(COMPARED, found, strict=True):
            before = _peak_mib()
            train(point, model)
            own["memory_mib"] = _peak_mib() - before
    sys.stdout.write(json.dumps(found) + "\n")


def _peak_mib() -> float:
    """The largest resident memory of this process so far."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
