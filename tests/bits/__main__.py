"""`python -m tests.bits`: compare the results of this checkout with those of another commit, to the bit, on this machine.

python -m tests.bits --against COMMIT
python -m tests.bits --write    # note those of this checkout in expected.json
python -m tests.bits --old      # make the files of an earlier version anew, from this checkout
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bits.commands import BACKENDS, COMMANDS, HERE, OLD, SERIES, STUDY

ROOT = Path(__file__).parents[2]
EXPECTED = Path(__file__).parent / "expected.json"


def caller(checkout: Path, folder: Path) -> Callable[[list[str]], str]:
    """Runs commands of a checkout in a folder."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}

    def call(words: list[str]) -> str:
        command = [sys.executable, "-m", "qlstm_qiskit", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"qlstm {shlex.join(words)} in {checkout}: {done.stderr}")
        return done.stdout

    return call


def results(checkout: Path) -> dict[str, Any]:
    """What the commands of a checkout make, each in the same new process."""
    with tempfile.TemporaryDirectory() as name:
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(ROOT / "tests" / "bits" / "commands.py")]
        done = subprocess.run(command, cwd=name, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return dict(json.loads(done.stdout))


def compare(commit: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        other = Path(name) / "checkout"
        subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", "--quiet", str(other), commit], check=True)
        try:
            there, here = results(other), results(ROOT)
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(other)], check=True)
    other_bits = [name for name in COMMANDS if there[name]["bits"] != here[name]["bits"]]
    for name in COMMANDS:
        print(f"{'other' if name in other_bits else 'same'} bits: qlstm {COMMANDS[name]}")
    if other_bits:
        raise SystemExit(f"{len(other_bits)} of {len(COMMANDS)} have other results than at {commit}")


def make_old() -> None:
    """An unfinished training, a finished search, a study that lacks rows, a run with results of jobs, and an export."""
    shutil.rmtree(OLD, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in (("wave.csv", SERIES), ("backends.yaml", BACKENDS), ("study.yaml", STUDY)):
            (folder / file).write_text(text)
        call = caller(ROOT, folder)
        series = ["--csv", "wave.csv", "--target", "y", "--hidden-size", "1", "--depth", "1"]
        call(["train", *series, "--model", "diffqas", "--epochs", "3", "--strategy", "l1", "--valid-fraction", "0.3",
              "--out", "old-run"])  # fmt: skip
        call(["table", "--study", "study.yaml", "--rows", "ridge,lstm", "--seeds", "1", "--out", "old-study"])
        call(["train", *series, "--model", "config1", "--epochs", "1", "--out", "old-jobs"])
        call(["evaluate", "old-jobs", "--backend", "kept", "--json"])
        call(["export", "old-jobs", "--format", "qasm3", "--out", "old-export"])
        stop = (  # as Ctrl-C in the third epoch
            "import sys, skorch; plain, seen = skorch.NeuralNet.run_single_epoch, []\n"
            "def stopping(self, *words, training, **more):\n"
            "    seen.append(training)\n"
            "    if sum(seen) == 3: raise KeyboardInterrupt\n"
            "    plain(self, *words, training=training, **more)\n"
            "skorch.NeuralNet.run_single_epoch = stopping\n"
            "from qlstm_qiskit.cli import main; main(sys.argv[1:])"
        )
        words = ["train", *series, "--model", "diffqas", "--epochs", "4", "--strategy", "bilevel", "--valid-fraction", "0.3"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", stop, *words, "--out", "cut"], cwd=folder, env=environment, check=False)
        for kept in ("old-run", "old-study", "old-jobs", "old-export", "cut"):
            ignored = shutil.ignore_patterns("*.png", "*.svg", "*.html", "*.lock")
            shutil.copytree(folder / kept, OLD / kept, ignore=ignored)
        for file in OLD.rglob("config.json"):  # a run keeps where its series lies
            file.write_text(file.read_text().replace(str(folder), HERE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--against", metavar="COMMIT")
    choice.add_argument("--write", action="store_true")
    choice.add_argument("--old", action="store_true")
    given = parser.parse_args()
    if given.against:
        compare(given.against)
    elif given.old:
        make_old()
    else:
        from qlstm_qiskit.experiments.runs.environment import environment

        here = {name: environment()[name] for name in ("processor", "versions")}
        EXPECTED.write_text(json.dumps({"environment": here, "results": results(ROOT)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
