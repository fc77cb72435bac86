"""Mistakes of the first minutes: each is answered in one line before torch and Qiskit are loaded, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

#: Runs the command, and says at its end which of the packages that take seconds to load were.
PROBE = """
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted({"torch", "qiskit", "sklearn"} & set(sys.modules)), file=sys.stderr))
from qlstm_qiskit.cli import main
sys.exit(main())
"""
OWN = ["train", "--csv", "s.csv", "--target", "y"]
MISTAKES: dict[str, tuple[list[str], str]] = {
    "no such file": (["train", "--csv", "no.csv", "--target", "y"], "there is no file no.csv; check the path"),
    "a folder": (["train", "--csv", "folder", "--target", "y"], "folder is a folder"),
    "an empty file": (["train", "--csv", "empty.csv", "--target", "y"], "empty.csv is empty"),
    "a spreadsheet": (["train", "--csv", "s.xlsx", "--target", "y"], "save it as CSV"),
    "no target": (["train", "--csv", "s.csv"], "--target"),
    "a column that is not there": (["train", "--csv", "s.csv", "--target", "yy"], "unknown column 'yy'. Did you mean 'y'"),
    "a feature that is not there": ([*OWN, "--features", "y,q"], "unknown column 'q'"),
    "a column of dates": (["train", "--csv", "s.csv", "--target", "date"], "is not a finite number"),
    "a window as long as the file": ([*OWN, "--window", "100"], "give a longer series, a smaller window"),
    "an unknown series": (["train", "--dataset", "besel"], "Did you mean 'bessel'"),
    "a target of a known series": (["train", "--dataset", "bessel", "--target", "y"], "--target goes with --csv"),
    "an option that there is not": ([*OWN, "--modle", "lstm"], "--model"),
    "an unknown model": ([*OWN, "--model", "lstmm"], "Did you mean 'lstm'"),
    "an unknown backend": ([*OWN, "--backend", "aer-exat"], "Did you mean 'aer-exact'"),
    "no epochs": ([*OWN, "--epochs", "-1"], "must be an integer of at least 1"),
    "a horizon of classes": ([*OWN, "--task", "classification", "--horizon", "2"], "--horizon is for forecasts"),
    "fractions as classes": ([*OWN, "--task", "classification"], "classes are text or whole numbers"),
    "a forecast of classes": (["train", "--dataset", "basic_motions"], "give --task classification"),
    "a window of labelled windows": (
        ["train", "--task", "classification", "--dataset", "italy_power_demand", "--window", "4"],
        "have 24 rows",
    ),
    "an unknown strategy": ([*OWN, "--strategy", "shrinkin"], "Did you mean 'shrinking'"),
    "an unknown entangler": ([*OWN, "--entangler", "heavyhex"], "Did you mean 'heavy-hex'"),
    "an unknown recipe": ([*OWN, "--recipe", "papers"], "Allowed: device, paper, tuned"),
    "an unknown logger": ([*OWN, "--log", "mlfow"], "Did you mean 'mlflow'"),
    "a file as the place": ([*OWN, "--out", "s.csv"], "it is a file; choose another one"),
    "a place that is taken": ([*OWN, "--out", "run"], "run already holds a run"),
    "a place of an unfinished run": ([*OWN, "--out", "half"], "go on with: qlstm resume half"),
    "an audit of no run": (["audit", "runs/no"], "there is no run folder runs/no"),
    "an audit of no circuits": (["audit", "control"], "control cannot be audited: its model is lstm, which has no circuits"),
    "an audit with no such map": (["audit", "run", "--banks", "tanh,tan"], "unknown map 'tan'. Did you mean 'tanh'"),
    "an audit without seeds": (["audit", "run", "--seeds", "0"], "seeds is 0; it must be an integer of at least 1"),
    "no such run": (["evaluate", "runs/no"], "there is no run folder runs/no"),
    "a series that is not there for a run": (
        ["predict", "run", "--csv", "no.csv", "--out", "o.csv"],
        "there is no file no.csv",
    ),
    "a result of no known kind": (["predict", "run", "--csv", "s.csv", "--out", "o.xlsx"], "--out takes .csv"),
    "an unknown format": (["export", "run", "--format", "qasm", "--out", "o"], "Did you mean 'qasm3'"),
    "own circuits that are not there": ([*OWN, "--space", "no.py:space"], "there is no file no.py"),
    "an unknown study": (["table", "--study", "papers"], "unknown study 'papers'"),
    "a target that is known ahead": ([*OWN, "--known", "y"], "known names 'y', the column to predict"),
    "a part of dates that there is not": ([*OWN, "--calendar", "weekdy"], "Did you mean 'weekday'"),
    "hours of days": ([*OWN, "--calendar", "hour"], "the hour is the same in all rows"),
    "no replicas": ([*OWN, "--replicas", "0"], "replicas is 0; it must be an integer of at least 1"),
    "a start from an ensemble": (["train", "--from", "four"], "an ensemble of 4 models, and a training starts from one"),
    "replicas of one start": (["train", "--from", "run", "--replicas", "2"], "give --from-scratch"),
    "what is derived from an ensemble": (["derive", "four", "--out", "o"], "give a member, such as four/members/0"),
    "an encoding that is none of text": ([*OWN, "--encoding", "hex"], "encoding"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    rows = [f"2024-01-{k + 1:02d},{np.sin(k):.3f},{k % 5}" for k in range(31)]
    (folder / "s.csv").write_text("\n".join(["date,y,z", *rows]) + "\n")
    for name in ("empty.csv", "s.xlsx"):
        (folder / name).touch()
    for name in ("folder", "run", "half", "four", "control"):
        (folder / name).mkdir()
    for name in ("run", "half"):
        (folder / name / "config.json").write_text("{}")
    (folder / "control" / "config.json").write_text('{"model": "lstm"}')
    (folder / "four" / "config.json").write_text('{"replicas": 4}')
    (folder / "run" / "metrics.json").write_text('{"interrupted": false}')
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_at_once(place: Path, mistake: str) -> None:
    arguments, message = MISTAKES[mistake]
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=place, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    line, loaded = done.stderr.splitlines()
    assert (done.returncode, done.stdout, loaded) == (2, "", "loaded:")
    assert line.startswith("error: ")
    assert message in line
    assert sorted(path.relative_to(place) for path in place.rglob("*")) == before
