"""What `make test` leaves in: a part of everything, however little of it."""

import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from qlstm_qiskit.hardware import BackendSpec
from tests import speed

ROOT = Path(__file__).parents[1]


class Collected:
    """Tests as pytest would run them."""

    def __init__(self) -> None:
        self.items: list[pytest.Function] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = [item for item in session.items if isinstance(item, pytest.Function)]


@pytest.fixture(scope="module")
def quick(request: pytest.FixtureRequest) -> list[pytest.Function]:
    """The tests of `make test`, by the words that the Makefile says to pytest; within `make test` they are there already."""
    (marks,) = re.findall(r'^test: .*\n\t.* -m "(.*?)"', (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    option = request.config.option
    if (request.config.args, option.markexpr, option.keyword) == (["tests"], marks, ""):
        return [item for item in request.session.items if isinstance(item, pytest.Function)]
    found = Collected()
    arguments = ["--collect-only", "-qq", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-m", marks]
    assert pytest.main([*arguments, str(ROOT / "tests")], plugins=[found]) == pytest.ExitCode.OK
    return found.items


def test_every_room_is_tried(quick: list[pytest.Function]) -> None:
    tried = Counter(item.path.relative_to(ROOT / "tests").parts[0].removeprefix("test_").removesuffix(".py") for item in quick)
    rooms = {path.parent.name for path in (ROOT / "qlstm_qiskit").glob("*/__init__.py")} | {"storage", "parity"}
    assert min(tried[room] for room in rooms) >= 5, tried


def test_every_kind_of_backend_is_tried(quick: list[pytest.Function]) -> None:
    """By the suite of what every backend promises."""
    module = next(item.module for item in quick if item.path.name == "test_contract.py")
    names = {item.callspec.params["case"] for item in quick if item.module is module and "case" in item.fixturenames}
    kinds = get_args(BackendSpec.model_fields["kind"].annotation)
    assert {module.SPECS[name].kind for name in names} == set(kinds)


def test_processes_are_killed_at_three_moments(quick: list[pytest.Function]) -> None:
    killed = [item for item in quick if item.path.name == "test_killed.py"]
    for room in ("experiments", "hardware"):
        assert len([item for item in killed if item.path.parent.name == room]) >= 3


def test_of_many_slow_cases_some_may_be_left_out_and_no_quick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(ROOT / "tests" / name) for name in ("parity/test_parity.py", "experiments/test_killed.py")]
    arguments = ["--collect-only", "-qq", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *paths]
    whole, part = Collected(), Collected()
    for every, plugin in ((1, whole), (3, part)):
        monkeypatch.setattr(speed, "EVERY", every)
        assert pytest.main(arguments, plugins=[plugin]) == pytest.ExitCode.OK
    tried = {item.nodeid for item in part.items}
    cases: dict[str, list[str]] = {}
    for item in whole.items:
        slow = item.get_closest_marker("slow")
        if slow and not slow.kwargs:
            cases.setdefault(item.originalname, []).append(item.nodeid)
        else:
            assert item.nodeid in tried
    assert max(map(len, cases.values())) > speed.MANY > min(map(len, cases.values()))
    for own in cases.values():
        assert [name for name in own if name in tried] == (own[::3] if len(own) >= speed.MANY else own)


def test_a_notebook_runs_and_a_page_is_opened_in_a_browser(quick: list[pytest.Function]) -> None:
    assert [item for item in quick if item.name.startswith("test_it_runs[") and item.path.name == "test_notebooks.py"]
    assert [item for item in quick if "browser" in item.fixturenames]


@pytest.mark.parametrize(("every", "made"), [(1, 30), (10, 3), (40, 3)])
def test_in_a_hurry_some_trials_are_left(monkeypatch: pytest.MonkeyPatch, every: int, made: int) -> None:
    monkeypatch.setattr(speed, "EVERY", every)
    assert speed.tries(30) == made
