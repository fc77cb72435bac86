"""Files as people have them: read rightly by `train`, `predict`, `report` and the estimator, or refused in one line."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.data import Reading, load_csv, make_dataset

N = 60
VALUES = np.round(1000 + 200 * np.sin(np.arange(N)) + np.arange(N), 2)
DAYS = pd.date_range("2023-11-20", periods=N, freq="D")
MONTHS = pd.date_range("2015-01-01", periods=N, freq="MS")
BUSINESS = pd.bdate_range("2024-01-02", periods=N)
SMALL = ["--target", "y", "--model", "lstm", "--hidden-size", 1, "--epochs", 1]


def german(value: float) -> str:
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def table(header: str, rows: list[str], newline: str = "\n") -> str:
    return newline.join([header, *rows]) + newline


def by_hand(text: str, **options: object) -> pd.DataFrame:
    """What `pandas.read_csv` makes of it, told all there is to know."""
    return pd.read_csv(pd.io.common.StringIO(text), **options)


def excel() -> tuple[bytes, pd.DataFrame, str]:
    text = table("Datum;y;Größe", [f"{day:%d.%m.%Y};{german(v)};x" for day, v in zip(DAYS, VALUES, strict=True)], "\r\n")
    return (
        text.encode("cp1252"),
        by_hand(text, sep=";", decimal=",", thousands="."),
        ("encoding cp1252, separator ';', decimal ',', thousands '.', dates in column 'Datum' (daily, day first)"),
    )


def excel_unicode() -> tuple[bytes, pd.DataFrame, str]:
    text = table("sep=;\nDatum;y", [f"{day:%d.%m.%Y};{german(v)}" for day, v in zip(DAYS, VALUES, strict=True)])
    return text.encode("utf-16"), by_hand(text, sep=";", decimal=",", thousands=".", skiprows=1), "encoding utf-16"


def newest_first() -> tuple[bytes, pd.DataFrame, str]:
    rows = [f"{day:%Y-%m-%d},{v}" for day, v in zip(BUSINESS, VALUES, strict=True)]
    text = table("Date,y", rows[::-1])
    return text.encode(), by_hand(text).iloc[::-1], "dates in column 'Date' (business days), newest row first, turned round"


def units() -> tuple[bytes, pd.DataFrame, str]:
    text = table("# made by a logger\n# v2, today\ntime\ty", ["s\tkPa", *(f"{k}\t{v}" for k, v in enumerate(VALUES))])
    return (
        text.encode(),
        by_hand(text, sep="\t", skiprows=[0, 1, 3]),
        ("separator tab, 2 lines of comments left out, a line of units left out"),
    )


def thousands() -> tuple[bytes, pd.DataFrame, str]:
    text = table("when,y", [f'{day:%m/%d/%Y},"{v:,.2f}"' for day, v in zip(DAYS, VALUES, strict=True)])
    return text.encode(), by_hand(text, thousands=","), "thousands ',', dates in column 'when' (daily, month first)"


def compressed() -> tuple[bytes, pd.DataFrame, str]:
    text = table("y|day", [f"{v}|{day:%d %b %Y}" for day, v in zip(DAYS, VALUES, strict=True)])
    return gzip.compress(text.encode()), by_hand(text, sep="|"), "separator '|', dates in column 'day' (daily)"


def in_the_middle() -> tuple[bytes, pd.DataFrame, str]:
    text = table('"a, b",day,y', [f"{k},{day:%d/%m/%Y},{v}" for k, (day, v) in enumerate(zip(MONTHS, VALUES, strict=True))])
    return text.encode(), by_hand(text), "dates in column 'day' (monthly, day first)"


def zones() -> tuple[bytes, pd.DataFrame, str]:
    hours = pd.date_range("2024-10-26", periods=N, freq="h", tz="Europe/Berlin")  # clocks are put back
    text = table("t,y", [f"{hour.isoformat()},{v}" for hour, v in zip(hours, VALUES, strict=True)])
    return text.encode(), by_hand(text), "dates in column 't' (hourly, UTC)"


def repeated() -> tuple[bytes, pd.DataFrame, str]:
    days = [*DAYS[:30], *DAYS[29:-1]]
    text = table("day,y", [f"{day:%Y-%m-%d},{v}" for day, v in zip(days, VALUES, strict=True)])
    return text.encode(), by_hand(text), "1 date repeated (2023-12-19 in lines 31 and 32)"


def gap() -> tuple[bytes, pd.DataFrame, str]:
    rows = [f"{day:%Y-%m-%d},{v}" for day, v in zip(DAYS, VALUES, strict=True)]
    text = table("day,y", rows[:20] + rows[23:])
    return text.encode(), by_hand(text), "(daily), 3 dates missing (2023-12-10, 2023-12-11, 2023-12-12)"


def unsorted() -> tuple[bytes, pd.DataFrame, str]:
    rows = [f"{day:%Y-%m-%d},{v}" for day, v in zip(DAYS, VALUES, strict=True)]
    text = table("date,y", [*rows[40:], *rows[:40]])
    frame = by_hand(text)
    return text.encode(), frame.sort_values("date"), "dates in column 'date' (daily), rows sorted by 'date'"


def blanks() -> tuple[bytes, pd.DataFrame, str]:
    text = table("\n\nyear   y", [f"{1900 + k}   {v}" for k, v in enumerate(VALUES)])
    return text.encode(), by_hand(text, sep=r"\s+"), "separator space, dates in column 'year' (yearly)"


FILES: dict[str, Callable[[], tuple[bytes, pd.DataFrame, str]]] = {
    one.__name__: one
    for one in (
        *(excel, excel_unicode, newest_first, units, thousands, compressed),
        *(in_the_middle, zones, repeated, gap, unsorted, blanks),
    )
}


@pytest.mark.parametrize("kind", FILES)
def test_a_messy_file_is_what_pandas_makes_of_it(qlstm, kind: str) -> None:
    content, frame, said = FILES[kind]()
    Path("s.csv").write_bytes(content)
    code, out, err = qlstm("train", "--csv", "s.csv", *SMALL, "--out", "o")
    assert (code, err) == (0, "")
    assert out.startswith("s.csv: ")
    assert said in out.split("\n")[0]
    y = frame["y"].to_numpy(np.float64)
    hand, read = make_dataset("s", y[:, None], y, features=["y"], target_name="y"), load_csv("s.csv", "y")
    for name in ("values", "x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(read, name), getattr(hand, name))
    pd.DataFrame({"y": y}).to_csv("plain.csv", index=False)
    assert qlstm("train", "--csv", "plain.csv", *SMALL, "--out", "plain")[0] == 0
    ours, theirs = (json.loads(Path(run, "metrics.json").read_text()) for run in ("o", "plain"))
    assert (ours["test"], ours["train_mse"]) == (theirs["test"], theirs["train_mse"])
    assert qlstm("evaluate", "o", "--json")[0] == 0, "the file is read again as the run says"
    code, out, _ = qlstm("predict", "o", "--csv", "s.csv", "--out", "p.csv", "--json")
    assert code == 0
    assert said in json.loads(out)["read"]
    np.testing.assert_array_equal(pd.read_csv("p.csv")["y"], y)
    assert qlstm("report", "o", "--out", "o.html")[0] == 0


def test_the_same_for_the_estimator_and_a_frame() -> None:
    content, frame, _ = newest_first()
    path = Path("newest.csv")
    try:
        path.write_bytes(content)
        file = load_csv(path, "y")
    finally:
        path.unlink()
    given = frame.set_index(pd.to_datetime(frame.pop("Date")))
    data = load_csv(given.iloc[::-1], "y")
    assert data.said == "the DataFrame: dates in column 'Date' (business days), newest row first, turned round"
    np.testing.assert_array_equal(data.x_train, file.x_train)
    models = [QLSTMRegressor(model="lstm", hidden_size=1, max_epochs=1, seed=0).fit(d.x_train, d.y_train) for d in (data, file)]
    np.testing.assert_array_equal(models[0].predict(data.x_test), models[1].predict(file.x_test))


REFUSED: dict[str, tuple[str, list[object], str]] = {
    "ambiguous numbers": (table("d;y", [f"{k};{k + 1}.{k % 9}50" for k in range(30)]), [], "can be read in two ways"),
    "ambiguous days": (table("d,y", [f"0{k}/01/2024,{k}" for k in range(1, 8)]), ["--window", 1], "--dayfirst"),
    "two ways of dates": (table("d,y", [*(f"{k}/01/2024,1" for k in range(1, 28)), "01/28/2024,1"]), [], "in one way"),
    "missing": (table("d;y", [f"{k};{'' if k == 5 else k}" for k in range(30)]), [], "line 7, column 'y': a value is missing"),
    "marks": (
        table("y", [str(-999 if k == 5 else k) for k in range(30)]),
        ["--na", "-999"],
        "line 7, column 'y'",
    ),
    "two series": (table("date,y", [f"2024-01-{k:02d},{k}" for k in range(1, 29)] * 2), [], "several series"),
    "no date": (
        table("date,y", [*(f"2024-01-{k:02d},{k}" for k in range(28, 0, -1)), "?,1"]),
        [],
        "line 30, column 'date'",
    ),
    "no such date column": (table("d,y", ["1,2"] * 30), ["--date-column", "dat"], "unknown date column 'dat'"),
    "an unknown method": (table("d,y", ["1,2"] * 30), ["--impute", "cubic"], "unknown impute 'cubic'"),
    "a separator of two signs": (table("d,y", ["1,2"] * 30), ["--sep", ";;"], "sep is ';;'"),
    "an encoding": (table("d,y", ["1,2"] * 30), ["--encoding", "win"], "which Python does not know"),
    "both signs": (table("d,y", ["1,2"] * 30), ["--decimal", ",", "--thousands", ","], "must differ"),
    "units that are none": (table("d,y", ["1,2"] * 30), ["--units"], "leave out --units"),
    "a title": ("Report of May\n\n" + table("d,y", ["1,2"] * 30), [], "--skip"),
    "nothing before": (table("d,y", ["1,", *["1,2"] * 30]), ["--impute", "ffill"], "at the start"),
    "time without dates": (table("d,y", ["1,2"] * 30), ["--impute", "time"], "needs dates"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_known_is_one_line(qlstm, kind: str) -> None:
    text, options, message = REFUSED[kind]
    Path("s.csv").write_text(text)
    code, out, err = qlstm("train", "--csv", "s.csv", *SMALL, *options, "--out", "o")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not Path("o").exists()


def test_said_options_settle_what_is_open(qlstm) -> None:
    Path("s.csv").write_text(REFUSED["ambiguous numbers"][0])
    for options, first in ((["--decimal", "."], 1.05), (["--thousands", ".", "--decimal", ","], 1050)):
        name = f"o{first}"
        assert qlstm("train", "--csv", "s.csv", *SMALL, *options, "--out", name)[0] == 0
        code, _, _ = qlstm("predict", name, "--csv", "s.csv", "--out", f"{name}.json", "--json")
        assert code == 0
        assert json.loads(Path(f"{name}.json").read_text())[0]["y"] == first
    Path("s.csv").write_text("Report of May\n\n" + table("d,y", [f"{k},{k % 5}" for k in range(30)]))
    assert qlstm("train", "--csv", "s.csv", *SMALL, "--skip", 1, "--out", "skipped")[0] == 0


@pytest.mark.parametrize("method", ["ffill", "linear", "time"])
def test_missing_values_and_dates_are_filled_in_as_pandas_does(qlstm, method: str) -> None:
    kept = [k for k in range(N) if k not in (20, 21)]
    rows = [f"{DAYS[k]:%Y-%m-%d},{'n/a' if k == 30 else -9 if k == 40 else VALUES[k]}" for k in kept]
    Path("s.csv").write_text(table("day,y", rows))
    command = ["train", "--csv", "s.csv", *SMALL, "--impute", method, "--na", "-9"]
    code, out, err = qlstm(*command, "--out", "o")
    assert (code, err) == (0, "")
    assert f"2 dates missing (2023-12-10, 2023-12-11), 2 values and 2 rows filled in ({method})" in out
    wanted = pd.Series(VALUES, DAYS)
    wanted.iloc[[20, 21, 30, 40]] = np.nan
    wanted = wanted.ffill() if method == "ffill" else wanted.interpolate(method)
    read = load_csv("s.csv", "y", reading=Reading(impute=method, na=("-9",)))
    np.testing.assert_array_equal(read.values, wanted)
    assert json.loads(Path("o/config.json").read_text())["data"]["reading"] == {"na": ["-9"], "impute": method}
    assert qlstm("predict", "o", "--csv", "s.csv", "--out", "p.csv")[0] == 0
    result = pd.read_csv("p.csv")
    assert result["day"].tolist() == [f"{day:%Y-%m-%d}" for day in DAYS]
    np.testing.assert_array_equal(result["y"], wanted)


def test_forecasts_have_the_dates_that_come_next(qlstm) -> None:
    for kind, nexts in (
        ("in_the_middle", ["2020-01-01", "2020-02-01", "2020-03-01"]),
        ("newest_first", [f"{day:%Y-%m-%d}" for day in pd.bdate_range(BUSINESS[-1], periods=4)[1:]]),
        ("blanks", [1960, 1961, 1962]),
        ("gap", ["2024-01-19", "2024-01-20", "2024-01-21"]),
        ("zones", ["2024-10-28T10:00:00+00:00", "2024-10-28T11:00:00+00:00", "2024-10-28T12:00:00+00:00"]),
    ):
        Path("s.csv").write_bytes(FILES[kind]()[0])
        assert qlstm("train", "--csv", "s.csv", *SMALL, "--out", kind)[0] == 0
        for name in ("csv", "json"):
            code, out, _ = qlstm("predict", kind, "--csv", "s.csv", "--horizon", 3, "--out", f"{kind}.{name}")
            assert code == 0
            assert all(f" {date} " in out for date in nexts), "as in the file, a year without a comma"
        column = {"in_the_middle": "day", "newest_first": "Date", "blanks": "year", "gap": "day", "zones": "t"}[kind]
        assert pd.read_csv(f"{kind}.csv")[column].tolist() == nexts
        assert [row[column] for row in json.loads(Path(f"{kind}.json").read_text())] == nexts
    rows = [f"{day:%Y-%m-%d},{v}" for day, v in zip(BUSINESS, VALUES, strict=True) if day.day != 19]
    Path("s.csv").write_text(table("date,y", rows))
    code, out, _ = qlstm("train", "--csv", "s.csv", *SMALL, "--out", "holidays")
    assert (code, "(business days), 3 business days missing (2024-01-19, 2024-02-19, 2024-03-19)" in out) == (0, True)
    assert qlstm("predict", "holidays", "--csv", "s.csv", "--horizon", 3, "--out", "h.csv")[0] == 0
    assert list(pd.read_csv("h.csv").columns) == ["step", "prediction", "persistence"], "rows are counted"


def test_metrics_say_from_when_to_when_each_part_predicts(qlstm) -> None:
    """60 rows are 54 windows of 4 rows and 3 to predict; number 36 is the first that tests, and the 2 before do not train."""
    Path("s.csv").write_bytes(newest_first()[0])
    cut = ["--horizon", 3, "--interval", 0.5, "--calibration-fraction", 0.25]
    assert qlstm("train", "--csv", "s.csv", *SMALL, *cut, "--out", "o")[0] == 0
    days = [f"{day:%Y-%m-%d}" for day in BUSINESS]
    found = json.loads(Path("o/metrics.json").read_text())["dates"]
    assert found.pop("column") == "Date"
    assert found.pop("frequency") == "B"
    n_aside = 8  # a quarter of the 34 that would train
    assert found == {
        "train": [days[4], days[4 + 34 - n_aside - 2 - 1 + 2]],
        "calibration": [days[4 + 34 - n_aside], days[4 + 34 - 1 + 2]],
        "test": [days[36 + 4], days[59]],
    }
    assert qlstm("report", "o", "--out", "o.html")[0] == 0
    assert f"{days[40]} to {days[59]}" in Path("o.html").read_text()
    Path("s.csv").write_bytes(blanks()[0])
    assert qlstm("train", "--csv", "s.csv", *SMALL, "--out", "years")[0] == 0
    years = json.loads(Path("years/metrics.json").read_text())["dates"]
    assert years["test"] == [years["train"][1] + 1, 1959]


def test_a_short_file_is_read_as_the_run_was(qlstm) -> None:
    """Its few dates and numbers would leave open what they mean."""
    Path("s.csv").write_bytes(excel()[0])
    assert qlstm("train", "--csv", "s.csv", *SMALL, "--out", "o")[0] == 0
    Path("new.csv").write_text(table("Datum;y", [f"0{k}.02.2024;1.20{k}" for k in range(1, 7)]))
    assert qlstm("predict", "o", "--csv", "new.csv", "--horizon", 1, "--out", "p.csv")[0] == 0
    forecast = pd.read_csv("p.csv")
    assert forecast["Datum"].tolist() == ["2024-02-07"]
    assert forecast["persistence"].tolist() == [1206]
    Path("plain.csv").write_text(table("date,y", [f"2024-02-0{k},120{k}.5" for k in range(1, 7)]))
    assert qlstm("predict", "o", "--csv", "plain.csv", "--horizon", 1, "--out", "q.csv")[0] == 0
    assert pd.read_csv("q.csv")["persistence"].tolist() == [1206.5]


def test_a_file_without_units_loses_no_row_to_a_run_that_had_them(qlstm) -> None:
    Path("s.csv").write_bytes(units()[0])
    assert qlstm("train", "--csv", "s.csv", *SMALL, "--out", "o")[0] == 0
    Path("new.csv").write_text(table("time\ty", [f"{k}\t{v}" for k, v in enumerate(VALUES)]))
    assert qlstm("predict", "o", "--csv", "new.csv", "--out", "new.json")[0] == 0
    assert qlstm("predict", "o", "--csv", "s.csv", "--out", "old.json")[0] == 0
    assert Path("new.json").read_bytes() == Path("old.json").read_bytes()


def test_a_plain_file_leaves_no_word_of_how_it_was_read(qlstm) -> None:
    Path("s.csv").write_text(table("date,y", [f"{day:%Y-%m-%d},{v}" for day, v in zip(DAYS, VALUES, strict=True)]))
    assert qlstm("train", "--csv", "s.csv", *SMALL, "--out", "o")[0] == 0
    assert "reading" not in json.loads(Path("o/config.json").read_text())["data"]


def test_an_older_run_reads_its_rows_as_they_are(qlstm) -> None:
    """Rows in no order were trained on, with a warning, by versions that recorded nothing of reading."""
    Path("s.csv").write_bytes(unsorted()[0])
    with pytest.warns(UserWarning, match="not in the order"):
        data = load_csv("s.csv", "y", reading=Reading(sort=False))
    np.testing.assert_array_equal(data.values, pd.read_csv("s.csv")["y"])
    code, _, _ = qlstm("train", "--csv", "s.csv", *SMALL, "--no-sort", "--out", "o")
    assert code == 0
    content = json.loads(Path("o/config.json").read_text())
    assert content["data"].pop("reading") == {"sort": False}
    Path("o/config.json").write_text(json.dumps(content))
    assert qlstm("evaluate", "o")[0] == 2, "the weights say otherwise"


def test_a_run_is_made_again_by_the_command_of_its_page(qlstm) -> None:
    from qlstm_qiskit.experiments import load_spec
    from qlstm_qiskit.report.pages.commands import again

    Path("s.csv").write_bytes(excel()[0])
    assert qlstm("train", "--csv", "s.csv", *SMALL, "--na", "-", "--out", "o")[0] == 0
    command = again(load_spec("o"), Path("o"))
    for words in ("--sep ';'", "--decimal ,", "--thousands .", "--na -", "--encoding cp1252", "--date-column Datum --dayfirst"):
        assert words in command


def test_parquet_is_read_like_the_frame_that_it_holds(qlstm, monkeypatch: pytest.MonkeyPatch) -> None:
    from qlstm_qiskit.data import content

    Path("s.parquet").write_bytes(b"PAR1 and more")
    frame = pd.DataFrame({"day": DAYS, "y": VALUES})
    monkeypatch.setattr(content, "find_spec", lambda name: None)
    code, _, err = qlstm("train", "--csv", "s.parquet", *SMALL, "--out", "o")
    assert (code, err.count("\n")) == (2, 1)
    assert "needs pyarrow" in err
    monkeypatch.setattr(content, "find_spec", lambda name: name)
    monkeypatch.setattr(pd, "read_parquet", lambda file: frame[::-1].reset_index(drop=True))
    code, out, err = qlstm("train", "--csv", "s.parquet", *SMALL, "--out", "o")
    assert (code, err) == (0, "")
    assert "s.parquet: dates in column 'day' (daily), newest row first, turned round" in out
    np.testing.assert_array_equal(load_csv("s.parquet", "y").values, VALUES, strict=True)


def test_a_zip_and_a_gzip_that_their_names_do_not_say(tmp_path: Path) -> None:
    text = table("y", list(map(str, VALUES)))
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("s.csv", text)
    (tmp_path / "s.csv").write_bytes((tmp_path / "s.zip").read_bytes())
    for name in ("s.zip", "s.csv"):
        np.testing.assert_array_equal(load_csv(tmp_path / name, "y").values, VALUES, strict=True)
