"""Rows in time order: which tables are refused, which are warned of, and which say nothing of it."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.data import load_csv, require_time_order
from qlstm_qiskit.errors import DataError

DAYS = pd.date_range("2023-11-20", periods=150, freq="D")
HOURS = pd.date_range("2024-10-25", periods=200, freq="h", tz="Europe/Berlin")  # clocks are put back on the third day
FORMATS = ["%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%d-%b-%y", "%B %d, %Y", "%Y-%m", "%Y-%m-%dT%H:%M:%SZ"]


def said(columns: dict[str, Sequence[object]]) -> str:
    """What is said of a table: "", "warned", or the error."""
    n = len(next(iter(columns.values())))
    table = pd.DataFrame({name: [str(value) for value in column] for name, column in columns.items()} | {"y": ["1"] * n})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            require_time_order(table, "y", "f.csv")
        except DataError as error:
            return str(error)
    return "warned" if seen else ""


@pytest.mark.parametrize("form", FORMATS)
def test_the_newest_row_first_is_refused(form: str) -> None:
    written = list(DAYS.strftime(form))
    assert said({"when": written}) == ""
    assert said({"when": written[::-1]}).startswith(
        f"f.csv: the newest row comes first (column 'when': {written[-1]} in line 2, {written[0]} in line 151)"
    )


@pytest.mark.parametrize(
    "column",
    [
        HOURS,
        HOURS.tz_localize(None),
        [f"{day:%Y-%m-%d}" if day.day % 2 else f"{day:%d %b %Y}" for day in DAYS],
        [f"{year}Q{quarter}" for year in range(1990, 2020) for quarter in (1, 2, 3, 4)],
        [f"0{day}/05/2024" for day in range(1, 9)],  # days or months
        [f"{year}-01-01" for year in range(1600, 1800)],
        [f"{day}-06-01" for day in range(2560, 2600)],
    ],
    ids=["zones", "clocks put back", "two formats", "quarters", "day or month", "long ago", "another calendar"],
)
def test_dates_of_other_kinds(column: Sequence[object]) -> None:
    assert said({"when": column}) == ""
    assert "the newest row comes first" in said({"when": list(column)[::-1]})


@pytest.mark.parametrize("name", ["Year", "timestamp", "openTime", "trade_date", "unix_time"])
def test_numbers_are_times_by_their_name(name: str) -> None:
    assert "the newest row comes first" in said({name: range(2020, 1900, -1)})
    assert said({name: range(1900, 2020)}) == ""
    assert said({name: np.sin(np.arange(99))}) == ""


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("temperature", range(150, 0, -1)),
        ("time_to_failure", range(150, 0, -1)),
        ("id", [f"A{number:05d}" for number in range(150, 0, -1)]),
        ("address", [f"10.0.{number}.1" for number in range(150, 0, -1)]),
        ("version", [f"1.{number}.0" for number in range(99, 0, -1)]),
        ("age", ["30-40", "20-30", "10-20"] * 50),
        ("weekday", DAYS.strftime("%a")[::-1]),
        ("sales", [f"{number:,}" for number in range(20000, 10000, -50)]),
        ("time", [f"{hour % 24:02d}:00" for hour in range(150)]),
        ("when", [""] * 50),
        ("when", ["2024-01-01"] * 50),
    ],
)
def test_what_is_no_date_is_left_alone(name: str, column: Sequence[object]) -> None:
    assert said({name: column}) == ""


def test_dates_in_no_order_are_warned_of() -> None:
    shuffled = np.random.default_rng(3).permutation(DAYS.strftime("%Y-%m-%d"))
    assert said({"when": shuffled}) == "warned"
    assert said({"when": [*DAYS, *DAYS]}) == "warned", "two series below one another"
    assert said({"when": DAYS, "changed": shuffled}) == "", "rows are in the order of one column"


def test_a_column_to_predict_is_no_time(tmp_path: Path) -> None:
    path = tmp_path / "decay.csv"
    path.write_text("time\n" + "\n".join(map(str, range(90, 0, -1))))
    assert load_csv(path, "time").values[0] == 90


def test_few_rows_of_a_large_table_are_read_as_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = pd.date_range("1990-01-01", periods=100_000, freq="min").strftime("%Y-%m-%d %H:%M:%S")
    plain, rows = pd.to_datetime, []

    def counted(text: pd.Series, **options):
        rows.append(len(text))
        return plain(text, **options)

    monkeypatch.setattr(pd, "to_datetime", counted)
    assert "the newest row comes first" in said({"when": minutes[::-1]})
    assert 0 < sum(rows) < 1000
