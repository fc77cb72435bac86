"""What is built once for many models that are built alike, as long as somebody says so."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

_KEPT: ContextVar[dict[Hashable, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def built_once() -> Iterator[None]:
    """Build candidates, and compile their multilinear forms, once for all models of one kind that are built in the block.

    Models in it may differ in their parameters alone: candidates are known by their names. A block within another one shares
    what that has built.
    """
    kept = _KEPT.get()
    token = _KEPT.set({} if kept is None else kept)
    try:
        yield
    finally:
        _KEPT.reset(token)


def once(key: Hashable, build: Callable[[], T]) -> T:
    """What `build` gives, or gave for this key before in the same `built_once`; outside of one it is always built.

    Args:
        key: What it depends on.
        build: Makes it.
    """
    kept = _KEPT.get()
    if kept is None:
        return build()
    if key not in kept:
        kept[key] = build()
    found: T = kept[key]
    return found
