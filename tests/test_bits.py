"""The same results as before from the same commands, and from files that an earlier version has written."""

import json
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
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run_all(folder)


@pytest.mark.parametrize("name", COMMANDS)
def test_results_stay_as_they_were(name: str, found: dict[str, dict[str, Any]]) -> None:
    before, now = NOTED["results"][name], found[name]
    assert list(now["bits"]) == list(before["bits"])
    assert now["numbers"] == pytest.approx(before["numbers"], rel=1e-6, abs=1e-9)
    if SAME_PLACE:
        assert now["bits"] == before["bits"]


def test_what_was_noted_is_not_nothing() -> None:
    assert list(NOTED["results"]) == list(COMMANDS)
    assert sum(len(made["bits"]) for made in NOTED["results"].values()) > 100
    assert sum(len(made["numbers"]) for made in NOTED["results"].values()) > 500
