"""`qlstm transpile`, as a user meets it."""

import json
import shutil
from pathlib import Path

import pytest

from qlstm_qiskit.cli import main
from tests.hardware.star import installed


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    train(folder / "derived", "config1", "--depth", "1", "--num-layers", "2")
    train(folder / "lstm", "lstm")
    return folder


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "search", "diffqas", "--depth", "1")


def train(out: Path, model: str, *options: str) -> Path:
    command = ["train", "--dataset", "bessel", "--model", model, *options, "--hidden-size", "3", "--epochs", "1"]
    with pytest.raises(SystemExit) as caught:
        main([*command, "--out", str(out)])
    assert not caught.value.code
    return out


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QLSTM_CACHE", str(tmp_path / "cache"))


def test_a_device_takes_the_place_of_a_backend(qlstm, runs: Path) -> None:
    code, out, err = qlstm("transpile", runs / "derived", "--device", "torino", "--out", ".", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["device"], found["backend"], found["figure"]) == ("fake_torino", "fake-torino", "layout-fake-torino.png")
    assert [own["swaps"] for layer in found["layers"] for own in layer["candidates"]] == [0, 0]
    for options in ((), ("--device", "fez", "--backend", "fake-fez")):
        code, out, err = qlstm("transpile", runs / "derived", *options)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "give exactly one of a backend with a device and a device's name" in err
    for name in ("torinoo", "../torino"):
        code, out, err = qlstm("transpile", runs / "derived", "--device", name)
        assert (code, out) == (2, "")
        assert "Did you mean 'torino'" in err


@pytest.mark.slow
def test_the_table_has_a_row_for_each_candidate_and_a_warning_for_rings(qlstm, search: Path) -> None:
    code, out, err = qlstm("transpile", search, "--backend", "aer-noise-torino", "--out", "pictures")
    assert (code, err) == (0, "")
    assert "36 circuits on fake_torino; the input, forget, cell, output gates share them" in out
    assert out.count("3 -> 3") == out.count("4 -> 7") == 18
    assert "15 more: 1 SWAP added on fake_torino: its cyclic entangler closes a ring of 4 qubits" in out
    assert Path("pictures/layout-aer-noise-torino.png").read_bytes().startswith(b"\x89PNG")


def test_json_has_every_layer_and_the_cache_keeps_its_circuits(qlstm, runs: Path) -> None:
    code, out, err = qlstm("transpile", runs / "derived", "--backend", "fake-fez", "--out", ".", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["device"], found["figure"]) == ("fake_fez", "layout-fake-fez.png")
    assert [layer["layer"] for layer in found["layers"]] == [1, 2]
    (circuit,) = found["layers"][0]["candidates"]
    assert found["layers"][0]["gates"] == ["input", "forget", "cell", "output"]
    assert len(circuit["qubits"]) == 4
    assert circuit["two_qubit_gates"][0] <= circuit["two_qubit_gates"][1]
    assert 0.8 < circuit["success"] < 1
    assert len(list(Path("cache").iterdir())) == 2  # layers of 4 and of 6 qubits
    assert qlstm("transpile", runs / "derived", "--backend", "fake-fez", "--out", ".", "--json") == (0, out, "")


@pytest.mark.slow
def test_backends_are_read_from_the_file(qlstm, search: Path) -> None:
    Path("mine.yaml").write_text("mine: {kind: fake, device: manila, transpile: {layout: [3, 2, 1, 0]}}")
    code, out, _ = qlstm("transpile", search, "--backend", "mine", "--backends", "mine.yaml", "--out", ".", "--json")
    assert code == 0
    assert {tuple(c["qubits"]) for c in json.loads(out)["layers"][0]["candidates"] if not c["swaps"]} == {(3, 2, 1, 0)}


def test_a_device_without_a_number_of_qubits_has_no_map(qlstm, runs: Path) -> None:
    Path("mine.yaml").write_text(
        "mine: {kind: provider, provider: 'qiskit.providers.basic_provider:BasicSimulator', shots: 100}"
    )
    options = ("transpile", runs / "derived", "--backend", "mine", "--backends", "mine.yaml", "--out", ".")
    code, out, err = qlstm(*options)
    assert (code, err) == (0, "")
    assert "No figure: basic_simulator does not say how many qubits it has." in out
    assert "nan" not in out
    assert json.loads(qlstm(*options, "--json")[1])["figure"] is None
    assert not list(Path().glob("*.png"))


def test_a_star_whose_maker_puts_in_moves_is_shown_and_evaluated(qlstm, runs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(runs / "derived", tmp_path / "copy")
    Path("mine.yaml").write_text("star: {kind: provider, provider: 'tests.hardware.star:Star', shots: 500}")
    where = ("--backend", "star", "--backends", "mine.yaml", "--json")
    with installed():
        code, out, err = qlstm("transpile", run, *where)
        assert code == 2  # the second layer has a qubit more than the star
        assert "needs 6" in err or "has 6 qubits and star has 5" in err
        Path("mine.yaml").write_text("star: {kind: provider, provider: 'tests.hardware.star:large', shots: 500}")
        code, out, err = qlstm("transpile", run, *where)
        assert (code, err) == (0, "")
        (circuit,) = json.loads(out)["layers"][0]["candidates"]
        assert circuit["success"] is None
        code, out, err = qlstm("evaluate", run, "--windows", "1", *where)
        assert code == 0, err
    assert json.loads(out)["difference_to_exact"]["outputs"] < 0.02


@pytest.mark.parametrize(
    ("run", "backend", "message"),
    [
        ("derived", "aer-shots", "backend 'aer-shots' has no device; choose one that has"),
        ("derived", "statevector", "backend 'statevector' has no device"),
        ("derived", "fake-fex", "unknown backend 'fake-fex'. Did you mean 'fake-fez'?"),
        ("lstm", "fake-fez", "is lstm, which has no circuits; choose the run of another model"),
        ("nothing", "fake-fez", "there is no run folder"),
        ("derived", "fake-manila", "has 6 qubits and fake_manila has 5; choose a larger device"),
    ],
)
def test_mistakes_are_answered_in_one_line(qlstm, runs: Path, run: str, backend: str, message: str) -> None:
    code, out, err = qlstm("transpile", runs / run, "--backend", backend)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
