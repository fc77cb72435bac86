"""A GRU and a bidirectional model on their way: trained, gone on with, searched, derived, exported, evaluated, reported."""

import json
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, RunSpec, load_run, train_run
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.training import QLSTMRegressor
from tests.experiments.resumable import interrupted_in
from tests.speed import slow_but

KINDS = {
    "gru": ["--cell", "gru"],
    "both ways": ["--bidirectional"],
    "gru both ways": ["--cell", "gru", "--bidirectional"],
    "fast-weight": ["--cell", "fast-weight"],
    "fast-weight both ways": ["--cell", "fast-weight", "--bidirectional"],
}
#: Names of the gates of cells.
GATES = {"lstm": ["input", "forget", "cell", "output"], "gru": ["reset", "update", "new"], "fast-weight": ["fast"]}
SMALL = ["--dataset", "damped_shm", "--hidden-size", "1", "--depth", "1", "--epochs", "2", "--batch-size", "40"]


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in arguments])
    assert not ended.value.code


def cell_of(kind: str) -> str:
    word = kind.split(maxsplit=1)[0]
    return word if word in GATES else "lstm"


@pytest.mark.parametrize("kind", slow_but(["both ways", "fast-weight"], KINDS))
def test_the_whole_way(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search, derived, tuned = tmp_path / "search", tmp_path / "derived", tmp_path / "tuned"
    run("train", *SMALL, *KINDS[kind], "--strategy", "shrinking", "--valid-fraction", "0.2", "--out", search)
    spec = load_run(search).spec
    assert (spec.cell, spec.bidirectional) == (cell_of(kind), "both" in kind)
    run("derive", search, "--out", derived)
    gates = [list(layer) for layer in json.loads((derived / "genotype.json").read_text())["layers"]]
    names = GATES[cell_of(kind)]
    assert gates == [names] * (2 if "both" in kind else 1)
    run("train", "--from", derived, "--epochs", "1", "--out", tuned)
    assert load_run(tuned).spec.cell == spec.cell
    capsys.readouterr()
    run("evaluate", tuned, "--backend", "aer-exact", "--json")
    assert json.loads(capsys.readouterr().out)["test"]["mse"] == pytest.approx(load_run(tuned).metrics["test_mse"], rel=1e-6)
    for form in ("qasm3", "qpy", "multilinear"):
        export(tuned, form, tmp_path / form, capsys, possible=cell_of(kind) != "fast-weight")
    run("transpile", tuned, "--backend", "fake-manila")
    run("report", search, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert all(f"{name.capitalize()} gate" in page for name in names)
    assert ("layer 1 backwards" in page) == ("both" in kind)


def export(path: Path, form: str, out: Path, capsys: pytest.CaptureFixture[str], *, possible: bool) -> None:
    """Export a run, or see that it is refused in a line that leaves nothing behind."""
    if possible:
        return run("export", path, "--format", form, "--out", out)
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(path), "--format", form, "--out", str(out)])
    assert "other angles in each step" in capsys.readouterr().err
    assert not out.exists()
    return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_it_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    options = {"cell": cell_of(kind), "bidirectional": "both" in kind}
    spec = RunSpec(data=DataSpec(dataset="damped_shm"), hidden_size=1, depth=1, epochs=3, batch_size=40, **options)
    whole = train_run(spec, tmp_path / "whole")
    with interrupted_in(2):
        train_run(spec, tmp_path / "cut")
    run("resume", tmp_path / "cut")
    again = load_run(tmp_path / "cut")
    for name, value in whole.forecaster.state_dict().items():
        assert again.forecaster.state_dict()[name].numpy().tobytes() == value.numpy().tobytes(), name


def test_a_study_has_rows_of_both_cells_and_controls(tmp_path: Path) -> None:
    rows = {
        "qgru": {"run": {"cell": "gru", "model": "config1", "depth": 1}},
        "qfwp": {"run": {"cell": "fast-weight", "model": "config1", "depth": 1}},
        "both": {"run": {"bidirectional": True, "model": "config1", "depth": 1}},
        "gru": {"run": {"model": "gru", "num_layers": 2, "dropout": 0.1, "bidirectional": True}},
    }
    shared = {"hidden_size": 1, "epochs": 1, "batch_size": 40}
    rows = {name: {"run": shared | row["run"]} for name, row in rows.items()}
    study = Study(name="cells", datasets={"damped_shm": {}}, rows=rows, seeds=1)
    run_study(study, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert {line["row"] for line in lines} == set(rows)
    assert all(np.isfinite(line["test_mse"]) for line in lines)


def test_a_config_that_says_another_cell_is_refused(tmp_path: Path) -> None:
    spec = RunSpec(data=DataSpec(dataset="damped_shm"), hidden_size=1, depth=1, epochs=1, batch_size=40, cell="gru")
    path = train_run(spec, tmp_path / "run").path / "config.json"
    content = json.loads(path.read_text())
    assert content.pop("cell") == "gru"
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"says cell 'lstm', and .* says 'gru'"):
        load_run(tmp_path / "run")


def test_controls_have_cells_of_their_own() -> None:
    x, y = np.zeros((20, 2, 1)), np.zeros(20)
    with pytest.raises(OptionError, match=r"'lstm' has no circuits; leave out cell=gru"):
        QLSTMRegressor(model="lstm", cell="gru").fit(x, y)
