"""Studies: what is fixed before running, what is run, skipped, resumed and refused, and the table that comes out."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

from qlstm_qiskit import load_dataset
from qlstm_qiskit.errors import OptionError, RunError, TrainingError
from qlstm_qiskit.experiments import RECIPES, load_run, runner
from qlstm_qiskit.experiments.controls import Control
from qlstm_qiskit.experiments.metrics import forecast_errors
from qlstm_qiskit.experiments.recording import Recorder
from qlstm_qiskit.experiments.rollout import rolled_errors
from qlstm_qiskit.experiments.runner import read_records, run_study, run_task
from qlstm_qiskit.experiments.spec import DataSpec, RunSpec
from qlstm_qiskit.experiments.study import STUDIES, Chain, Derive, Study, load_study, studies
from qlstm_qiskit.experiments.table import table
from qlstm_qiskit.report.table import draw_table, markdown
from qlstm_qiskit.search import STRATEGIES
from tests.experiments.studied import SMALL, numbers


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, run in this process."""
    out = tmp_path_factory.mktemp("studies") / "small"
    run_study(SMALL, out)
    return out


def test_tasks_are_the_cells_of_the_table() -> None:
    tasks = SMALL.tasks()
    assert len(tasks) == 5 * (2 + 1) == len({task.id for task in tasks})
    first = next(task for task in tasks if task.row == "circuit")
    assert first.work == RunSpec(
        data=DataSpec(dataset="damped_shm", window=2), model="config1", hidden_size=1, depth=1, epochs=2, batch_size=40, seed=0
    )
    chain = next(task.work for task in tasks if task.row == "derived")
    assert isinstance(chain, Chain)
    assert chain.search.search is not None
    assert chain.search.search.name == "softmax"
    assert chain.tune == {"epochs": 3, "batch_size": 40, "lr": 0.005}, "what is common to all is for the last training too"


def test_an_id_is_a_hash_of_what_is_done_alone() -> None:
    renamed = SMALL.model_copy(
        update={"name": "x", "rows": {"other name": SMALL.rows["circuit"]}, "families": {}, "published": {}}
    )
    ids = {task.id for task in SMALL.tasks() if task.row == "circuit"}
    assert {task.id for task in renamed.tasks()} == ids
    changed = SMALL.model_copy(update={"common": SMALL.common | {"epochs": 3}})
    assert not ids & {task.id for task in changed.tasks()}


def test_ids_leave_out_defaults_which_therefore_must_stay() -> None:
    """Another default would give records that are there to what they are not of. New fields may be added."""
    run = {
        "model": "diffqas",
        "hidden_size": 5,
        "depth": None,
        "n_qubits": None,
        "genotype": None,
        "search": None,
        "start": None,
    }
    run |= {
        "input_map": "identity",
        "mixing": "linear",
        "num_layers": 1,
        "dropout": 0.0,
        "angle_std": 0.01,
        "valid_fraction": 0.0,
    }
    run |= {"epochs": 100, "batch_size": 10, "optimizer": "rmsprop", "lr": None, "schedule": "constant", "patience": 0}
    run |= {"backend": "statevector", "spsa_eps": 0.15, "spsa_resamplings": 1, "seed": 0, "dtype": "float64"}
    known: dict[type[BaseModel], dict[str, object]] = {
        RunSpec: run,
        DataSpec: {"window": 4, "horizon": 1, "train_fraction": 0.67, "features": None, "season": None},
        Control: {"seed": 0, "units": 100, "spectral_radius": 0.9, "input_scaling": 1.0},
        Chain: {"derive": Derive(strategy="perturbation", top_k=1, refit=True), "tune": {}, "scratch": False},
        STRATEGIES["shrinking"]: {"keep": 1, "begin": 0.3, "end": 0.7, "factor": 0.5, "convex": False},
        STRATEGIES["gumbel-softmax"]: {"start": 1.0, "end": 0.1, "straight_through": False},
        STRATEGIES["best-of-random"]: {"k": 36},
    }
    for kind, defaults in known.items():
        assert {name: kind.model_fields[name].default for name in defaults} == defaults, kind.__name__


def test_every_strategy_has_ids_of_its_own(tmp_path: Path) -> None:
    def ids(row: dict) -> set[str]:
        study = Study.model_validate({"name": "s", "datasets": {"narma5": {}}, "rows": {"row": row}, "seeds": 1})
        return {task.id for task in study.tasks()}

    rows = [{"run": {"search": {"name": name}, "valid_fraction": 0.2}} for name in STRATEGIES]
    rows += [{"search": {"search": {"name": name}, "valid_fraction": 0.2}, "run": {}} for name in STRATEGIES]
    assert len(set().union(*map(ids, rows))) == len(rows)


def test_the_content_of_a_file_is_part_of_an_id(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    found = set()
    for text in ("v\n1\n2\n", "v\n1\n3\n"):
        path.write_text(text)
        rows = {"row": {"run": {"model": "lstm"}}}
        study = Study.model_validate({"name": "s", "datasets": {"mine": {"csv": str(path), "target": "v"}}, "rows": rows})
        found |= {task.id for task in study.tasks() if task.seed == 0}
    assert len(found) == 2


def test_ctrl_c_in_a_training_is_no_result(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """skorch ends a training at Ctrl-C and says nothing; at jobs=1 it would be recorded."""
    part = SMALL.part(rows=["circuit"], datasets=["narma5"])

    def on_batch_end(self, net, batch=None, training=None, **kwargs) -> None:
        if training and len(net.history) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_batch_end", on_batch_end, raising=False)
        with pytest.raises(KeyboardInterrupt):
            run_study(part, tmp_path / "out", whole=SMALL)
    assert read_records(tmp_path / "out") == []
    run_study(part, tmp_path / "out", whole=SMALL)
    assert numbers(tmp_path / "out") == [r for r in numbers(done) if (r["row"], r["dataset"]) == ("circuit", "narma5")]


@pytest.mark.parametrize(
    ("name", "text"),
    [("records.jsonl", "[1]\n"), ("records.jsonl", '{"id": "x"}\n'), ("study.json", "{"), ("environments.json", "[]")],
)
def test_damaged_files_are_one_line(done: Path, tmp_path: Path, name: str, text: str) -> None:
    out = Path(shutil.copytree(done, tmp_path / "copy"))
    (out / name).write_text(text)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        run_study(SMALL.part(rows=["ridge"], seeds=4), out, whole=SMALL)


def test_a_recipe_is_for_what_is_compared_and_not_for_searches() -> None:
    tuned = SMALL.model_copy(update={"recipe": "tuned", "common": {"hidden_size": 1}})
    works = {task.row: task.work for task in tuned.tasks()}
    for key, value in RECIPES["tuned"].items():
        assert getattr(works["circuit"], key) == value
        assert getattr(works["lstm"], key) == (0.01 if key == "angle_std" else value), "it has no angles"
    assert works["derived"].search.optimizer == "rmsprop"
    assert works["derived"].tune == dict(RECIPES["tuned"]) | {"epochs": 3, "lr": 0.005}


def test_records(done: Path) -> None:
    records = read_records(done)
    assert [(r["row"], r["dataset"], r["seed"]) for r in records] == [(t.row, t.dataset, t.seed) for t in SMALL.tasks()]
    for record in records:
        task = next(task for task in SMALL.tasks() if task.id == record["id"])
        if isinstance(task.work, RunSpec):
            metrics = load_run(done / "runs" / record["id"]).metrics
            assert (record["test_mse"], record["n_parameters"]) == (metrics["test_mse"], metrics["n_parameters"])
        elif isinstance(task.work, Chain):
            last = load_run(done / "runs" / record["id"] / "tuned")
            assert (last.spec.epochs, last.spec.lr, last.spec.valid_fraction) == (3, 0.005, 0.0)
            assert record["test_mse"] == last.metrics["test_mse"]
            assert set(record["stages"]) == {"search", "derived", "fine_tuned"}
            assert record["wall_seconds"] == sum(
                load_run(done / "runs" / record["id"] / stage).metrics["wall_seconds"] for stage in ("search", "tuned")
            )
            assert set(record["circuits"]) == {"input", "forget", "cell", "output"}
    environments = json.loads((done / "environments.json").read_text())
    assert {record["environment"] for record in records} == set(environments)
    assert all({"commit", "changed", "versions", "processor"} <= set(one) for one in environments.values())


def test_what_was_fixed_is_written_down_even_where_it_is_the_default(done: Path, tmp_path: Path) -> None:
    content = json.loads((done / "study.json").read_text())
    assert (content["primary"], content["recipe"], content["seeds"]) == ("test_mse", "paper", SMALL.seeds)
    out = Path(shutil.copytree(done, tmp_path / "copy"))
    (out / "study.json").write_text(json.dumps({name: value for name, value in content.items() if name != "primary"}))
    run_study(SMALL, out)
    assert json.loads((out / "study.json").read_text()) == content, "folders of before are the same study"


def test_finished_runs_are_skipped_and_seeds_are_added(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Path(shutil.copytree(done, tmp_path / "copy"))
    begun: list[tuple[str, int]] = []
    plain = run_task
    monkeypatch.setattr(runner, "run_task", lambda task, folder: begun.append((task.row, task.seed)) or plain(task, folder))
    shutil.rmtree(out / "runs")  # records are enough
    run_study(SMALL, out)
    assert begun == []
    assert numbers(out) == numbers(done)
    run_study(SMALL.part(rows=["ridge", "persistence"], seeds=3), out, whole=SMALL)
    assert begun == [("ridge", 2), ("persistence", 2)]
    run_study(SMALL.part(rows=["ridge"], seeds=1), out, whole=SMALL)
    assert json.loads((out / "study.json").read_text()) == json.loads((done / "study.json").read_text())
    assert len(read_records(out)) == 17, "records of other parts of the study are kept"
    assert numbers(out)[:15] == numbers(done), "and all are in the order of the whole study"


def test_a_finished_run_without_a_record_is_read(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Path(shutil.copytree(done, tmp_path / "copy"))
    (out / "records.jsonl").unlink()
    monkeypatch.setattr(runner, "train_run", None)
    monkeypatch.setattr(runner, "resume_run", None)
    run_study(SMALL, out)
    assert numbers(out) == numbers(done)


def test_processes_give_the_same_numbers(done: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    run_study(SMALL, tmp_path / "two", jobs=2, report=lambda n, total, record: said.append((n, total)))
    assert numbers(tmp_path / "two") == numbers(done)
    assert said == [(n, 15) for n in range(1, 16)]


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    """As by the system where memory runs out."""

    def kill(pid: int = os.getpid()) -> None:
        import psutil

        while not (workers := [one for one in psutil.Process(pid).children() if "LokyProcess" in " ".join(one.cmdline())]):
            time.sleep(0.02)
        workers[0].kill()

    study = SMALL.with_epochs(2000).part(rows=["circuit"], datasets=["narma5", "damped_shm"])
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(RunError, match="a process that trained was killed"):
        run_study(study, tmp_path / "out", jobs=2)


def test_a_run_that_diverges_is_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(spec, out):
        raise TrainingError("training diverged in epoch 1")

    monkeypatch.setattr(runner, "train_run", diverges)
    study = SMALL.part(rows=["lstm"], datasets=["narma5"])
    records = run_study(study, tmp_path / "out")
    assert [(r["test_mse"], r["error"]) for r in records] == [(None, "training diverged in epoch 1")]
    found = table(study, records)
    assert found.diverged == 1
    assert found.cells["lstm", "narma5"].summary.median == np.inf
    assert "1 runs diverged and count as infinite" in markdown(found)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["cells"][0]["values"] == [None]
    draw_table(found, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "tuned"}, "recipe 'paper', not 'tuned'|recipe None, not 'tuned'"),
        ({"name": "other"}, "name 'small', not 'other'"),
        ({"common": {"hidden_size": 2}}, "common"),
        ({"primary": "valid_mse"}, "primary"),
        ({"rows": SMALL.model_dump()["rows"] | {"lstm": {"run": {"model": "lstm", "hidden_size": 9}}}}, "another 'lstm'"),
        ({"datasets": {"damped_shm": {"window": 2}, "narma5": {"window": 9}}}, "another 'narma5'"),
        ({"families": {"all": [["lstm", "circuit"]]}}, "another 'all' among its families"),
        ({"published": {"circuit": {"damped_shm": 0.06}}}, "another 'circuit' among its published"),
    ],
)
def test_a_folder_of_another_study_is_refused(done: Path, changes: dict, message: str) -> None:
    before = numbers(done)
    with pytest.raises(RunError, match=message):
        run_study(Study.model_validate(SMALL.model_dump() | changes), done)
    assert numbers(done) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": {"a": {}}}, "exactly one of run and control"),
        ({"rows": {"a": {"run": {}, "control": {"control": "ridge"}}}}, "exactly one"),
        ({"rows": {"a": {"control": {"control": "ridge"}, "search": {}}}}, "no search"),
        ({"families": {"f": [["circuit", "nobody"]]}}, "unknown row 'nobody'"),
        ({"published": {"circuits": {}}}, "Did you mean 'circuit'"),
        ({"recipe": "secret"}, "unknown recipe 'secret'"),
        ({"seeds": 0}, "seeds"),
        ({"primary": "best_mse"}, "primary"),
        ({"row": {}}, "row"),
    ],
)
def test_mistakes_in_a_study_are_one_line(tmp_path: Path, content: dict, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(SMALL.model_dump(mode="json") | content))
    with pytest.raises(OptionError, match=message):
        load_study(path)


def test_a_field_that_no_run_has(tmp_path: Path) -> None:
    study = Study.model_validate(SMALL.model_dump() | {"common": {"hiden_size": 1}})
    with pytest.raises(OptionError, match="row 'circuit' of the study 'small': hiden_size"):
        run_study(study, tmp_path / "out")
    rows = SMALL.model_dump()["rows"]
    rows["derived"]["run"] = {"epoch": 5}
    with pytest.raises(OptionError, match="row 'derived' of the study 'small': epoch"):
        run_study(Study.model_validate(SMALL.model_dump() | {"rows": rows}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", studies())
def test_packaged_studies_are_sound(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    tasks = study.tasks()
    assert len({task.id for task in tasks}) == len(tasks), "no row is another one under a second name"
    for dataset in study.datasets:
        load_dataset(dataset)
    assert (STUDIES / f"{name}.yaml").read_text().startswith("#")


def test_the_control_has_the_parameters_of_the_search() -> None:
    from qlstm_qiskit.training.models import build_forecaster

    def size(model: str, hidden: int, depth: int | None = None) -> int:
        return sum(p.numel() for p in build_forecaster(model, 1, 1, hidden_size=hidden, depth=depth).parameters())

    wanted = size("diffqas", 5, 5)
    assert min(range(20, 40), key=lambda hidden: abs(size("lstm", hidden) - wanted)) == 32


def test_a_study_of_recipes_takes_none() -> None:
    with pytest.raises(OptionError, match="for choosing a recipe"):
        load_study("recipe", "tuned")


def test_unknown_study() -> None:
    with pytest.raises(OptionError, match="unknown study 'tabel2'.*table2"):
        load_study("tabel2")


def test_controls_are_what_they_say() -> None:
    data = DataSpec(dataset="damped_shm")
    dataset = data.load()
    assert Control(control="persistence", data=data).errors(dataset)["test"] == forecast_errors(dataset, dataset.persistence())
    predict, count = Control(control="ridge", data=data).fit(dataset)
    assert count == 5
    x = np.c_[dataset.x_train[:, :, 0], np.ones(len(dataset.x_train))]
    exact = np.c_[dataset.x_test[:, :, 0], np.ones(len(dataset.x_test))] @ np.linalg.lstsq(x, dataset.y_train, rcond=None)[0]
    np.testing.assert_allclose(predict(dataset.x_test), exact, atol=1e-4)
    first, again, other = (Control(control="esn", data=data, seed=seed).errors(dataset)["test_mse"] for seed in (1, 1, 2))
    assert first == again != other
    assert first < np.mean((dataset.persistence() - dataset.y_test) ** 2) / 100


def test_controls_roll_out_like_models() -> None:
    data = DataSpec(dataset="sunspots", window=12)
    dataset = data.load()
    naive, seasonal, ridge = (
        Control(control=name, data=data).errors(dataset, 3)["rolled_out"]["mase"]
        for name in ("persistence", "seasonal-naive", "ridge")
    )
    expected = rolled_errors(Control(control="ridge", data=data).fit(dataset)[0], dataset, 3)
    assert (naive, seasonal, ridge) == tuple(expected[name]["mase"] for name in ("persistence", "seasonal_naive", "model"))
    assert len({naive[0], seasonal[0], ridge[0]}) == 3
    nile = DataSpec(dataset="nile")
    assert Control(control="seasonal-naive", data=nile).errors(nile.load(), 2)["rolled_out"]["mase"][0] > 0


def test_a_study_of_real_series(tmp_path: Path) -> None:
    study = (
        load_study("real").with_epochs(1).part(rows=["config1", "lstm", "ridge", "seasonal-naive"], datasets=["nile"], seeds=1)
    )
    records = run_study(study, tmp_path / "out")
    assert [len(record["rolled_out"]["mase"]) for record in records] == [12] * 4
    cell = table(study, records).cells["ridge", "nile"]
    assert cell.rolled_mase.median == np.mean(records[2]["rolled_out"]["mase"])
    one, several = (part.split("## ")[0] for part in markdown(table(study, records)).split(" ahead\n")[1:])
    assert f"| `ridge` | {cell.mase.median:.2f} |" in one
    assert f"| `ridge` | {cell.rolled_mase.median:.2f} |" in several


def test_the_table(done: Path, tmp_path: Path) -> None:
    records = read_records(done)
    found = table(SMALL, records)
    cell = found.cells["circuit", "damped_shm"]
    errors = [r["test_mse"] for r in records if (r["row"], r["dataset"]) == ("circuit", "damped_shm")]
    assert (list(cell.values), cell.summary.median, cell.published) == (errors, np.median(errors), 0.05)
    assert found.cells["lstm", "narma5"].place == ""
    assert [(t.first, t.second, t.dataset, t.comparison.n) for t in found.families["all"]] == [
        ("circuit", "lstm", "damped_shm", 2),
        ("circuit", "lstm", "narma5", 1),
        ("derived", "ridge", "damped_shm", 2),
        ("derived", "ridge", "narma5", 1),
    ]
    text = markdown(found)
    assert f"{cell.summary.median:.2g}" in text
    assert "| circuit | lstm | damped_shm | 2 |" in text
    assert "damped_shm 2, narma5 1" in text
    assert found.missing == 0
    assert "missing" not in text
    assert found.hours == sum(record["wall_seconds"] for record in records) / 3600 > 0
    few = table(SMALL, records[:4])
    assert few.missing == 11
    assert "11 runs of the study are missing" in markdown(few)
    paths = draw_table(found, tmp_path)
    assert [path.name for path in paths] == ["table.png", "table.svg"]
    assert all(path.stat().st_size > 5000 for path in paths)


@pytest.mark.parametrize(
    ("published", "place"), [(0.02394, "below"), (0.023947, "within"), (0.024, "within"), (0.0252, "above")]
)
def test_published_errors_are_compared_to_their_own_digits(published: float, place: str) -> None:
    study = SMALL.model_copy(update={"published": {"circuit": {"narma5": published}, "lstm": {"narma5": 0.123456}}})
    records = [
        {"row": "circuit", "dataset": "narma5", "seed": seed, "test_mse": error}
        for seed, error in enumerate((0.0239474, 0.02513))
    ]
    assert table(study, records).cells["circuit", "narma5"].place == place


def test_restarts_are_chosen_by_the_training_error() -> None:
    study = Study(name="s", primary="valid_mse", datasets={"narma5": {}}, rows={"circuit": {"run": {"model": "config1"}}})
    place = {"row": "circuit", "dataset": "narma5"}
    errors = [(0.3, 0.2), (0.1, 0.5), (0.2, 0.1)]
    records = [place | {"seed": n, "train_mse": train, "valid_mse": valid} for n, (train, valid) in enumerate(errors)]
    found = table(study, [*records, place | {"seed": 3, "error": "diverged", "test_mse": None}])
    assert found.cells["circuit", "narma5"].restarted == 0.5, "not the lowest validation error, which nobody would know"
    assert "## Restarts" in markdown(found)
    assert "the range where there are fewer than 6 seeds" in markdown(found)
    assert "## Restarts" not in markdown(table(study.model_copy(update={"primary": "test_mse"}), []))


def test_a_part_of_a_study() -> None:
    part = SMALL.part(rows=["circuit", "lstm"], datasets=["narma5"], seeds=4)
    assert [(task.row, task.seed) for task in part.tasks()] == [("circuit", 0), ("lstm", 0)]
    assert part.families == {"all": [("circuit", "lstm")]}
    with pytest.raises(OptionError, match="unknown series 'narma'. Did you mean 'narma5'"):
        SMALL.part(datasets=["narma"])
