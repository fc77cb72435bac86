"""Odd inputs of every kind: refused in one line, or taken rightly; nothing is half-written, and nothing hangs.

``python -m tests.odd KIND SEED`` shows a case, ``python -m tests.odd all`` prints the table of all of them.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.odd import files, runs
from tests.odd import good as good_module
from tests.odd.batch import rows, table
from tests.odd.damage import Damage
from tests.odd.good import Good
from tests.odd.targets import KINDS
from tests.speed import EVERY

pytestmark = pytest.mark.odd

#: Cases of a test, so that they can be dealt to processes.
BATCH = 40


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return good_module.make(tmp_path_factory.mktemp("odd").resolve() / "good")


def batches() -> Iterator[tuple[str, range]]:
    for kind, (_, count) in KINDS.items():
        for first in range(0, count, BATCH):
            yield kind, range(first, min(first + BATCH, count), EVERY)


def test_there_are_three_thousand_and_of_every_kind() -> None:
    assert sum(count for _, count in KINDS.values()) >= 3000
    assert min(count for _, count in KINDS.values()) >= 80


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("command", "folders")])
def test_inputs_without_damage_are_taken_and_are_right(
    kind: str, good: Good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "lines", "csv", "yaml", "weights", "bytes", "text", "program"):
        own = "nothing" if name in ("bytes", "text", "program") else Damage("nothing")
        for module in (runs, files):
            replacement = lambda rng, content, *_, own=own: (encoded(content), own)  # noqa: E731
            monkeypatch.setattr(module, f"damage_{name}", replacement, raising=False)
    monkeypatch.setattr(files, "damage_ledger", lambda rng, path: Damage("nothing"))
    monkeypatch.setattr(runs, "ODD_CODE", 0.0)
    found = list(rows(kind, range(12), good, tmp_path.resolve()))
    assert [(row.outcome.code, row.outcome.faults) for row in found] == [(0, {})] * 12, "\n".join(map(str, found))


def encoded(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


@pytest.mark.parametrize(("kind", "seeds"), [pytest.param(*item, id=f"{item[0]}-{item[1].start}") for item in batches()])
def test_odd_inputs(kind: str, seeds: range, good: Good, tmp_path: Path) -> None:
    found = list(rows(kind, seeds, good, tmp_path.resolve()))
    assert [row.seed for row in found] == list(seeds)
    print(table(found))
    faults = [str(row) for row in found if row.outcome.faults]
    assert not faults, f"{len(faults)} of {len(found)}:\n" + "\n".join(faults)
