"""What is printed where: bars and lines for a terminal, a table's row a line in a pipe."""

import json
import re

import pytest
from rich import console

from qlstm_qiskit.cli.output import Steps, print_json, print_table


def run_steps() -> None:
    with Steps("runs") as steps:
        for done in range(4):
            steps(done, 3, f"[b]model[/b] on series, seed {done}")


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    run_steps()
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.Console, "is_terminal", True)
    run_steps()
    out, err = capsys.readouterr()
    assert out == ""
    assert "[b]model[/b] on series, seed 2" in err, "as it is: names are not markup"
    assert re.search(r"3/3.*runs.*left", err)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_numbers_are_never_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    monkeypatch.setattr(console.Console, "is_terminal", is_terminal)
    monkeypatch.setenv("COLUMNS", "40")
    print_table("A title that is longer than the table", ["model", "one", "two"], [["a name " * 6, 1.23456e-7, 123456.0]])
    lines = capsys.readouterr().out.splitlines()
    assert "A title that is longer than the table" in lines[0]
    rows = [line for line in lines if "1.23456e-07" in line]
    assert len(rows) == 1
    assert "123,456" in rows[0]
    assert (sum("a name" in line for line in lines) > 1) == is_terminal, "wraps on a narrow terminal alone"


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [1.5, (float("inf"), -1)], "c": {"d": -float("inf")}})
    strict = {"parse_constant": lambda name: pytest.fail(f"{name} is no JSON")}
    assert json.loads(capsys.readouterr().out, **strict) == {"a": None, "b": [1.5, [None, -1]], "c": {"d": None}}


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither rich's nor a terminal's; a row stays a line."""
    print_table(
        "[bold]title[/x] :smile:", ["[/deg]", "two\nlines"], [["ridge [/deg]", "[red]x[/red]"], ["a\nb\x1b[31m", ":+1:"]]
    )
    out = capsys.readouterr().out
    for text in ("[bold]title[/x] :smile:", "[/deg]", "ridge [/deg]", "[red]x[/red]", r"a\nb\x1b[31m", ":+1:"):
        assert text in out


def test_lines_of_progress_are_no_markup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.Console, "is_terminal", True)
    with Steps("runs") as steps:
        steps(1, 2, "[/deg] :smile: on s")
    assert "[/deg] :smile: on s" in capsys.readouterr().err
