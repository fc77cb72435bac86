"""A part of the test windows and of a file's rows: what was planned can be bought."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit import load_run
from qlstm_qiskit.data import mean_squared_error

SERIES = ["--csv", "s.csv", "--target", "y", "--hidden-size", 1, "--epochs", 1]


@pytest.fixture
def series() -> pd.DataFrame:
    rows = pd.DataFrame({"y": np.sin(np.arange(60) / 3) + 2, "kind": ["up", "down"] * 30})
    rows.to_csv("s.csv", index=False)
    return rows


def test_evaluate_takes_the_first_windows(qlstm, series: pd.DataFrame) -> None:
    cut = ["--interval", 0.5, "--interval-method", "adaptive"]
    assert qlstm("train", *SERIES, "--model", "lstm", *cut, "--out", "o")[0] == 0
    run = load_run("o")
    data = run.dataset
    code, out, _ = qlstm("evaluate", "o", "--windows", 5, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["test"]["mse"] == mean_squared_error(run.predict_scaled(data.x_test[:5]), data.y_test[:5])
    assert found["persistence"]["mse"] == mean_squared_error(data.persistence()[:5], data.y_test[:5])
    whole = json.loads(qlstm("evaluate", "o", "--windows", len(data.x_test), "--json")[1])
    assert whole == json.loads(qlstm("evaluate", "o", "--json")[1])
    assert "5 test windows" in qlstm("evaluate", "o", "--windows", 5)[1]
    for count in (0, len(data.x_test) + 1):
        code, _, err = qlstm("evaluate", "o", "--windows", count)
        assert (code, err.count("\n"), "windows is" in err) == (2, 1, True)


@pytest.mark.parametrize("guard", ["{}", "{max_executions: 200}"])
def test_what_is_planned_is_what_is_sent(qlstm, series: pd.DataFrame, guard: str) -> None:
    assert qlstm("train", *SERIES, "--model", "config1", "--depth", 1, "--out", "o")[0] == 0
    Path("backends.yaml").write_text(f"ibm-local: {{shots: 16, guard: {guard}}}\n")
    planned = json.loads(qlstm("backends", "plan", "o", "--backend", "ibm-local", "--windows", 3, "--json")[1])
    assert qlstm("evaluate", "o", "--backend", "ibm-local", "--windows", 3)[0] == 0
    jobs = json.loads(qlstm("jobs", "list", "o", "--json")[1])
    sent = [job["circuits"] for job in (jobs["jobs"] if isinstance(jobs, dict) else jobs)]
    assert (len(sent), sum(sent)) == (planned["jobs"], planned["circuits"])
    assert planned["circuits"] < planned["unpacked"]["circuits"]


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_predict_takes_the_last_rows(qlstm, series: pd.DataFrame, task: str) -> None:
    target = ["--target", "kind", "--features", "y"] if task == "classification" else []
    assert qlstm("train", *SERIES, *target, "--model", "lstm", "--task", task, "--out", "o")[0] == 0
    assert qlstm("predict", "o", "--csv", "s.csv", "--out", "all.csv")[0] == 0
    code, out, _ = qlstm("predict", "o", "--csv", "s.csv", "--last", 3, "--out", "last.csv")
    assert (code, "Wrote 3 rows" in out) == (0, True)
    whole, last = pd.read_csv("all.csv"), pd.read_csv("last.csv")
    pd.testing.assert_frame_equal(last, whole.iloc[-3:].reset_index(drop=True), rtol=1e-12)
    code, _, err = qlstm("predict", "o", "--csv", "s.csv", "--last", 3, "--horizon", 2, "--out", "no.csv")
    assert (code, "--last" in err) == (2, True)
    code, _, err = qlstm("predict", "o", "--csv", "s.csv", "--last", 0, "--out", "no.csv")
    assert (code, "last is 0" in err, Path("no.csv").exists()) == (2, True, False)
