"""`qlstm table` as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import yaml

from qlstm_qiskit.experiments.studies.study import load_study
from tests.experiments.studied import SMALL

NAMES = ["environments.json", "records.jsonl", "runs", "study.json", "table.json", "table.md", "table.png", "table.svg"]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL.model_dump(mode="json", exclude_defaults=True)))
    return path


@pytest.mark.slow
def test_a_table_is_made_once_and_read_again(qlstm, study: Path) -> None:
    command = ["table", "--study", study, "--jobs", 1, "--seeds", 1, "--out", "out"]
    code, out, err = qlstm(*command)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("out").iterdir()) == NAMES
    for text in ("Median test MSE (scaled) over seeds", "circuit", "persistence", "all: 4 tests", "Written to out"):
        assert text in out
    before = Path("out/records.jsonl").read_bytes()
    code, out, _ = qlstm(*command, "--json")
    assert code == 0
    content = json.loads(out)
    assert content == json.loads(Path("out/table.json").read_text()) | {"out": "out", "figures": content["figures"]}
    assert {(cell["row"], cell["dataset"]) for cell in content["cells"]} == {
        (row, dataset) for row in SMALL.rows for dataset in SMALL.datasets
    }
    assert Path("out/records.jsonl").read_bytes() == before
    code, out, _ = qlstm(*command[:-2], "--out", "out", "--rows", "ridge", "--datasets", "narma5", "--json")
    assert json.loads(out)["cells"] == content["cells"], "a part is asked for, and the table is still of all that is there"
    assert json.loads(out)["missing"] == sum(SMALL.seeds_for(name) - 1 for name in SMALL.datasets) * len(SMALL.rows)


def test_a_part_of_a_study_has_a_table_of_that_part(qlstm) -> None:
    """No empty rows and columns, and no mark for published errors where none are published."""
    code, out, _ = qlstm(
        "table", "--study", "real", "--rows", "persistence,ridge", "--datasets", "nile", "--out", "out", "--jobs", 1
    )
    assert code == 0
    assert "diffqas" not in out
    assert "sunspots" not in out
    text = Path("out/table.md").read_text()
    assert "| model | parameters | circuits | nile |" in text
    assert "sunspots 0" not in text
    assert "published" not in text
    assert "published" not in Path("out/table.svg").read_text()
    figure = plt.imread("out/table.png")[:, :, :3]
    assert figure[:, :2].min() == figure[:, -2:].min() == 1, "something is cut off at an edge"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--study", "tabel2"],
            "unknown study 'tabel2'. Give a YAML file, or one of: chaos, chaos-leak-free, device, real, recipe",
        ),
        (["--rows", "difqas"], "unknown row 'difqas'. Did you mean 'diffqas'"),
        (["--datasets", "narma"], "unknown series 'narma'"),
        (["--recipe", "papers"], "unknown recipe 'papers'. Did you mean 'paper'"),
        (["--jobs", "0"], "jobs is 0; it must be an integer of at least 1"),
        (["--seeds", "0"], "seeds is 0"),
        (["--epochs", "0"], "epochs is 0"),
        (["--cluster", "127.0.0.1:1"], "there is no Ray cluster at '127.0.0.1:1'"),
    ],
)
def test_a_mistake_is_one_line(qlstm, options: list[str], message: str) -> None:
    code, out, err = qlstm("table", *options, "--out", "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not list(Path().glob("out/runs/*"))


def test_seeds_that_cannot_decide_anything_are_named_before_training(qlstm) -> None:
    part = ["table", "--rows", "persistence,ridge,esn", "--jobs", 1, "--out", "out"]
    pairs = {"families": {"controls": [["ridge", "persistence"], ["esn", "persistence"]]}}
    own = load_study("table2").model_dump(mode="json", exclude_defaults=True) | pairs
    Path("own.yaml").write_text(yaml.safe_dump(own))
    command = [*part, "--study", "own.yaml", "--datasets"]
    code, out, err = qlstm(*command, "narma5", "--seeds", 6)
    assert code == 0
    assert "note: controls: no outcome of 6 seeds could decide any of its 2 tests; 7 seeds could." in err
    assert "controls: 2 tests; no outcome of so few seeds could decide any of them" in out
    code, out, err = qlstm(*command, "narma5", "--seeds", 8)
    assert (code, "note:" in err, "so few" in out) == (0, False, False)
    assert "controls: 2 tests; the first is better in" in out
    assert "note:" not in qlstm(*command, "narma5", "--seeds", 2)[2], "eight are there, and nothing is run"
    assert "note:" not in qlstm(*command, "narma10", "--seeds", 2)[2], "those of the other series can be decided"
    code, out, err = qlstm("table", "--study", "real", "--seeds", 3, "--rows", "ridge", "--out", "out")
    assert (code, err.count("\n"), "note:" in err) == (2, 1, False)


def test_a_study_that_ranks_prints_pairs_over_all_series(qlstm) -> None:
    tasks = {f"henon-k{k}": {"dataset": "henon", "lead": k} for k in range(1, 8)}
    rows = {name: {"control": {"control": name}} for name in ("ridge", "esn", "persistence")}
    pairs = {"own": [["esn", "persistence"]], "more": [["esn", "persistence"], ["ridge", "persistence"]]}
    own = {"name": "own", "seeds": 1, "datasets": tasks, "rows": rows, "families": pairs, "ranks": {}}
    Path("own.yaml").write_text(yaml.safe_dump(own))
    code, out, _ = qlstm("table", "--study", "own.yaml", "--jobs", 1, "--out", "out")
    assert code == 0
    assert "own, over all series: 1 pair; the first has lower errors in 1, higher ones in 0" in out
    assert "more, over all series: 2 pairs; the first has lower errors in 2, higher ones in 0" in out
    assert "Left out" not in out


def test_another_study_in_the_folder_is_refused(qlstm, study: Path) -> None:
    part = ["--rows", "ridge", "--jobs", 1, "--out", "out"]
    assert qlstm("table", "--study", study, *part)[0] == 0
    code, out, err = qlstm("table", "--seeds", 1, *part)
    assert (code, out) == (2, "")
    assert "out holds a study with name 'small', not 'table2'" in err


def test_the_recipe_tuned_has_a_table_of_its_own(qlstm) -> None:
    part = ["--rows", "ridge", "--datasets", "narma5", "--seeds", 1, "--jobs", 1]
    assert json.loads(qlstm("table", "--recipe", "tuned", *part, "--out", "a", "--json")[1])["study"] == "table2-tuned"
    assert json.loads(qlstm("table", *part, "--out", "b", "--json")[1])["study"] == "table2"


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again(tmp_path: Path, study: Path, qlstm) -> None:
    command = [
        sys.executable,
        "-c",
        "from qlstm_qiskit.cli import main; main()",
        "table",
        "--study",
        str(study),
        "--jobs",
        "2",
        "--out",
        "out",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "records.jsonl").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    if process.returncode:  # unless it was faster
        assert (process.returncode, out) == (130, "")
        said = "interrupted; finished runs are in out, the same command goes on"
        lines = err.splitlines()
        after = lines[lines.index(said) + 1 :]
        assert all("resource_tracker" in line for line in after), "loky's process, which ends after ours, may have a word"
    assert qlstm("table", "--study", study, "--jobs", 1, "--out", "out")[0] == 0
    assert len(Path("out/records.jsonl").read_text().splitlines()) == 15
