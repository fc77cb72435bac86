"""Runs with inputs that are known ahead: what is predicted is what pandas and the bare model give by hand."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from qlstm_qiskit.cli import main
from qlstm_qiskit.data import Intervals, Known
from qlstm_qiskit.errors import DataError, OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, load_run, predict_table, resume_run, roll_out, train_run
from qlstm_qiskit.experiments.export import multilinear_reader
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.experiments.runs.intervals import calibrate
from qlstm_qiskit.report.pages.commands import again
from tests.experiments.resumable import interrupted_in

ROWS, WINDOW, END = 80, 3, 7
RANDOM = np.random.default_rng(1)
TABLE = pd.DataFrame(
    {
        "day": pd.date_range("2024-01-01", periods=ROWS),
        "y": 20 + np.cumsum(RANDOM.normal(size=ROWS)),
        "holiday": RANDOM.integers(0, 2, ROWS).astype(float),
        "price": RANDOM.uniform(20, 30, ROWS),
        "sun": RANDOM.normal(size=ROWS),
    }
)
#: The same, with rows to predict at its end.
FUTURE = TABLE.assign(**{name: TABLE[name].where(TABLE.index < ROWS - END) for name in ("y", "sun")})
CASES = {
    "one": {"known": ("holiday",)},
    "two ahead": {"known": ("holiday", "price"), "calendar": ("weekday", "weekend"), "horizon": 2},
    "differences": {"known": ("holiday",), "difference": (1,), "interval": Intervals(0.5, method="adaptive")},
    "also as a feature": {"features": ("price", "y"), "known": ("price",), "interval": Intervals(0.5, method="split")},
    "calendar": {"calendar": ("weekday",), "horizon": 2, "interval": Intervals(0.5)},
    "not fed back": {"features": ("sun",), "known": ("holiday",)},
}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "s.csv"
    TABLE.to_csv(path, index=False)
    return path


def spec(csv: Path, data: dict[str, object], **options: object) -> RunSpec:
    series = DataSpec(csv=str(csv), target="y", window=WINDOW, **data)  # type: ignore[arg-type]
    return RunSpec(data=series, **({"model": "lstm", "hidden_size": 2, "epochs": 2} | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: load_run(train_run(spec(csv, data), folder / name.replace(" ", "-")).path) for name, data in CASES.items()}


def inputs_of(run: Run, table: pd.DataFrame, y: np.ndarray) -> pd.DataFrame:
    """The inputs of all rows, by pandas."""
    data, series = run.spec.data, pd.Series(y)
    for rows in data.difference:
        series = series.diff(int(rows))
    found = pd.DataFrame({name: series if name == "y" else table[name] for name in data.features or ("y",)})
    days = pd.date_range("2024-01-01", periods=len(table) + data.horizon)
    calendar = {"sin(weekday)": np.sin(2 * np.pi * days.weekday / 7), "cos(weekday)": np.cos(2 * np.pi * days.weekday / 7)}
    calendar["weekend"] = (days.weekday > 4).astype(float)
    for name in run.header.features[len(found.columns) :]:
        column, ahead = name.rsplit("+", 1)
        values = calendar[column] if column in calendar else table[column]
        found[name] = pd.Series(values).shift(-int(ahead))
    return found


def by_hand(run: Run, table: pd.DataFrame, row: int, steps: int) -> np.ndarray:
    """Predictions of the rows from this one on, fed back."""
    y = table["y"].to_numpy().copy()
    y[row:] = np.nan
    y = np.concatenate([y, np.full(run.header.horizon, np.nan)])
    longer = table.reindex(range(len(y)))
    found: list[float] = []
    while len(found) < steps:
        end = row + len(found)
        window = run.header.input_scaler.transform(inputs_of(run, longer, y)[end - WINDOW : end].to_numpy())
        with torch.no_grad():
            scaled = run.forecaster(torch.as_tensor(window[None])).numpy()[0]
        values = run.header.target_scaler.inverse(scaled[:, None])[:, 0]
        values = values if run.header.change is None else y[end - 1] + np.cumsum(values)
        y[end : end + len(values)] = values
        found += values.tolist()
    return np.array(found[:steps])


@pytest.mark.parametrize("name", CASES)
def test_a_file_is_predicted_as_by_hand_and_as_training_measured(name: str, runs: dict[str, Run]) -> None:
    run = runs[name]
    table, data = predict_table(run, TABLE), run.dataset
    first, last = WINDOW + run.header.reach, ROWS - (run.header.horizon - 1) * bool(run.spec.data.known)
    found = table["prediction"].to_numpy()
    assert np.isnan(found).tolist() == [row < first or row >= last for row in range(ROWS)]
    for row in range(first, last):
        assert found[row] == pytest.approx(by_hand(run, TABLE, row, 1)[0], rel=1e-11)
    test = data.original(run.predict(data.x_test))
    np.testing.assert_allclose(found[data.n_known : data.n_known + len(test)], test[:, 0], rtol=1e-11)
    if run.header.horizon == 1:
        errors = (found - TABLE["y"])[data.n_known :] / np.ptp(TABLE["y"][: data.n_known]) * 2
        assert run.metrics["test_mse"] == pytest.approx(np.mean(errors**2), rel=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_rows_to_predict_are_predicted_as_by_hand(name: str, runs: dict[str, Run], tmp_path: Path) -> None:
    run, at_once = runs[name], runs[name].header.horizon
    row, steps = ROWS - END, {"not fed back": 1, "two ahead": 6}.get(name, END)
    FUTURE.iloc[::-1].to_csv(tmp_path / "turned.csv", index=False)
    expected = by_hand(run, FUTURE, row, steps)
    for source in (FUTURE, tmp_path / "turned.csv"):
        ahead = roll_out(run, source, steps)
        np.testing.assert_allclose(ahead["prediction"], expected, rtol=1e-10)
        assert list(ahead["day"]) == [str(day.date()) for day in TABLE["day"][row : row + steps]]
        assert (ahead["persistence"] == TABLE["y"][row - 1]).all() or source is not FUTURE
    table = predict_table(run, FUTURE)
    np.testing.assert_allclose(table["prediction"][row : row + steps], expected, rtol=1e-10)
    assert table["prediction"][row + steps :].isna().all()
    before = predict_table(run, TABLE)["prediction"][: row - at_once + 1]
    assert table["prediction"][: row - at_once + 1].equals(before)
    assert table["persistence"][row : row + steps].tolist() == [TABLE["y"][row - 1]] * steps
    if run.spec.data.interval is not None:
        assert (table["lower"] < table["prediction"])[row : row + steps].all()
        for end in ("lower", "upper"):
            assert np.array_equal(table[end][row : row + steps], roll_out(run, FUTURE, steps)[end])


@pytest.mark.parametrize("name", CASES)
def test_nothing_else_that_lies_ahead_is_read(name: str, runs: dict[str, Run]) -> None:
    """Neither what the other columns hold there, nor what is known beyond the farthest row that is predicted."""
    run, row = runs[name], ROWS - END
    steps = run.header.horizon
    expected = roll_out(run, FUTURE, steps)
    other = FUTURE.copy()
    other.loc[row:, "sun"] = 1e6
    other.loc[row + steps :, ["holiday", "price"]] = [[5.0, -3.0]]
    assert roll_out(run, other, steps).equals(expected)
    if run.spec.data.known:
        other.loc[row, ["holiday", "price"]] += 1
        assert not np.allclose(roll_out(run, other, steps)["prediction"], expected["prediction"])


def test_test_rows_change_no_parameter(csv: Path, runs: dict[str, Run], tmp_path: Path) -> None:
    run, other = runs["one"], TABLE.copy()
    other.loc[run.dataset.n_known :, ["y", "holiday", "price", "sun"]] += 3
    other.to_csv(tmp_path / "other.csv", index=False)
    found = train_run(spec(tmp_path / "other.csv", CASES["one"]), tmp_path / "run")
    assert found.header == run.header
    for key, value in run.forecaster.state_dict().items():
        assert torch.equal(value, found.forecaster.state_dict()[key])
    assert found.metrics["test_mse"] != run.metrics["test_mse"]


def test_a_frame_in_python_is_predicted_alike(runs: dict[str, Run]) -> None:
    for name, run in runs.items():
        first, at_once = WINDOW + run.header.reach, run.header.horizon
        values = run.predict(FUTURE)
        assert values.shape == (ROWS - END - first + 1, at_once), name
        np.testing.assert_allclose(values[-1], roll_out(run, FUTURE, at_once)["prediction"], rtol=1e-12)
        inputs = inputs_of(run, TABLE, TABLE["y"].to_numpy())
        if run.header.change is None:
            windows = np.stack([inputs[row - WINDOW : row] for row in range(first, ROWS - END + 1)])
            np.testing.assert_allclose(run.predict(windows, units="original"), values, rtol=1e-12)
    short = runs["two ahead"].predict(TABLE)
    assert len(short) == ROWS - WINDOW + 1 - 2, "windows whose rows to predict are not known are left out"
    with pytest.raises(
        DataError, match=r"has no window of 3 rows with holiday, price, .* in the 2 rows after it; add such rows"
    ):
        runs["two ahead"].predict(TABLE[:4])


def test_what_is_not_known_far_enough_is_said(runs: dict[str, Run], tmp_path: Path) -> None:
    FUTURE.to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(DataError) as caught:
        roll_out(runs["one"], tmp_path / "f.csv", 9)
    assert str(caught.value) == (
        f"{tmp_path / 'f.csv'}: 'y' ends in line 74 (2024-03-13), and 'holiday', which is to be known ahead, ends 7 rows "
        "later; a forecast of 9 rows needs it in 9 rows after 'y' ends: add 2 more, with 'y' left empty."
    )
    with pytest.raises(DataError, match="ends there, too; a forecast of 1 row needs it in 1 row after 'y' ends: add 1 more"):
        roll_out(runs["one"], TABLE, 1)
    holes = FUTURE.copy()
    holes.loc[ROWS - 3, "price"] = np.nan
    with pytest.raises(DataError, match="'price', .* ends 4 rows later; a forecast of 5 rows, 2 at once, needs it in 6 rows"):
        roll_out(runs["two ahead"], holes, 5)
    found = predict_table(runs["two ahead"], holes)["prediction"]
    assert found.notna().tolist() == [WINDOW <= row < ROWS - 3 for row in range(ROWS)]
    with pytest.raises(OptionError, match="from sun, holiday\\+1, whose future is unknown; ask for a horizon of at most 1"):
        roll_out(runs["not fed back"], FUTURE, 2)
    with pytest.raises(OptionError, match="unknown column 'holiday'"):
        roll_out(runs["one"], TABLE.drop(columns="holiday"), 1)


def test_the_calendar_goes_on_where_a_rule_says_the_dates(runs: dict[str, Run]) -> None:
    run = runs["calendar"]
    longer = TABLE.reindex(range(ROWS + 5))
    np.testing.assert_allclose(roll_out(run, TABLE, 5)["prediction"], by_hand(run, longer, ROWS, 5), rtol=1e-10)
    odd = TABLE.assign(day=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) ** 2, unit="h"))
    with pytest.raises(
        DataError, match=r"the dates follow no rule that says the next ones, .* those of 4 rows after row 80 .*add 4"
    ):
        roll_out(run, odd, 3)
    odd.loc[ROWS - 4 :, "y"] = np.nan  # rows of dates alone
    assert len(roll_out(run, odd, 3)) == 3
    with pytest.raises(DataError, match="has no dates that weekday could be made from"):
        roll_out(run, TABLE.drop(columns="day"), 2)


def test_what_can_only_be_known_ahead_is_learned(tmp_path: Path) -> None:
    """Holidays at random decide the value: without them there is nothing to learn."""
    holiday = np.random.default_rng(5).integers(0, 2, 200).astype(float)
    pd.DataFrame({"y": np.where(holiday > 0, 5.0, 1.0), "holiday": holiday}).to_csv(tmp_path / "h.csv", index=False)
    options = {"hidden_size": 3, "epochs": 40, "lr": 0.02}
    with_it = train_run(spec(tmp_path / "h.csv", {"known": ("holiday",)}, **options), tmp_path / "with")
    without = train_run(spec(tmp_path / "h.csv", {"features": ("y", "holiday")}, **options), tmp_path / "without")
    assert with_it.metrics["test_mse"] < 0.01
    assert without.metrics["test_mse"] > 0.8


def test_intervals_are_calibrated_with_what_was_known_then(runs: dict[str, Run]) -> None:
    for name in ("differences", "also as a feature", "calendar"):
        run, steps = runs[name], 4
        found = calibrate(run, steps)
        assert found is not None
        y, known = TABLE["y"].to_numpy(), run.dataset.n_known
        scores = np.full((len(run.dataset.rows[1]), steps), np.nan)
        for place, row in enumerate(run.dataset.rows[1]):
            there = min(steps, known - row)
            scores[place, :there] = np.abs(by_hand(run, TABLE, int(row), steps)[:there] - y[row : row + there])
        for step in range(steps):
            own = np.sort(scores[:, step][~np.isnan(scores[:, step])])
            assert found.radius[step] == pytest.approx(own[int(np.ceil((len(own) + 1) / 2)) - 1], rel=1e-9)


def test_going_on_after_ctrl_c_gives_the_same_bits(csv: Path, runs: dict[str, Run], tmp_path: Path) -> None:
    with interrupted_in(1):
        train_run(spec(csv, CASES["two ahead"]), tmp_path / "cut")
    resume_run(tmp_path / "cut")
    whole = runs["two ahead"].path
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["two ahead", "differences"])
def test_circuits_and_exports_read_the_same_windows(name: str, csv: Path, tmp_path: Path) -> None:
    run = train_run(
        spec(csv, CASES[name] | {"calendar": ()}, model="config1", hidden_size=1, depth=1, epochs=1), tmp_path / "run"
    )
    windows = run.dataset.x_test
    inputs = inputs_of(run, TABLE, TABLE["y"].to_numpy())
    for kind in ("qasm3", "multilinear"):
        export_run(run.path, kind, tmp_path / kind)
    loaded = load_exported(tmp_path / "qasm3")
    assert loaded.header.known == run.header.known == Known(tuple(CASES[name]["known"]))  # type: ignore[arg-type]
    np.testing.assert_allclose(loaded.predict(windows), run.predict(windows), rtol=1e-12)
    model = multilinear_reader.load(tmp_path / "multilinear" / "multilinear.json")
    np.testing.assert_allclose(multilinear_reader.predict(model, windows, scaled=True), run.predict(windows), rtol=1e-9)
    inputs["y"] = TABLE["y"]
    length = WINDOW + run.header.reach
    last = ROWS - run.header.horizon
    own = np.stack([inputs[row - length : row] for row in range(length, last + 1)])
    own[:, :, 1:] = np.nan_to_num(own[:, :, 1:])
    for predict in (lambda w: loaded.predict(w, scaled=False), lambda w: multilinear_reader.predict(model, w)):
        np.testing.assert_allclose(predict(own)[:, 0], predict_table(run, TABLE)["prediction"][length : last + 1], rtol=1e-9)


def test_the_command_that_makes_it_again(runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs["two ahead"]
    command = again(run.spec, run.path)
    assert "--known holiday,price --calendar weekday,weekend" in command
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["qlstm"])
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(command)[1:])
    assert not caught.value.code
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()


def test_folders_say_it_and_what_contradicts_is_refused(csv: Path, runs: dict[str, Run], tmp_path: Path) -> None:
    plain = train_run(spec(csv, {}), tmp_path / "plain")
    assert not {"known", "calendar"} & set(json.loads((plain.path / "config.json").read_text())["data"])
    assert plain.weights is not None
    assert "known" not in plain.weights.model_dump(mode="json")
    for number, (run, edit) in enumerate(((runs["one"], {"known": []}), (plain, {"calendar": ["month"]}))):
        folder = shutil.copytree(run.path, tmp_path / str(number))
        config = json.loads((folder / "config.json").read_text())
        config["data"] |= edit
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(RunError, match=r"says data.known and data.calendar .* restore the one that was changed"):
            load_run(folder)


@pytest.mark.parametrize(
    "change", [{"columns": ["holiday", "price"]}, {"calendar": ["weekdy"]}, {"x": 1}, {"columns": 3}], ids=str
)
def test_damage_is_one_line(change: dict[str, object], runs: dict[str, Run], tmp_path: Path) -> None:
    folder = shutil.copytree(runs["one"].path, tmp_path / "copy")
    with safe_open(folder / "model.safetensors", "pt") as opened:
        header = json.loads(opened.metadata()["qlstm_qiskit"])
    header["known"] |= change
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors", {"qlstm_qiskit": json.dumps(header)})
    with pytest.raises(RunError, match="known") as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)


def test_a_series_by_name_has_none() -> None:
    with pytest.raises(OptionError, match="known and calendar go with a CSV file; the dataset 'nile' has no such columns"):
        DataSpec(dataset="nile", known=("a",)).load()
