"""The stand-alone reader: what is damaged, or is no CSV file of its columns, is one line, and exit code 2 as a script."""

import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlstm_qiskit.experiments.export import multilinear_reader
from qlstm_qiskit.experiments.export.write import export_model
from tests.experiments.test_export import MODELS, WINDOWS, header

ODD = (None, True, "x", [], {}, -1, 0, 2, 1.5, 10**30, float("nan"), float("inf"), 1e308, [[1.0], [1.0, 2.0]], [["a"]], [None])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reader") / "out"
    export_model(MODELS["hybrid, 2 layers"](), header(), out, "multilinear")
    return out


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places of a JSON value, a few of each list."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, own in items:
        yield (*before, key)
        yield from places(own, (*before, key))


#: Not read by `predict`, or there to be shown.
UNUSED = {"version", "epoch", "gates", "target"}


@pytest.mark.slow
def test_damage_is_a_value_error_or_does_not_matter(written: Path, tmp_path: Path) -> None:
    whole = json.loads((written / "multilinear.json").read_text())
    good = multilinear_reader.predict(multilinear_reader.load(written / "multilinear.json"), WINDOWS)
    generator, path, messages = random.Random(0), tmp_path / "multilinear.json", list[str]()
    every = [place for place in places(whole) if place[0] not in UNUSED]
    cases = [(place, value) for place in every for value in generator.sample((*ODD, "absent"), 6)]
    for place, value in cases:
        content = copy.deepcopy(whole)
        *way, last = place
        parent = content
        for key in way:
            parent = parent[key]
        if value == "absent":
            del parent[last]
        else:
            parent[last] = value
        path.write_text(json.dumps(content))
        try:
            result = multilinear_reader.predict(multilinear_reader.load(path), WINDOWS)
        except ValueError as error:
            messages.append(str(error))
            continue
        assert np.isfinite(result).all(), (place, value)
        if value == "absent" and isinstance(last, int):
            continue  # fewer layers of one width are another model, as another number is
        if isinstance(value, bool) or not isinstance(value, int | float):
            np.testing.assert_array_equal(result, good, err_msg=f"{place} {value!r}")
    assert len(messages) > 0.7 * len(cases)
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("name", ["to_angles", "from_outputs"])
def test_a_layer_says_that_it_has_no_linear_layers(name: str, tmp_path: Path) -> None:
    export_model(MODELS["arctan"](), header(), tmp_path / "out", "multilinear")
    path = tmp_path / "out" / "multilinear.json"
    content = json.loads(path.read_text())
    assert content["layers"][0].pop(name) is None
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"layers.0.{name} is not there"):
        multilinear_reader.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"format": "other"}', b"[" * 100_000])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.json"):
        multilinear_reader.load(tmp_path / "m.json")
    with pytest.raises(ValueError, match="cannot be read"):
        multilinear_reader.load(tmp_path)


def test_windows_are_checked(written: Path) -> None:
    model = multilinear_reader.load(written / "multilinear.json")
    for windows in (np.zeros((1, 4)), np.zeros((1, 4, 3)), np.zeros((1, 0, 2)), np.full((1, 4, 2), np.nan)):
        with pytest.raises(ValueError, match="windows have the shape"):
            multilinear_reader.predict(model, windows)


ROWS = "".join(f"{k},{k / 3}\n" for k in range(6))
FILES: dict[str, tuple[bytes, str]] = {
    "no column": (b"a,c\n" + ROWS.encode(), "there is no column 'b'"),
    "a column twice": (b"a,b,b\n", "there is more than one column 'b'"),
    "no number": (b"a,b\n1,2\n3,x\n", "line 3, column 'b': 'x' is not a finite number"),
    "a short line": (b"a,b\n1,2\n3\n", "line 3, column 'b': None is not a finite number"),
    "not finite": (b"a,b\n1,nan\n", "line 2, column 'b': 'nan' is not a finite number"),
    "empty": (b"", "there is no column 'a'"),
    "a header alone": (b"a,b\n", "has 0 rows; a window needs 4"),
    "the newest first": (
        b"day,a,b\n" + b"".join(b"2024-05-%02d,1,%d\n" % (30 - k, k) for k in range(6)),
        "from the newest to the oldest, by column 'day'",
    ),
    "another encoding": ("a,b,\u00e9\n1,2,3\n".encode("latin-1"), "utf-8"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be used"),
    "a NUL": (b"a,b\n1,\x002\n", "not a finite number"),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_cannot_be_used_is_one_line(file: str, written: Path, tmp_path: Path, capsys) -> None:
    content, message = FILES[file]
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multilinear_reader, "__file__", str(written / "predict.py"))
        assert multilinear_reader.main([str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_as_a_script_it_ends_with_a_line_and_a_code(written: Path, tmp_path: Path) -> None:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(written / "predict.py"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run().returncode == 2
    assert run(tmp_path / "missing.csv").stderr.count("\n") == 1
    spaced = tmp_path / "spaced.csv"
    spaced.write_text("\ufeffa, b\n" + ROWS, encoding="utf-8")
    done = run(spaced)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 4)
