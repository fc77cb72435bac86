"""``python -m tests.odd KIND SEED`` shows one case; ``python -m tests.odd KIND[,KIND] [--count N]`` runs many, with a table."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch

from tests.odd.batch import perform_one, prepared, rows, table
from tests.odd.good import Good, make
from tests.odd.targets import KINDS


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m tests.odd", description=__doc__)
    parser.add_argument("kind", help=f"of {', '.join(KINDS)}; several with commas; or all")
    parser.add_argument("seed", type=int, nargs="?", help="of the one case that is shown")
    parser.add_argument("--count", type=int, help="cases of each kind; by default as many as the tests have")
    parser.add_argument("--good", type=Path, help="a folder that keeps the good inputs")
    parser.add_argument("--rows", type=Path, help="a file for what came of each case, as JSON lines")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        place = (given.good or folder / "good").resolve()
        good = Good(place) if place.exists() else make(place)
        if given.seed is not None:
            _show(given.kind, given.seed, good, folder)
            return
        found = []
        for kind in KINDS if given.kind == "all" else given.kind.split(","):
            started = _processor_seconds()
            own = list(rows(kind, range(given.count or KINDS[kind][1]), good, folder / kind))
            for row in own:
                if row.outcome.faults:
                    print(row)
            print(f"{kind}: {len(own)} cases in {_processor_seconds() - started:.0f} s of processor time", flush=True)
            found += own
        print(table(found))
        if given.rows is not None:
            given.rows.write_text("".join(json.dumps(asdict(row)) + "\n" for row in found))


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _show(kind: str, seed: int, good: Good, folder: Path) -> None:
    with prepared(folder):
        row = perform_one(kind, seed, good, folder)
    print(f"{kind} {seed}: {row.what}\n$ {row.command}\nexit code {row.outcome.code}")
    print("".join(f"{name}: {text}\n" for name, text in row.outcome.faults.items()) or "nothing is wrong with it")
    print(f"standard output:\n{row.outcome.out[:3000]}\nstandard error:\n{row.outcome.err[:3000]}")


if __name__ == "__main__":
    main()
