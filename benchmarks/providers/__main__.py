"""Devices of other makers, end to end: an environment for each maker, a record of it, and the page's table.

    python -m benchmarks.providers [MAKER ...] [--environments FOLDER] [--table]

Each maker's package pulls Qiskit to the version that it needs, so that none shares an environment with another. torch
comes first and pinned, then the package together with this checkout: installed afterwards, the checkout would lift Qiskit
beyond the package's pin. A package that cannot be installed is recorded with pip's words. `--table` writes the table of the
records that there are, and runs nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.providers.makers import MAKERS, Maker
from benchmarks.providers.page import RECORDS, ROOT, write_page


def main() -> None:
    """Parse, install, run, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [maker.name for maker in MAKERS]
    parser.add_argument("makers", nargs="*", metavar="MAKER", help=f"all if none is given: {', '.join(names)}")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "providers", help="folder for them")
    parser.add_argument("--table", action="store_true", help="write the page's table only")
    given = parser.parse_args()
    if unknown := sorted(set(given.makers) - set(names)):
        parser.error(f"there is no maker {unknown[0]!r}; choose from {', '.join(names)}")
    failed = []
    for maker in MAKERS:
        if not given.table and (not given.makers or maker.name in given.makers):
            print(f"== {maker.requirement}", flush=True)
            if not _run(maker, given.environments / maker.name):
                failed.append(maker.name)
    write_page()
    if failed:
        sys.exit(f"not run to the end: {', '.join(failed)}")


def _run(maker: Maker, environment: Path) -> bool:
    """Whether a maker was installed and run; a record is written where it cannot be installed, too."""
    record = RECORDS / f"{maker.name}.json"
    if said := _install(maker, environment):
        record.write_text(json.dumps(_not_installed(maker, said), indent=1) + "\n")
        return True
    command = [environment / "bin" / "python", "-m", "benchmarks.providers.run", maker.name, record]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "QISKIT_PARALLEL": "FALSE"}
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode == 0


def _install(maker: Maker, environment: Path) -> str:
    """Why pip cannot install a maker's package beside this one, in its words; nothing where it can."""
    if not (environment / "bin" / "python").is_file():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    torch = next(line for line in pins if line.startswith("torch=="))
    pip = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, torch], check=True)
    found = subprocess.run([*pip, maker.requirement, "--editable", ROOT], capture_output=True, text=True, check=False)
    errors = [line.removeprefix("ERROR: ").strip() for line in found.stderr.splitlines() if line.startswith("ERROR: ")]
    return "" if found.returncode == 0 else (errors or ["pip failed without a word"])[0].split(" (from versions:")[0]


def _not_installed(maker: Maker, said: str) -> dict[str, Any]:
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return {"maker": maker.name, "package": maker.requirement, "date": date, "not_installed": said, "devices": []}


if __name__ == "__main__":
    main()
