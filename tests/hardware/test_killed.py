"""Death at any moment: a killed process goes on from what its record and the service hold, and does nothing twice."""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.hardware.contract.executor import Values
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from tests import forked
from tests.forked import ended
from tests.hardware.mock_service import Fault, Server
from tests.hardware.work import STEPS, assert_nothing_twice, do_in
from tests.speed import slow_but, tries


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    os.environ["USAGE_DATA_OPT_OUT"] = "True"  # else the client reads its whole stack for each request
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield
    del os.environ["USAGE_DATA_OPT_OUT"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Values:
    """The numbers of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    assert ended(child(folder))
    return np.load(folder / "values.npy")


def child(folder: Path, prepare: Callable[[Server], None] = lambda server: None) -> int:
    """Do the work in a child process, and return its id."""
    return forked.child(lambda: do_in(folder, prepare))


def assert_as_if_nothing_had_happened(folder: Path, expected: Values) -> None:
    np.testing.assert_array_equal(np.load(folder / "values.npy"), expected)
    assert_nothing_twice(Server(folder / "service"))
    with Ledger(folder / "jobs.sqlite") as ledger:
        assert Counter(entry.status for entry in ledger.entries()) == {"done": 2 * STEPS}


OPERATIONS = ("device", "account", "submit", "job", "results", "usage", "find")


@pytest.mark.parametrize("operation", slow_but(("job", "results", "find"), OPERATIONS))
def test_killed_at_an_exchange_with_the_service(tmp_path: Path, expected: Values, operation: str) -> None:
    for after, skip in ((False, 0), (True, 3), (False, 3), (True, 0))[: 4 if operation == "submit" else 2]:
        folder = tmp_path / f"{after}-{skip}"
        folder.mkdir()

        def prepare(server: Server, after: bool = after, skip: int = skip) -> None:
            server.faults[operation].extend([*[None] * skip, Fault(after=after, kill=True)])

        if operation == "find":  # which is asked only by those who come after a submission that was cut short
            assert not ended(child(folder, lambda server: server.faults["submit"].append(Fault(after=True, kill=True))))
            ended(child(folder, prepare))
        else:
            assert not ended(child(folder, prepare))
        assert ended(child(folder))
        assert_as_if_nothing_had_happened(folder, expected)


@pytest.mark.slow
def test_killed_at_thirty_random_moments(tmp_path: Path, expected: Values) -> None:
    generator = random.Random(20250814)
    reached: list[int] = []
    for trial in range(60):
        folder = tmp_path / str(trial)
        folder.mkdir()
        server = Server(folder / "service")
        jobs = generator.randrange(2 * STEPS)
        pid = child(folder)
        while len(server.log()) < jobs:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        if ended(pid):
            continue  # it was faster
        reached.append(len(server.log()))
        assert ended(child(folder))
        assert_as_if_nothing_had_happened(folder, expected)
        if len(reached) == tries(30):
            break
    assert len(reached) == tries(30)
    assert len(set(reached)) >= min(5, len(reached) // 5)  # early and late
