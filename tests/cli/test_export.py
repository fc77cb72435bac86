"""`qlstm export`, as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.cli import main
from qlstm_qiskit.experiments import load_run
from qlstm_qiskit.experiments.export.read import load_exported
from tests.speed import slow_but

SERIES = np.sin(np.arange(40) / 3) * 40 + 100


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    pd.DataFrame({"value": SERIES}).to_csv(folder / "wave.csv", index=False)
    for model, depth in {"diffqas": ["--depth", "1"], "lstm": []}.items():
        command = ["train", "--csv", str(folder / "wave.csv"), "--target", "value", "--model", model, *depth]
        with pytest.raises(SystemExit) as caught:
            main([*command, "--hidden-size", "2", "--epochs", "2", "--out", str(folder / model)])
        assert not caught.value.code
    return folder


@pytest.mark.parametrize("kind", slow_but(["qpy"], ["qasm3", "qpy"]))
def test_circuits_of_a_run_predict_as_it_does(qlstm, runs: Path, kind: str) -> None:
    code, out, err = qlstm("export", runs / "diffqas", "--format", kind, "--out", "there", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    of_the_library = 1 if kind == "qasm3" else 0
    assert (facts["format"], facts["out"], len(facts["files"])) == (kind, "there", 36 + 4 * 36 + 1 + of_the_library)
    assert facts["difference"] <= (1e-9 if kind == "qasm3" else 1e-12)
    run = load_run(runs / "diffqas")
    exported = load_exported(Path("there"))
    assert exported.header == run.header
    windows = run.dataset.x_test
    np.testing.assert_allclose(exported.predict(windows), run.predict(windows), rtol=0, atol=facts["difference"] + 1e-13)


def test_the_multilinear_form_predicts_what_qlstm_predict_does(qlstm, runs: Path) -> None:
    code, out, err = qlstm("export", runs / "diffqas", "--format", "multilinear", "--out", ".")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "Wrote 2 files to .; read back, they predict as the run does."
    assert "Predict with numpy alone: python predict.py FILE.csv" in out
    qlstm("predict", runs / "diffqas", "--csv", runs / "wave.csv", "--out", "ours.csv")
    command = [sys.executable, "predict.py", str(runs / "wave.csv")]
    Path("theirs.csv").write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    ours, theirs = pd.read_csv("ours.csv")["prediction"], pd.read_csv("theirs.csv")["value+1"]
    np.testing.assert_allclose(theirs[:-1], ours[4:], rtol=1e-13)
    assert len(theirs) == len(SERIES) - 4 + 1, "the last one is beyond the file"


@pytest.mark.parametrize(
    ("run", "options", "message"),
    [
        ("lstm", ["--format", "qpy"], "this model has no circuits"),
        ("diffqas", ["--format", "qasm2"], "unknown format 'qasm2'. Did you mean 'qasm3'? Allowed: multilinear, qasm3, qpy"),
        ("nothing", ["--format", "qpy"], "there is no run folder"),
        ("diffqas", [], "--format"),
    ],
)
def test_mistakes_are_answered_in_one_line(qlstm, runs: Path, run: str, options: list[str], message: str) -> None:
    code, out, err = qlstm("export", runs / run, *options, "--out", "there")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not Path("there").exists()
    code, _, err = qlstm("export", runs / "diffqas", "--format", "qpy", "--out", runs / "lstm")
    assert (code, err) == (2, f"error: {runs / 'lstm'} exists already and is not empty; choose another folder for --out.\n")
