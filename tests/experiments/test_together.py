"""Runs that are trained side by side: their folders, which others are beside them, and what kills them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlstm_qiskit.experiments import Run, RunSpec, load_run, train_run
from qlstm_qiskit.experiments.runs.together import train_runs
from tests.experiments.resumable import outcome, small, write_series

SIZES: dict[str, dict[str, Any]] = {
    "36 candidates": {},
    "config1, hidden 5": {"model": "config1", "hidden_size": 5, "depth": 2},
    "patient": {"valid_fraction": 0.2, "patience": 1, "lr": 0.1, "epochs": 30, "optimizer": "adam"},
    "GRU, two layers": {"model": "config2", "hidden_size": 3, "cell": "gru", "num_layers": 2},
    "between linear layers": {"model": "config1", "hidden_size": 3, "n_qubits": 5},
}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("data") / "wave.csv")


def group(csv: Path, n: int = 3, **changes: Any) -> list[RunSpec]:
    fields = dict(small(csv, "plain")) | changes
    return [RunSpec.model_validate(fields | {"seed": seed}) for seed in range(n)]


def folders(parent: Path, n: int = 3) -> list[Path]:
    return [parent / str(seed) for seed in range(n)]


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", SIZES)
def test_a_folder_is_that_of_a_run_by_itself(kind: str, csv: Path, tmp_path: Path) -> None:
    specs = group(csv, **SIZES[kind])
    runs = train_runs(specs, folders(tmp_path / "joint"))
    for spec, run in zip(specs, runs, strict=True):
        assert isinstance(run, Run)
        alone = train_run(spec, tmp_path / f"alone{spec.seed}")
        mine, other = outcome(run.path), outcome(alone.path)
        assert mine["files"] == other["files"]
        assert (run.path / "config.json").read_bytes() == (alone.path / "config.json").read_bytes()
        assert [row["epoch"] for row in lines(run.path)] == [row["epoch"] for row in lines(alone.path)]
        for name in {"train_mse", "valid_mse", "test_mse"} & set(lines(run.path)[0]):
            np.testing.assert_allclose(
                [row[name] for row in lines(run.path)], [row[name] for row in lines(alone.path)], atol=1e-10
            )
        assert {**run.metrics, "wall_seconds": 0.0}.keys() == {**alone.metrics, "trained": 0, "wall_seconds": 0.0}.keys()
        assert run.metrics["trained"] == "side by side"
        assert run.metrics["test_mse"] == pytest.approx(alone.metrics["test_mse"], abs=1e-10)
        assert load_run(run.path).epochs == alone.epochs
    total = sum(run.metrics["wall_seconds"] for run in runs if isinstance(run, Run))
    spent = sum(row["seconds"] for spec in specs for row in lines(tmp_path / "joint" / str(spec.seed)))
    assert spent < total


@pytest.mark.parametrize("kind", SIZES)
def test_who_is_beside_it_changes_no_bit(kind: str, csv: Path, tmp_path: Path) -> None:
    """Not even of the errors in its history."""
    specs = group(csv, 5, **SIZES[kind])
    whole = folders(tmp_path / "five", 5)
    train_runs(specs, whole)
    for n, seeds in enumerate(([2], [4, 1], [3, 0, 2])):
        outs = [tmp_path / str(n) / str(seed) for seed in seeds]
        train_runs([specs[seed] for seed in seeds], outs)
        for seed, out in zip(seeds, outs, strict=True):
            assert outcome(out) == outcome(whole[seed])
