"""Committed results: they are what the studies of the package ask for, and tables are made of them."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from benchmarks import classes, intervals
from benchmarks.kept import kept
from qlstm_qiskit.data import PAPER_SERIES, REAL_SERIES
from qlstm_qiskit.experiments.runs.load import load_run
from qlstm_qiskit.experiments.studies.audit import audit_run, audit_study
from qlstm_qiskit.experiments.studies.controls import Control
from qlstm_qiskit.experiments.studies.records import read_records
from qlstm_qiskit.experiments.studies.study import Study, StudyTask, load_study, studies
from qlstm_qiskit.experiments.studies.table import Table, table
from qlstm_qiskit.experiments.studies.work import run_task
from qlstm_qiskit.report.audit import audit_markdown
from qlstm_qiskit.report.table import markdown, medians
from tests.experiments.studied import numbers
from tests.speed import slow_but

ROOT = Path(__file__).parents[1]
#: Whether numbers are made by what made the tables. Other versions differ in the last digits, and scikit-learn 1.7 chooses
#: other penalties where ridge regression leaves next to no error.
PINNED = all(
    f"{name}=={version(name)}" in (ROOT / "constraints.txt").read_text().splitlines()
    for name in ("numpy", "scipy", "scikit-learn")
)
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/records.jsonl"))
AUDITS = sorted(path.parent for path in (ROOT / "results" / "audit").glob("*/audit.json"))


@cache
def found(folder: Path) -> Table:
    """The table of a folder, from its records; made once in a process."""
    content = json.loads((folder / "study.json").read_text())
    return table(Study.model_validate(content), read_records(folder))


def tasks_of(folder: Path) -> dict[str, StudyTask]:
    """The tasks, by their ids, of the packaged study that a folder is of."""
    content = json.loads((folder / "study.json").read_text())
    study = load_study(content["name"], content.get("recipe"))
    seeds = 1 + max(record["seed"] for record in read_records(folder)) - study.first_seed
    return {task.id: task for task in (study.part(seeds=seeds) if seeds > study.seeds else study).tasks()}


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_records_are_those_of_a_packaged_study(folder: Path) -> None:
    """Each record is a task of the study that comes with the package, and was made by committed code."""
    content = json.loads((folder / "study.json").read_text())
    assert content["name"] in studies()
    assert Study.model_validate(content) == load_study(content["name"], content.get("recipe"))
    tasks = tasks_of(folder)
    records = read_records(folder)
    assert records
    for record in records:
        task = tasks[record["id"]]
        assert (record["row"], record["dataset"], record["seed"]) == (task.row, task.dataset, task.seed)
    environments = json.loads((folder / "environments.json").read_text())
    assert {record["environment"] for record in records} <= set(environments)
    assert all(one["commit"] and one["changed"] is False for one in environments.values()), "made by committed code"


@pytest.mark.parametrize("folder", slow_but(AUDITS[:1], AUDITS), ids=lambda folder: folder.name)
def test_audits_are_made_of_their_records(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `qlstm audit` makes them, where it finds the records and nothing is left to train."""
    environments = json.loads((folder / "environments.json").read_text())
    assert all(one["commit"] and one["changed"] is False for one in environments.values()), "made by committed code"
    assert load_run(folder / "model").metrics["changed"] is False
    monkeypatch.chdir(tmp_path)
    own = Path("results") / "audit" / folder.name
    shutil.copytree(folder, own)
    (own / "audit.json").unlink()
    trained: list[Any] = []
    found = audit_run(own / "model", own, seeds=48, report=lambda *done: trained.append(done))
    assert trained == []
    (written, numbers), (made, others) = (without_fractions((place / "audit.json").read_text()) for place in (folder, own))
    assert written == made
    assert numbers == pytest.approx(others, rel=1e-14 if PINNED else 1e-9, abs=0)
    assert (folder / "audit.md").read_text() == audit_markdown(found)


@pytest.mark.parametrize(("name", "row"), [("bessel-config1", "tanh"), ("narma5-config2-hybrid", "frozen")])
@pytest.mark.slow
def test_a_map_in_place_of_circuits_still_ends_as_the_records_say(name: str, row: str, tmp_path: Path) -> None:
    folder = ROOT / "results" / "audit" / name
    (record,) = (one for one in read_records(folder) if (one["row"], one["seed"]) == (row, 0))
    study = audit_study(folder / "model", load_run(folder / "model").spec, seeds=48)
    (task,) = (task for task in study.tasks() if task.id == record["id"])
    assert run_task(task, tmp_path)["test_mse"] == pytest.approx(record["test_mse"], rel=0.02)


@pytest.mark.parametrize(("name", "made"), [("classes", classes.table), ("intervals", intervals.table)])
def test_tables_of_measurements_are_made_of_their_records(name: str, made: Callable[[list[dict[str, Any]]], list[str]]) -> None:
    environment, records = kept(ROOT / "results" / name)
    assert environment["commit"]
    assert environment["changed"] is False, "made by committed code"
    assert (ROOT / "results" / name / "table.md").read_text() == "\n".join(made(records)) + "\n"


def test_measurements_are_complete() -> None:
    """Each model of each labelled series with five seeds; each series with each horizon and backend."""
    _, runs = kept(ROOT / "results" / "classes")
    for series in ("ItalyPowerDemand", "BasicMotions"):
        for model in (*classes.MODELS, "ROCKET"):
            assert [run["seed"] for run in runs if (run["series"], run["model"]) == (series, model)] == [0, 1, 2, 3, 4]
    _, cells = kept(ROOT / "results" / "intervals")
    found = {(cell["series"], cell["horizon"], cell["backend"]) for cell in cells}
    assert found == set(product((*PAPER_SERIES, *REAL_SERIES), (1, 3), ("statevector", "exact-shots")))


def without_fractions(text: str) -> tuple[Any, list[float]]:
    """JSON with None for each fraction, and the fractions in their order."""
    fractions: list[float] = []
    return json.loads(text, parse_float=lambda digits: fractions.append(float(digits))), fractions


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
@pytest.mark.slow
def test_tables_are_made_of_the_records(folder: Path) -> None:
    table = found(folder)
    assert (folder / "table.md").read_text() == markdown(table)
    (written, numbers), (made, others) = (
        without_fractions(text) for text in ((folder / "table.json").read_text(), json.dumps(table.to_json()))
    )
    assert written == made
    # numpy's log and exp differ in the last bit between processors (AVX2, AVX-512), and a ratio is exp of a difference of logs
    # of up to some 30: an ulp of each is 7e-15
    assert numbers == pytest.approx(others, rel=1e-14 if PINNED else 1e-9, abs=0)


@pytest.mark.parametrize(
    "folder",
    slow_but([ROOT / "results" / "table2"], [path for path in COMMITTED if path.name.startswith(("real", "table2"))]),
    ids=lambda folder: folder.name,
)
def test_controls_still_have_the_errors_of_the_records(folder: Path, tmp_path: Path) -> None:
    """The series and the linear regression on them are what they were."""
    tasks = tasks_of(folder)
    pairs = [(tasks[record["id"]], record) for record in read_records(folder) if record["seed"] == 0]
    controls = [(task, record) for task, record in pairs if isinstance(task.work, Control) and task.work.control != "esn"]
    assert controls
    for task, record in controls:
        least = 1e-11 if PINNED else 1e-7
        assert run_task(task, tmp_path)["test_mse"] == pytest.approx(record["test_mse"], rel=1e-6, abs=least)


@pytest.mark.parametrize(("row", "dataset"), [("config4", "narma5"), ("lstm", "narma10"), ("config3", "damped_shm")])
@pytest.mark.slow
def test_a_training_still_ends_as_the_records_say(row: str, dataset: str, tmp_path: Path) -> None:
    """Bits are those of one processor; a hundred epochs on another still end close by."""
    folder = ROOT / "results" / "table2"
    (record,) = (r for r in read_records(folder) if (r["row"], r["dataset"], r["seed"]) == (row, dataset, 0))
    task = tasks_of(folder)[record["id"]]
    assert run_task(task, tmp_path)["test_mse"] == pytest.approx(record["test_mse"], rel=0.02)


def test_a_cluster_has_given_the_same_numbers() -> None:
    """`qlstm table --cluster local`, on the same kind of processor: to the last bit."""
    here, cluster = (
        {record["id"]: record for record in numbers(ROOT / "results" / name)} for name in ("table2-xeon", "table2-cluster")
    )
    assert cluster == here


@pytest.mark.slow
def test_the_notebook_shows_the_committed_table() -> None:
    cells = json.loads((ROOT / "notebooks" / "08_reproduce_the_table.ipynb").read_text())["cells"]
    shown = ["".join(output.get("data", {}).get("text/markdown", "")) for cell in cells for output in cell.get("outputs", ())]
    assert medians(found(ROOT / "results" / "table2-tuned")) in shown
