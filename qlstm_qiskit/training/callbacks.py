"""Callbacks of training: they keep the last or the best epoch, and detect divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback

from qlstm_qiskit.errors import TrainingError


class Watcher(Callback):
    """A callback that looks at finished epochs and at its own net, and changes nothing; replicas may have it side by side.

    A child says so of itself. Batches, which replicas share, are not for it, and it ends no training: other callbacks may do
    both, and trainings that have such a one run one after another.
    """


class Writer:
    """Of a callback that writes each finished epoch: it may have to wait, and then writes the last one when it is let go.

    Attributes:
        waits: Whether the next epoch is to wait.
    """

    waits = False
    _last: Callable[[], None] | None = None

    def put(self, write: Callable[[], None]) -> None:
        """Write an epoch, or keep it in place of those that wait.

        Args:
            write: Does it, from values that do not change any more where it waits.
        """
        self._last = write
        if not self.waits:
            self.let_go()

    def let_go(self) -> None:
        """Write the epoch that waits, if there is one."""
        write, self._last = self._last, None
        if write is not None:
            write()

    def own(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors that do not change while an epoch waits.

        Args:
            tensors: By name, of a training that goes on.
        """
        return {name: value.detach().clone() if self.waits else value for name, value in tensors.items()}


def reason_of_callbacks(callbacks: Iterable[Any] | None) -> str | None:
    """Why trainings with these callbacks run one after another, in words; None if they may run side by side.

    Args:
        callbacks: As skorch takes them: objects, classes, or pairs of a name and one of those.
    """
    for given in callbacks or ():
        own = given[-1] if isinstance(given, tuple) else given
        kind = own if isinstance(own, type) else type(own)
        if not issubclass(kind, Watcher):
            return f"the callback {kind.__name__} may act on a step; one that only looks at epochs derives from Watcher"
    return None


class LastEpoch(Callback):
    """Keeps a copy of the parameters at the end of each epoch, so that an interrupted epoch can be undone.

    Raises:
        TrainingError: The loss or a parameter is no longer finite.
    """

    def __init__(self) -> None:
        self.epochs_ = 0
        self.state_: dict[str, torch.Tensor] = {}
        self.gates_: tuple[tuple[tuple[str, ...], ...], ...] | None = None

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        if len(net.history) > 1:
            net.history[-2]["batches"] = []  # skorch keeps the loss of each batch, 2 GB for 100 epochs of a million rows

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        loss = net.history[-1, "train_loss"]
        finite = all(bool(torch.isfinite(parameter).all()) for parameter in net.module_.parameters())
        if not finite or not math.isfinite(loss):
            raise TrainingError(
                f"training diverged in epoch {len(net.history)} (its loss is {loss:.3g}); lower the learning rate "
                f"(lr={net.lr}) or scale the data."
            )
        self.note(net)

    def note(self, net: NeuralNet) -> None:
        """Record the model as that of the last finished epoch."""
        state = {name: value.detach().clone() for name, value in net.module_.state_dict().items()}
        layer = net.module_.circuits
        self.epochs_, self.state_, self.gates_ = len(net.history), state, layer.gates if layer is not None else None


class BestEpoch(Callback):
    """Keeps the parameters of the epoch with the lowest validation loss, and ends a training that no longer lowers it.

    skorch's EarlyStopping will not do: it starts over when an interrupted training is resumed, and it ends an epoch before the
    callbacks that write it have run. This callback needs no state but the parameters and the history.

    Args:
        patience: Number of epochs without a lower loss after which training ends.

    Attributes:
        state_: The parameters.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.state_: dict[str, torch.Tensor] = {}

    @staticmethod
    def best(history: Sequence[Mapping[str, Any]]) -> int:
        """Number of the best epoch, counted from 1; the first of equal ones."""
        losses = [loss if math.isfinite(loss := row["valid_loss"]) else math.inf for row in history]
        return 1 + losses.index(min(losses))

    def is_over(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether training ends after these epochs."""
        return bool(history) and len(history) - self.best(history) >= self.patience

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.is_over(net.history[:-1]):  # skorch has opened a row for this epoch
            raise KeyboardInterrupt  # skorch's way for a callback to end a training

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if self.best(net.history) == len(net.history):
            self.state_ = {name: value.detach().clone() for name, value in net.module_.state_dict().items()}
