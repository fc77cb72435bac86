"""kill -9 at any moment: a training that is begun again ends in the bits of one that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from qlstm_qiskit.experiments import is_unfinished, train_run
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study
from tests.experiments.resumable import EPOCHS, outcome, small, train_to_the_end, write_series
from tests.experiments.studied import SMALL, numbers
from tests.forked import child, ended

KINDS = ("plain", "shrinking", "bilevel", "lbfgs", "patient")


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("data") / "wave.csv")


@pytest.fixture(scope="module")
def whole(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What the trainings come to that nobody kills; this also compiles what they need."""
    folder = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        train_run(small(csv, kind), folder / kind)
    return {kind: outcome(folder / kind) for kind in KINDS}


def test_killed_at_thirty_random_moments(csv: Path, tmp_path: Path, whole: dict) -> None:
    generator = random.Random(2508)
    reached: Counter[int] = Counter()
    for trial in range(90):
        kind, out = generator.choice(KINDS), tmp_path / str(trial)

        def work(kind: str = kind, out: Path = out) -> None:
            train_to_the_end(small(csv, kind), out)

        begun, pid = time.monotonic(), child(work)
        lines, moment = trial % (EPOCHS + 1), generator.uniform(0, 0.03)
        while _epochs(out) < lines and time.monotonic() < begun + 60:
            time.sleep(0.0005)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        if ended(pid):
            continue  # it was faster
        reached[_epochs(out)] += 1
        assert is_unfinished(out) if (out / "config.json").exists() else True
        assert ended(child(work))
        assert outcome(out) == whole[kind]
        if reached.total() == 30:
            break
    assert reached.total() == 30
    assert len(reached) >= 2, "early and late; how many depends on who else is busy"


@pytest.mark.parametrize("moment", ["before", "half", "written", "after"])
def test_killed_at_every_write(csv: Path, tmp_path: Path, whole: dict, moment: str) -> None:
    """In each file that a training writes: before, in the middle, before it gets its name, and after."""
    kind = "shrinking"
    for number in range(200):
        out = tmp_path / str(number)
        if ended(child(lambda out=out, number=number: _killed_in_write(number, moment, csv, kind, out))):
            break
        assert ended(child(lambda out=out: train_to_the_end(small(csv, kind), out)))
        assert outcome(out) == whole[kind]
    assert number > 3 * EPOCHS


def test_a_study_killed_at_twenty_random_moments(tmp_path: Path) -> None:
    """Runs, records and the table's numbers are those of a study that nobody killed; nothing that was finished is run again."""
    study = SMALL.part(datasets=["narma5"])
    run_study(study, tmp_path / "whole")
    generator = random.Random(2509)
    reached: Counter[int] = Counter()
    for trial in range(80):
        out = tmp_path / str(trial)
        pid, records, moment = child(lambda out=out: run_study(study, out)), trial % 5, generator.uniform(0, 0.15)
        begun = time.monotonic()
        while _lines(out / "records.jsonl") < records and time.monotonic() < begun + 60:
            time.sleep(0.0005)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        if ended(pid):
            continue  # it was faster
        finished = _lines(out / "records.jsonl")
        reached[finished] += 1
        assert ended(child(lambda out=out, finished=finished: _finish(study, out, finished)))
        assert numbers(out) == numbers(tmp_path / "whole")
        if reached.total() == 20:
            break
    assert reached.total() == 20
    assert len(reached) >= 2, "early and late; how many depends on who else is busy"


def test_a_study_on_two_processes_leaves_none_behind_when_it_is_killed(tmp_path: Path) -> None:
    """Its workers would train on, in folders that the same command wants to go on with."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from qlstm_qiskit.experiments.studies.runner import run_study; from tests.experiments.studied import SMALL\n"
        "study = SMALL.with_epochs(400).part(rows=['circuit'], datasets=['damped_shm'])\n"
        "run_study(study, Path(sys.argv[2]), jobs=2)"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parents[2]), str(tmp_path / "out")]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while len(list(tmp_path.glob("out/runs/*/history.jsonl"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    study = SMALL.with_epochs(400).part(rows=["circuit"], datasets=["damped_shm"])
    run_study(study, tmp_path / "out", jobs=2)
    run_study(study, tmp_path / "whole")
    assert numbers(tmp_path / "out") == numbers(tmp_path / "whole")


def _finish(study: Study, out: Path, finished: int) -> None:
    seen: list[int] = []
    run_study(study, out, report=lambda done, total, record: seen.append(done))
    assert seen == list(range(finished + 1, 6))


def _lines(path: Path) -> int:
    """Whole lines of a file, read as a stranger would."""
    try:
        return path.read_text().count("\n")
    except OSError:
        return 0


def _epochs(out: Path) -> int:
    """Finished epochs by the history."""
    return _lines(out / "history.jsonl")


def _killed_in_write(number: int, moment: str, csv: Path, kind: str, out: Path) -> None:
    """Train, and die in the write of this number."""
    seen = [0]
    fsync, replace = os.fsync, Path.replace

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def on_fsync(descriptor: int) -> None:
        seen[0] += 1
        if seen[0] == number + 1 and moment in ("before", "half"):
            os.ftruncate(descriptor, 0 if moment == "before" else os.fstat(descriptor).st_size // 2)
            die()
        fsync(descriptor)

    def on_replace(self: Path, target: Path) -> Path:
        if seen[0] == number + 1 and moment == "written":
            die()
        result = replace(self, target)
        if seen[0] == number + 1 and moment == "after":
            die()
        return result

    os.fsync, Path.replace = on_fsync, on_replace  # type: ignore[method-assign]
    train_to_the_end(small(csv, kind), out)
