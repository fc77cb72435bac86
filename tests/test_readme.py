"""What the README tells people to type works, and it stays short enough to be read."""

import re
from pathlib import Path

import pytest

from tests.test_docs import BLOCK, PAGES, ROOT, commands, try_page

README = ROOT / "README.md"
TEXT = README.read_text()


@pytest.mark.slow
def test_what_it_tells_to_type_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command and every Python block in order, in an empty folder beside the examples; commands train for one epoch."""
    kinds = [kind for kind, _ in BLOCK.findall(TEXT)]
    assert min(kinds.count("sh"), kinds.count("python")) >= 4
    try_page(README, tmp_path, monkeypatch, capsys)
    assert len((tmp_path / "runs" / "next_cycle.csv").read_text().splitlines()) == 12


def test_every_command_is_typed_somewhere() -> None:
    """In a block of the README or of the documentation, all of which are tried."""
    blocks = [block for page in (README, *PAGES) for kind, block in BLOCK.findall(page.read_text()) if kind == "sh"]
    lines = [line for block in blocks for line in block.splitlines()]
    missing = [name for name, _ in commands() if not any(line.startswith(name) for line in lines)]
    assert not missing


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [name for page in (README, *PAGES) for name in re.findall(r"(?:^|`)make (\w+)", page.read_text(), re.MULTILINE)]
    assert {"demo", "test", "docs"} <= set(targets)
    for target in targets:
        assert f"\n{target}:" in makefile


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", TEXT) if ":" not in target]
    assert targets
    headings = {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)", TEXT, re.M)}
    for target in targets:
        name, _, anchor = target.partition("#")
        assert (ROOT / name).exists(), target
        assert name or anchor in headings, target


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) <= 180


def test_its_picture_is_made_of_committed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python docs/picture.py` draws it; what is in it are the medians of the committed tables."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    import picture

    assert f"({picture.PICTURE.relative_to(ROOT)})" in TEXT
    assert picture.PICTURE.stat().st_size < 200_000
    figure = picture.picture()
    shown = {float(line.get_xdata()[0]) for axes in figure.axes for line in axes.lines if line.get_marker() == "o"}
    medians = {
        picture.cells(name)[rows[number], series]["summary"]["median"]
        for number, name in enumerate(picture.RECIPES)
        for rows in picture.ROWS.values()
        for series in picture.SERIES
    } | {
        picture.cells("device")[row, series]["summary"]["median"]
        for row, _ in picture.TRAINED.values()
        for series in picture.SERIES
    }
    assert shown == medians
