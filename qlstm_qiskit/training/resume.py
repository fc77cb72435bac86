"""Training that goes on after its process has died, to the same bits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from torch import Tensor
from torch.optim import Optimizer

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.hardware import Backend
from qlstm_qiskit.nn import QLSTM, Forecaster
from qlstm_qiskit.storage import exists
from qlstm_qiskit.training.callbacks import BestEpoch
from qlstm_qiskit.training.checkpoint import read_weights, write_tensors
from qlstm_qiskit.training.searching import SearchLoop

#: For each layer and gate the names of candidates.
Gates = tuple[tuple[tuple[str, ...], ...], ...]


class Progress(BaseModel):
    """How far a training has come: the header of a checkpoint, whose tensors are the rest of its state.

    Attributes:
        format: Of the file.
        options, data: What is trained on what; see `Checkpoint`.
        root: Of all seeds.
        trials: Of trainings from different seeds that are over, the seed and the validation loss; None where it diverged.
        seed: Of the training that counts, once it has begun.
        epoch: Its finished epochs; `history` has a row for each.
        gates: The candidates that are left, where some were dropped.
        moves: Steps of the structural weights' own.
        draws: Random draws of shots.
        groups, weights_groups: Options of the optimiser, and of the structural weights' own, for each group of parameters.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    options: dict[str, Any]
    data: str
    root: int
    trials: dict[int, float | None] = {}
    seed: int | None = None
    epoch: NonNegativeInt = 0
    history: list[dict[str, Any]] = []
    gates: Gates | None = None
    moves: NonNegativeInt = 0
    draws: NonNegativeInt = 0
    groups: list[dict[str, Any]] = []
    weights_groups: list[dict[str, Any]] | None = None


class Checkpoint(Callback):
    """Writes all that a training needs to go on, after each epoch and in one atomic step; the last callback of an epoch.

    Args:
        path: The file.
        options: What is trained: plain JSON values.
        data: A digest of what it is trained on.
        root: Of all seeds, for a training that begins.

    Raises:
        RunError: The file is there and is damaged, was written by something else, or belongs to another training.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], data: str, root: int) -> None:
        self.path = path
        self.tensors: dict[str, Tensor] = {}
        options = json.loads(json.dumps(options))  # as they are read again
        if exists(path):
            self.progress, self.tensors = _read(path)
            _require_same(path, self.progress, options, data)
        else:
            self.progress = Progress(options=options, data=data, root=root)
        self.loop: SearchLoop | None = None
        self.generator: torch.Generator = torch.default_generator
        self.best: BestEpoch | None = None
        self.backend: Backend | None = None

    def finish_trial(self, seed: int, loss: float | None, draws: int) -> None:
        """Note that a training from this seed is over, and how often shots were drawn until then."""
        self.progress.trials[seed], self.progress.draws = loss, draws
        self._write({})

    def attach(
        self, loop: SearchLoop, module: Forecaster, seed: int, best: BestEpoch | None, generator: torch.Generator
    ) -> None:
        """Follow the training that counts, which draws from a generator; where it had begun, give the model what it had."""
        self.loop, self.best, self.generator, layer = loop, best, generator, module.recurrent
        if isinstance(layer, QLSTM):
            self.backend = next(layer.layers()).bank.backend
        self.progress.seed = seed
        if not self.progress.epoch:
            return
        if self.progress.gates is not None and isinstance(layer, QLSTM):
            layer.keep(self.progress.gates)
        module.load_state_dict(self._part("model"))
        loop.go_on(self.progress.moves)
        if self.backend is not None:
            self.backend.draws.count = self.progress.draws

    def restore(self, net: NeuralNet) -> None:
        """Give an initialised network what it had after its last epoch; nothing where it has none."""
        if not self.progress.epoch:
            return
        net.history_ = History([dict(row, batches=[]) for row in self.progress.history])
        _load(net.optimizer_, self._part("optimizer"), self.progress.groups)
        if self.progress.weights_groups is not None:
            assert self.loop is not None
            _load(self.loop.own_optimizer(net.lr), self._part("weights_optimizer"), self.progress.weights_groups)
        if self.best is not None:
            self.best.state_ = self._part("best")
        self.generator.set_state(self.tensors["rng"])
        self.tensors = {}

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        progress, layer = self.progress, net.module_.recurrent
        progress.epoch = len(net.history)
        progress.history.append(plain_row(net.history[-1]))
        progress.gates = layer.gates if isinstance(layer, QLSTM) and layer.has_dropped else None
        progress.draws = 0 if self.backend is None else self.backend.draws.count
        tensors = {f"model/{name}": value for name, value in net.module_.state_dict().items()}
        if self.best is not None:
            tensors |= {f"best/{name}": value for name, value in self.best.state_.items()}
        tensors["rng"] = self.generator.get_state()
        progress.groups = _save(net.optimizer_, "optimizer", tensors)
        if self.loop is not None and self.loop.optimizer is not None:
            progress.moves = self.loop.moves
            progress.weights_groups = _save(self.loop.optimizer, "weights_optimizer", tensors)
        self._write(tensors)

    def _write(self, tensors: dict[str, Tensor]) -> None:
        write_tensors(self.path, tensors, self.progress.model_dump(mode="json"))

    def _part(self, prefix: str) -> dict[str, Tensor]:
        start = prefix + "/"
        # copies: tensors of a file are not aligned, which may change the last bits of sums
        return {name.removeprefix(start): value.clone() for name, value in self.tensors.items() if name.startswith(start)}


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A finished epoch as numbers: what skorch notes of batches is left out."""
    return {key: value for key, value in row.items() if key != "batches"}


def digest(*arrays: NDArray[Any] | None) -> str:
    """SHA-256 of arrays: shapes, types and content."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(b"none" if array is None else f"{array.shape} {array.dtype.str} ".encode() + array.tobytes())
    return total.hexdigest()


def read_progress(path: Path) -> Progress:
    """How far the training of a checkpoint has come; errors as of `Checkpoint`."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    header, tensors = read_weights(path)
    try:
        return Progress.model_validate(header), tensors
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is no checkpoint of a training, or of another version: {place}: {first['msg']}.") from None


def _require_same(path: Path, found: Progress, options: Mapping[str, Any], data: str) -> None:
    names = dict.fromkeys([*found.options, *options])
    other = [name for name in names if found.options.get(name) != options.get(name)]
    if other:
        differences = ", ".join(f"{name} is {found.options.get(name)!r} there and {options.get(name)!r} here" for name in other)
        raise RunError(f"{path} is a checkpoint of another training: {differences}.")
    if found.data != data:
        raise RunError(f"{path} is a checkpoint of a training on other data; restore the data or train anew.")


def _save(optimizer: Optimizer, prefix: str, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Put an optimiser's state among tensors, as PREFIX/PARAMETER/NAME or, of lists, PREFIX/PARAMETER/NAME/PLACE.

    Returns its groups as plain values; numbers in the state of a parameter become tensors of no dimension, and so does an empty
    list, as that of L-BFGS where the gradient has never changed enough.
    """
    state = optimizer.state_dict()
    for parameter, own in state["state"].items():
        for name, value in own.items():
            if name == "al":  # room in which L-BFGS computes, of the length of its history; nothing is kept there
                continue
            place = f"{prefix}/{parameter}/{name}"
            if value == []:
                tensors[f"{place}/empty"] = torch.tensor(0)
            elif isinstance(value, list):
                tensors |= {f"{place}/{k}": item for k, item in enumerate(value) if item is not None}
            elif isinstance(value, Tensor):
                tensors[place] = value
            elif value is not None:
                tensors[f"{place}/number"] = torch.tensor(
                    value, dtype=torch.float64 if isinstance(value, float) else torch.int64
                )
    return [dict(group) for group in state["param_groups"]]


def _load(optimizer: Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for place in sorted(tensors, key=lambda place: [int(part) if part.isdigit() else part for part in place.split("/")]):
        parameter, name, *rest = place.split("/")
        own = state.setdefault(int(parameter), {})
        if not rest:
            own[name] = tensors[place]
        elif rest == ["number"]:
            own[name] = tensors[place].item()
        elif rest == ["empty"]:
            own[name] = []
        else:
            own.setdefault(name, []).append(tensors[place])
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise OptionError(f"the checkpoint holds an optimiser of other parameters: {error}") from None
