"""Own circuits in runs and studies: the code is run once, where it is named; what is read afterwards is circuits."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qlstm_qiskit import QLSTMRegressor, SearchSpace
from qlstm_qiskit.errors import CircuitError, OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, derive_run, load_run, load_spec, resume_run, start_from, train_run
from qlstm_qiskit.experiments.runs import own
from qlstm_qiskit.experiments.runs.settle import require_same
from qlstm_qiskit.experiments.studies.records import load_study_folder, read_records
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study, load_study
from qlstm_qiskit.hardware.config.code import Named
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.space.named import OwnCode
from qlstm_qiskit.space.stored import digest, restore, store
from tests.experiments.own_circuits import was_run, write_file, write_series

NAMES = ["rx|rx", "rx|ry", "ry|rx", "ry|ry", "rz|rx", "rz|ry", "odd"]


def code(source: str) -> SearchSpace:
    return OwnCode.load(Named.of("space", source)).space(2, None)


def spec(folder: Path, source: str | SearchSpace, **changes: Any) -> RunSpec:
    data = DataSpec(csv=write_series(folder), target="value", window=2)
    return RunSpec(**{"data": data, "hidden_size": 1, "epochs": 2, "batch_size": 12, "space": source} | changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose file is gone."""
    folder = tmp_path_factory.mktemp("own")
    made = train_run(spec(folder, write_file(folder)), folder / "run")
    assert was_run(folder)
    (folder / "circuits.py").unlink()
    return made


def test_it_is_what_the_estimator_is_with_the_same_space(run: Run, tmp_path: Path) -> None:
    data = run.dataset
    space = code(write_file(tmp_path))
    fitted = QLSTMRegressor(hidden_size=1, max_epochs=2, batch_size=12, space=space).fit(data.x_train, data.y_train[:, 0])
    np.testing.assert_array_equal(fitted.predict(data.x_test), run.predict(data.x_test)[:, 0])
    bank = next(run.forecaster.circuits.layers()).bank
    assert [candidate.name for candidate in bank.candidates] == NAMES
    assert sum(len(candidate.weights) for candidate in bank.candidates) == 14


def test_a_copy_without_the_file_is_the_run(run: Run, tmp_path: Path) -> None:
    moved = load_run(shutil.copytree(run.path, tmp_path / "moved"))
    np.testing.assert_array_equal(moved.predict(run.dataset.x_test), run.predict(run.dataset.x_test))
    assert moved.metrics["space"] == run.spec.space.digest
    derived = [derive_run(path, tmp_path / path.name / "derived") for path in (run.path, moved.path)]
    assert derived[0].spec.genotype.layers == derived[1].spec.genotype.layers
    read = load_run(derived[1].path)
    assert read.spec.space is None
    assert set(read.spec.genotype.circuits) <= set(NAMES)
    np.testing.assert_array_equal(read.predict(run.dataset.x_test), derived[0].predict(run.dataset.x_test))


def test_training_goes_on_from_the_folder(run: Run, tmp_path: Path) -> None:
    moved = shutil.copytree(run.path, tmp_path / "moved")
    (moved / "metrics.json").unlink()
    (moved / "model.safetensors").unlink()
    np.testing.assert_array_equal(resume_run(moved).predict(run.dataset.x_test), run.predict(run.dataset.x_test))
    assert (moved / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()
    tuned = train_run(load_spec(moved).model_copy(update={"start": start_from(moved)}), tmp_path / "tuned")
    assert (tuned.path / "space.qpy").read_bytes() == (moved / "space.qpy").read_bytes()


def test_a_space_object_and_cells_of_two_sizes(tmp_path: Path) -> None:
    """A function is asked for each size; the circuits of a layered space fit all that it was built for."""
    source = write_file(tmp_path).replace(":space", ":sized")
    two = train_run(spec(tmp_path, source, num_layers=2, hidden_size=2, depth=1, epochs=1), tmp_path / "two")
    assert [cell.bank.candidates[0].n_qubits for cell in load_run(two.path).forecaster.circuits.layers()] == [3, 4]
    assert (two.spec.depth, two.spec.space.depth, two.spec.space.cells) == (1, 1, (0, 1))
    assert "--depth 1" in again(two.spec, two.path)
    same = spec(tmp_path, code(source), num_layers=2, hidden_size=2, depth=1, epochs=1)
    given = train_run(same, tmp_path / "given")
    assert given.spec.space.digest == two.spec.space.digest
    np.testing.assert_array_equal(given.predict(two.dataset.x_test), two.predict(two.dataset.x_test))
    assert 'load_spec("RUN")' in again(given.spec, given.path)
    was_run(tmp_path)


@pytest.mark.parametrize("name", ["space", "lively"])
def test_circuits_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    space = code(write_file(tmp_path).replace(":space", f":{name}"))
    (kept,) = restore(*store([space]))
    assert kept.names == tuple(NAMES)
    assert kept.leaves_out == space.leaves_out
    assert digest([kept]) == digest([space])
    for before, after in zip(space.fixed, kept.fixed, strict=True):
        for part in ("inputs", "weights"):
            assert [p.name for p in getattr(after, part)] == [p.name for p in getattr(before, part)]
        assert after.measured == before.measured
        assert not after.circuit.metadata


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2 * x[qubit]", "3 * x[qubit]"),
        ("0.3, 0", "0.30001, 0"),
        ("seed=1", "seed=2"),
        ("(angle, late)", "(late, angle)"),
        ("-0.25", "-0.125"),
        ("control(1)", "control(1, ctrl_state=0)"),
        ("made.cx(0, 1)", "made.cx(1, 0)"),
        ('("rx", "ry", "rz")', '("ry", "rx", "rz")'),
        ("odd()])", "odd()]).without_dead()"),
    ],
)
def test_another_circuit_has_another_digest(tmp_path: Path, before: str, after: str) -> None:
    first = digest([code(write_file(tmp_path))])
    assert digest([code(write_file(tmp_path, (before, after)))]) != first


def test_the_same_circuits_have_the_same_digest(tmp_path: Path) -> None:
    """Although Qiskit draws numbers for parameters and names of gates each time, and files hold them."""
    spaces = [code(write_file(tmp_path)), code(write_file(tmp_path, ("# b is not used", "# seen again")))]
    files = [store([space])[0] for space in spaces]
    assert files[0] != files[1]
    assert digest(spaces[:1]) == digest(spaces[1:])


def changed(run: Run, out: Path, **changes: Any) -> Path:
    """A copy of the run with other content in config.json."""
    folder = shutil.copytree(run.path, out)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def test_damaged_files_are_refused(run: Run, tmp_path: Path) -> None:
    kept = json.loads((run.path / "config.json").read_text())["space"]
    content = (run.path / "space.qpy").read_bytes()
    (shutil.copytree(run.path, tmp_path / "gone") / "space.qpy").unlink()
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 1
    (shutil.copytree(run.path, tmp_path / "flipped") / "space.qpy").write_bytes(damaged)
    for name, part in (("short", content[: len(content) // 2]), ("empty", b""), ("old", content[:6] + b"\x0a" + content[7:])):
        digests = kept | {"sha256": hashlib.sha256(part).hexdigest()}
        (changed(run, tmp_path / name, space=digests) / "space.qpy").write_bytes(part)
    other = spec(tmp_path, write_file(tmp_path, ("2 * x", "3 * x")))
    found = own.taken(other.space, input_size=1, options=other)
    swapped = changed(run, tmp_path / "swapped", space=kept | {"sha256": found.sha256})
    (swapped / "space.qpy").write_bytes(found.qpy)
    replaced = changed(run, tmp_path / "replaced", space=found.model_dump(mode="json"))
    (replaced / "space.qpy").write_bytes(found.qpy)
    changed(run, tmp_path / "none", space=None)
    changed(run, tmp_path / "cells", space=kept | {"cells": [3]})
    for name, words in {
        "gone": "space.qpy cannot be read",
        "flipped": "is damaged, or not the file that was written with",
        "short": "the stored circuits are damaged",
        "empty": "the stored circuits are damaged",
        "old": "symengine",
        "swapped": "are not those that the run was made with",
        "replaced": "holds the parameters of another model",
        "none": "holds the parameters of another model",
        "cells": "there are 1 spaces",
    }.items():
        with pytest.raises(RunError, match=words) as caught:
            load_run(tmp_path / name)
        assert "\n" not in str(caught.value), name


def test_a_folder_runs_no_code(run: Run, tmp_path: Path) -> None:
    source = write_file(tmp_path)
    for space in (source, {"source": source}):
        folder = changed(run, tmp_path / f"of a {type(space).__name__}", space=space)
        for read in (load_run, load_spec, resume_run):
            if read is resume_run:
                (folder / "metrics.json").unlink()
            with pytest.raises(RunError, match="whose code would be run"):
                read(folder)
    with pytest.raises(RunError, match="read it with load_spec"):
        train_run(RunSpec.model_validate_json((run.path / "config.json").read_text()), tmp_path / "again")
    assert not was_run(tmp_path)
    assert not (tmp_path / "again").exists()


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    source = write_file(tmp_path)
    for changes, words in (
        (
            {"hidden_size": 2},
            "these circuits take 2 inputs and have 2 outputs, but input_size=1 and hidden_size=2 need 3 inputs",
        ),
        ({"n_qubits": 3}, "these circuits have 2 qubits; n_qubits=3 does not fit them"),
        ({"depth": 3}, "depth=3 has no meaning for given circuits"),
        ({"model": "config1"}, "the model 'config1' has no circuits that own ones could replace"),
        ({"model": "lstm"}, "the model 'lstm' has no circuits"),
    ):
        with pytest.raises(OptionError, match=words):
            train_run(spec(tmp_path, source, **changes), tmp_path / "run")
        assert not (tmp_path / "run").exists()
    twice = SearchSpace(fixed=code(source).fixed[:1] * 2)
    with pytest.raises(CircuitError, match="more than one circuit is named 'rx|rx'"):
        train_run(spec(tmp_path, twice), tmp_path / "run")


def test_the_same_command_finds_its_folder_and_a_changed_file_does_not(run: Run, tmp_path: Path) -> None:
    here = {"data": run.spec.data}
    require_same(run.path, spec(tmp_path, write_file(tmp_path), **here))
    with pytest.raises(RunError, match="it differs in space"):
        require_same(run.path, spec(tmp_path, write_file(tmp_path, ("2 * x", "3 * x")), **here))


STUDY = """\
name: own
seeds: 2
datasets: {{wave: {{csv: "{csv}", target: value, window: 2}}}}
common: {{hidden_size: 1, epochs: 1, batch_size: 40}}
rows:
  own: {{run: {{space: "circuits.py:space"}}}}
  persistence: {{control: {{control: persistence}}}}
"""


def study_in(folder: Path, *changes: tuple[str, str]) -> Study:
    (folder / "study.yaml").write_text(STUDY.format(csv=write_series(folder)))
    write_file(folder, *changes)
    return load_study(folder / "study.yaml")


def test_a_study_trains_again_what_has_changed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run_study(study_in(tmp_path), out)
    was_run(tmp_path)
    assert [record["id"] for record in load_study_folder(out)[1]] == [record["id"] for record in first]
    assert not was_run(tmp_path), "a folder runs no code"
    assert run_study(study_in(tmp_path, ("# b is not used", "# seen again")), out) == first
    changed = run_study(study_in(tmp_path, ("2 * x", "3 * x")), out)
    assert [(a["row"], a["id"] == b["id"]) for a, b in zip(first, changed, strict=True)] == [
        ("own", False),
        ("persistence", True),
    ] * 2
    assert changed[0]["test_mse"] != first[0]["test_mse"]
    assert [record["id"] for record in load_study_folder(out)[1]] == [record["id"] for record in changed]
    own = {record["id"] for record in read_records(out) if record["row"] == "own"}
    assert own == {record["id"] for record in (*first, *changed) if record["row"] == "own"}
    run = load_run(out / "runs" / changed[0]["id"])
    (tmp_path / "circuits.py").unlink()
    assert run.metrics["test_mse"] == changed[0]["test_mse"]


def test_a_study_finds_its_files_and_says_what_is_wrong_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_in(tmp_path)
    monkeypatch.chdir("/")
    tasks = study.tasks()
    assert len({task.id for task in tasks if task.row == "own"}) == 2
    assert len({task.work.space.digest for task in tasks if task.row == "own"}) == 1
    alike = Study.model_validate(study.with_digests().model_dump(mode="json"))
    assert [task.id for task in alike.tasks()] == [task.id for task in tasks]
    was_run(tmp_path)
    text = STUDY.format(csv=tmp_path / "wave.csv")
    for before, after, words in (
        ("circuits.py:space", "gone.py:space", "row 'own' of the study 'own': .* there is no file"),
        ("hidden_size: 1", "hidden_size: 2", "row 'own' of the study 'own': these circuits take 2 inputs"),
        ('run: {space: "circuits.py:space"}', 'run: {space: "circuits.py:space", model: lstm}', "'lstm' has no circuits"),
        (
            'own: {run: {space: "circuits.py:space"}}',
            'own: {search: {}, run: {space: "circuits.py:space"}}',
            "space goes with the search",
        ),
    ):
        (tmp_path / "study.yaml").write_text(text.replace(before, after))
        with pytest.raises(OptionError, match=words):
            run_study(load_study(tmp_path / "study.yaml"), tmp_path / "out")
        assert not (tmp_path / "out").exists()
