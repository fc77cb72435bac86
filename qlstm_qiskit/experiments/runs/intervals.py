"""Intervals of a run's forecasts: their half-widths, from its calibration part, on the backend at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qlstm_qiskit.data import Dataset, Intervals, conformal_radius, sliding_windows, tracked, windows_needed
from qlstm_qiskit.data.feedback import fed_back, rows_after
from qlstm_qiskit.errors import DataError
from qlstm_qiskit.experiments.runs.agreement import METRICS
from qlstm_qiskit.experiments.runs.load import Run, load_metrics, load_spec
from qlstm_qiskit.experiments.runs.units import original_units
from qlstm_qiskit.storage import exists

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Half-widths of a run's intervals.

    Attributes:
        interval: What was asked for.
        windows: How many calibrated.
        radius: For each step ahead, in original units, (steps,); infinite for steps that too few windows reach.
        recorded: Whether they are those that training wrote down, so that nothing was evaluated for them.
    """

    interval: Intervals
    windows: int
    radius: Floats
    recorded: bool

    @property
    def level(self) -> float:
        """Part of the values that is to lie within an interval."""
        return self.interval.level

    @property
    def adaptive(self) -> bool:
        """Whether half-widths follow what is observed."""
        return self.interval.method == "adaptive"


def calibrate(run: Run, steps: int | None = None) -> Calibration | None:
    """Half-widths from the run's predictions of its calibration part on its backend, shots and noise included.

    Args:
        run: A trained run.
        steps: How far ahead; the horizon by default. Predictions of steps beyond it are fed back.

    Returns:
        None for a run without intervals.

    Raises:
        DataError: The series cannot be read.
    """
    interval = run.spec.data.interval
    if interval is None:
        return None
    data, steps = run.dataset, steps or run.header.horizon
    assert data.calibration is not None
    after = None if data.inputs is None else rows_after(data.inputs[: data.n_known], data.rows[1], _whole(run, steps))
    scores = _scores(run, data.calibration[0], data.values[: data.n_known], data.rows[1], steps, after)
    return Calibration(interval, len(scores), conformal_radius(scores, interval.level), recorded=False)


def calibrated(run: Run, steps: int | None = None) -> Calibration | None:
    """The half-widths that training wrote down, where they are those of this backend; otherwise as `calibrate`.

    Where the series is gone, steps beyond the horizon have none.

    Args:
        run: A trained run.
        steps: How far ahead; the horizon by default.

    Returns:
        None for a run without intervals.

    Raises:
        DataError: The series is needed and cannot be read.
    """
    known, steps = recorded(run), steps or run.header.horizon
    if known is None or (steps > len(known.radius) and _is_there(run)):
        return calibrate(run, steps)
    return replace(known, radius=np.pad(known.radius, (0, max(steps - len(known.radius), 0)), constant_values=np.inf)[:steps])


def recorded(run: Run) -> Calibration | None:
    """The half-widths in metrics.json, if they are of this model on this backend; None where there are none."""
    interval, options = run.spec.data.interval, run.spec.backend_options
    if interval is None or options is None or not exists(run.path / METRICS):
        return None
    metrics, trained = load_metrics(run.path), load_spec(run.path).backend_options
    there = metrics.get("interval")
    exact = trained is not None and (trained.leaves or trained.ideal)  # a device's training is judged by exact values
    same = options.ideal if exact else options == trained
    if not there or not same or metrics.get("epochs") != run.epochs:
        return None
    return Calibration(interval, there["windows"], np.array(there["radius"], dtype=np.float64), recorded=True)


def calibration_windows(run: Run, steps: int | None = None) -> int:
    """How many windows `calibrated` evaluates, those that are fed back counted each time."""
    steps = steps or run.header.horizon
    known = recorded(run)
    if run.spec.data.interval is None or (known is not None and (steps <= len(known.radius) or not _is_there(run))):
        return 0
    return _n_calibration(run) * -(-steps // run.header.horizon)


def radii(found: Calibration, scores: Floats) -> Floats:
    """The half-widths of successive windows, (n + 1, steps): the last is that of the window after them.

    Args:
        found: What was calibrated.
        scores: Absolute residuals of these windows, (n, steps); NaN where it is not known what came true.
    """
    if found.adaptive:
        return tracked(found.radius, scores, found.level)
    return np.tile(found.radius, (len(scores) + 1, 1))


def radii_of_test(run: Run, found: Calibration, predictions: Floats) -> tuple[Floats, Floats]:
    """Half-widths and absolute residuals of the test windows, in original units, both (n, horizon).

    Adaptive half-widths of a window have learned from the windows whose values had come true before it.

    Args:
        run: A trained run.
        found: What was calibrated.
        predictions: Of its test windows, or the first ones, scaled, (n, horizon).
    """
    data = run.dataset
    rows = data.rows[2][: len(predictions)]
    units = original_units(run.header, predictions, data.values, rows)
    scores = np.abs(units - _truth(data.values, rows, data.horizon))
    return radii(found, scores)[:-1], scores


def interval_facts(run: Run, found: Calibration, predictions: Floats) -> dict[str, Any]:
    """Coverage and mean width on the test part for each step, beside level and half-width, as plain data.

    Args:
        run: A trained run.
        found: What was calibrated.
        predictions: Of its test windows, scaled, (n, horizon).
    """
    width, scores = radii_of_test(run, found, predictions)
    return {
        "level": found.level,
        "method": found.interval.method,
        "windows": found.windows,
        "radius": found.radius.tolist(),
        "coverage": np.mean(scores <= width, axis=0).tolist(),
        "width": (2 * width.mean(axis=0)).tolist(),
    }


def following(run: Run, values: Floats, scaled: Floats, steps: int, *, target_known: bool) -> Floats | None:
    """Half-widths of the rows that follow a file, (steps,); None for a run without intervals.

    Adaptive ones have followed the file's last rows, as many as there are calibration windows.

    Args:
        run: A trained run.
        values: Of the target in the file, in original units, (rows,).
        scaled: The inputs, (at least rows - reach, features).
        steps: How far ahead.
        target_known: Whether the file has the target.
    """
    found, window = calibrated(run, steps), run.header.window
    if found is None:
        return None
    reach = run.header.reach
    n = min(found.windows, len(values) - reach - window)
    if not found.adaptive or not target_known or n < 1:
        return found.radius
    rows = len(values) - n + np.arange(n)
    after = None if run.header.known is None else rows_after(scaled, rows - reach, _whole(run, steps))
    windows = sliding_windows(scaled[: len(values) - reach], window)[-n - 1 : -1]
    return radii(found, _scores(run, windows, values, rows, steps, after))[-1]


def windows_before(run: Run) -> int:
    """How many windows before a forecast adaptive intervals follow: as many as there are calibration windows; else none."""
    interval = run.spec.data.interval
    if interval is None or interval.method != "adaptive":
        return 0
    known = recorded(run)
    return _n_calibration(run) if known is None else known.windows


def followed_windows(run: Run, n_rows: int, steps: int) -> int:
    """How many windows `following` evaluates for a file of so many rows."""
    interval = run.spec.data.interval
    if interval is None:
        return 0
    followed = max(min(windows_before(run), n_rows - run.header.window), 0)
    return calibration_windows(run, steps) + followed * -(-steps // run.header.horizon)


def without_interval(run: Run, steps: int) -> str:
    """Which steps ahead have no interval, and why, in words; empty where all have."""
    interval, horizon = run.spec.data.interval, run.header.horizon
    if interval is None or steps <= horizon:
        return ""
    if not _is_there(run):
        return f"Steps {horizon + 1} to {steps} have no interval: the series that {run.path} was trained on cannot be read"
    count, least = _n_calibration(run), windows_needed(interval.level)
    last = horizon + count - least
    if steps <= last:
        return ""
    return (
        f"Steps {last + 1} to {steps} have no interval: fewer than {least} of the {count} calibration windows, which level "
        f"{interval.level:g} needs, reach so far"
    )


def _n_calibration(run: Run) -> int:
    part = run.dataset.calibration
    return 0 if part is None else len(part[0])


def _is_there(run: Run) -> bool:
    """Whether the series of a run can be read."""
    try:
        return bool(run.dataset)
    except DataError:
        return False


def _whole(run: Run, steps: int) -> int:
    """Steps, rounded up to whole horizons."""
    return -(-steps // run.header.horizon) * run.header.horizon


def _scores(
    run: Run, windows: Floats, values: Floats, rows: NDArray[np.int64], steps: int, after: Floats | None = None
) -> Floats:
    """Absolute residuals of windows, (n, steps), in original units; NaN where the value is not in `values`."""
    predicted = rolled(run, windows, steps, after).mean(axis=0)
    return np.abs(original_units(run.header, predicted, values, rows) - _truth(values, rows, steps))


def rolled(run: Run, windows: Floats, steps: int, after: Floats | None = None) -> Floats:
    """Scaled predictions of each member, (members, n, steps); those beyond the horizon are made from its own.

    Args:
        run: A trained run.
        windows, steps, after: As in `fed_back`.
    """
    return np.stack([fed_back(member.predict_scaled, run.header, windows, steps, after) for member in run.members])


def _truth(values: Floats, rows: NDArray[np.int64], steps: int) -> Floats:
    """What came true from these rows on, (n, steps); NaN beyond the last one."""
    known = np.concatenate([values, np.full(int(max(rows.max(initial=0) + steps - len(values), 0)), math.nan)])
    return known[rows[:, None] + np.arange(steps)]


def with_ends(prediction: Floats, radius: Floats) -> dict[str, Floats]:
    """The columns `lower` and `upper`, NaN where an interval has no ends.

    Args:
        prediction: (n,).
        radius: (n,).
    """
    ends = np.where(np.isfinite(radius), radius, math.nan)
    return {"lower": prediction - ends, "upper": prediction + ends}


def interval_metrics(run: Run, dataset: Dataset, predictions: Floats) -> dict[str, Any]:
    """What metrics.json says of intervals, from a new calibration; nothing for a run without them."""
    found = None if dataset.calibration is None else calibrate(run)
    return {} if found is None else {"interval": interval_facts(run, found, predictions)}
