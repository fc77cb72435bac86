"""`--lead` and `--scaling`: what is wrong is one line, before anything is loaded or written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.experiments import load_run
from qlstm_qiskit.report.pages.commands import again

SMALL = ("--model", "lstm", "--hidden-size", 1, "--epochs", 1)


def write(path: str) -> None:
    days = pd.date_range("2021-03-01", periods=60, freq="D").strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "y": np.sin(np.arange(60))}).to_csv(path, index=False)


def test_a_run_that_predicts_three_steps_ahead(qlstm) -> None:
    write("s.csv")
    code, _, err = qlstm("train", "--csv", "s.csv", "--target", "y", "--lead", 3, *SMALL, "--out", "run")
    assert code == 0, err
    code, out, err = qlstm("predict", "run", "--csv", "s.csv", "--out", "p.csv")
    assert (code, "y, 3 steps ahead over all rows of the file" in out) == (0, True), err
    code, out, err = qlstm("predict", "run", "--csv", "s.csv", "--horizon", 3, "--out", "h.csv")
    assert (code, pd.read_csv("h.csv")["day"].tolist()) == (0, ["2021-04-30", "2021-05-01", "2021-05-02"]), err
    code, _, err = qlstm("predict", "run", "--csv", "s.csv", "--horizon", 4, "--out", "i.csv")
    assert (code, "ask for a horizon of at most 3, or train with --lead 4." in err) == (2, True), err
    code, _, err = qlstm("evaluate", "run", "--steps", 2)
    assert (code, "rolling out feeds back those of the next row; train with lead 1." in err) == (2, True), err


def test_a_chaotic_series(qlstm) -> None:
    code, _, err = qlstm("train", "--dataset", "henon", "--lead", 4, "--scaling", "training-part", *SMALL, "--out", "henon")
    assert code == 0, err
    run = load_run("henon")
    assert (run.dataset.lead, run.spec.data.train_fraction) == (4, 0.8)
    words = again(run.spec, Path("henon"))
    assert all(part in words for part in ("--lead 4", "--scaling training-part", "--train-fraction 0.8"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lead", "0"], "--lead is 0; give at least 1."),
        (["--lead", "2", "--horizon", "2"], "--lead 2 predicts the one value 2 steps ahead, and --horizon is for forecasts"),
        (["--lead", "2", "--difference", "1"], "and --difference is for forecasts of the next rows"),
        (["--lead", "2", "--transform", "log"], "and --transform is for"),
        (["--lead", "2", "--interval", "0.9"], "and --interval is for"),
        (["--lead", "2", "--calendar", "month"], "and --calendar is for"),
        (["--lead", "60"], "0 windows of 4 rows and 1 to predict, 60 steps ahead"),
        (["--lead", "2", "--task", "classification"], "--lead is for forecasts: the class is that of the window's last row"),
        (
            ["--scaling", "training-part"],
            "--scaling goes with --dataset henon, mackey_glass, lorenz; other series have a scale",
        ),
        (["--scaling", "none"], "unknown scaling 'none'"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(qlstm, options: list[str], message: str) -> None:
    write("s.csv")
    code, _, err = qlstm("train", "--csv", "s.csv", "--target", "y", *SMALL, *options, "--out", "o")
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert not Path("o").exists()
