"""Differences and logarithms of a series, which take out its trend and its season, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data.scaler import Floats
from qlstm_qiskit.errors import DataError, OptionError, require_at_least, unknown_option

#: In place of a number of rows: those of the series' season.
SEASON = "season"

#: What a series is turned into before it is differenced.
TRANSFORMS = ("log",)

#: Differences of a series; two over one row and one over a season are as many as are in use.
MOST_DIFFERENCES = 3


@dataclass(frozen=True)
class Change:
    """What is learned in place of a series y: ``w_t = (1 - B^a) (1 - B^b) ... z_t``, with z = y, or log y.

    B is the step back, ``B^a z_t = z_{t-a}``, so that a difference over one row takes out a linear trend, and one over a
    season what comes back in each. Multiplied out, with ``c_k`` the coefficients of ``1 - (1 - B^a) (1 - B^b) ...``,

        w_t = z_t - sum_k c_k z_{t-k}    and back    z_t = w_t + sum_k c_k z_{t-k},

    where what was predicted for one step is part of the sum for the next ones; then y = exp z after a logarithm.

    Attributes:
        difference: Numbers of rows a, b, ... that differences are over; none where it is empty.
        transform: "log" for the natural logarithm, or None.

    Raises:
        OptionError: A value is not allowed.
    """

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    difference: tuple[int, ...] = ()
    transform: str | None = None

    def __post_init__(self) -> None:
        for rows in self.difference:
            require_at_least("difference", rows, 1)
        if len(self.difference) > MOST_DIFFERENCES:
            raise OptionError(f"difference has {len(self.difference)} values; give at most {MOST_DIFFERENCES}.")
        if self.transform is not None and self.transform not in TRANSFORMS:
            raise unknown_option("transform", self.transform, TRANSFORMS)

    @classmethod
    def of(cls, difference: int | str | Sequence[int | str], transform: str | None, season: int) -> Change | None:
        """The change that options ask for; None for none.

        Args:
            difference: Numbers of rows, "season" for those of a season; or one of these alone.
            transform: "log", or None.
            season: Rows in a season of the series; 1 where it has none.

        Raises:
            OptionError: A value is not allowed, or a season is asked for and there is none.
        """
        given = [difference] if isinstance(difference, int | str) else list(difference)
        if SEASON in given and season == 1:
            raise OptionError(
                "difference is 'season', and no season of the series is known; give a number of rows, or the season (--season) "
                "of a file."
            )
        for value in given:
            if isinstance(value, str) and value != SEASON:
                raise OptionError(f"difference is {value!r}; it must be a number of rows of at least 1, or {SEASON!r}.")
        rows = tuple(season if value == SEASON else require_at_least("difference", value, 1) for value in given)
        return cls(rows, transform) if rows or transform is not None else None

    @property
    def reach(self) -> int:
        """Rows before one that its changed value depends on."""
        return sum(self.difference)

    @property
    def words(self) -> str:
        """What is learned, in words."""
        counts = [f"{rows} row{'s' * (rows != 1)}" for rows in self.difference]
        parts = ["logarithms"] * (self.transform == "log")
        parts += [f"differences over {' and '.join(counts)}"] * bool(counts)
        return " and their ".join(parts)

    @cached_property
    def _weights(self) -> tuple[tuple[int, int], ...]:
        """Steps back k, and ``c_k``, of those that are not 0."""
        product = {0: 1}
        for rows in self.difference:
            for back, weight in list(product.items()):
                product[back + rows] = product.get(back + rows, 0) - weight
        return tuple((back, -weight) for back, weight in sorted(product.items()) if back and weight)

    def apply(self, values: Floats) -> Floats:
        """The changed series (..., rows - reach) of a series (..., rows) in original units, which runs along the last axis."""
        changed = self._forward(np.asarray(values, dtype=np.float64))
        for rows in self.difference:
            changed = changed[..., rows:] - changed[..., :-rows]
        return changed

    def columns(self, values: Floats, own: Sequence[bool]) -> Floats:
        """What a model reads, (..., rows - reach, columns), of values in original units, (..., rows, columns).

        Args:
            values: (..., rows, columns).
            own: Which columns are the target's own past, and are changed; the others are left as they are.
        """
        kept = values[..., self.reach :, :].copy()
        for place in np.flatnonzero(own):
            kept[..., place] = self.apply(values[..., place])
        return kept

    def past(self, values: Floats, first: int, n: int) -> Floats:
        """The rows of a series (rows,) before each of `n` consecutive ones from `first` on, (n, reach), as a view."""
        if not self.reach:
            return np.empty((n, 0))
        return np.lib.stride_tricks.sliding_window_view(values, self.reach)[first - self.reach :][:n]

    def ahead(self, values: Floats, past: Floats) -> Floats:
        """The changed values of rows that follow others: what `invert` turns back.

        Args:
            values: (..., steps), in original units.
            past: The rows before, (..., at least `reach`), in original units.
        """
        z = self._forward(np.asarray(values, dtype=np.float64))
        return np.stack([z[..., step] - self._before(z, past, step) for step in range(np.shape(z)[-1])], axis=-1)

    def invert(self, changed: Floats, past: Floats) -> Floats:
        """The series in original units from changed values, one step after another; infinite where it grows beyond all numbers.

        Args:
            changed: (..., steps).
            past: The rows before the first step, (..., at least `reach`), in original units.
        """
        z: Floats = np.empty_like(changed, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(z.shape[-1]):
                z[..., step] = changed[..., step] + self._before(z, past, step)
            return np.exp(z) if self.transform == "log" else z

    def require_allowed(self, values: Floats, column: str, where: str, lines: NDArray[Any] | None = None) -> None:
        """Refuse values that have no logarithm, where there is one.

        Args:
            values: (rows,), in original units.
            column: Its name.
            where: The source and what a row is called, for messages.
            lines: Of each row; by default they are counted from 1.

        Raises:
            DataError: The first of them.
        """
        bad = np.flatnonzero(~(values > 0))
        if self.transform == "log" and len(bad):
            line = bad[0] + 1 if lines is None else lines[bad[0]]
            raise DataError(
                f"{where} {line}, column {column!r}: {values[bad[0]]:g} has no logarithm ({len(bad)} such in all); "
                "transform log needs positive values, so leave it out, or add a constant to the column first."
            )

    def _forward(self, values: Floats) -> Floats:
        return np.log(values) if self.transform == "log" else values

    def _before(self, z: Floats, past: Floats, step: int) -> Any:
        """``sum_k c_k z_{t-k}`` of a step, whose rows before are those of `z` and, for the first steps, of `past`."""
        return sum(
            weight * (z[..., step - back] if back <= step else self._forward(past[..., step - back]))
            for back, weight in self._weights
        )
