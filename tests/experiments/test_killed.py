"""kill -9 at any moment: a training that is begun again ends in the bits of one that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from qlstm_qiskit.experiments import RunSpec, is_unfinished, train_run
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study
from tests.experiments.resumable import EPOCHS, outcome, small, train_to_the_end, write_series
from tests.experiments.studied import SMALL, numbers
from tests.forked import child, ended
from tests.speed import EVERY, slow_but, tries

KINDS = ("plain", "shrinking", "bilevel", "lbfgs", "patient")
SHORT = 3
#: Of the writing of a file: before, in the middle, before it gets its name, and after.
MOMENTS = ("before", "half", "written", "after")


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("data") / "wave.csv")


@pytest.fixture(scope="module")
def whole(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, object]]:
    """What a kind of training comes to that nobody kills; this also compiles what it needs."""
    folder = tmp_path_factory.mktemp("whole")

    @cache
    def come_to(kind: str) -> dict[str, object]:
        train_run(_short(csv) if kind == "short" else small(csv, kind), folder / kind)
        return outcome(folder / kind)

    return come_to


@pytest.mark.slow
def test_killed_at_thirty_random_moments(csv: Path, tmp_path: Path, whole) -> None:
    generator = random.Random(2508)
    reached: Counter[int] = Counter()
    for trial in range(90):
        kind, out = generator.choice(KINDS), tmp_path / str(trial)
        expected = whole(kind)

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
        assert outcome(out) == expected
        if reached.total() == tries(30):
            break
    assert reached.total() == tries(30)
    assert len(reached) >= 2, "early and late; how many depends on who else is busy"


@pytest.mark.parametrize("moment", slow_but(("before", "half", "after"), MOMENTS))
def test_killed_in_a_write(csv: Path, tmp_path: Path, whole, moment: str) -> None:
    """One in the middle of a training."""
    assert _goes_on_after(6, moment, csv, tmp_path / "run", whole("short"))


@pytest.mark.slow(all_cases=True)
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_every_write(csv: Path, tmp_path: Path, whole, moment: str) -> None:
    """In each file that a training writes; of `EVERY` writes in one, another one at the next moment."""
    number = MOMENTS.index(moment) % EVERY
    while _goes_on_after(number, moment, csv, tmp_path / str(number), whole("short")):
        number += EVERY
    assert number > 3 * SHORT


@pytest.mark.slow
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
        if reached.total() == tries(20):
            break
    assert reached.total() == tries(20)
    assert len(reached) >= 2, "early and late; how many depends on who else is busy"


@pytest.mark.slow
def test_a_study_on_two_processes_leaves_none_behind_when_it_is_killed(tmp_path: Path) -> None:
    """Its workers would train on, in folders that the same command wants to go on with."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from qlstm_qiskit.experiments.studies.runner import run_study; from tests.experiments.studied import SMALL\n"
        "study = SMALL.with_epochs(40).part(rows=['circuit'], datasets=['damped_shm'])\n"
        "run_study(study, Path(sys.argv[2]), jobs=2)"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parents[2]), str(tmp_path / "out")]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while len(list(tmp_path.glob("out/runs/*/history.jsonl"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    study = SMALL.with_epochs(40).part(rows=["circuit"], datasets=["damped_shm"])
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


def _short(csv: Path) -> RunSpec:
    """A search that drops candidates, in so few epochs that it can be killed at each write."""
    return small(csv, "shrinking").model_copy(update={"epochs": SHORT})


def _goes_on_after(number: int, moment: str, csv: Path, out: Path, expected: dict[str, object]) -> bool:
    """Whether a training has a write of this number. It is killed there, and must end as if nothing had happened."""
    if ended(child(lambda: _killed_in_write(number, moment, csv, out))):
        return False
    assert ended(child(lambda: train_to_the_end(_short(csv), out)))
    assert outcome(out) == expected
    return True


def _killed_in_write(number: int, moment: str, csv: Path, out: Path) -> None:
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
    train_to_the_end(_short(csv), out)
