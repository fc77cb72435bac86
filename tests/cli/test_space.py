"""`qlstm space analyze`, as a user meets it."""

import json
from pathlib import Path

import pytest

from qlstm_qiskit.cli import main


@pytest.fixture
def qlstm(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run one command in an empty folder; return exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QLSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["space", "analyze", *map(str, arguments)])
        streams = capsys.readouterr()
        return int(caught.value.code or 0), streams.out, streams.err

    return run


def test_a_table_and_what_is_proven(qlstm) -> None:
    code, out, err = qlstm("--samples", 20)
    assert (code, err) == (0, "")
    assert "36 candidates on 4 qubits, depth 1, measured on 3" in out
    assert "7 of 36 are zero everywhere, 15 do not see the input (zeros among them), in 15 no weight matters, 11 repeat" in out
    assert [line.split()[-2:] for line in out.splitlines() if "RX|linear-RX" in line] == [
        ["5", "zero"],
        ["=", "RY|linear-RX"],
    ], "H-RX and RX"
    assert not list(Path().glob("*.png"))


def test_other_entanglers(qlstm) -> None:
    code, out, err = qlstm("--entangler", "grid, device:fez", "--json", "--samples", 20)
    assert (code, err) == (0, "")
    content = json.loads(out)
    assert [own["name"] for own in content["candidates"]][:4] == [
        *("H-RY|grid-RY", "H-RY|grid-RZ", "H-RY|grid-RX", "H-RY|device:fez-RY")
    ]
    assert {own["name"].split("|")[1][:-3]: own["two_qubit_gates"] for own in content["candidates"]} == {
        "grid": 4,  # a ring of four
        "device:fez": 3,
    }
    assert qlstm("own.py:space", "--entangler", "grid")[0] == 2
    assert qlstm("--entangler", "gird")[2] == "error: unknown entangler 'gird'. Did you mean 'grid'? Allowed: " + (
        "cyclic, device:NAME, grid, heavy-hex, linear.\n"
    )


@pytest.mark.slow
def test_a_backend_a_figure_and_json(qlstm) -> None:
    options = ("--n-qubits", 3, "--outputs", 1, "--backend", "fake-manila", "--samples", 20, "--out", "new/space.png")
    code, out, err = qlstm(*options)
    assert (code, err) == (0, "")
    assert "measured on 1, and on fake_manila" in out
    assert "2 -> 2" in out
    assert Path("new/space.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = qlstm(*options, "--json")
    found = json.loads(out)
    assert (found["n_outputs"], found["device"], found["figure"]) == (1, "fake_manila", "new/space.png")
    assert len(found["candidates"]) == found["counts"]["candidates"] == 36
    row = found["candidates"][0]
    assert row["frequencies"] == [[1.0, 1.0, 0.0]] or row["n_frequencies"] == len(row["frequencies"])
    assert 0 < row["device"]["success"] < 1
    assert json.loads(qlstm(*options, "--json")[1]) == found, "the same seed, the same figures"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n-qubits", 0), "n_qubits"),
        (("--outputs", 9), "has 4 outputs; 9 were asked for"),
        (("--backend", "statevector"), "has no device"),
        (("--backend", "fake-fex"), "Did you mean 'fake-fez'?"),
        (("--samples", 1), "samples"),
        pytest.param(("--out", "/proc/no/space.png"), "cannot write", marks=pytest.mark.slow),
    ],
)
def test_mistakes_are_answered_in_one_line(qlstm, options: tuple, message: str) -> None:
    code, _, err = qlstm(*options)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
