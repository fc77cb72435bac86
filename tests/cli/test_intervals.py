"""Intervals on the command line: trained, evaluated, predicted, and refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from qlstm_qiskit.data import load_dataset

MODEL = "--model config1 --hidden-size 1 --depth 1 --epochs 1"


def test_from_training_to_a_forecast(qlstm: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    values = load_dataset("nile").values
    pd.DataFrame({"flow": values}).to_csv(tmp_path / "nile.csv", index=False)
    options = f"--csv nile.csv --target flow {MODEL} --interval 0.8 --calibration-fraction 0.25"
    code, out, _ = qlstm("train", *options.split(), "--out", "run")
    assert code == 0
    assert "Intervals of level 0.8 on the test part (adaptive, 16 calibration windows), original units" in out
    code, out, _ = qlstm("evaluate", "run", "--backend", "aer-shots", "--json")
    facts = json.loads(out)["interval"]
    assert (facts["windows"], facts["evaluated"]) == (16, 16)
    assert facts["circuits"] > 16
    assert 0.5 < facts["coverage"][0] <= 1
    code, out, _ = qlstm("evaluate", "run", "--backend", "aer-shots")
    assert f"Calibrated with this backend's own predictions: 16 windows, {facts['circuits']} circuits" in out
    assert "Calibrated with" not in qlstm("evaluate", "run")[1]
    code, out, _ = qlstm("predict", "run", "--csv", "nile.csv", "--horizon", 20, "--out", "ahead.csv")
    assert "lower and upper: an interval that is to hold 0.8 of the values (adaptive)" in out
    assert "Steps 14 to 20 have no interval: fewer than 4 of the 16 calibration windows, which level 0.8 needs, reach so" in out
    table = pd.read_csv(tmp_path / "ahead.csv")
    assert list(table) == ["step", "prediction", "lower", "upper", "persistence"]
    assert table["lower"].isna().tolist() == [False] * 13 + [True] * 7
    code, out, _ = qlstm("predict", "run", "--csv", "nile.csv", "--out", "rows.csv", "--json")
    assert json.loads(out)["interval"] == {"level": 0.8, "method": "adaptive"}


def test_mistakes_are_one_line(qlstm: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    pd.DataFrame({"flow": load_dataset("nile").values}).to_csv(tmp_path / "nile.csv", index=False)
    said = {
        "--csv nile.csv --target flow --interval 0.95": "need 19 calibration windows, and 0.2 of the 64 windows of nile",
        "--dataset nile --interval 0.95 --model lstm": "need 19 calibration windows, and 0.2 of the 64 windows of nile",
        "--dataset nile --interval 90": "interval is 90.0; it must lie between 0 and 1",
        "--dataset nile --interval-method adaptive": "--interval-method goes with --interval LEVEL",
        "--dataset nile --interval 0.9 --calibration-fraction 1": "calibration_fraction is 1.0; it must lie between 0 and 1",
    }
    for options, line in said.items():
        code, out, error = qlstm("train", *options.split(), "--out", "run")
        assert (code, out, error.count("\n")) == (2, "", 1), options
        assert line in error
        assert not (tmp_path / "run").exists()


def test_a_hint_where_the_test_part_is_another(qlstm: Callable[..., tuple[int, str, str]]) -> None:
    options = {
        "dataset": "co2",
        "model": "lstm",
        "hidden-size": 2,
        "epochs": 2,
        "interval": 0.9,
        "interval-method": "split",
        "out": "run",
    }
    _, out, _ = qlstm("train", *(word for name, value in options.items() for word in (f"--{name}", value)))
    assert "Clearly fewer than 0.9 of the values lie within them" in out
