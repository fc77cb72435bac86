"""Steps of optimisers side by side, on what they evaluate together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from qlstm_qiskit.training.lockstep import Step, step_together


def searches(n: int) -> tuple[list[Tensor], list[Step]]:
    """Steps of L-BFGS on Rosenbrock's function, from other starts and of other lengths."""
    points = [torch.tensor([-1.0 - k, 1.0 + 2 * k], dtype=torch.float64, requires_grad=True) for k in range(n)]
    return points, [torch.optim.LBFGS([points[k]], max_iter=6 + 4 * k, line_search_fn="strong_wolfe").step for k in range(n)]


def losses(points: Sequence[Tensor]) -> list[Tensor]:
    found = []
    for point in points:
        point.grad = None
        found.append(100 * (point[1] - point[0] ** 2) ** 2 + (1 - point[0]) ** 2)
    sum(found, start=torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    return [loss.detach() for loss in found]


def test_each_step_is_what_it_is_by_itself() -> None:
    points, steps = searches(4)
    asked: list[list[int]] = []

    def evaluate(places: list[int]) -> list[Tensor]:
        asked.append(list(places))
        return losses([points[place] for place in places])

    step_together(steps, evaluate)
    counts = []
    for point, alone, step in zip(points, *searches(4), strict=True):
        calls: list[Tensor] = []

        def closure(alone: Tensor = alone, calls: list[Tensor] = calls) -> Tensor:
            calls.extend(losses([alone]))
            return calls[-1]

        step(closure)
        assert torch.equal(point, alone)
        counts.append(len(calls))
    assert [sum(place in places for places in asked) for place in range(4)] == counts
    assert len(set(counts)) > 1
    assert len(asked) == max(counts)


def once(evaluate: Callable[[], Tensor]) -> Any:
    return evaluate()


def fails(evaluate: Callable[[], Tensor]) -> Any:
    evaluate()
    raise ArithmeticError("in a step")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_nothing_runs_on_after_an_error(error: type[BaseException]) -> None:
    before = threading.active_count()
    _, steps = searches(3)

    def evaluate(places: list[int]) -> list[Tensor]:
        raise error

    with pytest.raises(error):
        step_together(steps, evaluate)
    with pytest.raises(ArithmeticError, match="in a step"):
        step_together([*steps, fails, once], lambda places: [torch.zeros(())] * len(places))
    assert threading.active_count() == before
