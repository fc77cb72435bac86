"""`--difference` and `--transform`: what is wrong is one line, before anything is loaded or written."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

VALUES = np.arange(1.0, 61) ** 2
SMALL = ("--model", "lstm", "--hidden-size", 1, "--epochs", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--difference", "season"], "difference is 'season', and no season of the series is known; give a number of rows, or"),
        (["--difference", "0"], "difference is 0; it must be an integer of at least 1."),
        (["--difference", "-1"], "difference is '-1'; it must be a number of rows of at least 1, or 'season'."),
        (["--difference", "9" * 5000], "it must be a number of rows of at least 1, or 'season'."),
        (["--difference", "99999999999"], "difference is 99999999999; it must be an integer of at most 2,147,483,647."),
        (["--difference", "week"], "difference is 'week'; it must be a number of rows of at least 1, or 'season'."),
        (["--difference", "1,1,1,1"], "difference has 4 values; give at most 3."),
        (["--difference", "58"], "0 of them to train after 58 rows that differences need; give a longer series"),
        (
            ["--season", "30", "--difference", "season", "--difference", "30"],
            "0 of them to train after 60 rows that differences",
        ),
        (["--transform", "sqrt"], "unknown transform 'sqrt'. Allowed: log."),
        (["--transform", "log"], "s.csv, line 4, column 'y': -3 has no logarithm (1 such in all)"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(qlstm, options: list[str], message: str) -> None:
    pd.DataFrame({"y": [*VALUES[:2], -3, *VALUES[3:]]}).to_csv("s.csv", index=False)
    code, _, err = qlstm("train", "--csv", "s.csv", "--target", "y", *SMALL, *options, "--out", "o")
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert not Path("o").exists()


def test_the_options_of_another_run_are_its_own(qlstm) -> None:
    code, _, err = qlstm("train", "--from", "nowhere", "--difference", "1")
    assert (code, "--difference cannot be given with --from" in err) == (2, True)
    code, _, err = qlstm("train", "--dataset", "nile", "--difference", "season", *SMALL, "--out", "o")
    assert (code, "no season of the series is known" in err) == (2, True)


def test_a_series_that_grows_is_followed_to_its_end(qlstm) -> None:
    """Squares: second differences are constant, and are scaled to 0, so that a model of them is right from the start."""
    pd.DataFrame({"y": VALUES}).to_csv("s.csv", index=False)
    code, out, err = qlstm("train", "--csv", "s.csv", "--target", "y", *SMALL, "--difference", "1,1", "--out", "o", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["test"]["mase"] < 0.2 * facts["persistence"]["mase"]
    assert json.loads(Path("o/config.json").read_text())["data"]["difference"] == [1, 1]
    code, out, _ = qlstm("train", "--resume", "--out", "o")
    assert "Learned: differences over 1 row and 1 row; errors and forecasts are of the series itself" in out
    code, out, _ = qlstm("evaluate", "o", "--steps", 3, "--json")
    assert json.loads(out)["test"] == facts["test"]
    code, _, err = qlstm("predict", "o", "--csv", "s.csv", "--horizon", 5, "--out", "ahead.csv")
    assert (code, err) == (0, "")
    ahead = pd.read_csv("ahead.csv")["prediction"].to_numpy()
    np.testing.assert_allclose(ahead, np.arange(61, 66) ** 2, atol=5)
    code, _, err = qlstm("report", "o", "--out", "page.html")
    assert (code, err) == (0, "")
    page = Path("page.html").read_text()
    assert "--difference 1 --difference 1" in re.sub(r"</?span>", "", page)
    assert "The model learns differences over 1 row and 1 row; forecasts and errors are of the series itself." in page
    assert "Its errors are those of differences over 1 row and 1 row, scaled: what is trained on." in page
