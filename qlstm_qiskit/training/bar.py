"""The progress of a training, shown while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from skorch import NeuralNet
from skorch.callbacks import Callback

from qlstm_qiskit.training.outlook import LONG, duration

#: Seconds between two looks at a training, between two lines where there is no terminal, and of the batches that the first
#: estimate comes from.
LOOK, LINE, FIRST = 0.5, 60.0, 5.0


class ProgressBar(Callback):
    """How far training is, with its errors and the time left, on standard error.

    On a terminal one line is rewritten; elsewhere there is a line each minute, and none in a shorter training. Once the first
    batches have shown how long it will take, a long training says so, and what would make it shorter. The time is that of the
    batches; of a resumed training it begins with that of the epochs before.

    A batch costs a reading of the clock; everything else is done twice a second.

    Args:
        description: Text before the bar.
        title: Name of the loss.
        advice: From the seconds that a long training will take to a sentence that says what would be shorter.
    """

    def __init__(self, description: str = "training", title: str = "MSE", advice: Callable[[float], str] | None = None) -> None:
        self.description, self.title, self.advice = description, title, advice
        self.progress_: Progress | None = None

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        console = Console(stderr=True)
        self.lines_ = not console.is_terminal
        self.progress_ = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[errors]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            disable=self.lines_,
            refresh_per_second=2,
        )
        done = len(net.history)  # above 0 in a resumed training
        self.task_ = self.progress_.add_task(self.description, total=net.max_epochs, completed=done, errors="", left="")
        self.progress_.start()
        self.began_ = self.said_ = time.monotonic()
        self.due_, self.told_ = self.began_, False
        self.before_ = done, sum(row.get("dur", 0.0) for row in net.history)
        self.first_: tuple[float, float] | None = None
        self.ends_: list[float] = []
        self.losses_: dict[str, float] = {}
        self.steps_ = 0
        self._forget_batches()

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any) -> None:
        if not self.steps_:
            parts = [(dataset_train, True), (dataset_valid, False)]
            self.steps_ = sum(len(net.get_iterator(part, training=train)) for part, train in parts if part is not None)
        self._forget_batches()

    def on_batch_end(self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        if time.monotonic() >= self.due_:
            self._look(net, len(net.history) - 1, len(net.history[-1]["batches"]))

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        row = net.history[-1]
        self.ends_ = [*self.ends_[:1], time.monotonic()]
        self.losses_ = {name: row[f"{name}_loss"] for name in ("train", "valid") if f"{name}_loss" in row}
        self._look(net, len(net.history), 0)

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        if self.progress_ is not None:  # Ctrl-C may come before training begins
            self.progress_.stop()

    def _forget_batches(self) -> None:
        self.seen_, self.sums_ = 0, [0.0, 0.0]

    def _look(self, net: NeuralNet, finished: int, batches: int) -> None:
        """Show where a training is after so many epochs, and batches of the next."""
        assert self.progress_ is not None
        now = time.monotonic()
        self.due_ = now + LOOK
        if batches:
            self._add_up(net.history[-1]["batches"])
        done = finished + min(batches / max(self.steps_, 1), 1.0)
        left = self._left(net.max_epochs, finished, done, batches, now)
        soon = "" if left is None else f"{duration(left)} left"
        errors = f"train {self.title} {self.losses_['train']:.3g}" if "train" in self.losses_ else ""
        errors += f", valid {self.losses_['valid']:.3g}" if "valid" in self.losses_ else ""
        self.progress_.update(self.task_, completed=done, errors=errors, left=soon)
        if left is not None:
            self._tell(net.max_epochs, now, left)
        if self.lines_ and now - self.said_ >= LINE:
            self.said_ = now
            place = f"epoch {finished + 1} of {net.max_epochs}, {100 * (done - finished):.0f} %"
            if not batches:
                place = f"{finished} of {net.max_epochs} epochs"
            words = [errors, f"{duration(self._so_far(now))} so far", f"about {soon}" if soon else ""]
            self._say(f"{self.description}: {place}: {', '.join(filter(None, words))}")

    def _add_up(self, batches: list[dict[str, Any]]) -> None:
        """Take the losses of new training batches into the mean of the epoch."""
        for row in batches[self.seen_ :]:
            if "train_loss" in row:
                self.sums_[0] += row["train_loss"] * row["train_batch_size"]
                self.sums_[1] += row["train_batch_size"]
        self.seen_ = len(batches)
        self.losses_["train"] = self.sums_[0] / max(self.sums_[1], 1)

    def _left(self, total: int, finished: int, done: float, batches: int, now: float) -> float | None:
        """Seconds that are left; None while too little is known."""
        earlier, spent = self.before_
        if self.first_ is None and batches:
            self.first_ = now, float(batches)
        if len(self.ends_) > 1:
            per_epoch = (self.ends_[1] - self.ends_[0]) / (finished - earlier - 1)
        elif self.ends_:
            per_epoch = self.ends_[0] - self.began_
        elif earlier:
            per_epoch = spent / earlier
        elif self.first_ is not None and batches > self.first_[1] and now - self.first_[0] >= FIRST:
            per_epoch = (now - self.first_[0]) / (batches - self.first_[1]) * self.steps_
        else:
            return None
        return per_epoch * (total - done)

    def _so_far(self, now: float) -> float:
        return self.before_[1] + now - self.began_

    def _tell(self, epochs: int, now: float, left: float) -> None:
        """Say once how long it will take; on a terminal, where the bar says it, only of a long training."""
        total = self._so_far(now) + left
        if self.told_ or total <= LONG:
            return
        self.told_ = True
        text = f"{self.description}: about {duration(total)} for {epochs} epochs; {duration(self._so_far(now))} so far."
        self._say(text if self.advice is None else f"{text} {self.advice(total)}")

    def _say(self, text: str) -> None:
        assert self.progress_ is not None
        self.progress_.console.print(text, markup=False, highlight=False, soft_wrap=True)
