"""Every error that this package raises on purpose, and their common wording.

A message says what was given, what is allowed and what to do. All of them derive from `QLSTMError`;
each also derives from the built-in exception that a caller would expect, so that existing `except` clauses keep working.
"""

from __future__ import annotations

import difflib
import operator
import unicodedata
from collections.abc import Iterable

#: Categories of Unicode: control, format (such as a change of direction), surrogate, and ends of lines and paragraphs.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


#: The largest number of anything that is counted: sizes, epochs, samples.
LARGEST = 2**31 - 1


class QLSTMError(Exception):
    """Base of all errors that this package raises on purpose."""


class OptionError(QLSTMError, ValueError):
    """An option has a value, or a combination of values, that is not allowed."""


class SpecError(OptionError):
    """A file of backends cannot be used as it is."""


class BudgetError(QLSTMError, RuntimeError):
    """Nothing was submitted: the work would cost more than the backend's guard allows."""


class CircuitError(QLSTMError, ValueError):
    """A circuit holds something that cannot be evaluated, or its parameters do not match."""


class ShapeError(QLSTMError, ValueError):
    """A tensor has the wrong shape or dtype."""


class DataError(QLSTMError, ValueError):
    """A data file or array cannot be used as it is."""


class CapacityError(QLSTMError, MemoryError):
    """The work asked for does not fit in memory; raised before anything is allocated."""


class TrainingError(QLSTMError, ArithmeticError):
    """Training cannot continue: the loss is no longer a finite number."""


class UnsupportedError(QLSTMError, RuntimeError):
    """Something of torch that a module or its backend does not have, such as second derivatives by parameter shift."""


class RunError(QLSTMError, RuntimeError):
    """A run folder is missing, damaged, in the way or cannot be written."""


class JobError(QLSTMError, RuntimeError):
    """A job, or the service that runs it, cannot continue; what was submitted is kept."""


class LedgerError(QLSTMError, RuntimeError):
    """The record of a run's jobs is missing, damaged, in use, or belongs to other work."""


class QLSTMWarning(UserWarning):
    """Work continues, but there is something to know before its results are trusted."""


def unknown_option(kind: str, given: object, allowed: Iterable[str]) -> OptionError:
    """Build the error for a name that is not in a table, with the closest allowed name if there is one."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return OptionError(f"unknown {kind} {given!r}.{hint} Allowed: {', '.join(names)}.")


def one_model_needed(folder: object, count: int, what: str) -> OptionError:
    """Build the error for an ensemble where only one model can be meant.

    Args:
        folder: Of the ensemble.
        count: Of its members.
        what: What needs one, as in "a training starts from".
    """
    return OptionError(f"{folder} is an ensemble of {count} models, and {what} one; give a member, such as {folder}/members/0.")


def separate_names(option: str, text: str) -> tuple[str, ...]:
    """Return the names that one option has, separated by commas; each once. Raise `OptionError` if one is empty."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in names:
        raise OptionError(f"{option} is {text!r}, with an empty name; give names separated by single commas.")
    return names


def installing(extra: str) -> str:
    """How to install what an extra of pyproject.toml brings, from a checkout and from an index, for the end of a message."""
    return f"in a checkout pip install -e '.[{extra}]', elsewhere pip install 'qlstm-qiskit[{extra}]'"


def require_at_least(name: str, value: object, minimum: int, maximum: int | None = LARGEST) -> int:
    """Return `value` if it is an integer of at least `minimum` and at most `maximum`, else raise `OptionError`.

    Beyond `LARGEST` libraries below end in errors of their own; None is for what may be any integer, such as a seed.
    """
    try:
        number = minimum - 1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = minimum - 1
    if number < minimum:
        raise OptionError(f"{name} is {value!r}; it must be an integer of at least {minimum}.")
    if maximum is not None and number > maximum:
        given = str(number) if number < 10**40 else f"about 2^{number.bit_length()}"  # Python writes no more than 4300 digits
        raise OptionError(f"{name} is {given}; it must be an integer of at most {maximum:,}.")
    return number


def printable(text: str) -> str:
    """The text with an escape for each character that controls a terminal or cannot be shown, line breaks among them."""
    if text.isprintable():
        return text
    return "".join(repr(c)[1:-1] if unicodedata.category(c) in _CONTROLS else c for c in text)
