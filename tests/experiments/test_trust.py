"""Code that a folder names is not called before the user has said so."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, RunSpec, derive_run, load_run, plan_run, resume_run, train_run
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.hardware import BackendSpec, find_spec
from qlstm_qiskit.report.pages.write import write_report

MODULE = "named_by_a_folder"
OPTIONS = {"name": "x", "kind": "provider", "provider": f"{MODULE}:device", "shots": 10, "guard": {"dry_run": True}}
NOISY = {"name": "x", "kind": "statevector", "noise": {"provider": f"{MODULE}:device"}, "shots": 10}
WORDS = f"names the provider '{MODULE}:device'"


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that can be imported, and says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    Path("modules").mkdir()
    Path(f"modules/{MODULE}.py").write_text(
        "from qiskit.providers.fake_provider import GenericBackendV2\n"
        "device = GenericBackendV2(3, seed=1, noise_info=True, control_flow=False)\n"
    )


@pytest.fixture
def folder() -> Path:
    """A run whose config names it."""
    pd.DataFrame({"y": np.sin(np.arange(30) / 3)}).to_csv("s.csv", index=False)
    spec = RunSpec(data=DataSpec(csv="s.csv", target="y"), model="config1", hidden_size=1, depth=1, epochs=1, batch_size=0)
    run = train_run(spec, Path("run"))
    change(run.path, OPTIONS)
    return run.path


def change(path: Path, options: dict[str, Any]) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"backend": options["name"], "backend_options": options}))


def was_imported() -> bool:
    return MODULE in sys.modules


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.parametrize("options", [OPTIONS, NOISY], ids=["provider", "noise"])
def test_a_folder_of_somebody_else_is_refused(
    options: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder, options)
    with pytest.raises(RunError, match=WORDS):
        load_run(folder)
    for arguments in (
        ["evaluate", "run"],
        ["evaluate", "run", "--confirm"],
        ["predict", "run", "--csv", "s.csv", "--out", "p.csv"],
        ["train", "--resume", "--out", "run"],
    ):
        assert command(*arguments) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"Python would import {MODULE} and call device" in said
        assert "--trust-provider" in said
        assert ("; or choose another one with --backend." in said) is (arguments[0] != "train"), "a training stays where it is"
    assert not was_imported()


def test_a_training_is_not_gone_on_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "metrics.json").unlink()
    with pytest.raises(RunError, match=WORDS):
        resume_run(folder)
    assert command("train", "--resume", "--out", "run") == 2
    assert WORDS in capsys.readouterr().err
    change(folder, OPTIONS | {"guard": {}})  # circuits leave this machine
    assert command("jobs", "resume", "run") == 2
    said = capsys.readouterr().err
    assert WORDS in said
    assert "--backend" not in said
    with pytest.raises(RunError, match=WORDS):
        resume_run(folder, options=BackendSpec.model_validate(OPTIONS | {"guard": {"max_pubs": 7}}))
    assert not was_imported()


@pytest.mark.slow
def test_what_needs_no_device_calls_nothing(folder: Path) -> None:
    assert load_run(folder, backend="aer-shots").spec.backend == "aer-shots"
    derive_run(folder, Path("derived"))
    export_run(folder, "qpy", Path("exported"))
    plan_run(folder, find_spec("fake-manila"))
    write_report(folder, Path("page.html"))
    assert command("evaluate", "run", "--backend", "statevector") == 0
    assert command("transpile", "run", "--backend", "fake-manila") == 0
    assert command("train", "--from", "run", "--epochs", "1", "--out", "tuned") == 0
    assert not was_imported()


def test_trust_is_asked_for_once(folder: Path) -> None:
    assert np.isfinite(load_run(folder, trust=True).predict(np.zeros((1, 4, 1)))).all()
    assert was_imported()
    assert command("evaluate", "run", "--trust-provider") == 0


@pytest.mark.parametrize("given", [False, True])
def test_the_users_own_entry_is_trusted(folder: Path, given: bool) -> None:
    """In ./backends.yaml, or in the file that is given."""
    own = Path("mine.yaml" if given else "backends.yaml")
    own.write_text(f"lab: {{kind: provider, provider: '{MODULE}:other', shots: 10}}\n")
    arguments = ["evaluate", "run", *(["--backends", str(own)] if given else [])]
    assert command(*arguments) == 2
    assert not was_imported()
    own.write_text(f"lab: {{kind: provider, provider: '{MODULE}:device', shots: 10}}\n")
    assert command(*arguments) == 0
    assert was_imported()


def test_what_is_trained_here_is_trusted() -> None:
    """The entry was given by whoever trains, and reading the result back asks nothing."""
    pd.DataFrame({"y": np.sin(np.arange(16) / 3)}).to_csv("s.csv", index=False)
    backend = BackendSpec.model_validate(OPTIONS)
    data = DataSpec(csv="s.csv", target="y", window=2)
    spec = RunSpec(data=data, model="config1", hidden_size=1, depth=1, epochs=1, batch_size=0, backend_options=backend)
    run = train_run(spec, Path("run"))
    assert (run.spec.backend, run.metrics["backend"]) == ("x", "x")


def test_a_study_names_backends_of_the_user(tmp_path: Path) -> None:
    """A file of rows is as much somebody else's as a folder is."""
    fields = {"model": "config1", "backend_options": OPTIONS}
    rows: list[dict[str, Any]] = [{"run": fields}, {"run": {"model": "config1"}, "search": fields}]
    for row in rows:
        study = Study.model_validate({"name": "a", "datasets": {"nile": {}}, "rows": {"r": row}})
        with pytest.raises(OptionError, match="row 'r' of the study 'a' names a provider, whose code would be called"):
            study.tasks()
    common = Study.model_validate({"name": "a", "datasets": {"nile": {}}, "rows": {"r": {"run": {}}}, "common": fields})
    with pytest.raises(OptionError, match="names a provider"):
        common.tasks()
    assert not was_imported()
