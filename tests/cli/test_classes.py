"""`--task classification`: labelled series and CSV files through all commands, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from qlstm_qiskit import QLSTMClassifier, load_run
from qlstm_qiskit.cli import main

TASK = ("train", "--task", "classification")
SMALL = ("--model", "lstm", "--hidden-size", "2", "--epochs", "2")
N = 90
STATE = (np.arange(N) // 4) % 3
MOODS = np.array(["calm, or nearly so", "high", "low"])
TABLE = pd.DataFrame(
    {
        "day": pd.date_range("2024-01-01", periods=N).strftime("%Y-%m-%d"),
        "x": np.sin(np.arange(N)) / 3 + STATE,
        "mood": MOODS[STATE],
        "y": np.cos(np.arange(N)) / 3 - 2 * STATE,
        "remark": "none",
        "number": STATE * 10,
    }
)


def ran(*arguments: object) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert not caught.value.code, arguments


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a run of it, circuits included."""
    folder = tmp_path_factory.mktemp("classes")
    TABLE.to_csv(folder / "s.csv", index=False)
    model = ("--model", "config1", "--hidden-size", 1, "--depth", 1, "--epochs", 2, "--lr", 0.05, "--window", 3)
    ran(*TASK, "--csv", folder / "s.csv", "--target", "mood", "--features", "x,y", *model, "--out", folder / "run")
    return folder


def by_hand(window: int, fraction: float = 0.67) -> SimpleNamespace:
    """Windows and classes of the table with pandas: a window has the class of its last row, scaled by what trains."""
    values, rows = TABLE[["x", "y"]], np.arange(window - 1, N)
    n_train = int(fraction * len(rows))
    low, high = (values.iloc[: n_train + window - 1].agg(one) for one in ("min", "max"))
    scaled = (values - (low + high) / 2) / ((high - low) / 2)
    windows = np.stack([scaled.iloc[row - window + 1 : row + 1].to_numpy() for row in rows])
    return SimpleNamespace(windows=windows, classes=TABLE["mood"].to_numpy(str)[rows], n_train=n_train, rows=rows)


@pytest.mark.parametrize("name", ["italy_power_demand", "basic_motions"])
def test_labelled_series_from_the_command_line(qlstm: Callable, name: str) -> None:
    """Windows, classes and parts are those of sktime's files; errors are those that scikit-learn measures."""
    import sktime.datasets

    read = getattr(sktime.datasets, f"load_{name}")
    (train, _), (test, labels) = (read(split=part, return_type="numpy3d") for part in ("train", "test"))
    code, out, _ = qlstm(*TASK, "--dataset", name, *SMALL, "--lr", 0.05, "--valid-fraction", 0.25, "--out", "o", "--json")
    assert code == 0
    facts, run = json.loads(out), load_run("o")
    every = {"italy_power_demand": 1, "basic_motions": 4}[name]
    low, high = train.min(axis=(0, 2)), train.max(axis=(0, 2))
    scaled = ((test.transpose(0, 2, 1) - (low + high) / 2) / ((high - low) / 2))[:, ::every]
    np.testing.assert_allclose(run.dataset.x_test, scaled, rtol=0, atol=1e-12)
    assert facts["classes"] == np.unique(labels).tolist()
    found = run.predict_proba(scaled)
    assert facts["test"]["log_loss"] == pytest.approx(log_loss(labels, found), rel=1e-9)
    assert facts["test"]["accuracy"] == accuracy_score(labels, run.predict(scaled))
    assert facts["test_log_loss"] == facts["test"]["log_loss"]
    assert {"train_log_loss", "valid_log_loss"} <= facts.keys()
    assert facts["frequencies"]["accuracy"] <= 0.51
    ahead = {"train_log_loss", "valid_log_loss", "test_log_loss"}
    assert [ahead <= line.keys() for line in run.history] == [True, True]
    assert sorted(Path(figure).name for figure in facts["figures"]) == ["confusion.png", "loss.png"]


def test_a_file_is_read_as_by_hand(qlstm: Callable, made: Path) -> None:
    """The same windows and options by pandas and the estimator: the same bits of parameters, probabilities and errors."""
    run, own = load_run(made / "run"), by_hand(3)
    model = QLSTMClassifier("config1", hidden_size=1, depth=1, max_epochs=2, lr=0.05, seed=0)
    np.testing.assert_allclose(np.concatenate([run.dataset.x_train, run.dataset.x_test]), own.windows, rtol=0, atol=1e-12)
    model.fit(run.dataset.x_train, own.classes[: own.n_train])
    assert run.dataset.x_train.shape == (own.n_train, 3, 2)
    for name, value in model.module_.state_dict().items():
        assert value.numpy().tobytes() == run.forecaster.state_dict()[name].numpy().tobytes(), name
    x_test, truth = run.dataset.x_test, own.classes[own.n_train :]
    np.testing.assert_array_equal(run.predict(x_test), model.predict(x_test))
    np.testing.assert_allclose(run.predict_proba(x_test), model.predict_proba(x_test), rtol=0, atol=1e-14)
    assert run.metrics["test"] == {
        "log_loss": pytest.approx(log_loss(truth, model.predict_proba(x_test)), rel=1e-9),
        "accuracy": accuracy_score(truth, model.predict(x_test)),
    }
    shares = pd.Series(own.classes[: own.n_train]).value_counts(normalize=True)
    assert run.metrics["frequencies"]["log_loss"] == pytest.approx(-np.log(shares[truth]).mean(), rel=1e-12)
    assert run.header.classes is not None
    assert run.header.classes.array.tolist() == run.metrics["classes"] == sorted(set(MOODS))
    config = json.loads((made / "run" / "config.json").read_text())["data"]
    assert (config["task"], config["features"]) == ("classification", ["x", "y"])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet"])
def test_each_row_that_ends_a_window_is_given_its_class(qlstm: Callable, made: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    code, out, err = qlstm("predict", made / "run", "--csv", made / "s.csv", "--out", f"p{suffix}", "--json")
    assert (code, err) == (0, "")
    readers = {
        ".csv": pd.read_csv,
        ".tsv": lambda path: pd.read_csv(path, sep="\t"),
        ".json": pd.read_json,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
        ".parquet": pd.read_parquet,
    }
    table, run, own = readers[suffix](f"p{suffix}"), load_run(made / "run"), by_hand(3)
    names = [f"p_{name}" for name in sorted(set(MOODS))]
    assert list(table.columns) == [*TABLE.columns, "prediction", *names]
    assert table["prediction"].isna().tolist() == [True, True, *[False] * (N - 2)]
    found = run.predict_proba(own.windows)
    np.testing.assert_allclose(table[names].to_numpy(float)[2:], found, rtol=0, atol=1e-12)
    assert table["prediction"].tolist()[2:] == run.predict(own.windows).tolist()
    assert table["mood"].tolist() == TABLE["mood"].tolist()
    facts = json.loads(out)
    assert facts["accuracy"] == accuracy_score(own.classes, run.predict(own.windows))
    assert facts["log_loss"] == pytest.approx(log_loss(own.classes, found), rel=1e-9)
    assert (facts["compared_rows"], facts["classes"]) == (N - 2, sorted(set(MOODS)))


def test_files_without_classes_and_frames_are_given_them(qlstm: Callable, made: Path) -> None:
    TABLE[["y", "x"]].iloc[:20].to_csv("bare.csv", index=False)
    code, out, _ = qlstm("predict", made / "run", "--csv", "bare.csv", "--out", "p.csv")
    assert (code, "classified correctly" in out) == (0, False)
    run, own = load_run(made / "run"), by_hand(3)
    assert pd.read_csv("p.csv")["prediction"].tolist()[2:] == run.predict(own.windows[:18]).tolist()
    np.testing.assert_array_equal(run.predict(TABLE), run.predict(own.windows))
    windows = np.stack([TABLE[["x", "y"]].to_numpy()[row - 2 : row + 1] for row in own.rows])
    np.testing.assert_allclose(run.predict_proba(windows, units="original"), run.predict_proba(own.windows), atol=1e-12)


def test_it_is_evaluated_and_exported(qlstm: Callable, made: Path) -> None:
    run = load_run(made / "run")
    code, out, _ = qlstm("evaluate", made / "run", "--backend", "aer-exact", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["test"] == {name: pytest.approx(value, abs=1e-9) for name, value in run.metrics["test"].items()}
    assert facts["frequencies"] == run.metrics["frequencies"]
    code, out, _ = qlstm("evaluate", made / "run")
    assert "class frequencies" in out
    assert "Errors on the test part, log loss in nats per window" in out
    code, out, _ = qlstm("export", made / "run", "--format", "qpy", "--out", "circuits")
    assert code == 0
    from qlstm_qiskit.experiments.export.read import load_exported

    exported = load_exported("circuits")
    scores = exported.predict(run.dataset.x_test)
    np.testing.assert_allclose(softmax(scores, axis=1), run.predict_proba(run.dataset.x_test), rtol=0, atol=1e-12)
    assert exported.header.classes == run.header.classes


@pytest.mark.slow
def test_it_has_a_page_a_plan_and_a_curve_of_shots(qlstm: Callable, made: Path) -> None:
    run = load_run(made / "run")
    code, _, err = qlstm("report", made / "run", "--out", "page.html")
    assert (code, err) == (0, "")
    page = re.sub(r"</?span>", "", Path("page.html").read_text())
    accuracy = run.metrics["test"]["accuracy"], run.metrics["frequencies"]["accuracy"]
    assert f"{accuracy[0]:.1%} of the test windows are classified correctly; {accuracy[1]:.1%} if all were taken" in page
    assert "--target mood" in page
    assert "--task classification" in page
    assert "scaled units" not in page
    code, out, _ = qlstm("backends", "plan", made / "run", "--backend", "ibm", "--device", "fez", "--json")
    assert code == 0
    assert json.loads(out)["naive_errors"] == {"frequencies": run.metrics["frequencies"]["log_loss"]}
    code, out, _ = qlstm("shots", made / "run", "--shots", "64,4096", "--repeats", 2)
    assert (code, "log loss of" in out) == (0, True)


def test_probabilities_of_a_circuit_simulator_are_those_of_the_exact_interpreter(made: Path) -> None:
    exact, aer = load_run(made / "run"), load_run(made / "run", backend="aer-exact")
    windows = exact.dataset.x_test[:6]
    np.testing.assert_allclose(aer.predict_proba(windows), exact.predict_proba(windows), rtol=0, atol=1e-9)


def test_columns_of_numbers_are_the_features_where_none_are_named(qlstm: Callable, made: Path) -> None:
    code, out, _ = qlstm(*TASK, "--csv", made / "s.csv", "--target", "number", *SMALL, "--out", "o")
    assert code == 0
    assert "features x, y (all columns of numbers but for 'number')" in out
    run = load_run("o")
    assert run.spec.data.features == ("x", "y")
    assert run.metrics["classes"] == [0, 10, 20]
    assert set(run.predict(run.dataset.x_test).tolist()) <= {0, 10, 20}
    code, out, _ = qlstm("resume", "o")
    assert (code, "accuracy" in out) == (0, True)
    code, _, _ = qlstm("predict", "o", "--csv", made / "s.csv", "--out", "p.csv", "--json")
    assert set(pd.read_csv("p.csv", dtype=str)["prediction"].dropna()) <= {"0", "10", "20"}


#: What is given after `train --task classification --out o`, and a part of the line that answers.
REFUSED: dict[str, tuple[list[str], str]] = {
    "horizon": (["--csv", "s.csv", "--target", "mood", "--horizon", "2"], "--horizon is for forecasts: a window has one class"),
    "difference": (["--csv", "s.csv", "--target", "mood", "--difference", "1"], "--difference is for forecasts"),
    "transform": (["--csv", "s.csv", "--target", "mood", "--transform", "log"], "--transform is for forecasts"),
    "interval": (["--csv", "s.csv", "--target", "mood", "--interval", "0.9"], "--interval is for forecasts"),
    "season": (["--csv", "s.csv", "--target", "mood", "--season", "7"], "--season is for forecasts"),
    "no target": (["--csv", "s.csv"], "needs the name of the column of its classes (--target)"),
    "no such column": (["--csv", "s.csv", "--target", "moods"], "unknown column 'moods'. Did you mean 'mood'"),
    "a fraction": (["--csv", "s.csv", "--target", "x"], "is no class; classes are text or whole numbers"),
    "its own feature": (["--csv", "s.csv", "--target", "mood", "--features", "x,mood"], "cannot be a feature too"),
    "text as a feature": (["--csv", "s.csv", "--target", "mood", "--features", "remark"], "is not a finite number"),
    "no column of numbers": (["--csv", "bare.csv", "--target", "mood"], "no column of numbers beside 'mood'"),
    "no class in a row": (["--csv", "holes.csv", "--target", "mood"], "holes.csv, line 7, column 'mood': '' is no class"),
    "no class where filled in": (
        ["--csv", "gaps.csv", "--target", "mood", "--features", "x", "--impute", "linear"],
        "of a date that is missing, column 'mood'",
    ),
    "classes of the test part alone": (
        ["--csv", "late.csv", "--target", "mood"],
        "'mood' has classes that no training window has, 'new', 'newer'; a model cannot learn them.",
    ),
    "a mark of what is missing": (
        ["--csv", "na.csv", "--target", "mood"],
        "'NA' is no class but a missing one (1 such in all)",
    ),
    "one class": (["--csv", "one.csv", "--target", "mood"], "all training windows are of one class of 'mood', 'high'"),
    "too few rows": (["--csv", "s.csv", "--target", "mood", "--window", "90"], "give a longer table, or a smaller window"),
    "a series that is forecast": (
        ["--dataset", "sunspots"],
        "the dataset 'sunspots' has values and no classes; give italy_power",
    ),
    "a window": (["--dataset", "italy_power_demand", "--window", "12"], "the windows of 'italy_power_demand' have 24 rows"),
    "a part": (["--dataset", "basic_motions", "--train-fraction", "0.5"], "has a training and a test part of its own"),
    "a column of a series": (["--dataset", "basic_motions", "--target", "x"], "--target goes with --csv"),
    "no such task": (
        ["--dataset", "basic_motions", "--task", "classify"],
        "unknown task 'classify'. Did you mean 'classification'",
    ),
    "with --from": (["--from", "run"], "--task cannot be given with --from"),
    "a part of intervals": (
        ["--dataset", "basic_motions", "--interval-method", "split"],
        "--interval-method goes with --interval",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_one_line_and_leaves_nothing(qlstm: Callable, name: str) -> None:
    TABLE.to_csv("s.csv", index=False)
    TABLE[["day", "mood", "remark"]].to_csv("bare.csv", index=False)
    TABLE.assign(mood=TABLE["mood"].where(TABLE.index != 5, "")).to_csv("holes.csv", index=False)
    TABLE.assign(mood=TABLE["mood"].where(TABLE.index != 5, "NA")).to_csv("na.csv", index=False)
    TABLE.drop(index=[40, 41]).to_csv("gaps.csv", index=False)
    TABLE.assign(mood=[*TABLE["mood"][:-9], *["new"] * 5, *["newer"] * 4]).to_csv("late.csv", index=False)
    TABLE.assign(mood="high").to_csv("one.csv", index=False)
    options, message = REFUSED[name]
    code, _, err = qlstm(*TASK, *SMALL, *options, "--out", "o")
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert not Path("o").exists()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["evaluate", "RUN", "--steps", "3"], "has no predictions that could be fed back; leave --steps out"),
        (["predict", "RUN", "--csv", "CSV", "--out", "p.csv", "--horizon", "2"], "has no horizon; leave --horizon out"),
        (["export", "RUN", "--format", "multilinear", "--out", "e"], "this model predicts classes; export qasm3 or qpy"),
        (["backends", "plan", "RUN", "--backend", "ibm", "--horizon", "3"], "has no horizon; plan for a number of windows"),
        (["scaling", "--dataset", "basic_motions", "--out", "e"], "'basic_motions' has classes, and no values"),
        (["train", "--dataset", "basic_motions", *SMALL, "--out", "e"], "has classes, and no values that could be forecast"),
    ],
)
def test_what_forecasts_alone_have_is_refused(qlstm: Callable, made: Path, command: list[str], message: str) -> None:
    words = {"RUN": str(made / "run"), "CSV": str(made / "s.csv")}
    code, _, err = qlstm(*(words.get(word, word) for word in command))
    assert (code, err.count("\n")) == (2, 1), err
    assert message in err
    assert not Path("e").exists()


def test_a_validation_part_that_takes_a_class_away_leaves_nothing(qlstm: Callable) -> None:
    TABLE.sort_values("mood", kind="stable").to_csv("sorted.csv", index=False)
    own = ("--csv", "sorted.csv", "--target", "mood", "--date-column", "none", "--features", "x,y", "--train-fraction", 0.9)
    code, _, err = qlstm(*TASK, *own, *SMALL, "--valid-fraction", 0.4, "--out", "o")
    assert code == 2
    assert "of the classes 'low' all windows are among the last ones, which validate; take a smaller valid_fraction" in err
    assert not Path("o").exists()


def test_the_whole_command_again_is_the_same_run(qlstm: Callable, made: Path) -> None:
    """Features that were found are those of the config; other ones are another run."""
    own = (*TASK, "--csv", made / "s.csv", "--target", "mood", *SMALL)
    assert qlstm(*own, "--out", "o")[0] == 0
    code, _, err = qlstm(*own, "--out", "o", "--resume")
    assert (code, "o was finished before; this is its result" in err) == (0, True)
    code, _, err = qlstm(*own, "--features", "x", "--out", "o", "--resume")
    assert (code, "o holds another run: it differs in data" in err) == (2, True)
    code, _, err = qlstm(*own, "--out", "o")
    assert (code, "already holds a run" in err) == (2, True)


def test_sktime_is_named_where_it_is_missing(qlstm: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlstm_qiskit.data.labelled_series.find_spec", lambda name: None)
    code, _, err = qlstm(*TASK, "--dataset", "italy_power_demand", *SMALL, "--out", "o")
    assert (code, err.count("\n")) == (2, 1)
    assert "comes with sktime, which is not installed; in a checkout pip install -e '.[sktime]'" in err
    assert not Path("o").exists()
