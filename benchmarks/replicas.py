"""Seeds that are trained side by side, beside one of them by itself.

    python -m benchmarks.replicas [--seeds 12] [--epochs 20] [--rounds 5] [--json]

Whole fits on bessel, on one thread, in alternation, in processor time; timed only after all seeds gave the losses that each
gives by itself. OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from qlstm_qiskit import QLSTMRegressor, load_dataset
from qlstm_qiskit.experiments.runs.recipes import RECIPES
from qlstm_qiskit.training import train_together

#: Work -> options, and what 12 seeds may cost of one: what must be reached, and what is aimed for.
WORK: dict[str, tuple[dict[str, Any], float | None, float | None]] = {
    "config1, hidden 5, depth 2": ({"model": "config1", "hidden_size": 5, "depth": 2}, 2.5, 1.8),
    "diffqas S": ({"model": "diffqas", "hidden_size": 3, "depth": 1}, 3.5, 2.5),
    "diffqas L": ({"model": "diffqas", "hidden_size": 5, "depth": 5}, 8, 6),
}


def _of_recipe(name: str) -> dict[str, Any]:
    return {key: value for key, value in RECIPES[name].items() if key != "epochs"}


#: Others, of config1 as above.
_CONFIG1 = WORK["config1, hidden 5, depth 2"][0]
_DEVICE = {"backend": "exact-noise-torino"}
WORK |= {
    "config1, recipe tuned": (_CONFIG1 | _of_recipe("tuned"), None, None),
    "LSTM of torch, hidden 5": ({"model": "lstm", "hidden_size": 5}, None, None),
    "config1, recipe device, exact-noise-torino": (_CONFIG1 | _of_recipe("device") | _DEVICE, None, None),
}

#: Steps whose losses agree to this.
_STEPS, _AGREE = 50, 1e-10

_DATA = load_dataset("bessel")


def measure(work: str, seeds: int, epochs: int, rounds: int) -> dict[str, Any]:
    """Seconds of a fit by itself and of all seeds together.

    Raises:
        SystemExit: Losses differ.
    """
    options, must, aim = WORK[work]

    def made(seed: int) -> QLSTMRegressor:
        return QLSTMRegressor(**options, max_epochs=epochs, seed=seed)

    def alone(seed: int) -> QLSTMRegressor:
        return made(seed).fit(_DATA.x_train, _DATA.y_train)

    def together() -> list[QLSTMRegressor]:
        estimators = [made(seed) for seed in range(seeds)]
        reason = train_together(estimators, _DATA.x_train, _DATA.y_train)
        if reason is not None:
            raise SystemExit(f"{work}: one after another, since {reason}")
        return estimators

    joint, apart = together(), [alone(seed) for seed in range(seeds)]
    first, last = _differences(joint, apart)
    if first > _AGREE:
        raise SystemExit(f"{work}: losses of the first {_STEPS} steps differ by {first:.1e}; nothing is timed.")
    times = [(_seconds(lambda: alone(0)), _seconds(together)) for _ in range(rounds)]
    one_s, all_s = (statistics.median(own) for own in zip(*times, strict=True))
    return {
        "work": work,
        "seeds": seeds,
        "epochs": epochs,
        "one_s": one_s,
        "all_s": all_s,
        "ratio": all_s / one_s,
        "must": must,
        "aim": aim,
        "first_difference": first,
        "last_median": statistics.median(last),
        "last_largest": max(last),
    }


def _differences(joint: list[QLSTMRegressor], apart: list[QLSTMRegressor]) -> tuple[float, list[float]]:
    """The largest difference of losses in the first steps, and the relative one of each seed's test error in the end."""
    first, last = 0.0, []
    for one, other in zip(joint, apart, strict=True):
        n_rows = -(-_STEPS // other.history_[0]["train_batch_count"])
        if one.optimizer == "lbfgs":
            n_rows = 2  # the loss before the first 20 iterations, and behind them
        pairs = list(zip(one.history_, other.history_, strict=True))[:n_rows]
        first = max(first, *(abs(a["train_loss"] - b["train_loss"]) for a, b in pairs))
        errors = [float(np.mean((own.predict(_DATA.x_test) - _DATA.y_test.ravel()) ** 2)) for own in (one, other)]
        last.append(abs(errors[0] / errors[1] - 1))
    return first, last


def _seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def report(rows: list[Mapping[str, Any]]) -> str:
    """The table in Markdown."""
    header = ("work", "one s", "all s", "ratio", "must", "aim", "first losses", "test errors, median", "largest")
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        limits = ("" if row[key] is None else f"{row[key]:g}" for key in ("must", "aim"))
        lines.append(
            f"| {row['work']} | {row['one_s']:.3g} | {row['all_s']:.3g} | **{row['ratio']:.2f}** | {' | '.join(limits)} "
            f"| {row['first_difference']:.0e} | {row['last_median']:.0e} | {row['last_largest']:.0e} |"
        )
    return "\n".join(lines)


def section(rows: list[Mapping[str, Any]]) -> str:
    """The section of benchmarks/RESULTS.md."""
    return f"""`python -m benchmarks.replicas`: {rows[0]["seeds"]} seeds side by side and one by itself, whole fits of
{rows[0]["epochs"]} epochs on bessel, by the paper's recipe unless said, in processor time; timed only after the losses of the
first {_STEPS} steps (20 iterations of L-BFGS) agreed to {_AGREE:g}. The last columns are by how much these losses differ at
most, and, relatively, the errors on the test part behind all epochs: rounding grows while a model is trained.

{report(rows)}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 12), ("epochs", 20), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--work", nargs="*", choices=WORK, default=list(WORK))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(work, options.seeds, options.epochs, options.rounds) for work in options.work]
    print(json.dumps(rows) if options.json else section(rows))


if __name__ == "__main__":
    main()
