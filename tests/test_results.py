"""Committed results: they are what the studies of the package ask for, and what the README says of them is what they say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit import load_dataset
from qlstm_qiskit.experiments.controls import Control
from qlstm_qiskit.experiments.runner import read_records, run_task
from qlstm_qiskit.experiments.scaling import load_scaling
from qlstm_qiskit.experiments.study import Study, load_study, studies
from qlstm_qiskit.experiments.table import Table, table
from qlstm_qiskit.report.scaling import scaling_report
from qlstm_qiskit.report.table import markdown, medians

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
    """Each record is a task of the study that comes with the package, and was made by committed code."""
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


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_tables_are_made_of_the_records(folder: Path) -> None:
    table = found(folder)
    assert (folder / "table.md").read_text() == markdown(table)
    assert json.loads((folder / "table.json").read_text()) == json.loads(json.dumps(table.to_json()))


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_controls_still_have_the_errors_of_the_records(folder: Path, tmp_path: Path) -> None:
    """The series and the linear regression on them are what they were."""
    content = json.loads((folder / "study.json").read_text())
    tasks = {task.id: task for task in load_study(content["name"], content.get("recipe")).tasks()}
    records = [record for record in read_records(folder) if record["seed"] == 0]
    for record in records:
        task = tasks[record["id"]]
        if isinstance(task.work, Control) and task.work.control != "esn":
            assert run_task(task, tmp_path)["test_mse"] == pytest.approx(record["test_mse"], rel=1e-6, abs=1e-11)


@pytest.mark.parametrize(("row", "dataset"), [("config4", "narma5"), ("lstm", "narma10"), ("config3", "damped_shm")])
def test_a_training_still_ends_as_the_records_say(row: str, dataset: str, tmp_path: Path) -> None:
    """Bits are those of one processor; a hundred epochs on another still end close by."""
    folder = ROOT / "results" / "table2"
    (task,) = (task for task in load_study("table2").tasks() if (task.row, task.dataset, task.seed) == (row, dataset, 0))
    (record,) = (record for record in read_records(folder) if record["id"] == task.id)
    assert run_task(task, tmp_path)["test_mse"] == pytest.approx(record["test_mse"], rel=0.02)


def test_the_readme_has_tables() -> None:
    assert BLOCKS


@pytest.mark.parametrize("name", BLOCKS)
def test_the_readme_says_what_the_records_say(name: str) -> None:
    assert BLOCKS[name] == medians(found(ROOT / name))


def test_the_notebook_shows_the_committed_table() -> None:
    cells = json.loads((ROOT / "notebooks" / "08_reproduce_the_table.ipynb").read_text())["cells"]
    shown = ["".join(output.get("data", {}).get("text/markdown", "")) for cell in cells for output in cell.get("outputs", ())]
    assert medians(found(ROOT / "results" / "table2-tuned")) in shown


def test_what_the_readme_says_of_times() -> None:
    hours = [found(ROOT / "results" / name).hours for name in ("table2", "table2-tuned", "real")]
    once, twice = ["{:.1f}, {:.1f} and {:.1f} hours".format(*(x / n for x in hours)) for n in (1, 2)]
    assert f"On two cores the three take {twice} (the time of their runs, {once} of one core," in README
    records = read_records(ROOT / "results" / "table2")
    rest = [record.get("wall_seconds", 0) for record in records if record["dataset"] != "delayed_quantum_control"]
    assert round(sum(rest) / 7200) == 1


def test_what_the_readme_says_of_scaling() -> None:
    folder = ROOT / "results" / "scaling"
    plan, records = load_scaling(folder)
    assert len(records) == 17
    assert all(record.environment["commit"] and record.environment["changed"] is False for record in records)
    ratios = [record.qlstm.step_ms / record.lstm.step_ms for record in records]
    assert f"takes {min(ratios):.1f} to\n{max(ratios):.1f} times as long" in README
    memory = [record.qlstm.memory_mib for record in records]
    assert f"model and step {min(memory):.0f} to {max(memory):.0f} MiB" in README
    assert "up to depth 8, 36 candidates, hidden size 6 and window 16" in README
    highest = [max(getattr(record.point, axis) for record in records) for axis in ("depth", "candidates", "hidden", "window")]
    assert highest == [8, 36, 6, 16]
    assert (folder / "scaling.md").read_text() == scaling_report(plan, records)


def test_what_the_readme_says_of_recipes() -> None:
    table = found(ROOT / "results" / "recipe")
    error = {key: cell.summary.median for key, cell in table.cells.items()}
    models, series = ("circuit", "search", "lstm"), list(table.study.datasets)
    assert f"[{len(table.study.rows)} rows](results/recipe/table.md)" in README
    gains = [error[f"{model} paper", name] / error[f"{model} lbfgs-50", name] for model in models for name in series]
    assert "by factors of 3 to 8,000" in README
    assert 3 < min(gains) < max(gains) < 8000
    longer = [error[f"{model} lbfgs-50", name] < error[f"{model} lbfgs-10", name] for model in models for name in series]
    assert sum(longer) >= 13, "nearly every case"
    pairs = (("rmsprop-cosine", "paper"), ("adam-0.03", "adam-0.03-constant"))
    falling = [
        error[f"{model} {one}", name] < error[f"{model} {other}", name]
        for one, other in pairs
        for model in models
        for name in series
    ]
    assert f"in {sum(falling)} of {len(falling)} cases" in README
    soft = [error["search lbfgs-50 softmax", name] > error["search lbfgs-50", name] for name in series]
    assert sum(soft) == 4
    assert "worse on four of five series" in README
    for model in models:
        restarts = [
            np.log(cell.restarted / cell.summary.median)
            for (row, name), cell in table.cells.items()
            if row.startswith(f"{model} lbfgs") and len(cell.values) > 1
        ]
        assert np.exp(np.mean(restarts)) == pytest.approx(2 / 3, abs=0.05)


def test_what_the_readme_says_of_the_papers_table() -> None:
    table = found(ROOT / "results" / "table2")
    verdict = {
        (test.first, test.second, test.dataset): test.comparison.verdict for own in table.families.values() for test in own
    }
    series = list(table.study.datasets)
    assert series == ["bessel", "damped_shm", "delayed_quantum_control", "narma5", "narma10"]
    assert all(len(cell.values) == 12 for cell in table.cells.values())

    def verdicts(first: str, second: str) -> list[str]:
        return [verdict[first, second, name] for name in series]

    places = {key: cell.place for key, cell in table.cells.items() if cell.published is not None}
    assert f"{list(places.values()).count('within')} of its {len(places)} numbers" in README
    for name in table.study.datasets:
        assert places["diffqas", name] == "within"
        for row in ("config3", "config5"):
            assert {round(value, 6) for value in table.cells[row, name].values} == {table.cells[row, name].published}
    better = {("reservoir", "bessel"), ("reservoir", "damped_shm"), ("reservoir-shared", "bessel")}
    better |= {("reservoir-shared", "damped_shm"), ("diffqas-shared", "narma5"), ("diffqas-shared", "narma10")}
    assert all(places[key] == "above" for key in better)
    for name, factor in (("bessel", 2000), ("damped_shm", 160)):
        values = table.cells["diffqas", name].values
        assert max(values) / min(values) == pytest.approx(factor, rel=0.01)
    for row in ("config2", "config3", "config5", "config6"):
        assert verdicts("diffqas", row) == ["better"] * 5
    assert verdicts("diffqas", "config4") == ["better", "better", "undecided", "worse", "undecided"]
    assert verdicts("diffqas", "config1") == ["undecided", "undecided", "better", "undecided", "undecided"]
    for first, second in (("diffqas", "diffqas-shared"), ("reservoir", "reservoir-shared")):
        assert verdicts(first, second) == ["undecided"] * 5
    assert verdicts("diffqas", "reservoir") == ["better", *["undecided"] * 4]
    assert verdicts("diffqas", "lstm") == ["undecided"] * 4 + ["worse"]
    assert verdicts("diffqas", "lstm-32") == ["worse", *["undecided"] * 3, "worse"]
    median = {key: cell.summary.median for key, cell in table.cells.items()}
    for row in ("esn", "ridge"):
        assert verdicts("diffqas", row) == ["worse"] * 5
        assert all(median["diffqas", name] / median[row, name] > 7 for name in series)
    assert verdicts("derived", "diffqas") == ["undecided", "better", "better", "undecided", "undecided"]
    assert verdicts("derived", "lstm") == ["undecided"] * 4 + ["worse"]


def test_what_the_readme_says_of_the_tuned_table() -> None:
    table = found(ROOT / "results" / "table2-tuned")
    median = {key: cell.summary.median for key, cell in table.cells.items()}
    series = list(table.study.datasets)
    best = table.study.published["diffqas"]
    trained = [row for row, spec in table.study.rows.items() if spec.control is None]
    assert all(median[row, name] < best[name] for row in trained for name in series)

    def tests(first: str, second: str) -> list[str]:
        return [
            test.comparison.verdict
            for own in table.families.values()
            for test in own
            if (test.first, test.second) == (first, second)
        ]

    def lower(first: str, second: str) -> int:
        return sum(median[first, name] < median[second, name] for name in series)

    against = [
        t.comparison.p_holm for own in table.families.values() for t in own if (t.first, t.second) == ("diffqas", "lstm")
    ]
    assert min(against) > 0.1
    assert lower("lstm", "diffqas") == 4
    assert sorted(tests("diffqas", "lstm-20")) == ["undecided"] * 3 + ["worse"] * 2
    won = {"hybrid-derived": {}, "hybrid-best-of-random": {"delayed_quantum_control": "better"}}
    for row, better in won.items():
        assert dict(zip(series, tests(row, "lstm"), strict=True)) == dict.fromkeys(series, "undecided") | better
        assert lower(row, "lstm") == 4
        assert table.cells[row, "bessel"].n_parameters == 135
    assert table.cells["lstm", "bessel"].n_parameters == 166
    assert tests("hybrid-config1", "lstm") == tests("hybrid", "hybrid-config1") == ["undecided"] * 5
    assert tests("hybrid-derived", "hybrid-config1") == ["undecided", "undecided", "better", "undecided", "worse"]
    assert tests("hybrid-best-of-random", "hybrid-config1") == ["undecided", "undecided", "better", "undecided", "undecided"]
    for row in ("derived", "best-of-random"):
        assert tests(row, "lstm") == ["worse"] * 5
    assert tests("diffqas-early", "diffqas") == ["undecided", "worse", "undecided", "undecided", "worse"]
    assert tests("lstm-early", "lstm") == ["undecided", "undecided", "worse", "undecided", "worse"]
    assert dict(zip(series, tests("diffqas", "config1"), strict=True)) == dict.fromkeys(series, "undecided") | {
        "bessel": "better"
    }
    for row in ("diffqas-shared", "reservoir"):
        assert tests("diffqas", row) == ["undecided"] * 5
    assert lower("hybrid-best-of-random", "hybrid-derived") == 3
    lead = {name: min(median[row, name] for row in trained) / median["esn", name] for name in series}
    assert 2 < lead["damped_shm"] < lead["bessel"] < 5
    assert lead["delayed_quantum_control"] > 100
    assert 1 < lead["narma10"] < 1.1
    assert lead["narma5"] < 1
    ridge = {name: median["ridge", name] < min(median[row, name] for row in trained) for name in series}
    assert [ridge[name] for name in series] == [True, False, True, False, True]
    assert f"{median['ridge', 'delayed_quantum_control']:.1g}" == "3e-12"
    constant = {
        (row, name): sum(value > 0.99 * np.var(load_dataset(name).y_test) for value in table.cells[row, name].values)
        for row in trained
        for name in series
    }
    assert {key: count for key, count in constant.items() if count} == {
        ("derived", "narma5"): 4,
        ("derived", "narma10"): 5,
        ("hybrid-derived", "narma5"): 2,
        ("hybrid-derived", "narma10"): 2,
    }
    everybody = [median[row, "narma10"] for row in trained]
    assert median["persistence", "narma10"] < min(everybody)


def test_what_the_readme_says_of_real_series() -> None:
    table = found(ROOT / "results" / "real")
    assert all(len(cell.values) == 12 for cell in table.cells.values())
    series = list(table.study.datasets)
    assert series == ["sunspots", "nile", "elnino", "co2"]
    median = {key: cell.summary.median for key, cell in table.cells.items()}

    def tests(first: str, second: str) -> list[str]:
        return [
            test.comparison.verdict
            for own in table.families.values()
            for test in own
            if (test.first, test.second) == (first, second)
        ]

    assert tests("diffqas", "ridge") == ["worse"] * 4
    assert tests("diffqas-early", "ridge") == ["worse", "undecided", "worse", "worse"]
    below = {(row, name) for row, name in median if median[row, name] < median["ridge", name]}
    assert below == {("config1", "sunspots"), ("lstm-early", "elnino")}
    assert not tests("config1", "ridge") + tests("lstm-early", "ridge")
    factors = [median[row, "nile"] / median["persistence", "nile"] for row in ("diffqas", "lstm")]
    assert np.round(factors).tolist() == [2, 4]
    assert tests("lstm-early", "lstm") == ["better", "better", "undecided", "undecided"]
    assert tests("diffqas-early", "diffqas") == ["undecided", "better", "undecided", "undecided"]
    assert tests("diffqas-early", "diffqas-paper") == ["undecided"] * 4
    assert tests("lstm-early", "lstm-paper") == ["undecided", "better", "undecided", "undecided"]
    for pair in (("diffqas", "lstm"), ("diffqas-early", "lstm-early")):
        assert tests(*pair) == ["undecided"] * 3 + ["worse"]
    gains = [median[row, name] / median[f"{row}-early", name] for row in ("diffqas", "lstm") for name in ("sunspots", "nile")]
    assert np.round([min(gains), max(gains)]).tolist() == [2, 6], "as docs/how-to/recipes.md has it"
    ranked = sorted(table.study.rows, key=lambda row: median[row, "co2"])
    assert ranked[:2] == ["ridge", "persistence"]
    circuits = [row for row in table.study.rows if table.cells[row, "co2"].n_circuits]
    assert set(ranked[-len(circuits) :]) == set(circuits)
