"""Use an installed wheel as a user would, from a folder that is no checkout: all that it ships is found (`make dist`)."""

import json
import tempfile
from pathlib import Path

import qlstm_qiskit
from qlstm_qiskit.cli.app import app


def run(*arguments: str) -> None:
    assert not app(list(arguments), standalone_mode=False), arguments


assert Path(qlstm_qiskit.__file__).parents[1].name == "wheel", qlstm_qiskit.__file__
assert (Path(qlstm_qiskit.__file__).parent / "py.typed").exists()
with tempfile.TemporaryDirectory() as folder:
    run("about")
    run("backends", "list")
    run("train", "--dataset", "nile", "--hidden-size", "1", "--depth", "1", "--epochs", "2", "--out", f"{folder}/run")
    run("table", "--study", "real", "--datasets", "nile", "--rows", "ridge,esn", "--seeds", "1", "--out", f"{folder}/table")
    assert json.loads((Path(folder) / "run" / "metrics.json").read_text())["model"] == "diffqas"
print("the wheel works")
