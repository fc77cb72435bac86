"""Committed results: they are what the studies of the package ask for, and what the README says of them is what they say."""

import json
import re
from pathlib import Path

import pytest

from qlstm_qiskit.experiments.runner import read_records
from qlstm_qiskit.experiments.study import Study, load_study, studies
from qlstm_qiskit.experiments.table import Table, table
from qlstm_qiskit.report.table import medians

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = dict(re.findall(r"<!-- table of (results/[\w-]+) -->\n(.*?)\n<!-- end -->", README, flags=re.DOTALL))
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/records.jsonl"))


def found(folder: Path) -> Table:
    """The table of a folder, from its records."""
    content = json.loads((folder / "study.json").read_text())
    return table(Study.model_validate(content), read_records(folder))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_records_are_those_of_a_packaged_study(folder: Path) -> None:
    """Nothing was fitted to a study after the fact: each record is a task of the study that comes with the package."""
    content = json.loads((folder / "study.json").read_text())
    assert content["name"] in studies()
    tasks = {task.id: task for task in load_study(content["name"], content.get("recipe")).tasks()}
    records = read_records(folder)
    assert records
    for record in records:
        task = tasks[record["id"]]
        assert (record["row"], record["dataset"], record["seed"]) == (task.row, task.dataset, task.seed)
    environments = json.loads((folder / "environments.json").read_text())
    assert {record["environment"] for record in records} <= set(environments)
    assert all(one["commit"] and one["changed"] is False for one in environments.values()), "made by committed code"


def test_the_readme_has_tables() -> None:
    assert BLOCKS


@pytest.mark.parametrize("name", BLOCKS)
def test_the_readme_says_what_the_records_say(name: str) -> None:
    assert BLOCKS[name] == medians(found(ROOT / name))
