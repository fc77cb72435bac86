"""Runs in threads are those that run alone, and leave torch's generator to others."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from qlstm_qiskit.experiments import derive_run, load_run, plan_run, train_run
from qlstm_qiskit.hardware import find_spec
from tests.experiments.resumable import small, write_series

KINDS = ("dropout", "gumbel", "random", "spsa", "lstm")


@pytest.fixture
def untouched() -> Iterator[None]:
    torch.manual_seed(1234)
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.slow
def test_runs_in_threads_are_those_that_run_alone(tmp_path: Path, untouched: None) -> None:
    csv = write_series(tmp_path / "wave.csv")

    def model(kind: str, folder: str) -> bytes:
        train_run(small(csv, kind).model_copy(update={"epochs": 2}), tmp_path / folder / kind)
        return (tmp_path / folder / kind / "model.safetensors").read_bytes()

    alone = [model(kind, "alone") for kind in KINDS]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda kind: model(kind, "together"), KINDS))
    assert [kind for kind, one, other in zip(KINDS, alone, together, strict=True) if one != other] == []


@pytest.mark.slow
def test_reading_deriving_and_planning_draw_from_generators_of_their_own(tmp_path: Path, untouched: None) -> None:
    plans = []
    for kind in ("dropout", "gumbel", "random"):
        train_run(small(write_series(tmp_path / "wave.csv"), kind).model_copy(update={"epochs": 1}), tmp_path / kind)
        load_run(tmp_path / kind)
        if kind == "gumbel":
            derive_run(tmp_path / kind, tmp_path / "derived")
        plans += [plan_run(tmp_path / kind, find_spec("ibm"), windows=2, device="manila").unpacked for _ in range(2)]
        assert plans[-1] == plans[-2], "a plan does not depend on what was drawn before it"
