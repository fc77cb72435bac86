"""Parameters of which only some are quick, and slow ones of which only some are tried."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import pytest

#: Of many slow cases of a test, and of odd inputs, every how many-th is tried: all of them, unless somebody is in a hurry
#: (`make test-slow EVERY=2`).
EVERY = int(os.environ.get("EVERY", "1"))
#: Of so many slow cases a few can stand for the others.
MANY = 4


def tries(count: int, least: int = 3) -> int:
    """How many of repeated trials are made: each `EVERY`-th, but `least` of them, so that a test still tells some apart."""
    return max(least, count // EVERY)


def slow_but(quick: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """All values, as parameters of a test; those that are not among the quick ones are slow. A tuple has several names."""
    return [
        pytest.param(*(own if isinstance(own, tuple) else (own,)), marks=() if own in quick else pytest.mark.slow)
        for own in values
    ]


def left_out(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """All but each `EVERY`-th of the slow cases of tests that have `MANY` of them.

    Tests that are marked `slow(all_cases=True)` keep theirs.
    """
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        slow = item.get_closest_marker("slow")
        if slow is not None and not slow.kwargs.get("all_cases"):
            cases[item.nodeid.split("[")[0]].append(item)
    return [item for own in cases.values() if len(own) >= MANY for place, item in enumerate(own) if place % EVERY]
