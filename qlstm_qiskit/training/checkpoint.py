"""Checkpoints, from which a training resumes after its process has died and gives the same bits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor
from torch.optim import Optimizer

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.hardware import Backend
from qlstm_qiskit.nn import Forecaster, Recurrent
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.callbacks import BestEpoch, Writer
from qlstm_qiskit.training.options import OPTIONS
from qlstm_qiskit.training.progress import Gates, Progress
from qlstm_qiskit.training.searching import SearchLoop
from qlstm_qiskit.training.task import REGRESSION
from qlstm_qiskit.training.tensors import read_weights, write_tensors
from qlstm_qiskit.training.verify import Expected, checksum, groups_fault, read_state, state_fault, weights_fault, write_state


class Checkpoint(Writer, Callback):
    """Writes all the state needed to resume a training, after each epoch and atomically; the last callback of an epoch.

    Args:
        path: The file.
        options: Options of the training, as plain JSON values.
        data: A digest of the training data.
        root: Root of all seeds, for a new training.

    Raises:
        RunError: The file exists and is damaged, was not written by this package, or belongs to another training.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], data: str, root: int) -> None:
        self.path = path
        self.tensors: dict[str, Tensor] = {}
        options = json.loads(json.dumps(options))  # the form in which they are read back
        if exists(path):
            self.progress, self.tensors = _read(path)
            _require_same(path, self.progress, options, data)
        else:
            self.progress = Progress(options=options, data=data, root=root)
        self.loop: SearchLoop | None = None
        self.generator: torch.Generator = torch.default_generator
        self.expected: Expected | None = None
        self.best: BestEpoch | None = None
        self.backend: Backend | None = None

    def verify(self, expected: Expected) -> None:
        """Check that the content of the file is consistent and matches the training.

        Raises:
            RunError: It does not match; nothing has been trained or written.
        """
        self.expected = expected
        progress, epoch = self.progress, self.progress.epoch
        if not exists(self.path):
            return
        kinds = {name[: name.find("/") + 1] or name for name in self.tensors}
        needed = {"model/", "optimizer/", "rng"} if epoch else set()
        needed |= {"best/"} if epoch and expected.patient else set()
        needed |= {"weights_optimizer/"} if epoch and expected.alternates else set()
        self._refuse(expected.fault(progress))
        if kinds != needed or bool(progress.groups) != bool(epoch):
            self._refuse(f"it holds {', '.join(sorted(kinds)) or 'no state'} where it should hold {', '.join(sorted(needed))}")
        if (progress.weights_groups is not None) != ("weights_optimizer/" in needed):
            self._refuse("the options of the structural weights' own optimiser do not match its state")

    def _refuse(self, fault: str | None) -> None:
        if fault is not None:
            raise RunError(f"{self.path} is damaged: {fault}. Delete it to train anew.")

    def finish_trial(self, seed: int, loss: float | None, draws: int) -> None:
        """Record that the trial with this seed is over, and how often shots were drawn until then."""
        self.progress.trials[seed], self.progress.draws = loss, draws
        self._write({})

    def attach(
        self, loop: SearchLoop, module: Forecaster, seed: int, best: BestEpoch | None, generator: torch.Generator
    ) -> None:
        """Follow the training that counts, which draws from `generator`; restore the model if it had begun."""
        self.loop, self.best, self.generator, layer = loop, best, generator, module.circuits
        if layer is not None:
            self.backend = next(layer.layers()).bank.backend
        self.progress.seed = seed
        if not self.progress.epoch:
            return
        if self.progress.gates is not None:
            if layer is None:
                self._refuse("it names candidates, and this model has none")
            else:
                self._keep(layer, self.progress.gates)
        model = self._part("model")
        self._refuse(weights_fault("its model", model, module.state_dict()))
        module.load_state_dict(model)
        loop.go_on(self.progress.moves)
        if self.backend is not None:
            self.backend.draws.count = self.progress.draws

    def restore(self, net: NeuralNet) -> None:
        """Restore the state of an initialised network after its last epoch, if there was one."""
        if not self.progress.epoch:
            return
        net.history_ = History([dict(row, batches=[]) for row in self.progress.history])
        assert self.expected is not None
        scheduled, steps = self.progress.options.get("schedule") != "constant", self.progress.epoch * self.expected.steps
        self._load(net.optimizer_, "optimizer", self.progress.groups, steps, scheduled=scheduled)
        if self.progress.weights_groups is not None:
            assert self.loop is not None
            own = self.loop.own_optimizer(net.lr)
            self._load(own, "weights_optimizer", self.progress.weights_groups, self.progress.moves, scheduled=False)
        if self.best is not None:
            best = self._part("best")
            self._refuse(weights_fault("its best epoch", best, net.module_.state_dict()))
            self.best.state_ = best
        try:
            self.generator.set_state(self.tensors["rng"])
        except (TypeError, RuntimeError) as error:
            self._refuse(f"the state of its random numbers cannot be used ({str(error).splitlines()[0]})")
        self.tensors = {}

    def _keep(self, layer: Recurrent[Any], gates: Gates) -> None:
        try:
            layer.keep(gates)
        except (OptionError, ValueError) as error:
            self._refuse(f"the candidates that are left are not this model's ({' '.join(str(error).split())})")

    def _load(self, optimizer: Optimizer, prefix: str, groups: list[dict[str, Any]], steps: int, *, scheduled: bool) -> None:
        """Restore the state of an optimiser and of its parameter groups."""
        if self.progress.sha256 is None:  # otherwise the checksum vouches for them, and callbacks may have changed them
            self._refuse(groups_fault(optimizer, groups, steps, scheduled=scheduled))
        state = read_state(self._part(prefix))
        if state is None:
            raise RunError(f"{self.path} is damaged: the state of its optimiser cannot be read. Delete it to train anew.")
        self._refuse(state_fault(optimizer, state, steps))
        merged = []
        for own, found in zip(optimizer.state_dict()["param_groups"], groups, strict=True):
            # Equal values keep the optimiser's own type: 20.0 equals 20, but it is not a length.
            merged.append(own | {name: value for name, value in found.items() if value != own.get(name)})
        optimizer.load_state_dict({"state": state, "param_groups": merged})

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        progress, layer = self.progress, net.module_.circuits
        progress.epoch = len(net.history)
        progress.history.append(plain_row(net.history[-1]))
        progress.gates = layer.gates if layer is not None and layer.has_dropped else None
        progress.together = getattr(net, "together", 0) > 0
        progress.draws = 0 if self.backend is None else self.backend.draws.count
        tensors = {f"model/{name}": value for name, value in net.module_.state_dict().items()}
        if self.best is not None:
            tensors |= {f"best/{name}": value for name, value in self.best.state_.items()}
        tensors["rng"] = self.generator.get_state()
        progress.groups = write_state(net.optimizer_, "optimizer", tensors)
        if self.loop is not None and self.loop.optimizer is not None:
            progress.moves = self.loop.moves
            progress.weights_groups = write_state(self.loop.optimizer, "weights_optimizer", tensors)
        self.put(partial(self._write, self.own(tensors)))

    def _write(self, tensors: dict[str, Tensor]) -> None:
        unsaid = {"sha256"} if self.progress.together else {"sha256", "together"}
        header = json.loads(json.dumps(self.progress.model_dump(mode="json", exclude=unsaid)))
        write_tensors(self.path, tensors, header | {"sha256": checksum(header, tensors)})

    def _part(self, prefix: str) -> dict[str, Tensor]:
        start = prefix + "/"
        # Copies, because tensors from a file are not aligned, which may change the last bits of sums.
        return {name.removeprefix(start): value.clone() for name, value in self.tensors.items() if name.startswith(start)}


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a finished epoch, without skorch's records of its batches."""
    return {key: value for key, value in row.items() if key != "batches"}


def digest(*arrays: NDArray[Any] | None) -> str:
    """SHA-256 of arrays, including shapes and types."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(b"none" if array is None else f"{array.shape} {array.dtype.str} ".encode())
        if array is not None:
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def read_progress(path: Path) -> Progress:
    """The progress of a checkpoint's training; errors as for `Checkpoint`."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    header, tensors = read_weights(path, finite=False)
    try:
        progress = Progress.model_validate(header)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is not a training checkpoint, or is of another version: {place}: {first['msg']}.") from None
    if progress.sha256 is not None and progress.sha256 != checksum(header, tensors):
        raise RunError(f"{path} is damaged: its content has changed since it was written. Delete it to train anew.")
    return progress, tensors


def _require_same(path: Path, found: Progress, options: Mapping[str, Any], data: str) -> None:
    # Older files lack newer options, which had their defaults then; only those of another task name theirs.
    options = {"task": REGRESSION.name} | dict(options)
    there = {"task": REGRESSION.name} | {name: own.default for name, own in OPTIONS.items() if name in options} | found.options
    other = [name for name in dict.fromkeys([*found.options, *options]) if there.get(name) != options.get(name)]
    if other:
        differences = ", ".join(f"{name} is {there.get(name)!r} there and {options.get(name)!r} here" for name in other)
        raise RunError(f"{path} is a checkpoint of another training: {differences}.")
    if found.data != data:
        raise RunError(f"{path} is a checkpoint of a training on other data; restore the data or train anew.")
