"""Parameters of which only some are quick."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def slow_but(quick: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """All values, as parameters of a test; those that are not among the quick ones are slow. A tuple has several names."""
    return [
        pytest.param(*(own if isinstance(own, tuple) else (own,)), marks=() if own in quick else pytest.mark.slow)
        for own in values
    ]
