"""Where an epoch of `QLSTMRegressor` goes: the model's forward and backward and the optimiser's step, or round them.

python -m benchmarks.epoch [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics

import torch

from benchmarks.timing import median_ms
from qlstm_qiskit import QLSTMRegressor, load_dataset


def measure() -> dict[str, float]:
    """Milliseconds a batch of training S (hidden 3, depth 1, batch 10) on damped_shm, whole and bare."""
    data = load_dataset("damped_shm")
    fitted = QLSTMRegressor("diffqas", 3, 1, max_epochs=30).fit(data.x_train, data.y_train)
    n_batches = fitted.history_[0]["train_batch_count"]
    whole = 1e3 * statistics.median(row["dur"] for row in fitted.history_[3:]) / n_batches
    module = fitted.module_.train()
    optimiser = torch.optim.RMSprop(module.parameters(), lr=0.01)
    x, y = torch.as_tensor(data.x_train[:10]), torch.as_tensor(data.y_train[:10])

    def bare() -> None:
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(module(x), y).backward()
        optimiser.step()

    inside = median_ms(bare)
    return {"batch_ms": whole, "model_and_optimiser_ms": inside, "share_outside": 1 - inside / whole}


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    row = measure()
    print(json.dumps(row) if as_json else "\n".join(f"{key}: {value:.3g}" for key, value in row.items()))


if __name__ == "__main__":
    main()
