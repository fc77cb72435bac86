"""Shell completion: the names are those that the options take, and asking for them loads nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qlstm_qiskit.cli.completion import NAMES, backend_names, known
from qlstm_qiskit.data import INTERVAL_METHODS
from qlstm_qiskit.data.change import TRANSFORMS
from qlstm_qiskit.data.chaotic import SCALINGS
from qlstm_qiskit.data.known import CALENDAR
from qlstm_qiskit.data.labelled_series import LABELLED_SERIES
from qlstm_qiskit.data.named import DATASETS
from qlstm_qiskit.data.reading import IMPUTE
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.export.write import FORMATS
from qlstm_qiskit.experiments.runs.loggers import LOGGERS
from qlstm_qiskit.experiments.runs.recipes import RECIPES
from qlstm_qiskit.experiments.scaling.measure import AXES
from qlstm_qiskit.experiments.studies.study import studies
from qlstm_qiskit.hardware.config.file import load_specs
from qlstm_qiskit.nn import CELLS, CLASSICAL_BANKS
from qlstm_qiskit.nn.cell import INPUT_MAPS
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.search import DERIVATIONS, STRATEGIES
from qlstm_qiskit.space import ENTANGLERS
from qlstm_qiskit.training.models import MODELS
from qlstm_qiskit.training.optimizers import SCHEDULES
from qlstm_qiskit.training.options import OPTIMIZERS
from qlstm_qiskit.training.plain import DTYPES
from qlstm_qiskit.training.task import TASKS

ROOMS = {
    "dataset": {*DATASETS, *LABELLED_SERIES},
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
    "device": {"cpu", "cuda", "mps"},
    "impute": set(IMPUTE),
    "transform": set(TRANSFORMS),
    "scaling": set(SCALINGS),
    "calendar": set(CALENDAR),
    "interval_method": set(INTERVAL_METHODS),
    "input_map": set(INPUT_MAPS),
    "cell": set(CELLS),
    "bank": {"circuits", *CLASSICAL_BANKS},
    "map": set(CLASSICAL_BANKS),
    "entangler": {*ENTANGLERS, "device:fez"},
    "mixing": {name for name, mixing in MIXINGS.items() if not mixing.sampled},
    "task": {"predict", "train"},
    "run_task": set(TASKS),
    "axis": set(AXES),
}


#: What is not completed, and allowed where names are looked up.
MORE = {
    "model": {"derived"},
    "mixing": set(MIXINGS),
    "device": {"cuda:0", "cuda:1"},
    "entangler": {"device:torino", "grid,device:x"},
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_that_are_looked_up_are_let_through(kind: str) -> None:
    for name in ROOMS[kind] | MORE.get(kind, set()):
        assert known(kind)(name) == name
    with pytest.raises(OptionError, match="unknown .* 'nothing like it'"):
        known(kind)("nothing like it")


#: Commands with a name or a number that is wrong, and what is said of it.
WRONG = {
    "train --datset bessel": "No such option: --datset",
    "train --dataset besel": "unknown dataset 'besel'. Did you mean 'bessel'?",
    "train --dataset bessel --model configg": "unknown model 'configg'. Did you mean",
    "train --dataset bessel --entangler linear,gird": "unknown entangler 'gird'. Did you mean 'grid'?",
    "train --dataset bessel --entangler device:": "unknown entangler 'device:'. Did you mean 'device:NAME'?",
    "train --dataset bessel --entangler device:fez,": "entangler is 'device:fez,', with an empty name; give names separated",
    "train --dataset bessel --cell gruu": "unknown cell 'gruu'. Did you mean 'gru'?",
    "train --dataset bessel --backend aer-shotz": "unknown backend 'aer-shotz'. Did you mean 'aer-shots'?",
    "train --dataset bessel --recipe tunde": "unknown recipe 'tunde'. Did you mean 'tuned'?",
    "train --dataset bessel --strategy shrink": "unknown search strategy 'shrink'. Did you mean 'shrinking'?",
    "train --dataset bessel --optimizer adm": "unknown optimizer 'adm'. Did you mean 'adam'?",
    "train --dataset bessel --log mlfloww": "unknown logger 'mlfloww'. Did you mean 'mlflow'?",
    "train --dataset bessel --hidden-size 0": "hidden_size is 0; it must be an integer of at least 1.",
    "train --dataset bessel --interval 1": "interval is 1.0; it must lie between 0 and 1.",
    "train --dataset bessel --interval 0.9 --interval-method splt": "unknown interval_method 'splt'. Did you mean 'split'?",
    "train --dataset bessel --calibration-fraction 0.1": "--calibration-fraction goes with --interval LEVEL.",
    "train --dataset bessel --dropout 1": "dropout is 1.0; it must be at least 0 and below 1.",
    "train --dataset bessel --strategy-option keep=1": "--strategy-option goes with --strategy.",
    "train": "give exactly one of a dataset's name and a CSV file",
    "train --from nowhere": "there is no run folder nowhere",
    "evaluate nowhere": "there is no run folder nowhere",
    "evaluate . --backend aer-shotz": "unknown backend 'aer-shotz'",
    "predict . --csv x.csv --out y.csv --backend aer-shotz": "unknown backend 'aer-shotz'",
    "derive . --strategy weigth --out d": "unknown derivation strategy 'weigth'. Did you mean 'weight'?",
    "export . --format qasm2 --out e": "unknown format 'qasm2'. Did you mean 'qasm3'?",
    "table --study tabel2 --out t": "unknown study 'tabel2'. Give a YAML file, or one of: chaos, chaos-leak-free, device,",
    "table --recipe tunde --out t": "unknown recipe 'tunde'. Did you mean 'tuned'?",
    "scaling --axes dpth --out s": "unknown axis 'dpth'. Did you mean 'depth'?",
    "scaling --dataset besel --out s": "unknown dataset 'besel'. Did you mean 'bessel'?",
    "backends plan . --backend ibmm": "unknown backend 'ibmm'. Did you mean 'ibm'?",
    "backends plan . --backend ibm --task tran": "unknown task 'tran'. Did you mean 'train'?",
    "backends check ibmm": "unknown backend 'ibmm'. Did you mean 'ibm'?",
    "backends certify ibmm": "unknown backend 'ibmm'. Did you mean 'ibm'?",
    "transpile . --backend fake-fezz": "unknown backend 'fake-fezz'. Did you mean 'fake-fez'?",
    "shots . --backend fake-fezz": "unknown backend 'fake-fezz'",
    "report . --out r.html --backend fake-fezz": "unknown backend 'fake-fezz'",
    "space analyze --backend fake-fezz": "unknown backend 'fake-fezz'",
    "jobs list nowhere": "there is no run folder nowhere",
}


def test_a_wrong_name_is_refused_without_what_takes_seconds_to_load(tmp_path: Path) -> None:
    """One process for all of them, so that what one has loaded would show in all that follow."""
    code = (
        "import json, sys\n"
        "from qlstm_qiskit.cli import main\n"
        "for command in json.load(sys.stdin):\n"
        "    try: main(command.split())\n"
        "    except SystemExit as ended: assert ended.code == 2, command\n"
        "    loaded = {'torch', 'qiskit', 'pandas', 'numpy'} & set(sys.modules)\n"
        "    assert not loaded, (command, loaded)\n"
    )
    ran = [sys.executable, "-c", code]
    done = subprocess.run(ran, input=json.dumps(list(WRONG)), capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    for line, (command, message) in zip(done.stderr.splitlines(), WRONG.items(), strict=True):
        assert line.startswith(f"error: {message}"), command
    assert list(tmp_path.iterdir()) == []


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
        ("backends ", {"list", "check", "plan", "certify"}),
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
