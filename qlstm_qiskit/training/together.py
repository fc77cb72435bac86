"""Trainings that differ in their seeds alone, step by step side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from qlstm_qiskit.errors import TrainingError
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.noise import draw_each_from
from qlstm_qiskit.nn.replicas import side_by_side
from qlstm_qiskit.training.apart import WHOLE
from qlstm_qiskit.training.batches import Windows
from qlstm_qiskit.training.callbacks import Writer
from qlstm_qiskit.training.fitting import Fit, Fitted, Training
from qlstm_qiskit.training.lockstep import step_together
from qlstm_qiskit.training.searching import SearchNet
from qlstm_qiskit.training.task import losses_of_each

#: Seconds from one epoch that is written to the next: the files of many short epochs would take as long as the epochs.
PERIOD_S = 1.0


def fit_together(fits: Sequence[Fit]) -> list[Fitted | TrainingError]:
    """Run fits side by side that differ in their seeds alone; each gives what it gives by itself, but for rounding.

    A replica that stops early, or diverges, changes no bit of the others.

    Args:
        fits: One for each replica, on the same data; `apart.reason_apart` has nothing against them.

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


class _Joint:
    """The loop over epochs and batches of all replicas that are not over yet."""

    def __init__(self, fits: Sequence[Fit], trainings: Sequence[Training], errors: dict[int, TrainingError]) -> None:
        self.fits, self.trainings, self.errors = fits, trainings, errors
        self.joined: list[int] = []  #: Places of the replicas that are side by side now.
        self.module: Forecaster
        self.optimizer: torch.optim.Optimizer | None = None  #: Of all together; None where each has its own.
        self.written = -math.inf  #: When an epoch was.

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
        finally:
            for own in self.trainings:
                _let_go_of_epochs(own.net)
        for place, own in enumerate(self.trainings):
            _let_go(own.net.module_)
            if place not in self.errors:
                own.net.notify("on_train_end", X=train[0], y=train[1])

    def _next(self) -> list[int]:
        """The replicas that go on, of which only those with the fewest epochs: checkpoints may be of different ones."""
        left = {
            place: len(own.net.history)
            for place, own in enumerate(self.trainings)
            if place not in self.errors and not self._is_over(own)
        }
        return [place for place, done in left.items() if done == min(left.values())]

    def _is_over(self, training: Training) -> bool:
        history, best = training.net.history, training.best
        return len(history) >= self.fits[0].options.max_epochs or (best is not None and best.is_over(history))

    def _nets(self) -> list[SearchNet]:
        return [self.trainings[place].net for place in self.joined]

    def _epoch(self, parts: dict[str, Any]) -> None:
        nets = self._nets()
        for net in nets:
            net.notify("on_epoch_begin", **parts)
        for part, dataset in zip(("train", "valid"), parts.values(), strict=True):
            if dataset is not None:
                # Each replica has its own, also where all give the same: loaders draw from its stream when they begin.
                loaders = [iter(net.get_iterator(dataset, training=part == "train")) for net in nets]
                shuffled = part == "train" and self.fits[0].options.shuffle
                self._batches(part, zip(*loaders, strict=True) if shuffled else ((own,) * len(nets) for own in loaders[0]))
        waits = time.monotonic() - self.written < PERIOD_S
        for place, net in zip(self.joined, nets, strict=True):
            for writer in _writers(net):
                writer.waits = waits
            try:
                net.notify("on_epoch_end", **parts)
            except TrainingError as error:
                self.errors[place] = error
            if place in self.errors or self._is_over(self.trainings[place]):
                _let_go_of_epochs(net)
        if not waits:
            self.written = time.monotonic()

    def _batches(self, part: str, batches: Iterator[Any]) -> None:
        nets, training, count = self._nets(), part == "train", 0
        repeats = nets[0].repeats
        self.module.train(training)
        for batch in batches:
            for net, own in zip(nets, batch, strict=True):
                _notify(net, "on_batch_begin", batch=own, training=training)
            windows, targets = (torch.stack(parts) for parts in zip(*batch, strict=True))
            size = windows.shape[1]
            if training:
                windows, targets = windows.repeat(1, repeats, 1, 1), targets.repeat(1, repeats, 1)
            losses = self._step(windows, targets) if training else self._losses(self.joined, windows, targets).tolist()
            for net, own, loss in zip(nets, batch, losses, strict=True):
                net.history.record_batch(f"{part}_loss", loss)
                net.history.record_batch(f"{part}_batch_size", size)
                _notify(net, "on_batch_end", batch=own, training=training)
            count += 1
        if training and self.optimizer is not None:
            self._share_state(self.optimizer)
        for net in nets:
            net.history.record(f"{part}_batch_count", count)

    def _losses(self, places: Sequence[int], windows: Tensor, targets: Tensor) -> Tensor:
        """Losses of the replicas whose parameters the joint model has now, (replicas,)."""
        with torch.set_grad_enabled(self.module.training):
            outputs = self.module(windows.flatten(0, 1)).view(len(places), -1, targets.shape[-1])
            nets = [self.trainings[place].net for place in places]
            found = losses_of_each(nets[0].criterion_, outputs, targets)
            if found is not None:
                return found
            pairs = zip(nets, outputs, targets, strict=True)
            return torch.stack([net.get_loss(*pair, training=self.module.training) for net, *pair in pairs])

    def _step(self, windows: Tensor, targets: Tensor) -> list[float]:
        """A step of all replicas; returns their losses before it."""
        if self.optimizer is None:
            return self._steps_apart(windows, targets)
        nets = self._nets()
        losses = self._losses(self.joined, windows, targets)
        for group, own in zip(self.optimizer.param_groups, nets[0].optimizer_.param_groups, strict=True):
            group["lr"] = own["lr"]
        self.optimizer.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return losses.tolist()

    def _steps_apart(self, windows: Tensor, targets: Tensor) -> list[float]:
        """As `_step` where each replica has an optimiser of its own, which evaluates its loss as often as it likes."""
        nets, first = self._nets(), []

        def evaluate(some: list[int]) -> list[Tensor]:
            self._gather(some)
            losses = self._losses([self.joined[n] for n in some], windows[some], targets[some])
            losses.sum().backward()  # type: ignore[no-untyped-call]
            for name, joint in self.module.named_parameters():
                for place, n in enumerate(some):
                    nets[n].module_.get_parameter(name).grad = None if joint.grad is None else joint.grad[place]
            first.append(losses.detach())
            return list(losses.detach())

        step_together([net.optimizer_.step for net in nets], evaluate)
        self._gather(range(len(nets)))
        return first[0].tolist()

    def _gather(self, places: Sequence[int]) -> None:
        """Copy what the replicas at these places among those that are joined have of their own into the joint model."""
        nets = self._nets()
        modules = [nets[n].module_ for n in places]
        for name, joint in self.module.named_parameters():
            joint.data = torch.stack([module.get_parameter(name).data for module in modules])
            joint.grad = None
        for name, drawn in self.module.named_buffers():
            drawn.data = torch.stack([module.get_buffer(name) for module in modules])

    def _join(self, places: list[int]) -> None:
        """Put replicas side by side: their parameters become views of the joint ones."""
        for net in self._nets():
            _let_go(net.module_)
        self.joined, nets = places, [self.trainings[place].net for place in places]
        self.module = side_by_side([net.module_ for net in nets])
        for net in nets:
            net.together = len(nets)
        draw_each_from([self.trainings[place].generator for place in places], self.module)
        if self.fits[0].options.optimizer in WHOLE:
            return
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

    def _share_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the optimiser of each replica have its part of the joint state, as a checkpoint writes it."""
        joint = dict(self.module.named_parameters())
        for n, net in enumerate(self._nets()):
            for name, parameter in net.module_.named_parameters():
                if joint[name] in optimizer.state:
                    net.optimizer_.state[parameter] = {
                        key: value.clone() if key == "step" else value[n] for key, value in optimizer.state[joint[name]].items()
                    }


def _writers(net: SearchNet) -> list[Writer]:
    return [callback for _, callback in net.callbacks_ if isinstance(callback, Writer)]


def _let_go_of_epochs(net: SearchNet) -> None:
    """Write what waits, and whatever comes at once."""
    for writer in _writers(net):
        writer.waits = False
        writer.let_go()


def _notify(net: SearchNet, name: str, **given: Any) -> None:
    """As skorch's `notify`, without the callbacks that have nothing to do: there are many replicas, and many batches."""
    getattr(net, name)(net, **given)
    for _, callback in net.callbacks_:
        if getattr(type(callback), name) is not getattr(Callback, name):
            getattr(callback, name)(net, **given)


def _let_go(module: nn.Module) -> None:
    """Give a replica memory of its own again."""
    for parameter in module.parameters():
        parameter.data = parameter.data.clone()
        parameter.grad = None
