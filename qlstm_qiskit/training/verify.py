"""Consistency of a checkpoint, in itself and with the training that would resume from it.

The checks return a fault in words, or None.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from qlstm_qiskit.training.progress import Progress

#: The state of each optimiser per parameter. "count" is a number of steps, "like" a tensor of the parameter's shape, "flat"
#: one of the size of all parameters together; "flats" and "numbers" are lists.
_STATES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "RMSprop": {"step": "count", "square_avg": "like"},
        "SPSA": {"step": "count", "square_avg": "like"},
        "Adam": {"step": "count", "exp_avg": "like", "exp_avg_sq": "like"},
        "LBFGS": {
            "func_evals": "number",
            "n_iter": "number",
            "d": "flat",
            "t": "number",
            "old_dirs": "flats",
            "old_stps": "flats",
            "ro": "numbers",
            "H_diag": "number",
            "prev_flat_grad": "flat",
            "prev_loss": "number",
        },
    }
)

#: The only state of L-BFGS if the gradient is zero from the start.
_ONLY_LOOKED = {"func_evals", "n_iter"}

_PLACE = re.compile(r"(\d{1,6})/(\w+)(?:/(number|empty|\d{1,6}))?")


@dataclass(frozen=True)
class Expected:
    """The properties of a checkpoint that follow from the options of its training.

    Attributes:
        seed: Its root seed, if one is given.
        starts: Seeds of models derived from the root: that of the only training, or those of the trials.
        tries: Whether there are trials.
        epochs: The largest number of epochs.
        steps: Number of optimiser steps per epoch.
        validated: Whether there is a validation part.
        patient: Whether the best epoch is kept.
        alternates: Whether structural weights have steps of their own.
    """

    seed: int | None
    starts: Sequence[int]
    tries: bool
    epochs: int
    steps: int
    validated: bool
    patient: bool
    alternates: bool

    def fault(self, progress: Progress) -> str | None:
        """The first fault in the recorded progress."""
        return next(self._faults(progress), None)

    def _faults(self, progress: Progress) -> Iterator[str]:
        epoch, tried = progress.epoch, list(progress.trials)
        if self.seed is not None and progress.root != self.seed:
            yield f"its root seed is {progress.root}, and the seed given is {self.seed}"
        if tried != list(self.starts[: len(tried)] if self.tries else []):
            yield "its trials are not those of its seed"
        if progress.sha256 is None and any(loss is not None and math.isnan(loss) for loss in progress.trials.values()):
            yield "a trial has a loss that is not a number"
        if (progress.seed is None) != (epoch == 0):
            yield f"it has finished {epoch} epochs of the training from seed {progress.seed}"
        if progress.seed is not None and progress.seed != self._start(progress):
            yield f"the model of seed {progress.seed} is not the one that is trained"
        if epoch > self.epochs:
            yield f"it has finished {epoch} of {self.epochs} epochs"
        if len(progress.history) != epoch:
            yield f"its history has {len(progress.history)} rows for {epoch} epochs"
        if progress.moves != (epoch * self.steps if self.alternates else 0):
            yield f"structural weights have made {progress.moves} steps of their own in {epoch} epochs of {self.steps}"
        for place, row in enumerate(progress.history, 1):
            yield from self._row(place, row)

    def _start(self, progress: Progress) -> int | None:
        """The seed of the training that counts: the only one, or the best trial's once all trials are over."""
        if not self.tries:
            return self.starts[0]
        known = {seed: loss for seed, loss in progress.trials.items() if loss is not None}
        return min(known, key=lambda seed: known[seed]) if known and len(progress.trials) == len(self.starts) else None

    def _row(self, place: int, row: Mapping[str, Any]) -> Iterator[str]:
        if row.get("epoch") != place:
            yield f"row {place} of its history is of epoch {row.get('epoch')!r}"
        for name in ("train_loss", "dur"):
            if not _is_number(row.get(name)) or not math.isfinite(row[name]):
                yield f"{name} of epoch {place} is {row.get(name)!r}"
        if ("valid_loss" in row) != self.validated or (self.validated and not _is_number(row["valid_loss"])):
            yield f"valid_loss of epoch {place} is {row.get('valid_loss')!r}"


def checksum(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of a checkpoint: its header without the checksum, and each tensor with name, type and shape."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    total = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu()
        content = value.reshape(-1).view(torch.uint8).numpy().tobytes()  # numpy lacks some types
        total.update(f"\n{name} {value.dtype} {tuple(value.shape)} ".encode() + content)
    return total.hexdigest()


def weights_fault(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """A fault in a model's parameters: their names, shapes or types, or values that are not finite."""
    for name in expected.keys() ^ found.keys():
        return f"{what} {'lacks' if name in expected else 'has a parameter'} {name}"
    for name, value in found.items():
        if (value.shape, value.dtype) != (expected[name].shape, expected[name].dtype):
            return f"{name} of {what} is {_form(value)} where {_form(expected[name])} is expected"
        if not bool(torch.isfinite(value).all()):
            return f"{name} of {what} is not finite"
    return None


def groups_fault(optimizer: Optimizer, groups: Sequence[Mapping[str, Any]], steps: int, *, scheduled: bool) -> str | None:
    """A fault in an optimiser's parameter groups: a difference from those of its options after `steps` steps.

    Learning rates may differ if a schedule sets them: ours at each step, torch's with a record of the initial rate.
    """
    expected = json.loads(json.dumps(optimizer.state_dict()["param_groups"]))
    if len(groups) != len(expected):
        return f"its optimiser has {len(groups)} groups of parameters, and this training {len(expected)}"
    for found, own in zip(groups, expected, strict=True):
        if found.get("params") != own["params"]:
            return f"a group of its optimiser has the parameters {found.get('params')}, and in this training {own['params']}"
        if "n_steps" in own:
            own["n_steps"] = steps
        theirs = found.get("initial_lr") == own["lr"]
        for name in own.keys() & found.keys():
            free = theirs or (scheduled and name == "lr")
            if found[name] != own[name] and not (free and _same_kind(found[name], own[name])):
                return f"{name} of its optimiser is {found[name]!r}, and in this training {own[name]!r}"
        if "n_steps" in own and "n_steps" not in found:
            return "its optimiser does not say how many steps it has made"
    return None


def write_state(optimizer: Optimizer, prefix: str, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Add an optimiser's state to tensors, as PREFIX/PARAMETER/NAME, or PREFIX/PARAMETER/NAME/PLACE for lists.

    Numbers in the state of a parameter become tensors without dimensions, and so does an empty list, which L-BFGS has if the
    gradient has never changed enough. Returns the groups as plain values.
    """
    state = optimizer.state_dict()
    for parameter, own in state["state"].items():
        for name, value in own.items():
            if name == "al":  # scratch space of L-BFGS, of the length of its history
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


def read_state(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Any]] | None:
    """The state of an optimiser per parameter; None if the tensors do not have the names that `write_state` gives."""
    state: dict[int, dict[str, Any]] = {}
    lists: dict[tuple[int, str], dict[int, Tensor]] = {}
    for place, value in tensors.items():
        match = _PLACE.fullmatch(place)
        if match is None or (match[3] in ("number", "empty") and value.dim()):
            return None
        parameter, name, kind = int(match[1]), match[2], match[3]
        if kind is not None and kind.isdigit():
            lists.setdefault((parameter, name), {})[int(kind)] = value
            continue
        if name in state.setdefault(parameter, {}):
            return None
        state[parameter][name] = value if kind is None else value.item() if kind == "number" else []
    for (parameter, name), items in lists.items():
        if sorted(items) != list(range(len(items))) or name in state.get(parameter, {}):
            return None
        state.setdefault(parameter, {})[name] = [items[k] for k in range(len(items))]
    return state


def state_fault(optimizer: Optimizer, state: Mapping[int, Mapping[str, Any]], steps: int) -> str | None:
    """A fault in an optimiser's state: a mismatch with its parameters or with the number of steps."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kinds = _STATES[type(optimizer).__name__]
    n_flat = sum(parameter.numel() for parameter in parameters)
    if not state:
        return "its optimiser has no state"
    for place, own in state.items():
        if place >= len(parameters):
            return f"its optimiser has a state for parameter {place} of {len(parameters)}"
        if own.keys() != kinds.keys() and not ("func_evals" in kinds and own.keys() == _ONLY_LOOKED):
            return f"its optimiser has the state {', '.join(sorted(own))} for a parameter, not {', '.join(sorted(kinds))}"
        for name, value in own.items():
            like = parameters[place].new_empty(n_flat) if kinds[name].startswith("flat") else parameters[place]
            if not _fits(kinds[name], value, like, steps):
                return f"{name} of its optimiser does not fit parameter {place}"
        if len({len(value) for value in own.values() if isinstance(value, list)}) > 1:
            return "the lists of its optimiser are of different lengths"
    return None


def _fits(kind: str, value: Any, like: Tensor, steps: int) -> bool:
    if kind in ("flats", "numbers"):
        return isinstance(value, list) and all(_fits(kind[:-1], item, like, steps) for item in value)
    if kind in ("count", "number"):
        numbers = list(_numbers(value))
        if len(numbers) != 1 or math.isnan(numbers[0]):
            return False
        return kind == "number" or (1 <= numbers[0] <= steps and numbers[0] == int(numbers[0]))
    return isinstance(value, Tensor) and (value.shape, value.dtype) == (like.shape, like.dtype) and not value.isnan().any()


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Tensor):
        if value.dim() == 0 and value.dtype in (torch.float64, torch.float32):
            yield float(value)
    elif _is_number(value):
        yield float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000)


def _same_kind(found: object, own: object) -> bool:
    """Whether both are of one type, or both numbers; lists, such as Adam's betas, are compared item by item."""
    if isinstance(own, list):
        return isinstance(found, list) and len(found) == len(own) and all(map(_same_kind, found, own))
    return type(found) is type(own) or (_is_number(found) and _is_number(own) and math.isfinite(float(str(found))))


def _form(value: Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
