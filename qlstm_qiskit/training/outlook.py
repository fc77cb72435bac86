"""How long a training will take, and what would make it shorter."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from qlstm_qiskit.errors import QLSTMError
from qlstm_qiskit.hardware import BackendSpec, find_spec
from qlstm_qiskit.nn.noise import drawing_from
from qlstm_qiskit.training.models import build_module
from qlstm_qiskit.training.plain import CheckedOptions

#: Seconds beyond which a training is long, so that it is said what would make it shorter.
LONG = 600.0

#: Optimiser steps in an epoch that are enough, and the batch sizes that are proposed. Beyond the largest of them the time of a
#: step grows as fast as the batch, and an epoch gets no shorter.
ENOUGH_STEPS, BATCH_SIZES = 500, (10, 20, 50, 100, 200, 500, 1000)

#: A change is named if it takes at most this part of the time.
_WORTH = 0.8


def propose_batch_size(n_windows: int) -> int:
    """The batch size that suits a series: a round number, with which an epoch has about 200 to 500 optimiser steps.

    It is 10, the default, for up to 5,000 windows, and 1000 for more than 250,000. It is proposed and never taken by itself: it
    decides what a model learns.

    Args:
        n_windows: Windows that train.
    """
    return next((size for size in BATCH_SIZES if n_windows <= ENOUGH_STEPS * size), BATCH_SIZES[-1])


def duration(seconds: float) -> str:
    """A time in words: "40 s", "45 min", "2 h 10 min", "3 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{round(hours / 24)} days"


class Advice:
    """What would make a fit shorter, with the time that it would take then.

    Times come from a few optimiser steps of untrained models, one as it is and one with each change. They have generators of
    their own, so that the training is not touched; where that cannot be had, such as on a device, nothing is measured.

    Args:
        options: Of the fit.
        windows, targets: Those that train, (n, window, features) and (n, outputs).
    """

    def __init__(self, options: CheckedOptions, windows: NDArray[Any], targets: NDArray[Any]) -> None:
        self.options, self.windows, self.targets = options, windows, targets

    def __call__(self, total: float) -> str:
        """A sentence, for a fit that will take `total` seconds."""
        options, n = self.options, len(self.windows)
        said = [f"{what} ({duration(part * total)})" for what, part in self._measured()]
        goal = max(LONG, total / 10)
        epochs = math.floor(options.max_epochs * goal / total)
        if epochs:
            said.append(f"{epochs} epoch{'s' * (epochs > 1)} ({duration(goal)})")
        said.append(f"the last {round(n * goal / total):,} of {n:,} windows ({duration(goal)})")
        return f"Shorter would be: {', '.join(said)}."

    def _measured(self) -> Iterator[tuple[str, float]]:
        """Changes that are worth it, and the part of the time that they take."""
        options, size = self.options, self.options.batch_size
        backend = find_spec(options.backend) if isinstance(options.backend, str) else options.backend
        if not isinstance(backend, BackendSpec) or not backend.ideal:
            return
        now = self._step(size)
        if now is None:
            return
        proposed = propose_batch_size(len(self.windows))
        changes: list[tuple[str, int, dict[str, Any]]] = []
        if size and proposed > size:
            changes.append((f"batch size {proposed}", proposed, {}))
        if options.dtype != "float32":
            changes.append(("float32", size, {"dtype": "float32"}))
        if options.space is None and options.start is None:
            changes += self._smaller()
        for what, other, changed in changes:
            then = self._step(other, **changed)
            if then is not None and (part := then / now * (size / other if size else 1)) <= _WORTH:
                yield what, part

    def _smaller(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """A smaller model: one layer of each circuit, else half as many hidden features."""
        options = self.options
        if options.model not in ("lstm", "gru") and (options.depth or 2) > 1:
            yield "depth 1", options.batch_size, {"depth": 1}
        elif options.hidden_size > 1:
            half = options.hidden_size // 2
            yield f"hidden size {half}", options.batch_size, {"hidden_size": half}

    def _step(self, size: int, **changed: Any) -> float | None:
        """Seconds of an optimiser step with so many windows; None where there cannot be one."""
        options, generator = self.options.but(**changed), torch.Generator(device=self.options.device)
        try:
            module = build_module(
                options, self.windows.shape[2], self.targets.shape[1], backend_seed=0, generator=generator
            ).train()
            about: dict[str, Any] = {"dtype": next(module.parameters()).dtype, "device": options.device}
            windows, targets = (torch.tensor(part[: size or None], **about) for part in (self.windows, self.targets))
            criterion, taken = options.task.criterion(), []
            with drawing_from(generator, module):
                for _ in range(3):  # the first one prepares what the others use
                    started = time.perf_counter()
                    criterion(module(windows), targets).backward()
                    taken.append(time.perf_counter() - started)
        except (QLSTMError, RuntimeError):
            return None
        return min(taken)
