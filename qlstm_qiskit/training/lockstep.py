"""Optimisers that evaluate a loss as often as they like, side by side: what all of them ask for is evaluated at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

#: One step of an optimiser, given what it evaluates.
Step = Callable[[Callable[[], Tensor]], Any]


class _Left(BaseException):
    """A step is not to go on."""


class _Stepper(threading.Thread):
    """A step that stops wherever it wants its loss. Only one thread runs at any time: they take turns by two locks."""

    def __init__(self, step: Step) -> None:
        super().__init__(daemon=True)
        self.step = step
        self.loss: Tensor | None = None
        self.error: BaseException | None = None
        self.is_over, self._left = False, False
        self._mine, self._given_back = threading.Semaphore(0), threading.Semaphore(0)

    def run(self) -> None:
        self._mine.acquire()
        try:
            if not self._left:
                self.step(self._evaluated)
        except _Left:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits for it
            self.error = error
        finally:
            self.is_over = True
            self._given_back.release()

    def _evaluated(self) -> Tensor:
        """What the step calls: wait until its loss and gradients are there."""
        self._given_back.release()
        self._mine.acquire()
        if self._left:
            raise _Left
        assert self.loss is not None
        return self.loss

    def go_on(self) -> None:
        """Run until it wants its loss, or is over."""
        self._mine.release()
        self._given_back.acquire()

    def leave(self) -> None:
        """End, wherever it is."""
        self._left = True
        self._mine.release()
        self.join()


def step_together(steps: Sequence[Step], evaluate: Callable[[list[int]], Sequence[Tensor]]) -> None:
    """Run steps in lock step. One that needs fewer evaluations than others leaves them, and changes nothing for them.

    Args:
        steps: Each is called once, in a thread of its own, with what it evaluates.
        evaluate: Losses of the steps at these places; it also leaves their gradients where they look for them.

    Raises:
        BaseException: Whatever a step or `evaluate` raises; all others are ended.
    """
    steppers = [_Stepper(step) for step in steps]
    for own in steppers:
        own.start()
    try:
        waiting = list(range(len(steps)))
        while waiting:
            for place in waiting:
                steppers[place].go_on()
                if (error := steppers[place].error) is not None:
                    raise error
            waiting = [place for place in waiting if not steppers[place].is_over]
            if waiting:
                for place, loss in zip(waiting, evaluate(waiting), strict=True):
                    steppers[place].loss = loss
    finally:
        for own in steppers:
            own.leave()
