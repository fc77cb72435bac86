"""An epoch of `qlstm train` on a long series, circuits beside torch.nn.LSTM: its time, and the memory of the whole command.

    python -m benchmarks.rows [--rows 1000000] [--repeats 2] [--json]

A CSV file of 3 columns is written into a temporary folder, and both models are trained on it for one epoch by the same
command, each in a process of its own, with the batch size that `propose_batch_size` gives. The time of an epoch is that of its
steps, as in history.jsonl; of several repeats the shortest counts, since a busy machine makes some longer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qlstm_qiskit.training import propose_batch_size

#: The models, with their options: circuits of 4 qubits between two linear layers, and the classical control.
MODELS = {"config1": ("--depth", "1", "--n-qubits", "4"), "lstm": ()}

#: What a long series aims at: the time of an epoch beside that of the control, and the memory in MiB.
MOST_TIME, MOST_MEMORY = 1.5, 1.2 * 1024


def write_series(path: Path, rows: int) -> None:
    """A file of 3 columns: two noisy waves, and their mean after one row and two."""
    steps, rng = np.arange(rows), np.random.default_rng(0)
    a, b = (wave + 0.1 * rng.normal(size=rows) for wave in (np.sin(steps / 25), np.cos(steps / 40)))
    table = pd.DataFrame({"a": a, "b": b, "c": 0.5 * (np.roll(a, 1) + np.roll(b, 2))})
    table.to_csv(path, index=False, float_format="%.5f")


def train(model: str, csv: Path, out: Path, batch_size: int) -> dict[str, float]:
    """Seconds of the epoch, and seconds and peak MiB of the whole command."""
    command = ["train", "--csv", str(csv), "--target", "c", "--features", "a,b,c", "--model", model, "--hidden-size", "3"]
    command += [*MODELS[model], "--epochs", "1", "--batch-size", str(batch_size), "--out", str(out)]
    with subprocess.Popen([sys.executable, "-m", "qlstm_qiskit", *command], stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"qlstm {' '.join(command)} ended with {process.returncode}")
    (line,) = (out / "history.jsonl").read_text().splitlines()
    return {
        "epoch_s": json.loads(line)["seconds"],
        "command_s": json.loads((out / "metrics.json").read_text())["wall_seconds"],
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2),
    }


def measure(rows: int, repeats: int) -> dict[str, Any]:
    """The models' times and memory, and the ratio of their epochs."""
    batch_size = propose_batch_size(int(0.67 * rows))
    found: dict[str, Any] = {"rows": rows, "batch_size": batch_size}
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder, "rows.csv")
        write_series(csv, rows)
        for model in MODELS:
            runs = [train(model, csv, Path(folder, f"{model}-{number}"), batch_size) for number in range(repeats)]
            found[model] = {key: (max if key == "peak_mib" else min)(run[key] for run in runs) for key in runs[0]}
    return found | {"ratio": found["config1"]["epoch_s"] / found["lstm"]["epoch_s"]}


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1"}
    found = measure(asked.rows, asked.repeats)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['rows']:,} rows, batch size {found['batch_size']}")
    for model in MODELS:
        own = found[model]
        print(
            f"{model}: epoch {own['epoch_s']:.1f} s, training with its metrics {own['command_s']:.1f} s, command "
            f"{own['cpu_s']:.1f} s of processor time, peak {own['peak_mib']:,.0f} MiB (aim {MOST_MEMORY:,.0f})"
        )
    print(f"ratio of the epochs {found['ratio']:.2f} (aim {MOST_TIME})")


if __name__ == "__main__":
    main()
