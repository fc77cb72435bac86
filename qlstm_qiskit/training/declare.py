"""Declaration of options: dataclass fields with help, limits and choices beside name, type and default."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from numbers import Real as RealNumber
from typing import Any, TypeVar

from qlstm_qiskit.errors import LARGEST, OptionError

T = TypeVar("T")


@dataclass(frozen=True)
class Whole:
    """Whole numbers between two bounds, both of them allowed."""

    least: int
    most: int = LARGEST


@dataclass(frozen=True)
class Real:
    """Real numbers from `least` (excluded with `above`) to `below` (excluded)."""

    least: float
    below: float = math.inf
    above: bool = False

    def allows(self, value: float) -> bool:
        """Whether a number is within the limits."""
        return (value > self.least if self.above else value >= self.least) and value < self.below

    def checked(self, name: str, value: Any) -> float:
        """The value of an option as a plain number, or `OptionError` if it is not within the limits."""
        try:
            number = math.nan if isinstance(value, bool) or not isinstance(value, RealNumber) else float(value)
        except OverflowError:
            number = math.nan
        if not self.allows(number):
            raise OptionError(f"{name} is {value!r}; it must be {self}.")
        return number

    def __str__(self) -> str:
        if self.below < math.inf:
            return f"at least {self.least:g} and below {self.below:g}"
        return f"a finite number {'above' if self.above else 'of at least'} {self.least:g}"


@dataclass(frozen=True)
class Option:
    """The properties of an option beside its name, type and default.

    Attributes:
        help: Description in `qlstm train --help`.
        doc: Description for Python, if it differs.
        limits: Limits of a number.
        choices: Names that a shell completes.
        closed: Whether names other than the choices are refused when read; otherwise they are checked where they are used.
        shown: The default as the help shows it.
        circuits: Whether it has no meaning for a model without circuits.
        spoken: Its name in a run's spec and on the command line, if that differs.
    """

    help: str
    doc: str = ""
    limits: Whole | Real | None = None
    choices: tuple[str, ...] = ()
    closed: bool = False
    shown: str = ""
    circuits: bool = False
    spoken: str = ""


def option(default: T, help: str, **about: Any) -> T:
    """A dataclass field with its default and the fields of its `Option`."""
    made: T = field(default=default, metadata={"option": Option(help, **about)})
    return made


def about(of: Field[Any]) -> Option:
    """The properties of an option."""
    found: Option = of.metadata["option"]
    return found


def spoken(group: type) -> dict[str, Field[Any]]:
    """The options of a class by their names in a run's spec and on the command line."""
    return {about(own).spoken or own.name: own for own in fields(group)}


def entries(group: type, indent: str) -> Iterator[str]:
    """The docstring lines that describe the options of a class."""
    for own in fields(group):
        text = f"{own.name}: {about(own).doc or about(own).help}"
        yield from textwrap.wrap(text, 120, initial_indent=indent, subsequent_indent=indent + "    ", break_long_words=False)
