"""`--known` and `--calendar`: from a file with rows to predict to their forecast; what is wrong is one line."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.experiments import load_run

N, AHEAD = 90, 5
RANDOM = np.random.default_rng(3)
HOLIDAY = RANDOM.integers(0, 2, N).astype(float)
DAYS = pd.date_range("2024-01-01", periods=N)
TABLE = pd.DataFrame({"day": DAYS, "load": np.where(HOLIDAY > 0, 5.0, 1.0) + 0.01 * (DAYS.dayofweek > 4), "holiday": HOLIDAY})
SMALL = ("--model", "lstm", "--hidden-size", 3, "--epochs", 60, "--lr", 0.02)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    TABLE.assign(**{"a, b": 1.0 + HOLIDAY}).to_csv(tmp_path / "s.csv", index=False)
    TABLE.assign(load=TABLE["load"].where(TABLE.index < N - AHEAD)).to_csv(tmp_path / "f.csv", index=False)
    return tmp_path


def test_from_a_file_to_a_forecast(qlstm, files: Path) -> None:
    options = ("--known", "holiday", "--calendar", "weekday,weekend", "--out", "run")
    code, out, err = qlstm("train", "--csv", "f.csv", "--target", "load", *SMALL, *options, "--json")
    assert (code, err) == (0, ""), err
    facts = json.loads(out)
    assert facts["test_mse"] < 0.01
    config = json.loads(Path("run/config.json").read_text())["data"]
    assert (config["known"], config["calendar"]) == (["holiday"], ["weekday", "weekend"])
    code, out, _ = qlstm("predict", "run", "--csv", "f.csv", "--horizon", AHEAD, "--out", "ahead.csv")
    assert code == 0
    assert "f.csv: dates in column 'day' (daily), 5 rows at the end to predict" in out
    ahead = pd.read_csv("ahead.csv")
    assert list(ahead["day"]) == [str(day.date()) for day in DAYS[-AHEAD:]]
    np.testing.assert_allclose(ahead["prediction"], TABLE["load"][-AHEAD:], atol=0.4)
    code, out, _ = qlstm("predict", "run", "--csv", "f.csv", "--out", "rows.csv", "--json")
    rows, data = pd.read_csv("rows.csv"), load_run("run").dataset
    np.testing.assert_allclose(rows["prediction"][-AHEAD:], ahead["prediction"], rtol=1e-12)
    errors = (rows["prediction"] - rows["load"])[data.n_known : N - AHEAD] / np.ptp(data.values[: data.n_known]) * 2
    assert facts["test_mse"] == pytest.approx(np.mean(errors**2), rel=1e-9)
    code, _, err = qlstm("predict", "run", "--csv", "f.csv", "--horizon", AHEAD + 2, "--out", "more.csv")
    assert (code, err) == (
        2,
        "error: f.csv: 'load' ends in line 86 (2024-03-25), and 'holiday', which is to be known ahead, ends 5 rows later; a "
        "forecast of 7 rows needs it in 7 rows after 'load' ends: add 2 more, with 'load' left empty.\n",
    )
    assert not Path("more.csv").exists()
    code, out, _ = qlstm("evaluate", "run", "--steps", 3, "--json")
    assert max(json.loads(out)["rolled_out"]["model"]["rmse"]) < 0.4
    assert qlstm("report", "run", "--out", "run.html")[0] == 0


def test_a_name_with_a_comma_and_several_options(qlstm, files: Path) -> None:
    few = ("--model", "lstm", "--hidden-size", 1, "--epochs", 1)
    code, _, err = qlstm(
        "train", "--csv", "s.csv", "--target", "load", *few, "--known", "a, b", "--known", "holiday", "--out", "o"
    )
    assert (code, err) == (0, ""), err
    assert json.loads(Path("o/config.json").read_text())["data"]["known"] == ["a, b", "holiday"]
    assert qlstm("train", "--resume", "--out", "o")[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--known", "load"], "known names 'load', the column to predict; leave it out there."),
        (["--known", "holidy"], "unknown column 'holidy'. Did you mean 'holiday'?"),
        (["--known", "day"], "s.csv, line 2, column 'day': '2024-01-01' is not a finite number"),
        (["--calendar", "wekday"], "unknown calendar 'wekday'. Did you mean 'weekday'?"),
        (
            ["--calendar", "month,hour"],
            "the hour is the same in all rows of s before its test part; leave it out of the calendar.",
        ),
        (["--calendar", "weekday", "--date-column", "none"], "s.csv has no dates that weekday could be made from; name their"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(qlstm, files: Path, options: list[str], message: str) -> None:
    code, _, err = qlstm("train", "--csv", "s.csv", "--target", "load", *SMALL, *options, "--out", "o")
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert not Path("o").exists()


def test_a_series_by_name_and_another_run_have_their_own(qlstm) -> None:
    for option in ("--known", "--calendar"):
        code, _, err = qlstm("train", "--dataset", "bessel", option, "month")
        assert (code, re.sub("calendar", "known", err)) == (
            2,
            "error: --known goes with --csv; the dataset 'bessel' has no such columns.\n",
        )
        code, _, err = qlstm("train", "--from", "nowhere", option, "month")
        assert (code, f"{option} cannot be given with --from" in err) == (2, True)


def test_rows_to_predict_are_refused_where_nothing_is_known_ahead(qlstm, files: Path) -> None:
    code, _, err = qlstm("train", "--csv", "f.csv", "--target", "load", *SMALL, "--out", "o")
    assert (code, "f.csv, line 87, column 'load': a value is missing (5 such in all)" in err) == (2, True), err
