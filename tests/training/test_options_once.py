"""What is declared of an option is found in every place that has it, also of one that nobody has thought of yet."""

import dataclasses
import inspect
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from sklearn.base import clone
from typer.testing import CliRunner

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.cli import main, train
from qlstm_qiskit.cli.app import app, command
from qlstm_qiskit.cli.completion import NAMES
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments import DataSpec, RunSpec
from qlstm_qiskit.experiments.runs.recipes import recipe_fields
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.nn import CELLS
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.training.declare import Option, Real, Whole, about
from qlstm_qiskit.training.models import CONTROLS, MODELS
from qlstm_qiskit.training.options import CLASSICAL, OF_RUN, OPTIONS
from qlstm_qiskit.training.plain import CheckedOptions

DATA = DataSpec(dataset="nile")
COMMAND = command().commands["train"]


def another(known: dataclasses.Field) -> Any:
    """A value of an option that is not its default, and is allowed."""
    said = about(known)
    if isinstance(known.default, bool):
        return not known.default
    if said.choices:
        return next(name for name in reversed(said.choices) if name != known.default)
    return 3 if isinstance(said.limits, Whole) else 0.25


@pytest.mark.parametrize("name", OPTIONS)
def test_the_estimator_has_it(name: str) -> None:
    known, parameter = OPTIONS[name], inspect.signature(QLSTMRegressor).parameters[name]
    assert (parameter.annotation, parameter.default) == (known.type, known.default)
    assert (parameter.kind is parameter.KEYWORD_ONLY) == (name not in {"model", "hidden_size", "depth"})
    assert re.search(rf"^ +{name}: \S", QLSTMRegressor.__doc__, flags=re.MULTILINE)
    value = object()
    made = QLSTMRegressor(**{name: value})
    assert made.get_params(deep=False)[name] is value
    made = QLSTMRegressor().set_params(**{name: "other"})
    assert clone(made).get_params()[name] == "other"


@pytest.mark.parametrize("name", OF_RUN)
def test_a_run_has_it(name: str) -> None:
    known, field = OF_RUN[name], RunSpec.model_fields[name]
    assert field.default == known.default
    assert set(get_args(field.annotation) or [field.annotation]) - {type(None)} == set(get_args(known.type) or [known.type]) - {
        type(None)
    }
    spec = RunSpec(data=DATA, **{name: another(known)})
    assert getattr(spec.estimator(), known.name) == another(known)
    assert spec.model_dump(mode="json")[name] == spec.lasting()[name] == another(known)
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
    assert re.search(rf"^ +{name}: \S", RunSpec.__doc__, flags=re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in OF_RUN if name != "replicas"])  # see test_ensembles
def test_a_row_of_a_study_sets_it(name: str) -> None:
    value = another(OF_RUN[name])
    study = Study(name="s", datasets={"nile": {}}, rows={"row": {"run": {name: value}}}, seeds=1)
    assert getattr(study.task("row", "nile", value if name == "seed" else 0).work, name) == value


@pytest.mark.parametrize("name", OF_RUN)
def test_the_command_line_has_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, said = OF_RUN[name], about(OF_RUN[name])
    (parameter,) = (one for one in COMMAND.params if one.name == name)
    assert (parameter.default, parameter.help.split(" [")[0]) == (known.default, said.help)
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300"}).output
    shown = " ".join(re.sub(r"[│╭╰╮╯─]", " ", shown).split())
    assert f"--{name.replace('_', '-')} " in shown
    assert said.help in shown
    if said.choices:
        assert NAMES[name] == said.choices
        found = parameter.shell_complete(typer.Context(COMMAND), said.choices[0][:2])
        assert said.choices[0] in [item.value for item in found]
    given = []
    monkeypatch.setattr(train, "_train", lambda spec, *_, **__: given.append(spec))
    spec = RunSpec(data=DATA, **{name: another(known)})
    with pytest.raises(SystemExit):
        main(shlex.split(again(spec, Path("nowhere")))[1:])
    assert given[0].model_copy(update={"backend_options": None}) == spec


@pytest.mark.parametrize("name", [name for name, known in OPTIONS.items() if about(known).limits is not None])
def test_its_limits_are_kept(name: str) -> None:
    limits = about(OPTIONS[name]).limits
    outside = [limits.least - 1, limits.most + 1] if isinstance(limits, Whole) else [limits.least - 0.1, limits.below]
    for value in outside:
        with pytest.raises(OptionError, match=f"{name} is "):
            CheckedOptions.of(QLSTMRegressor(**{name: value}))
    inside = limits.least + (0.1 if isinstance(limits, Real) and limits.above else 0)
    assert getattr(CheckedOptions.of(QLSTMRegressor(**{name: inside})), name) == inside


@pytest.mark.parametrize("name", [name for name, known in OPTIONS.items() if about(known).closed])
def test_its_names_are_kept(name: str) -> None:
    for value in about(OPTIONS[name]).choices:
        assert getattr(CheckedOptions.of(QLSTMRegressor(**{name: value})), name) == value
    with pytest.raises(OptionError, match=f"unknown {name} 'nothing'. Allowed: "):
        CheckedOptions.of(QLSTMRegressor(**{name: "nothing"}))


def test_the_options_of_a_fit_do_not_change() -> None:
    given = QLSTMRegressor(lr=0.5)
    options = CheckedOptions.of(given)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.lr = 0.25
    with pytest.raises(dataclasses.FrozenInstanceError):
        about(OPTIONS["lr"]).help = ""
    given.lr = 0.25
    assert options.lr == 0.5


def test_each_has_its_words() -> None:
    assert all(isinstance(about(known), Option) and about(known).help.endswith(".") for known in OPTIONS.values())


def test_cells_are_those_that_there_are() -> None:
    assert about(OF_RUN["cell"]).choices == tuple(CELLS)
    assert set(about(OF_RUN["model"]).choices) == set(MODELS) - {"derived"}
    assert set(CLASSICAL) == set(CONTROLS)
    for model in ("diffqas", *CLASSICAL):
        assert ("angle_std" in recipe_fields("tuned", model)) == (model not in CLASSICAL)


#: In a process whose options have one more: the file of the declarations is changed before anything has read it.
ADDED = """
import sys
from importlib import util
from pathlib import Path

import qlstm_qiskit.training as room

spec = util.find_spec("qlstm_qiskit.training.options")
source = Path(spec.origin).read_text()
place = "    dtype: str = option("
assert source.count(place) == 1
source = source.replace(place, "    twisted: bool = option(False, 'Whether it is twisted.')\\n" + place)
module = util.module_from_spec(spec)
sys.modules[spec.name] = room.options = module
exec(compile(source, spec.origin, "exec"), module.__dict__)

import inspect
import shlex

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.cli import main, train
from qlstm_qiskit.experiments import DataSpec, RunSpec
from qlstm_qiskit.experiments.runs.recipes import recipe_fields
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.nn import CELLS
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.training.inputs import describe
from qlstm_qiskit.training.plain import CheckedOptions

made = QLSTMRegressor(twisted=True)
assert made.get_params()["twisted"] is True
assert "twisted: Whether it is twisted." in QLSTMRegressor.__doc__
assert describe(CheckedOptions.of(made))["twisted"] is True
old = RunSpec(data=DataSpec(dataset="nile"))
assert old.twisted is False and "--twisted" not in again(old, Path("nowhere"))
spec = RunSpec(data=DataSpec(dataset="nile"), twisted=True)
assert "twisted" not in old.lasting() and spec.lasting()["twisted"] is True
assert spec.estimator().twisted is True and '"twisted":true' in spec.model_dump_json()
study = Study(name="s", datasets={"nile": {}}, rows={"row": {"run": {"twisted": True}}})
assert study.task("row", "nile", 0).work.twisted is True
given = []
train._train = lambda spec, *_, **__: given.append(spec)
assert "--twisted" in again(spec, Path("nowhere"))
try:
    main(shlex.split(again(spec, Path("nowhere")))[1:])
except SystemExit as ended:
    assert not ended.code
assert given[0].twisted is True
main(["train", "--help"])
"""


@pytest.mark.slow
def test_one_line_adds_an_option() -> None:
    code, wide = textwrap.dedent(ADDED), os.environ | {"COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=wide, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"--twisted .*Whether it is twisted\.", done.stdout)
