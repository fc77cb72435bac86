"""Medians of repeated calls, and what they were measured on."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from qlstm_qiskit.experiments import versions


def median_ms(run: Callable[[], object], *, seconds: float = 2.0, least: int = 7) -> float:
    """Median milliseconds of a call, after a warm-up, over at least `least` calls and about `seconds`."""
    for _ in range(3):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def machine() -> dict[str, object]:
    """Machine, threads, versions and date, for a table of results."""
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open() as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": 1,  # every benchmark sets it
        "date": datetime.date.today().isoformat(),
        **versions(),
    }
