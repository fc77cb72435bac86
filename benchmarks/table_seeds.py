"""What many seeds of Table II cost: `qlstm table`, here and in another checkout in alternation, and where the time goes.

python -m benchmarks.table_seeds [--before CHECKOUT] [--epochs N] [--datasets A,B] [--rows A,B] [--seeds 12] [--jobs 2]
    [--rounds 1] [--json]

Without --epochs it is the table as it is. The processor time is of all processes; on a machine with other work it says more
than the time on the clock. Rows have the sum of their runs' own seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]


def run(checkout: Path, arguments: list[str]) -> dict[str, Any]:
    """Seconds of one table in a folder of its own: on the clock, of the processor, and of the runs of each row."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    call = "from qlstm_qiskit.cli.app import main; main()"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", call, "table", "--out", folder, "--json", *arguments]
        before, started = _processor(), time.perf_counter()
        subprocess.run(command, check=True, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        clock, processor = time.perf_counter() - started, _processor() - before
        rows: dict[str, float] = defaultdict(float)
        for line in (Path(folder) / "records.jsonl").read_text().splitlines():
            record = json.loads(line)
            rows[record["row"]] += record["wall_seconds"]
    return {"clock_s": clock, "processor_s": processor, "rows_s": dict(rows)}


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compare(before: Path | None, arguments: list[str], rounds: int) -> dict[str, Any]:
    """Medians over rounds, of here and, in alternation, of another checkout."""
    places = {"here": HERE} | ({} if before is None else {"before": before.resolve()})
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    for _ in range(rounds):
        for name, checkout in places.items():
            found[name].append(run(checkout, arguments))
    medians = {
        name: {
            **{key: statistics.median(one[key] for one in runs) for key in ("clock_s", "processor_s")},
            "rows_s": {row: statistics.median(one["rows_s"][row] for one in runs) for row in runs[0]["rows_s"]},
        }
        for name, runs in found.items()
    }
    if before is not None:
        medians["here / before"] = {
            key: medians["here"][key] / medians["before"][key] for key in ("clock_s", "processor_s")
        } | {"rows_s": {row: own / medians["before"]["rows_s"][row] for row, own in medians["here"]["rows_s"].items()}}
    return medians


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout of this repository")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--datasets")
    parser.add_argument("--rows")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = ("seeds", "jobs", "epochs", "datasets", "rows")
    chosen = [text for name in names if getattr(given, name) for text in (f"--{name}", str(getattr(given, name)))]
    found = compare(given.before, chosen, given.rounds)
    if given.json:
        print(json.dumps(found))
        return
    rows = list(found["here"]["rows_s"])
    print(f"{'':24}" + "".join(f"{name:>16}" for name in found))
    for label, get in [
        ("on the clock", lambda one: one["clock_s"]),
        ("of the processor", lambda one: one["processor_s"]),
        *((row, lambda one, row=row: one["rows_s"][row]) for row in rows),
    ]:
        print(f"{label:24}" + "".join(f"{get(one):16.3g}" for one in found.values()))


if __name__ == "__main__":
    main()
