"""Labels of logarithmic axes in narrow panels."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogFormatterSciNotation, NullFormatter


def few_ticks(axes: Axes) -> None:
    """Label a logarithmic x axis in few places, two or more, so that a narrow panel has room for them.

    At powers of ten; where fewer than two of them are in view, at 1 and 3 times these, else at 1, 2 and 5 times. Matplotlib
    labels more digits there, one over another. Where that is not enough the axis is extended to the next ones.
    """
    axes.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5)):
        ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        if sum(low <= tick <= high for tick in ticks) >= 2:
            break
    else:
        low, high = max(tick for tick in ticks if tick <= low), min(tick for tick in ticks if tick >= high)
        axes.set_xlim(low, high)
    if len(digits) > 1:
        axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        axes.xaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(math.inf, math.inf)))
