"""Odd values of options, and files that are no series: one line and exit code 2, at once."""

import gzip
import json
import os
import threading
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import typer

from qlstm_qiskit.cli import streams
from qlstm_qiskit.cli.app import app
from qlstm_qiskit.cli.options import split_names
from qlstm_qiskit.data import read_table, source
from qlstm_qiskit.errors import DataError
from qlstm_qiskit.storage import write_atomically
from tests.speed import slow_but

SERIES = "t,y,z\n" + "".join(f"{k},{k % 5},{k % 3}\n" for k in range(30))
LSTM = ["train", "--csv", "s.csv", "--target", "y", "--model", "lstm", "--hidden-size", 1, "--epochs", 1, "--out", "o"]
ONE = ["train", "--csv", "s.csv", "--target", "y", "--model", "config1", "--epochs", 1, "--out", "o"]

#: Command -> its options that take a number, and what it needs beside them; nothing of it trains.
NUMBERS = {
    "train": (ONE, ["--hidden-size", "--depth", "--n-qubits", "--num-layers", "--window", "--horizon", "--season", "--epochs"]),
    "train more": (ONE, ["--batch-size", "--patience", "--train-fraction", "--valid-fraction"]),
    "train spsa": ([*ONE, "--optimizer", "spsa"], ["--spsa-resamplings"]),
    "train lstm": (LSTM, ["--hidden-size", "--num-layers", "--window", "--horizon", "--epochs"]),
    "space show": (["space", "show"], ["--n-qubits", "--depth"]),
    "space analyze": (["space", "analyze", "--n-qubits", 2], ["--n-qubits", "--outputs", "--samples"]),
    "table": (["table", "--study", "st.yaml", "--out", "t"], ["--seeds", "--epochs", "--jobs"]),
    "scaling": (["scaling", "--axes", "hidden", "--out", "sc"], ["--epochs", "--seeds", "--repeats", "--jobs"]),
}
STUDY = "name: s\nseeds: 1\ndatasets: {s: {csv: s.csv, target: y}}\nrows: {p: {control: {control: persistence}}}\n"


@pytest.mark.parametrize("value", slow_but([10**30], [-1, 10**11, 10**30, "1" * 5000, "", "nan"]))
@pytest.mark.parametrize(("command", "option"), [(name, own) for name, (_, options) in NUMBERS.items() for own in options])
def test_a_number_that_no_option_takes_is_one_line(qlstm, command: str, option: str, value: object) -> None:
    Path("s.csv").write_text(SERIES)
    Path("st.yaml").write_text(STUDY)
    if option == "--patience":
        option_values = ["--valid-fraction", 0.2, f"{option}={value}"]
    else:
        option_values = [f"{option}={value}"]
    before = sorted(path.name for path in Path().iterdir())
    code, out, err = qlstm(*NUMBERS[command][0], *option_values)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) < 6000
    assert sorted(path.name for path in Path().iterdir()) == before


@pytest.mark.parametrize("value", slow_but([-1, "nan"], [-1, "", "nan", "inf", "-1e308", "1e400"]))
@pytest.mark.parametrize("option", ["--lr", "--angle-std", "--spsa-eps", "--train-fraction", "--valid-fraction"])
def test_a_fraction_or_rate_that_is_out_of_range_is_one_line(qlstm, option: str, value: object) -> None:
    Path("s.csv").write_text(SERIES)
    code, out, err = qlstm(*ONE, "--optimizer", "spsa", f"{option}={value}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert not Path("o").exists()


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30])
def test_seeds_of_random_angles_are_those_of_torch(qlstm, seed: int) -> None:
    code, out, err = qlstm("space", "show", "--n-qubits", 1, "--fourier", "RX|linear-RX", "--seed", seed)
    assert (code, out, err.count("\n")) == (2, "", 1)


def _commands(group: typer.core.TyperGroup, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        found += _commands(command, (*before, name)) if hasattr(command, "commands") else [(*before, name)]
    return found


@pytest.mark.parametrize("command", _commands(typer.main.get_command(app)), ids=" ".join)
def test_an_empty_value_is_refused_everywhere(qlstm, command: tuple[str, ...]) -> None:
    for arguments, what in (([""], "an argument"), (["--out", ""], "the value of --out"), (["--out="], "the value of --out")):
        assert qlstm(*command, *arguments) == (2, "", f"error: {what} is empty; give one, or leave it out.\n")
    assert list(Path().iterdir()) == []


def _fifo(path: Path) -> None:
    os.mkfifo(path)


BAD_FILES = {
    "x.csv.zip": lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
    "x.csv.gz": lambda path: path.write_bytes(gzip.compress(SERIES.encode())[:40]),
    "y.csv.gz": lambda path: path.write_text(SERIES),
    "x.csv.bz2": lambda path: path.write_bytes(b"BZh9 no archive"),
    "x.csv.xz": lambda path: path.write_bytes(b"\xfd7zXZ\x00 no archive"),
    "x.csv.zst": lambda path: path.write_bytes(b"(\xb5/\xfd"),
    "x.tar": lambda path: path.write_bytes(b"no archive"),
    "two.zip": lambda path: [zipfile.ZipFile(path, "a").writestr(name, SERIES) for name in ("a.csv", "b.csv")],
    "x.parquet": lambda path: path.write_bytes(b"PAR1\x15\x04\x15\xff"),
    "x.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\x00"),
    "folder": lambda path: path.mkdir(),
    "pipe": _fifo,
}


@pytest.mark.parametrize("name", [*BAD_FILES, "/dev/zero", "/dev/null", "s.csv/x", "n" * 300])
def test_what_is_no_series_is_one_line(qlstm, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(source, "PIPE_PATIENCE", 0.1)
    Path("s.csv").write_text(SERIES)
    BAD_FILES.get(name, lambda path: None)(Path(name))
    code, out, err = qlstm("train", "--csv", name, "--target", "y", "--model", "lstm", "--epochs", 1, "--out", "o")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not Path("o").exists()


def test_archives_of_one_file_and_pipes_with_a_writer_are_read(tmp_path: Path) -> None:
    (tmp_path / "s.csv.gz").write_bytes(gzip.compress(SERIES.encode()))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(SERIES * 2000,))
    writer.start()
    assert len(read_table(tmp_path / "s.csv.gz")) == 30
    assert len(read_table(tmp_path / "pipe")) == 2000 * 31 - 1
    writer.join()
    with pytest.raises(DataError, match="cannot be read: embedded null byte"):
        read_table("a\0b")


def test_forecasts_are_written_as_the_name_says(qlstm) -> None:
    Path("s.csv").write_text("=t,y,z\n" + SERIES.split("\n", 1)[1])
    assert qlstm(*LSTM)[0] == 0
    for name, separator in (("p", ","), ("p.csv", ","), ("p.TXT", ","), ("p.tsv", "\t")):
        assert qlstm("predict", "o", "--csv", "s.csv", "--out", name)[0] == 0
        table = pd.read_csv(name, sep=separator)
        assert list(table.columns) == ["'=t", "y", "z", "prediction", "persistence"]
    for name, message in (("p.xlsx", "p.xlsx ends in .xlsx; --out takes .csv"), ("p.csv.gz", "p.csv.gz ends in .gz")):
        code, out, err = qlstm("predict", "o", "--csv", "s.csv", "--out", name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
        assert not Path(name).exists()


def test_parquet_is_parquet_or_refused(qlstm, monkeypatch: pytest.MonkeyPatch) -> None:
    from qlstm_qiskit.cli import formats

    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    code, _, err = qlstm("predict", ".", "--csv", "s.csv", "--out", "p.parquet")
    assert code == 2
    assert "needs pyarrow" in err
    monkeypatch.setattr(formats, "find_spec", lambda name: name)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda table, file, index: file.write(b"PAR1"))
    formats.require_format(Path("p.parquet"))
    assert formats.encoded(pd.DataFrame({"a": [1]}), Path("p.parquet")) == b"PAR1"


def test_columns_with_commas_in_their_names(qlstm) -> None:
    assert split_names(["a, b", "c"]) == ["a", "b", "c"]
    assert split_names(["a,b", 'x,"y, z"'], ["a,b"]) == ["a,b", "x", "y, z"]
    assert split_names(['"', 'a"b', '"c']) == ['"', 'a"b', '"c']
    assert split_names(None) is None
    Path("s.csv").write_text('t,"y, in m",z\n' + SERIES.split("\n", 1)[1])
    command = ["train", "--csv", "s.csv", "--target", "y, in m", "--model", "lstm", "--hidden-size", 1, "--epochs", 1]
    for number, features in enumerate((["--features", "y, in m", "--features", "z"], ["--features", '"y, in m", z'])):
        code, _, err = qlstm(*command, *features, "--out", number)
        assert (code, err) == (0, "")
        assert json.loads(Path(f"{number}/config.json").read_text())["data"]["features"] == ["y, in m", "z"]
    code, _, err = qlstm(*command, "--features", "y, z", "--out", "none")
    assert code == 2
    assert "unknown column 'y'" in err


def test_paths_that_cannot_be_written_are_one_line(qlstm, tmp_path: Path) -> None:
    Path("s.csv").write_text(SERIES)
    assert qlstm(*LSTM)[0] == 0
    for out in ("s.csv/p.csv", "n" * 300 + ".csv", "missing/p.csv"):
        code, stdout, err = qlstm("predict", "o", "--csv", "s.csv", "--out", out)
        assert (code, stdout, err.count("\n")) == (2, "", 1)
    longest = "n" * 251 + ".csv"
    assert qlstm("predict", "o", "--csv", "s.csv", "--out", longest)[0] == 0
    write_atomically(tmp_path / ("m" * 255), "as long as a name may be")
    assert not list(tmp_path.glob(".*"))


def test_an_error_of_the_system_is_said_in_words() -> None:
    assert streams.said(OSError(28, "No space left on device")) == "cannot write the output: No space left on device."
    assert streams.said(OSError(13, "Permission denied", "a")) == "cannot use a: Permission denied."
