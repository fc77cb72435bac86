"""Training on Gaussian shots beside training on multinomial ones, to choose the default of `sampling`.

    python -m benchmarks.sampling [--series bessel narma5] [--seeds 0 1 2] [--epochs 400] [--json]

The same model, seed and recipe ("device") for both: one circuit per gate (config1) on 6 qubits between linear layers, depth 2,
hidden size 5. Errors are those on the last fifth of the training windows, which the fit does not see, with 1024 shots that are
drawn as bit strings for either of them: the mean over 16 forecasts.
"""

from __future__ import annotations

import argparse
import json
import statistics

import numpy as np

from qlstm_qiskit import QLSTMRegressor, load_dataset
from qlstm_qiskit.experiments.runs.recipes import RECIPES
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.nn import predict_windows

SERIES = ["bessel", "damped_shm", "narma5", "narma10"]
SAMPLINGS = ("gaussian", "multinomial")
REPEATS = 16


def estimator(sampling: str, seed: int, epochs: int) -> QLSTMRegressor:
    """The model, with shots that are drawn in one of the two ways."""
    backend = find_spec("exact-shots").model_copy(update={"sampling": sampling})
    recipe = {name: value for name, value in RECIPES["device"].items() if name != "epochs"}
    return QLSTMRegressor(
        "config1", hidden_size=5, depth=2, n_qubits=6, max_epochs=epochs, seed=seed, backend=backend, **recipe
    )


def validation_error(sampling: str, series: str, seed: int, epochs: int) -> float:
    """Mean squared error on the windows left out, of a model that is trained with this sampling."""
    dataset = load_dataset(series)
    kept = len(dataset.x_train) * 4 // 5
    trained = estimator(sampling, seed, epochs).fit(dataset.x_train[:kept], dataset.y_train[:kept])
    measured = estimator("multinomial", seed, epochs).build_module(dataset.x_train.shape[-1], dataset.y_train.shape[-1])
    measured.load_state_dict(trained.module_.state_dict())
    windows, targets = dataset.x_train[kept:], dataset.y_train[kept:]
    forecasts = [predict_windows(measured, windows) for _ in range(REPEATS)]
    return statistics.mean(float(np.mean((forecast - targets) ** 2)) for forecast in forecasts)


def main() -> None:
    """Print a line for each series: medians of both, and of their ratio over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", nargs="+", default=SERIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for series in arguments.series:
        found[series] = {
            sampling: [validation_error(sampling, series, seed, arguments.epochs) for seed in arguments.seeds]
            for sampling in SAMPLINGS
        }
        if not arguments.json:
            gaussian, multinomial = (found[series][sampling] for sampling in SAMPLINGS)
            ratio = statistics.median(a / b for a, b in zip(gaussian, multinomial, strict=True))
            medians = f"{statistics.median(gaussian):.3g} and {statistics.median(multinomial):.3g}"
            print(f"{series}: gaussian and multinomial {medians}, median ratio {ratio:.2f}", flush=True)
    if arguments.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
