"""Own circuits on the command line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from qlstm_qiskit.report.pages.commands import again
from tests.experiments.own_circuits import was_run, write_file, write_series

MISTAKES = [
    ("circuits.py", "space is 'circuits.py'; give FILE.py:NAME, such as my_space.py:space"),
    ("circuits.py:", "give FILE.py:NAME"),
    ("gone.py:space", "there is no file gone.py"),
    ("circuits.py:spice", "unknown name in circuits.py 'spice'. Did you mean 'space'?"),
    ("circuits.py:TURNS", "space 'circuits.py:TURNS': it is of the type tuple; give a SearchSpace"),
    ("circuits.py:circuit", "it is a function of other arguments; give a SearchSpace"),
    ("circuits.py:odd", "it is of the type Candidate; give a SearchSpace"),
    ("broken.py:space", "broken.py, line 3: ZeroDivisionError: division by zero"),
    ("syntax.py:space", "syntax.py, line 2: SyntaxError"),
    ("ends.py:space", "ends.py, line 1: SystemExit: 3"),
    ("late.py:space", "late.py, line 2: CircuitError: a search space needs at least one circuit; none was given."),
    ("no_such_lab:space", "cannot import 'no_such_lab': ModuleNotFoundError"),
]
FILES = {
    "broken.py": "import os\n\n1 / 0\n",
    "syntax.py": "x = 1\nspace = (\n",
    "ends.py": "raise SystemExit(3)\n",
    "late.py": "from qlstm_qiskit import SearchSpace\ndef space(): return SearchSpace.from_circuits([])\n",
}


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    write_file(tmp_path)
    write_series(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize(("source", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(qlstm, source: str, message: str) -> None:
    before = sorted(Path().iterdir())
    commands: list[list[Any]] = [["space", source], ["space", "analyze", source]] if ":" in source else []
    for command in (*commands, [*train(source), "--out", "run"]):
        code, out, err = qlstm(*command)
        assert (code, out, err.count("\n")) == (2, "", 1), command
        assert message in err
        Path("was_run").unlink(missing_ok=True)
        assert sorted(Path().iterdir()) == before


def train(source: str) -> list[Any]:
    data = ["--csv", "wave.csv", "--target", "value", "--window", 2]
    return ["train", *data, "--space", source, "--hidden-size", 1, "--epochs", 1, "--batch-size", 12]


def test_options_that_do_not_go_with_it(qlstm) -> None:
    for options, message in (
        (["--model", "lstm"], "the model 'lstm' has no circuits that own ones could replace"),
        (["--depth", 2], "depth=2 has no meaning for given circuits"),
        (["--hidden-size", 2], "these circuits take 2 inputs"),
    ):
        code, _, err = qlstm(*train("circuits.py:space"), *options, "--out", "run")
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
        assert not Path("run").exists()
    code, _, err = qlstm("train", "--from", "run", "--space", "circuits.py:space", "--out", "other")
    assert "--space cannot be given with --from" in err


def test_a_space_is_shown(qlstm, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = qlstm("space", "circuits.py:space")
    assert code == 0
    assert "7 candidates on 2 qubits" in out
    assert qlstm("space", "show", "circuits.py:space")[1] == out
    monkeypatch.syspath_prepend(".")
    assert qlstm("space", "circuits:space")[1] == out
    _, out, _ = qlstm("space", "show", "circuits.py:sized", "--n-qubits", 3, "--depth", 2, "--json")
    assert [row["weights"] for row in json.loads(out)["candidates"]] == [6]
    _, out, _ = qlstm("space", "show", "circuits.py:space", "--draw", "odd")
    assert "Unitary" in out
    _, out, _ = qlstm("space", "analyze", "circuits.py:space", "--json")
    assert json.loads(out)["counts"]["candidates"] == 7
    code, _, err = qlstm("space", "circuits.py:space", "--n-qubits", 3)
    assert (code, err) == (2, "error: these circuits have 2 qubits; n_qubits=3 does not fit them.\n")


def test_what_the_file_prints_is_not_the_output(qlstm, tmp_path: Path) -> None:
    write_file(tmp_path, ("TURNS = ", "print('hello')\nTURNS = "))
    code, out, err = qlstm("space", "circuits.py:space", "--json")
    assert code == 0
    assert len(json.loads(out)["candidates"]) == 7
    assert err == "hello\n"


@pytest.mark.slow
def test_it_is_trained_and_made_again(qlstm, tmp_path: Path) -> None:
    from qlstm_qiskit.experiments import load_run

    code, out, _ = qlstm(*train("circuits.py:space"), "--out", "run", "--json")
    assert code == 0
    facts = json.loads(out)
    run = load_run("run")
    assert facts["space"] == run.spec.space.digest
    command = again(run.spec, run.path)
    assert f"--space {tmp_path / 'circuits.py'}:space" in command
    assert qlstm(*command.split()[1:])[0] == 0
    weights = [Path(name, "model.safetensors").read_bytes() for name in ("run", "again")]
    assert weights[0] == weights[1]
    (tmp_path / "circuits.py").unlink()
    was_run(tmp_path)
    assert json.loads(qlstm("evaluate", "again", "--json")[1])["test"] == facts["test"]
    _, out, _ = qlstm("resume", "run", "--json")
    assert json.loads(out)["test"] == facts["test"]


MANY = """\
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qlstm_qiskit import SearchSpace

GATES = ("rx", "ry", "rz", "p", "sx", "h", "t")


def circuit(first, second):
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    made = QuantumCircuit(2, name=f"{first}-{second}")
    for qubit in range(2):
        made.h(qubit)
        made.ry(x[qubit], qubit)
        getattr(made, first)(*((x[qubit],) if first in GATES[:4] else ()), qubit)
    made.cx(0, 1)
    for qubit in range(2):
        getattr(made, second)(*((0.5,) if second in GATES[:4] else ()), qubit)
        made.rx(w[qubit], qubit)
    return made


space = SearchSpace.from_circuits([circuit(first, second) for first in GATES for second in GATES])
"""
TABLE = """\
name: own
seeds: 1
datasets: {wave: {csv: wave.csv, target: value, window: 2}}
common: {hidden_size: 1, epochs: 1, batch_size: 40}
rows:
  own: {run: {space: "many.py:space"}}
  one per gate: {search: {space: "many.py:space"}, run: {}}
"""


@pytest.mark.slow
def test_the_whole_way_with_49_candidates(qlstm, tmp_path: Path) -> None:
    """And the same from a copy of the run, when the file is gone, to the bit."""
    (tmp_path / "many.py").write_text(MANY)
    (tmp_path / "study.yaml").write_text(TABLE)
    assert qlstm(*train("many.py:space"), "--out", "run")[0] == 0
    shutil.copytree("run", "copy")
    table = qlstm("table", "--study", "study.yaml", "--jobs", 1, "--out", "table", "--json")
    assert table[0] == 0, table[2]
    found = {"run": whole_way(qlstm, "run")}
    for name in ("run", "many.py"):
        shutil.move(name, tmp_path.parent / f"{name} gone from {tmp_path.name}")
    found["copy"] = whole_way(qlstm, "copy")
    assert found["run"] == found["copy"]
    assert len(found["copy"]["transpile"]["layers"][0]["candidates"]) == 49
    assert len(found["copy"]["layers"][0]["forget"]) == 1
    assert qlstm("report", "table", "--out", "table.html")[0] == 0


def whole_way(qlstm, run: str) -> dict[str, Any]:
    """What commands on a run print and write, but for names and times."""
    found: dict[str, Any] = {}
    device = ("--backend", "fake-manila")
    for name, command in {
        "evaluate": ("evaluate", run, *device),
        "plan": ("backends", "plan", run, *device),
        "transpile": ("transpile", run, *device),
        "derive": ("derive", run, "--out", f"{run}-derived"),
        "export": ("export", run, "--format", "qpy", "--out", f"{run}-exported"),
    }.items():
        code, out, err = qlstm(*command, "--json")
        assert code == 0, err
        names = ("run", "out", "figure", "wall_seconds", "genotype", "stages")
        found[name] = {key: value for key, value in json.loads(out).items() if key not in names}
    code, _, err = qlstm("report", run, "--out", f"{run}.html")
    assert code == 0, err
    assert "own circuits" in Path(f"{run}.html").read_text()
    genotype = json.loads(Path(f"{run}-derived", "genotype.json").read_text())
    found["layers"], found["kept"] = genotype["layers"], genotype["circuits"]
    weights = load_file(f"{run}-derived/model.safetensors")
    found["weights"] = {name: value.tolist() for name, value in weights.items()}
    found["exported"] = json.loads(Path(f"{run}-exported", "model.json").read_text())["layers"][0]["gates"]["output"][0][
        "angles"
    ]
    return found
