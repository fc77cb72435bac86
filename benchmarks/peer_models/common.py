"""What all peers share: the problem file, the check against our gradients, the clock and the report. Needs numpy only."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

#: A peer is timed only after its loss and all gradients differ from ours by less than this.
TOLERANCE = 1e-6

#: What is compared after one training step, in the order in which a peer's step returns it.
RESULTS = ("loss", "angles", "structural", "head_weight", "head_bias")

#: Gates of the LSTM in the order of the first axis of angles and structural weights.
GATES = ("i", "f", "g", "o")


@dataclass(frozen=True)
class Candidate:
    """A candidate circuit, read from its name: "H-RY|linear-RX"."""

    hadamard: bool
    encoding: str
    entangler: str
    rotation: str

    @classmethod
    def parse(cls, name: str) -> Candidate:
        encoding, block = name.split("|")
        entangler, rotation = block.split("-")
        return cls(encoding.startswith("H-"), encoding[-1], entangler, rotation[-1])

    def cnots(self, n_qubits: int) -> list[tuple[int, int]]:
        """The (control, target) pairs of the entangler, in the order of time."""
        if self.entangler == "cyclic":
            return [(qubit, (qubit + 1) % n_qubits) for qubit in range(n_qubits)]
        return [(qubit, qubit + 1) for start in (0, 1) for qubit in range(start, n_qubits - 1, 2)]


@dataclass(frozen=True)
class Problem:
    """Data, parameters and our answers, all in float64.

    `arrays` holds x (batch, time, 1), y (batch, 1), angles (4, candidates, weights), structural (4, candidates),
    head_weight (1, hidden), head_bias (1,); our answers under "expected_" + a name of `RESULTS`; and for peers that
    time single circuits what `unit_*` says in `reference.unit_answers`.
    """

    hidden: int
    depth: int
    names: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def load(cls, path: Path) -> Problem:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        hidden, depth, names = arrays.pop("hidden"), arrays.pop("depth"), arrays.pop("names")
        return cls(int(hidden), int(depth), tuple(str(name) for name in names), arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def n_qubits(self) -> int:
        return self.hidden + 1

    @property
    def batch(self) -> int:
        return len(self["x"])

    @property
    def steps(self) -> int:
        return self["x"].shape[1]

    @property
    def candidates(self) -> list[Candidate]:
        return [Candidate.parse(name) for name in self.names]

    def groups(self) -> list[list[int]]:
        """The candidates with the same entangler: they differ in axes and Hadamards only."""
        found: dict[str, list[int]] = {}
        for index, candidate in enumerate(self.candidates):
            found.setdefault(candidate.entangler, []).append(index)
        return list(found.values())

    def order(self) -> np.ndarray:
        """Where each candidate is in `groups`, written one after the other."""
        return np.argsort(np.concatenate(self.groups()))

    def parameters(self) -> dict[str, np.ndarray]:
        """What is trained, by name, in the order of `RESULTS`."""
        return {name: self[name] for name in RESULTS[1:]}

    @property
    def n_units(self) -> int:
        """Evaluations of one circuit on the batch in one training step: time x gates x candidates."""
        return self.steps * len(GATES) * len(self.names)


def largest_difference(given: Sequence[Any], expected: Sequence[np.ndarray], dtypes: Sequence[str] = ("float64",)) -> float:
    """The largest absolute difference of any entry; infinity where a shape, a dtype or a number is wrong."""
    largest = 0.0
    for own, other in zip(given, expected, strict=True):
        array = np.asarray(own)
        if array.shape != other.shape or array.dtype not in dtypes or not np.isfinite(array).all():
            return float("inf")
        largest = max(largest, float(np.abs(array - other).max(initial=0.0)))
    return largest


def refuse_unless_equal(peer: str, difference: float) -> None:
    """End the program without a timing if the peer computes something else than we do."""
    if not difference < TOLERANCE:
        sys.exit(f"{peer} differs from our loss and gradients by {difference:.3g}; it is timed below {TOLERANCE}.")


def median_ms(step: Callable[[], object], repeat: int) -> float:
    """Median duration of `step` in milliseconds."""
    durations = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        durations.append(1e3 * (time.perf_counter() - start))
    return statistics.median(durations)


def arguments() -> tuple[Problem, int]:
    """The problem and the number of repeats from the command line of a peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("problem", type=Path)
    parser.add_argument("--repeat", type=int, required=True)
    given = parser.parse_args()
    return Problem.load(given.problem), given.repeat


def report(peer: str, problem: Problem, packages: Sequence[str], **fields: object) -> None:
    """Print the result as one JSON line, the last one that a peer writes."""
    line = {
        "peer": peer,
        "hidden": problem.hidden,
        "depth": problem.depth,
        "batch": problem.batch,
        "dtype": "float64",
        **fields,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": {"python": sys.version.split()[0]} | {package: version(package) for package in packages},
    }
    print(json.dumps(line), flush=True)


def run(peer: str, build: Callable[[Problem], Callable[[], Sequence[Any]]], packages: Sequence[str]) -> None:
    """Check a peer on the problem of the command line, then time it.

    Args:
        peer: Name for the report.
        build: Makes the training step of a problem; the step returns loss and gradients in the order of `RESULTS`,
            finished, as anything that numpy can read.
        packages: Distributions whose versions belong into the report.
    """
    problem, repeat = arguments()
    start = time.perf_counter()
    step = build(problem)
    first = step()
    warmup = time.perf_counter() - start
    difference = largest_difference(first, [problem[f"expected_{name}"] for name in RESULTS])
    refuse_unless_equal(peer, difference)
    step()
    step_ms = median_ms(step, repeat)
    report(peer, problem, packages, step_ms=step_ms, warmup_s=warmup, max_difference=difference)
