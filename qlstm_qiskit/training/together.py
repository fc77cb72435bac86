"""Trainings that differ in their seeds alone, step by step side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qlstm_qiskit.errors import OptionError, TrainingError
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.replicas import side_by_side
from qlstm_qiskit.training.batches import Windows
from qlstm_qiskit.training.fitting import Fit, Fitted, Training

#: Optimisers that treat each number by itself, so that those of replicas may lie in one tensor.
ELEMENTWISE = ("rmsprop", "adam")


def fit_together(fits: Sequence[Fit]) -> list[Fitted | TrainingError]:
    """Run fits that differ in their seeds alone, side by side; each gives what it gives by itself, but for rounding.

    A replica that stops early, or diverges, leaves the others as they are.

    Args:
        fits: One for each replica.

    Returns:
        The result of each, or the error with which it ended.

    Raises:
        OptionError: These fits cannot be trained side by side.
    """
    options = fits[0].options
    if options.optimizer not in ELEMENTWISE:
        raise OptionError(f"the optimizer {options.optimizer} compares losses; replicas train with {', '.join(ELEMENTWISE)}.")
    trainings = [fit.prepare(fit.seeds.model) for fit in fits]
    errors: dict[int, TrainingError] = {}
    try:
        _Joint(fits, trainings, errors).run()
    finally:
        for training in trainings:
            training.end()
    return [errors[n] if n in errors else fit.outcome(own) for n, (fit, own) in enumerate(zip(fits, trainings, strict=True))]


class _Joint:
    """The loop over epochs and batches of all replicas that are not over yet."""

    def __init__(self, fits: Sequence[Fit], trainings: Sequence[Training], errors: dict[int, TrainingError]) -> None:
        self.fits, self.trainings, self.errors = fits, trainings, errors
        self.active = list(range(len(fits)))
        self.module: Forecaster
        self.optimizer: torch.optim.Optimizer

    def run(self) -> None:
        train, valid = self.fits[0].train, self.fits[0].valid
        parts = {"dataset_train": Windows(*train), "dataset_valid": None if valid is None else Windows(*valid)}
        for own in self.trainings:
            own.net.notify("on_train_begin", X=train[0], y=train[1])
        try:
            self._join()
            for _ in range(self.fits[0].options.max_epochs):
                self._epoch(parts)
                if not self.active:
                    break
        except KeyboardInterrupt:
            pass
        for own in self.trainings:
            _let_go(own.net.module_)
            own.net.notify("on_train_end", X=train[0], y=train[1])

    def _nets(self) -> list[Any]:
        return [self.trainings[n].net for n in self.active]

    def _epoch(self, parts: dict[str, Any]) -> None:
        over = [n for n in self.active if _is_over(self.trainings[n])]
        if over:
            self._leave(over)
        if not self.active:
            return
        for net in self._nets():
            net.notify("on_epoch_begin", **parts)
        loaders = [net.get_iterator(parts["dataset_train"], training=True) for net in self._nets()]
        self._batches("train", zip(*loaders, strict=True))
        if parts["dataset_valid"] is not None:
            loader = self._nets()[0].get_iterator(parts["dataset_valid"], training=False)
            self._batches("valid", ([batch] * len(self.active) for batch in loader))
        diverged = []
        for n in self.active:
            try:
                self.trainings[n].net.notify("on_epoch_end", **parts)
            except TrainingError as error:
                self.errors[n] = error
                diverged.append(n)
        if diverged:
            self._leave(diverged)

    def _batches(self, part: str, batches: Iterator[Any]) -> None:
        nets, training, count = self._nets(), part == "train", 0
        self.module.train(training)
        for batch in batches:
            for net in nets:
                net.notify("on_batch_begin", batch=batch, training=training)
            windows, targets = (torch.stack(parts) for parts in zip(*batch, strict=True))
            with torch.set_grad_enabled(training):
                outputs = self.module(windows.flatten(0, 1)).view(len(nets), -1, targets.shape[-1])
                losses = (outputs - targets).square().mean(dim=(1, 2))
                if training:
                    for group, own in zip(self.optimizer.param_groups, nets[0].optimizer_.param_groups, strict=True):
                        group["lr"] = own["lr"]
                    self.optimizer.zero_grad()
                    losses.sum().backward()
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

    def _join(self) -> None:
        """Put the active replicas side by side: their parameters become views of the joint ones."""
        nets = self._nets()
        self.module = side_by_side([net.module_ for net in nets])
        joint = dict(self.module.named_parameters())
        states = [net.optimizer_.state for net in nets]
        named = [dict(net.module_.named_parameters()) for net in nets]
        own = nets[0].optimizer_
        trained = [joint[name] for name, value in named[0].items() if any(value is p for g in own.param_groups for p in g["params"])]
        self.optimizer = type(own)(trained, **own.defaults)
        for name, parameter in joint.items():
            for n, values in enumerate(named):
                values[name].data = parameter.data[n]
            if named[0][name] in states[0]:
                found = [state[values[name]] for state, values in zip(states, named, strict=True)]
                self.optimizer.state[parameter] = {
                    key: value if key == "step" else torch.stack([each[key] for each in found])
                    for key, value in found[0].items()
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

    def _leave(self, over: Sequence[int]) -> None:
        for n in over:
            _let_go(self.trainings[n].net.module_)
        self.active = [n for n in self.active if n not in over]
        if self.active:
            self._join()


def _is_over(training: Training) -> bool:
    return training.best is not None and training.best.is_over(training.net.history)


def _let_go(module: nn.Module) -> None:
    """Give a replica memory of its own again."""
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()
        parameter.grad = None
