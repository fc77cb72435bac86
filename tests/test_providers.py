"""The page on devices of other makers: its table is that of the records, and runner, records and page name the same."""

import datetime
import json
import re
from pathlib import Path

import pytest

from benchmarks.providers import page
from benchmarks.providers.makers import MAKERS

ROOT = Path(__file__).parents[1]


def test_the_table_is_made_of_the_records() -> None:
    text = page.PAGE.read_text()
    assert page.written(text, page.table(page.records())) == text, "run `python -m benchmarks.providers --table`"


def test_there_is_a_record_of_each_maker_and_a_row_of_each_device() -> None:
    text, found = page.PAGE.read_text(), {record["maker"]: record for record in page.records()}
    assert sorted(found) == sorted(maker.name for maker in MAKERS)
    assert {file.stem for file in page.RECORDS.glob("*.json")} == set(found)
    for maker in MAKERS:
        record = found[maker.name]
        assert record["package"] == maker.requirement, "the record is of another version; run `make providers` again"
        if "not_installed" not in record:
            assert record["version"] == maker.version
            assert [own["device"] for own in record["devices"]] == [own.name for own in maker.devices]
        for offered in maker.devices if "not_installed" not in record else ():
            assert text.count(f"\n| {offered.shown} |") == 1


def test_no_command_ended_in_a_traceback() -> None:
    for record in page.records():
        for device in record["devices"]:
            for step in device["steps"]:
                assert not step["traceback"], (device["device"], step)
                assert step["code"] in (0, 2), (device["device"], step)


def test_dates_and_versions_are_plain() -> None:
    for record in page.records():
        assert datetime.date.fromisoformat(record["date"])
        assert re.fullmatch(r"\d+\.\d+\.\d+", record.get("qiskit", "2.0.0"))


@pytest.mark.parametrize("cause", ["", "zeros | of it"])
def test_a_row_says_what_failed(cause: str) -> None:
    failed = {"order": cause} if cause else {}
    device = {
        "device": "own",
        "shown": "Own",
        "certify": {"raw": failed, "here": {}, "remarks": {"values": "1.1 standard errors from ideal", "seeds": "none"}},
        "values": {"largest": 0.0312, "standard_errors": 1.94},
        "exact": 0.1,
        "evaluate": 0.1234,
        "steps": [{"command": "predict", "code": 2, "said": "error: no. Choose another."}],
    }
    record = {"maker": "own", "package": "own==1", "qiskit": "2.1.2", "needs": ["qiskit<2.2"], "date": "2026-01-02"}
    rows = page.table([record | {"devices": [device]}]).splitlines()
    alone = "order: zeros \\| of it" if cause else "passed"
    assert rows[2] == (
        f"| Own | `own==1`; ran with 2.1.2, needs qiskit<2.2 | {alone} | passed; seeds: none | 0.031 (1.9 standard errors) "
        "| 0.100, 0.123 | `predict`: no |"
    )
    assert rows[-1] == "Measured 2026-01-02."


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "all"),
        ({"retried": True}, "all; the job under way was sent again with `--retry`"),
        ({"killed_after_an_epoch": False}, "all; the training was not killed: it had ended"),
        ({"epochs": 3}, "all; epochs in its history: 3 in place of 2"),
        ({"traceback": True}, "all; `train, resume` printed a traceback"),
        ({"traceback": True, "code": 1, "said": "KeyError"}, "`train, resume`: KeyError; `train, resume` printed a traceback"),
    ],
)
def test_a_row_says_what_a_training_did_otherwise_than_meant(more: dict[str, object], said: str) -> None:
    train = {"command": "train, resume", "code": 0, "said": "", "killed_after_an_epoch": True, "epochs": 2}
    steps = [{"command": "plan", "code": 0, "traceback": False}, train | {"traceback": False, "retried": False} | more]
    device = {"device": "own", "shown": "Own", "steps": steps}
    record = {"maker": "own", "package": "own==1", "qiskit": "2.1.2", "needs": [], "date": "2026-01-02", "devices": [device]}
    assert page.table([record]).splitlines()[2].endswith(f" | {said} |")


def test_a_maker_that_cannot_be_installed_is_a_row() -> None:
    rows = page.table([{"maker": "own", "package": "own==1", "date": "2026-01-02", "not_installed": "no such", "devices": []}])
    assert rows.splitlines()[2].startswith("| own | `own==1` | not installed: no such |")
    assert json.loads(json.dumps(rows)) == rows


def test_makers_are_named_in_the_makefile_page_and_index() -> None:
    assert "python -m benchmarks.providers $(MAKERS)" in (ROOT / "Makefile").read_text()
    for name in ("backends", "index"):
        assert "providers" in (ROOT / "docs" / "how-to" / f"{name}.md").read_text()
