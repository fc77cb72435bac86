"""Regenerate benchmarks/RESULTS.md: one command, every number; or only some sections of it.

    python -m benchmarks.results [--only SECTION ...]

All of it takes half an hour, and as much more for the peers' environments where they are not there yet. The file is written
after each section, which says when and on what it was measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import dead, derived_noise, learning, primitives, replicas, stages, width
from benchmarks.timing import machine
from qlstm_qiskit.experiments.studies.records import load_study_folder
from qlstm_qiskit.storage import write_atomically

_HERE = Path(__file__).parent

#: Work -> arguments of `benchmarks.step`, ratio that must be reached, ratio aimed for.
TARGETS: dict[str, tuple[str, float, float]] = {
    "S b10": ("--size S", 1, 0.7),
    "L b10": ("--size L", 5, 3.5),
    "L b64": ("--size L --batch 64", 42, 15),
    "L b64, float32": ("--size L --batch 64 --dtype float32", 18, 8),
    "inference, L b64": ("--size L --batch 64 --inference", 1.5, 1),
    "L b10, config1": ("--size L --model config1", 5, 2),
}


#: Processes that measure a target, of which the one with the median ratio is taken.
_PROCESSES = 5

#: What stands above the table of widths.
WIDTH = """`python -m benchmarks.width`: hybrid config1, hidden 5, depth 2, batch 10, one circuit per gate; in processor time.
pauli-prop (`pip install pauli-prop==0.2.1`, `--peer`) propagates each output of the same layer through its light cone. It has
no gradients of its own: those by trained angles are parameter shifts of its coefficients, the rest is autograd. It is timed
only after loss and all gradients agreed to 1e-8, relative to the largest of each tensor."""


#: What stands above all sections, and above some of them.
HEAD = """# Measured

Written by `python -m benchmarks.results`. Medians; float64 and one thread unless said; ours and torch.nn.LSTM in one
process, in alternation. A step is forward over 4 time steps, a linear read-out, mean squared error and backward.
S: hidden 3, depth 1 (4 qubits). L: hidden 5, depth 5 (6 qubits). bN: batch N. 36 candidates, each with angles of its own.
"""
SEARCH = """The study `search` (`qlstm table --study search --out results/search`, some hours on two cores); these are
the tables of `python -m benchmarks.stages`. `full` is the paper's model, 100 epochs of 36 candidates a gate. A
strategy searches for 60 epochs with the last fifth of the training part held out; one circuit a gate is derived on
that part, and fine-tuned for 200 epochs on the whole training part. The best of 36 random choices trains each for 60
epochs."""
DERIVED = """`python -m benchmarks.derived_noise`: shrinking to one circuit a gate on damped_shm, hidden 5, depth 2,
without and with the hardware term (expected two-qubit gates on FakeFez), fine-tuned, and evaluated with the compact
noise of FakeFez."""
LEARNING = """`python -m benchmarks.learning`: each row is one `qlstm train` on damped_shm, config1, hidden 3, depth 1
(4 qubits, one circuit a gate), with 1024 shots where sampled. "shift" is parameter shift in RMSprop; "spsa" is two
evaluations of the batch a step, 640 in 20 epochs."""


def run(module: str, *arguments: str, check: bool = True, **environment: str) -> Any:
    """Run a benchmark in a process of its own, with one thread, and read its JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json"]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(command, capture_output=True, text=True, check=check, env=variables, cwd=_HERE.parent)
    return json.loads(done.stdout)


def targets() -> str:
    """Step and inference as ratios to torch.nn.LSTM, and what else is measured of them."""
    lines = ["| work | ours ms | nn.LSTM ms | ratio | must | aim | warm-up s | path |", "|---|---|---|---|---|---|---|---|"]
    for work, (arguments, must, aim) in TARGETS.items():
        row = sorted((run("step", *arguments.split()) for _ in range(_PROCESSES)), key=lambda own: own["ratio"])[
            _PROCESSES // 2
        ]
        lines.append(
            f"| {work} | {row['engine_ms']:.3g} | {row['lstm_ms']:.3g} | **{row['ratio']:.2f}** | {must:g} | {aim:g} "
            f"| {row['warmup_s']:.2g} | {row['path']} |"
        )
    with tempfile.TemporaryDirectory() as empty:
        cold = run("step", "--size", "L", NUMBA_CACHE_DIR=empty)
    epoch, picks = run("epoch"), run("paths", check=False)
    return f"""{chr(10).join(lines)}

First step of L with nothing compiled yet: {cold["warmup_s"]:.1f} s; then kept on disk.

Training S through `QLSTMRegressor`: {epoch["batch_ms"]:.2f} ms a batch, of which {100 * epoch["share_outside"]:.0f} % lie
outside forward, backward and the optimiser's step.

The path that the cost model picks takes at most {max(row["ratio"] for row in picks):.2f} times as long as the better one, over
{len(picks)} sizes (`python -m benchmarks.paths`)."""


def growth() -> str:
    """The growth curves."""
    lines = [
        "The candidates' part (`bind_ms`: building the form, forward) does not grow with batch or window.",
        "",
        "![growth](scaling.png)",
        "",
    ]
    for name, points in run("scaling").items():
        keys = list(dict.fromkeys(key for point in points for key in point))
        lines += [f"**{name}**", "", "| " + " | ".join(keys) + " |", "|---" * len(keys) + "|"]
        for point in points:
            cells = [point.get(key, "") for key in keys]
            lines.append("| " + " | ".join(f"{c:.4g}" if type(c) is float else str(c) for c in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def width_table() -> str:
    """Wide circuits, beside a peer where it is installed."""
    peer = run("width", "--peer") if importlib.util.find_spec("pauli_prop") else []
    return f"{WIDTH}\n\n{width.report(run('width'), peer, run('width', '--bank'))}"


def peers() -> str:
    """The tables of other packages, for S and L."""
    lines = [
        "Timed only after loss and all gradients agreed with ours on the same parameters (`difference`: the largest).",
        "Each peer is written in its fast style, in an environment of its own (`python -m benchmarks.peers`). JAX uses all",
        "cores, the others one thread. EstimatorQNN's step, exact, by parameter shift, is scaled from six checked circuits.",
    ]
    header = ("", "step ms", "x ours", "x nn.LSTM", "warm-up s", "difference", "versions")
    for size in ("S", "L"):
        result = run("peers", "--size", size, "--repeat", "5")
        lines += ["", f"**{size} b10**", "", f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
        rows = [("ours", result["ours_ms"], result["warmup_s"], None, {})]
        rows += [(p["peer"], p["step_ms"], p["warmup_s"], p["max_difference"], p["versions"]) for p in result["peers"]]
        for name, step, warmup, difference, versions in rows:
            ours, lstm = step / result["ours_ms"], step / result["lstm_ms"]
            shown = "" if difference is None else f"{difference:.0e}"
            packages = ", ".join(f"{package} {number}" for package, number in versions.items())
            lines.append(f"| {name} | {step:,.3g} | {ours:,.3g} | {lstm:,.3g} | {warmup:.2g} | {shown} | {packages} |")
    lines += ["", *(f"{name}: not run: {reason}" for name, reason in result["skipped"].items())]
    return "\n".join(lines)


#: What is measured, by the headings of the file.
SECTIONS: dict[str, Callable[[], str]] = {
    "Targets": targets,
    "Replicas": lambda: replicas.section(run("replicas")),
    "Growth": growth,
    "Primitives": lambda: (
        "`python -m benchmarks.primitives`; ways are timed only after they gave the same numbers.\n\n"
        + primitives.report(run("primitives"))
    ),
    "Dead candidates": lambda: (
        f"`python -m benchmarks.dead`; timed only after both gave the same outputs.\n\n{dead.report(run('dead'))}"
    ),
    "Width": width_table,
    "Search, derive, fine-tune": lambda: f"{SEARCH}\n\n{stages.report(*load_study_folder(stages.RESULTS))}",
    "Derived models under noise": lambda: f"{DERIVED}\n\n{derived_noise.report(run('derived_noise'), derived_noise.BACKENDS)}",
    "Learning with shots and noise": lambda: f"{LEARNING}\n\n{learning.report(run('learning'))}",
    "Other packages": peers,
}


#: Those of records that were made before.
READ = {"Search, derive, fine-tune"}


def measured() -> str:
    """When and on what a section is measured."""
    facts = machine()
    where = f"Measured on {facts.pop('date')}, {facts.pop('cores')} cores of {facts.pop('cpu')}, {facts.pop('threads')} thread"
    return f"{where}: {', '.join(f'{name} {version}' for name, version in facts.items())}."


def main() -> None:
    """Write the file, section after section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="leave the other sections as they are"
    )
    path = _HERE / "RESULTS.md"
    for title in parser.parse_args().only:
        text = SECTIONS[title]().strip()
        if title not in READ:
            text = f"{measured()}\n\n{text}"
        found = dict(part.split("\n", 1) for part in path.read_text().split("\n## ")[1:]) if path.exists() else {}
        found[title] = text
        parts = (f"## {name}\n\n{found[name].strip()}\n" for name in SECTIONS if name in found)
        write_atomically(path, "\n".join((HEAD, *parts)))


if __name__ == "__main__":
    main()
