"""Coverage and width of forecast intervals on nine series, beside a plain quantile of the residuals and MAPIE's.

    python -m benchmarks.intervals [--model config1] [--epochs 10] [--level 0.9] [--backends statevector exact-shots]
        [--replicas 4] [--out FOLDER]

A model is trained on each series for each horizon; the last fifth of the windows before the test part calibrates. For each
step: the part of the test values that lie within, and the mean width in units of the series. `residuals` is the quantile of the
absolute residuals of the windows that trained. `mapie` is its split conformal regressor, if the package is installed
(pip install mapie); `split` must agree with it.

With `--replicas`, ensembles: intervals of the mean, beside `normalised` ones, whose residuals are divided by the spread of the
members (plus its median over the calibration part, so that no interval vanishes), and `alone`, those of the first member.
"Held out" is the second half of the calibration part, with intervals from its first half: what a choice may look at.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin

from benchmarks.kept import keep
from qlstm_qiskit.data import PAPER_SERIES, REAL_SERIES, Intervals, conformal_radius, tracked
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, load_run, train_run
from qlstm_qiskit.experiments.runs.intervals import Calibration, calibrate, interval_facts
from qlstm_qiskit.training.options import CLASSICAL

try:
    from mapie.regression import SplitConformalRegressor
except ImportError:
    SplitConformalRegressor = None


#: Intervals of an ensemble that are compared, adaptive all of them.
ENSEMBLE = ("mean", "normalised", "alone")


class Given(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose predictions are given in place of windows, (n, 1)."""

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Given:
        """MAPIE asks for it, and does not call it."""
        return self

    def predict(self, X: Any) -> Any:
        """They are what is given."""
        return np.asarray(X)[:, 0]


def measure(run: Run) -> dict[str, dict[str, list[float]]]:
    """Coverage and mean width for each step, by method."""
    data, found = run.dataset, calibrate(run)
    assert found is not None
    assert data.calibration is not None
    inverse = data.target_scaler.inverse
    tested, calibrating, training = (inverse(run.predict(part)) for part in (data.x_test, data.calibration[0], data.x_train))
    truth = inverse(data.y_test)
    methods: dict[str, dict[str, list[float]]] = {}
    for method in ("split", "adaptive"):
        own = replace(found, interval=replace(found.interval, method=method))
        facts = interval_facts(run, own, run.header.target_scaler.transform(tested))
        methods[method] = {name: facts[name] for name in ("coverage", "width")}
    radius = np.quantile(np.abs(training - inverse(data.y_train)), found.level, axis=0)
    if len(run.members) > 1:
        methods |= _of_an_ensemble(run, found)
    methods["residuals"] = _fixed(radius, tested, truth)
    if SplitConformalRegressor is not None:
        known = inverse(data.calibration[1])
        radius = np.array([_mapie(calibrating[:, [s]], known[:, s], found.level) for s in range(data.horizon)])
        methods["mapie"] = _fixed(radius, tested, truth)
    return methods


def _of_an_ensemble(run: Run, found: Calibration) -> dict[str, dict[str, list[float]]]:
    """Adaptive intervals of the mean, normalised by the spread of the members or not, and of the first member."""
    data, inverse = run.dataset, run.dataset.target_scaler.inverse
    assert data.calibration is not None
    parts = [(run.each_scaled(windows), inverse(values)) for windows, values in (data.calibration, (data.x_test, data.y_test))]
    each = [np.stack([inverse(own) for own in made]) for made, _ in parts]
    n = len(each[0][0]) // 2
    cuts = {"": (each[0], parts[0][1], each[1], parts[1][1])}
    cuts["held out: "] = (each[0][:, :n], parts[0][1][:n], each[0][:, n:], parts[0][1][n:])
    methods = {}
    for cut, (before, known, after, truth) in cuts.items():
        floor = np.median(before.std(axis=0), axis=0)
        for name, centre, width in (
            ("mean", np.mean, lambda own: np.ones(own.shape[1:])),
            ("normalised", np.mean, lambda own, floor=floor: own.std(axis=0) + floor),
            ("alone", lambda own, axis: own[axis], lambda own: np.ones(own.shape[1:])),
        ):
            scores = [np.abs(values - centre(own, axis=0)) / width(own) for own, values in ((before, known), (after, truth))]
            radius = tracked(conformal_radius(scores[0], found.level), scores[1], found.level)[:-1]
            wide = 2 * radius * width(after)
            methods[f"{cut}{name}"] = {
                "coverage": np.mean(scores[1] <= radius, axis=0).tolist(),
                "width": wide.mean(axis=0).tolist(),
            }
    return methods


def _fixed(radius: Any, predicted: Any, truth: Any) -> dict[str, list[float]]:
    inside = np.abs(predicted - truth) <= radius * (1 + 1e-9)
    return {"coverage": inside.mean(axis=0).tolist(), "width": (2 * radius).tolist()}


def _mapie(predictions: Any, truth: Any, level: float) -> float:
    """The half-width of MAPIE's intervals."""
    model = SplitConformalRegressor(Given(), confidence_level=level, prefit=True).conformalize(predictions, truth)
    _, ends = model.predict_interval(np.zeros((1, 1)))
    return float(ends[0, 1, 0])


def rows(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Of each backend, series and horizon."""
    found = []
    classical = options.model in CLASSICAL
    with tempfile.TemporaryDirectory() as folder:
        for name in options.series:
            for horizon in options.horizons:
                data = DataSpec(dataset=name, horizon=horizon, interval=Intervals(options.level))
                size = {"hidden_size": 3, "depth": None if classical else 1, "seed": options.seed}
                path = Path(folder, f"{name}-{horizon}")
                size["replicas"] = options.replicas
                train_run(RunSpec(data=data, model=options.model, epochs=options.epochs, **size), path)
                for backend in ["statevector"] if classical else options.backends:
                    with closing(load_run(path, backend=backend)) as run:
                        cell = {"series": name, "horizon": horizon, "backend": backend, "level": options.level}
                        found.append(cell | {"n_test": len(run.dataset.x_test)} | measure(run))
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Rows of a Markdown table, and for each method a sentence."""
    known = ("split", "adaptive", "residuals", "mapie", *(f"{cut}{name}" for cut in ("", "held out: ") for name in ENSEMBLE))
    methods = [name for name in known if name in found[0]]
    lines = [f"| series | horizon | step | backend | {' | '.join(f'{name}: coverage, width' for name in methods)} |"]
    lines.append("|" + "---|" * (4 + len(methods)))
    for row in found:
        for step in range(row["horizon"]):
            cells = [f"{row[name]['coverage'][step]:.3f}, {row[name]['width'][step]:.4g}" for name in methods]
            lines.append(f"| {row['series']} | {row['horizon']} | {step + 1} | {row['backend']} | {' | '.join(cells)} |")
    level = found[0]["level"]
    for name in methods:
        covered = [value for row in found for value in row[name]["coverage"]]
        within = sum(abs(value - level) <= 0.05 for value in covered)
        text = f"{name}: {within} of {len(covered)} within 0.05 of {level:g}, {min(covered):.3f} to {max(covered):.3f}"
        lines += ["", f"{text}."]
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="config1")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--horizons", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--series", nargs="+", default=[*PAPER_SERIES, *REAL_SERIES])
    parser.add_argument("--backends", nargs="+", default=["statevector", "exact-shots"])
    parser.add_argument("--out", type=Path, help="A folder for what is measured and the table.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = rows(options)
    print("\n".join(table(found)))
    if options.out is not None:
        keep(options.out, found, table)


if __name__ == "__main__":
    main()
