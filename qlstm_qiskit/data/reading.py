"""How a file of a series is read: what its writer has chosen, and what is done about missing values."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from qlstm_qiskit.errors import OptionError, require_at_least, unknown_option

#: What fills missing values: `DataFrame.ffill`, and methods of `DataFrame.interpolate`.
IMPUTE = ("ffill", "linear", "time")

#: Words for separators that are awkward to type, and what pandas is given.
SEPARATORS = {"tab": "\t", "\\t": "\t", "space": r"\s+"}

#: As a column of dates: there is none.
NO_DATES = "none"


@dataclass(frozen=True)
class Reading:
    """How a file is read; what is None is recognised.

    Attributes:
        sep: What separates columns: one character, "tab", or "space" for any number of blanks.
        decimal: Decimal sign of numbers, "." or ",".
        thousands: What groups digits, one character such as "." or "," or " ".
        na: Cells that stand for a missing value, beside empty ones.
        comment: Character that begins lines to leave out.
        skip: Lines before the header to leave out; none where None.
        units: Whether the line after the header holds units.
        encoding: Of the text, a name that Python knows.
        date_column: Column of the dates, "none" for none.
        date_format: Format of the dates, as `strftime` has it.
        dayfirst: Whether 01/02/2020 is the first of February.
        sort: Whether rows are sorted by date; they are where None.
        impute: What fills missing values, and rows of missing dates: "ffill" (the last value before), "linear" or "time";
            where None, missing values are refused.

    Raises:
        OptionError: A value is not allowed.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    sep: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    na: tuple[str, ...] | None = None
    comment: str | None = None
    skip: int | None = None
    units: bool | None = None
    encoding: str | None = None
    date_column: str | None = None
    date_format: str | None = None
    dayfirst: bool | None = None
    sort: bool | None = None
    impute: str | None = None

    def __post_init__(self) -> None:
        if self.sep is not None and self.sep not in SEPARATORS and (len(self.sep) != 1 or self.sep in '"\n\r'):
            raise OptionError(f"sep is {self.sep!r}; it must be one character, tab, or space.")
        if self.decimal not in (None, ".", ","):
            raise OptionError(f"decimal is {self.decimal!r}; it must be a point or a comma.")
        if self.thousands is not None and (len(self.thousands) != 1 or self.thousands.isalnum() or self.thousands in '+-"\n\r'):
            raise OptionError(
                f"thousands is {self.thousands!r}; it must be one character, such as a comma, a point or a blank."
            )
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise OptionError(
                f"thousands and decimal are both {self.thousands!r}; they must differ (decimal is a point by default)."
            )
        if self.comment is not None and (len(self.comment) != 1 or self.comment.isspace()):
            raise OptionError(f"comment is {self.comment!r}; it must be one character, such as #.")
        if self.skip is not None:
            require_at_least("skip", self.skip, 0)
        if self.impute is not None and self.impute not in IMPUTE:
            raise unknown_option("impute", self.impute, IMPUTE)
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise OptionError(
                    f"encoding is {self.encoding!r}, which Python does not know; give one such as utf-8 or cp1252."
                ) from None

    @property
    def given(self) -> dict[str, Any]:
        """What is not left to recognition."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}

    def with_given(self, other: Reading | None) -> Reading:
        """The same with what another one gives."""
        return self if other is None else replace(self, **other.given)

    def for_columns(self, columns: Sequence[str]) -> Reading:
        """The same for a file that need not have the column of the dates."""
        if self.date_column is None or self.date_column == NO_DATES or self.date_column in columns:
            return self
        return replace(self, date_column=None, date_format=None, dayfirst=None)
