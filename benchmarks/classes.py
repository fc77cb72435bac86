"""Labelled series that come with sktime: circuits beside an LSTM, a logistic regression and ROCKET.

    python -m benchmarks.classes [--seeds 5] [--epochs 60] [--out FOLDER]

ItalyPowerDemand: days of 24 hours, from October to March or from April to September, 67 to train and 1029 to test.
BasicMotions: 6 channels of a watch during four motions, 40 to train and 40 to test, of whose 100 rows every fourth is read.
Values are scaled to [-1, 1] by the range of the training part. All recurrent models are trained alike, with Adam, a rate of
0.03 that falls along a cosine and shuffled batches of 10; nothing was chosen by test data. ROCKET (2,000 kernels) is
`RocketClassifier` of sktime, whose ridge classifier has no probabilities.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sktime.classification.kernel_based import RocketClassifier
from sktime.datasets import load_basic_motions, load_italy_power_demand

from benchmarks.kept import keep
from qlstm_qiskit import QLSTMClassifier
from qlstm_qiskit.experiments.studies.statistics import summarise
from qlstm_qiskit.training.task import CLASSIFICATION

Array = NDArray[Any]

#: Name -> options of the estimator. Circuits are hybrid: four qubits between linear layers.
MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"model": "lstm"},
    "config1": {"model": "config1", "depth": 1, "n_qubits": 4},
    "diffqas": {"model": "diffqas", "depth": 1, "n_qubits": 4},
}


@dataclass(frozen=True)
class Labelled:
    """Windows (n, rows, channels), scaled, their labels (n,), and these as the targets that `CLASSIFICATION` measures."""

    x_train: Array
    train: Array
    x_test: Array
    test: Array

    @property
    def classes(self) -> Array:
        """The classes, sorted."""
        return np.unique(self.train)

    @property
    def y_train(self) -> Array:
        """1 for the own class and 0 for the others, (n, n_classes)."""
        return (self.train[:, None] == self.classes).astype(np.float64)

    @property
    def y_test(self) -> Array:
        """The same of the test part."""
        return (self.test[:, None] == self.classes).astype(np.float64)


def series() -> dict[str, Labelled]:
    """The series by their names."""
    found = {}
    for name, load, every in (("ItalyPowerDemand", load_italy_power_demand, 1), ("BasicMotions", load_basic_motions, 4)):
        (x_train, train), (x_test, test) = (load(split=part, return_type="numpy3d") for part in ("train", "test"))
        low, high = (extreme(x_train, axis=(0, 2))[:, None] for extreme in (np.min, np.max))
        x_train, x_test = ((2 * (x - low) / (high - low) - 1).transpose(0, 2, 1)[:, ::every] for x in (x_train, x_test))
        found[name] = Labelled(x_train, np.asarray(train), x_test, np.asarray(test))
    return found


def records(seeds: int, epochs: int) -> Iterator[dict[str, Any]]:
    """The errors of each model on each series from each seed."""
    for name, data in series().items():
        yield {"series": name, "model": "class frequencies", "seed": 0, **CLASSIFICATION.references(data)["frequencies"]}
        flat = [part.reshape(len(part), -1) for part in (data.x_train, data.x_test)]
        logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)).fit(flat[0], data.train)
        errors = CLASSIFICATION.errors(data, np.log(logistic.predict_proba(flat[1])))
        yield {"series": name, "model": "logistic regression", "seed": 0, **errors}
        for seed in range(seeds):
            rocket = RocketClassifier(2_000, random_state=seed).fit(data.x_train.transpose(0, 2, 1), data.train)
            accuracy = float(np.mean(rocket.predict(data.x_test.transpose(0, 2, 1)) == data.test))
            yield {"series": name, "model": "ROCKET", "seed": seed, "accuracy": accuracy}
            for model, options in MODELS.items():
                begun = time.process_time()
                fitted = QLSTMClassifier(
                    hidden_size=8,
                    optimizer="adam",
                    lr=0.03,
                    schedule="cosine",
                    shuffle=True,
                    max_epochs=epochs,
                    seed=seed,
                    **options,
                ).fit(data.x_train, data.train)
                errors = CLASSIFICATION.errors(data, np.log(fitted.predict_proba(data.x_test)))
                yield {"series": name, "model": model, "seed": seed, **errors, "seconds": time.process_time() - begun}


def table(found: list[dict[str, Any]]) -> list[str]:
    """Rows of a Markdown table: medians over seeds, with the range of up to five and the 95 % interval of more."""
    lines = ["| series | model | accuracy | log loss |", "|---|---|---|---|"]
    for name, model in dict.fromkeys((record["series"], record["model"]) for record in found):
        own = [record for record in found if (record["series"], record["model"]) == (name, model)]
        cells = [_cell([record[figure] for record in own if figure in record]) for figure in ("accuracy", "log_loss")]
        lines.append(f"| {name} | {model} | {' | '.join(cells)} |")
    return lines


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    summary = summarise(values)
    low, high = summary.median_interval
    return f"{summary.median:.3f}" + (f" ({low:.3f} to {high:.3f})" if len(values) > 1 else "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path, help="A folder for the errors of each run and the table, written after each.")
    arguments = parser.parse_args()
    found: list[dict[str, Any]] = []
    for record in records(arguments.seeds, arguments.epochs):
        found.append(record)
        if arguments.out is not None:
            keep(arguments.out, found, table)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
