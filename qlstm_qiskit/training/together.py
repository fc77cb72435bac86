"""Trainings that differ in their seeds alone, step by step side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from qlstm_qiskit.errors import TrainingError
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.nn.replicas import side_by_side
from qlstm_qiskit.search import WeightedSum
from qlstm_qiskit.training.batches import Windows
from qlstm_qiskit.training.callbacks import reason_of_callbacks
from qlstm_qiskit.training.fitting import Fit, Fitted, Training
from qlstm_qiskit.training.searching import SearchNet

#: Optimisers that treat each number by itself, so that those of replicas may lie in one tensor.
ELEMENTWISE = ("rmsprop", "adam")


def fit_together(fits: Sequence[Fit]) -> list[Fitted | TrainingError]:
    """Run fits side by side that differ in their seeds alone; each gives what it gives by itself, but for rounding.

    A replica that stops early, or diverges, changes no bit of the others.

    Args:
        fits: One for each replica, on the same data; `reason_apart` has nothing against them.

    Returns:
        The result of each, or the error with which it ended.

    Raises:
        KeyboardInterrupt: Ctrl-C before the first epoch was finished.
    """
    trainings = [fit.prepare(fit.seeds.model) for fit in fits]
    errors: dict[int, TrainingError] = {}
    try:
        _Joint(fits, trainings, errors).run()
    finally:
        for training in trainings:
            training.end()
    return [errors[n] if n in errors else fit.outcome(own) for n, (fit, own) in enumerate(zip(fits, trainings, strict=True))]


def reason_apart(fit: Fit) -> str | None:
    """Why replicas of a fit are trained one after another, in words; None if they can be trained side by side."""
    options, strategy = fit.options, fit.options.strategy
    if reason := reason_of_callbacks(options.callbacks):
        return reason
    reasons = {
        f"the optimizer {options.optimizer} looks at all parameters together": options.optimizer not in ELEMENTWISE,
        f"the search strategy {strategy.name} has steps of its own": options.search is not None and strategy != WeightedSum(),
        f"mixing={options.mixing!r} draws noise": MIXINGS[options.mixing].sampled,
        f"dropout={options.dropout} draws noise": bool(options.dropout),
        f"repeats={options.repeats} evaluates windows with different noise": options.repeats > 1,
        f"device={options.device!r} has no multilinear form": torch.device(options.device).type != "cpu",
    }
    for reason, holds in reasons.items():
        if holds:
            return reason
    circuits = fit.build(torch.Generator()).circuits
    if circuits is None:
        return "the model has no circuits"
    for cell in circuits.layers():
        if not isinstance(cell.bank.backend, StatevectorBackend):
            return f"backend {cell.bank.backend.name} does not give exact values"
        if cell.bank.path(samples=fit.batch_size, calls=fit.train[0].shape[1]) != "form":
            return "not all of its circuits have a multilinear form that is worth it"
    return None


class _Joint:
    """The loop over epochs and batches of all replicas that are not over yet."""

    def __init__(self, fits: Sequence[Fit], trainings: Sequence[Training], errors: dict[int, TrainingError]) -> None:
        self.fits, self.trainings, self.errors = fits, trainings, errors
        self.joined: list[int] = []  #: Places of the replicas that are side by side now.
        self.module: Forecaster
        self.optimizer: torch.optim.Optimizer

    def run(self) -> None:
        train, valid = self.fits[0].train, self.fits[0].valid
        parts = {"dataset_train": Windows(*train), "dataset_valid": None if valid is None else Windows(*valid)}
        for own in self.trainings:
            own.net.notify("on_train_begin", X=train[0], y=train[1])
        try:
            while now := self._next():
                if now != self.joined:
                    self._join(now)
                self._epoch(parts)
        except KeyboardInterrupt:
            pass
        for place, own in enumerate(self.trainings):
            _let_go(own.net.module_)
            if place not in self.errors:
                own.net.notify("on_train_end", X=train[0], y=train[1])

    def _next(self) -> list[int]:
        """The replicas that go on, of which only those with the fewest epochs: checkpoints may be of different ones."""
        epochs = self.fits[0].options.max_epochs
        left = {
            place: len(own.net.history)
            for place, own in enumerate(self.trainings)
            if place not in self.errors
            and len(own.net.history) < epochs
            and not (own.best is not None and own.best.is_over(own.net.history))
        }
        return [place for place, done in left.items() if done == min(left.values())]

    def _nets(self) -> list[SearchNet]:
        return [self.trainings[place].net for place in self.joined]

    def _epoch(self, parts: dict[str, Any]) -> None:
        nets = self._nets()
        for net in nets:
            net.notify("on_epoch_begin", **parts)
        for part, dataset in zip(("train", "valid"), parts.values(), strict=True):
            if dataset is not None:
                # Each replica has its own, also where all give the same: loaders draw from its stream.
                loaders = [net.get_iterator(dataset, training=part == "train") for net in nets]
                self._batches(part, zip(*loaders, strict=True))
        for place, net in zip(self.joined, nets, strict=True):
            try:
                net.notify("on_epoch_end", **parts)
            except TrainingError as error:
                self.errors[place] = error

    def _batches(self, part: str, batches: Iterator[Any]) -> None:
        nets, training, count = self._nets(), part == "train", 0
        self.module.train(training)
        for batch in batches:
            for net in nets:
                net.notify("on_batch_begin", batch=batch, training=training)
            windows, targets = (torch.stack(parts) for parts in zip(*batch, strict=True))
            with torch.set_grad_enabled(training):
                outputs = self.module(windows.flatten(0, 1)).view(len(nets), -1, targets.shape[-1])
                pairs = zip(nets, outputs, targets, strict=True)
                losses = torch.stack([net.get_loss(*pair, training=training) for net, *pair in pairs])
                if training:
                    for group, own in zip(self.optimizer.param_groups, nets[0].optimizer_.param_groups, strict=True):
                        group["lr"] = own["lr"]
                    self.optimizer.zero_grad()
                    losses.sum().backward()  # type: ignore[no-untyped-call]
                    self.optimizer.step()
            for net, loss in zip(nets, losses.tolist(), strict=True):
                net.history.record_batch(f"{part}_loss", loss)
                net.history.record_batch(f"{part}_batch_size", windows.shape[1])
                net.notify("on_batch_end", batch=batch, training=training)
            count += 1
        if training:
            self._share_state()
        for net in nets:
            net.history.record(f"{part}_batch_count", count)

    def _join(self, places: list[int]) -> None:
        """Put replicas side by side: their parameters become views of the joint ones."""
        for net in self._nets():
            _let_go(net.module_)
        self.joined, nets = places, [self.trainings[place].net for place in places]
        self.module = side_by_side([net.module_ for net in nets])
        for net in nets:
            net.together = len(nets)
        joint = dict(self.module.named_parameters())
        named = [dict(net.module_.named_parameters()) for net in nets]
        self.optimizer = type(nets[0].optimizer_)(joint.values(), **nets[0].optimizer_.defaults)
        for name, parameter in joint.items():
            for place, values in enumerate(named):
                values[name].data = parameter.data[place]
            states = [net.optimizer_.state.get(values[name]) for net, values in zip(nets, named, strict=True)]
            if states[0]:
                self.optimizer.state[parameter] = {
                    key: value.clone() if key == "step" else torch.stack([state[key] for state in states])
                    for key, value in states[0].items()
                }

    def _share_state(self) -> None:
        """Let the optimiser of each replica have its part of the joint state, as a checkpoint writes it."""
        joint = dict(self.module.named_parameters())
        for n, net in enumerate(self._nets()):
            for name, parameter in net.module_.named_parameters():
                if joint[name] in self.optimizer.state:
                    net.optimizer_.state[parameter] = {
                        key: value.clone() if key == "step" else value[n]
                        for key, value in self.optimizer.state[joint[name]].items()
                    }


def _let_go(module: nn.Module) -> None:
    """Give a replica memory of its own again."""
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()
        parameter.grad = None
