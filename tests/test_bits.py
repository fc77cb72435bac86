"""The same results as before from the same commands, and from files that an earlier version has written."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from qlstm_qiskit.experiments.runs.environment import environment
from tests.bits.__main__ import EXPECTED
from tests.bits.commands import COMMANDS, run_all

pytestmark = pytest.mark.slow(all_cases=True)  # all commands are run for the first of them

NOTED = json.loads(EXPECTED.read_text())

#: Whether results were noted on such a machine with such packages; elsewhere the last bits of sums are others.
SAME_PLACE = NOTED["environment"] == {name: environment()[name] for name in ("processor", "versions")}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run_all(folder) | {"folder": folder}


@pytest.mark.parametrize("name", COMMANDS)
def test_results_stay_as_they_were(name: str, found: dict[str, Any]) -> None:
    before, now = NOTED["results"][name], found[name]
    assert list(now["bits"]) == list(before["bits"])
    if name == "old-jobs.json" and not SAME_PLACE:
        # a record answers circuits with the same angles to the bit; elsewhere those of the first step, with no sums in them
        with closing(sqlite3.connect(found["folder"] / "old-jobs" / "jobs.sqlite")) as record:
            steps = [step for (step,) in record.execute("SELECT step FROM jobs ORDER BY id")]
        assert steps[:4] == [0, 1, 2, 3]
        assert len(steps) < 8, "the first step was submitted again"
        return
    assert now["numbers"] == pytest.approx(before["numbers"], rel=1e-6, abs=1e-9)
    if SAME_PLACE:
        assert now["bits"] == before["bits"]


def test_what_was_noted_is_not_nothing() -> None:
    assert list(NOTED["results"]) == list(COMMANDS)
    assert sum(len(made["bits"]) for made in NOTED["results"].values()) > 100
    assert sum(len(made["numbers"]) for made in NOTED["results"].values()) > 500
