"""Shell completion: the names are those that the options take, and asking for them loads nothing heavy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qlstm_qiskit.cli.completion import NAMES, backend_names
from qlstm_qiskit.data.named import DATASETS
from qlstm_qiskit.experiments.export.write import FORMATS
from qlstm_qiskit.experiments.runs.loggers import LOGGERS
from qlstm_qiskit.experiments.runs.recipes import RECIPES
from qlstm_qiskit.experiments.studies.study import studies
from qlstm_qiskit.hardware.config.file import load_specs
from qlstm_qiskit.nn import CELLS
from qlstm_qiskit.nn.cell import INPUT_MAPS
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.search import DERIVATIONS, STRATEGIES
from qlstm_qiskit.training.models import MODELS
from qlstm_qiskit.training.optimizers import SCHEDULES
from qlstm_qiskit.training.options import OPTIMIZERS
from qlstm_qiskit.training.plain import DTYPES

ROOMS = {
    "dataset": set(DATASETS),
    "model": set(MODELS) - {"derived"},
    "recipe": set(RECIPES),
    "optimizer": set(OPTIMIZERS),
    "schedule": set(SCHEDULES),
    "strategy": set(STRATEGIES),
    "derivation": set(DERIVATIONS),
    "study": set(studies()),
    "format": set(FORMATS),
    "logger": set(LOGGERS),
    "dtype": set(DTYPES),
    "input_map": set(INPUT_MAPS),
    "cell": set(CELLS),
    "mixing": {name for name, mixing in MIXINGS.items() if not mixing.sampled},
    "task": {"predict", "train"},
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_are_those_of_the_rooms(kind: str) -> None:
    assert set(NAMES[kind]) == ROOMS[kind]


def test_backends_are_the_packaged_ones_and_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert set(backend_names("")) == set(load_specs())
    Path("backends.yaml").write_text("mine: {kind: statevector}\n")
    assert backend_names("mi") == ["mine"]
    Path("backends.yaml").write_text("mine: [\n")
    assert backend_names("mi") == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tr", {"train", "transpile"}),
        ("backends ", {"list", "check", "plan"}),
        ("train --model conf", {f"config{n}" for n in range(1, 7)}),
        ("evaluate run --backend aer-n", {"aer-noise-torino", "aer-noise-fez"}),
    ],
)
def test_a_shell_asks(words: str, expected: set[str]) -> None:
    code = (
        "import sys; from qlstm_qiskit.cli.app import app\n"
        "try: app(prog_name='qlstm')\n"
        "finally: assert not {'torch', 'qiskit', 'pandas'} & set(sys.modules)"
    )
    asked = {"_QLSTM_COMPLETE": "complete_bash", "COMP_WORDS": f"qlstm {words}", "COMP_CWORD": str(len(f"{words}x".split()))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == expected
