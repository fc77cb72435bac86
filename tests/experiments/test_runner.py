"""Runs of a study: what is run, recorded, skipped, resumed and refused."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments import load_run
from qlstm_qiskit.experiments.runs.environment import environment
from qlstm_qiskit.experiments.runs.recording import Recorder
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.experiments.runs.training import side_by_side
from qlstm_qiskit.experiments.studies import runner, work
from qlstm_qiskit.experiments.studies.records import Record, load_study_folder, read_environments, read_records
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Chain, Study, StudyTask
from qlstm_qiskit.report.pages.write import write_report
from tests.experiments.resumable import interrupted_in, write_series
from tests.experiments.studied import SMALL, numbers
from tests.speed import slow_but


@pytest.mark.slow
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
    [
        ("records.jsonl", "[1]\n"),
        ("records.jsonl", '{"id": "x"}\n'),
        *(
            ("records.jsonl", json.dumps({"id": "x", "row": "a", "dataset": "b", "seed": 0} | one) + "\n")
            for one in (
                {},
                {"test_mse": None},
                {"test_mse": "1"},
                {"test_mse": float("inf")},
                {"test_mse": 1.0, "error": "diverged"},
                {"test_mse": 1.0, "test": [1]},
                {"test_mse": 1.0, "rolled_out": {"rmse": [1.0]}},
                {"test_mse": 1.0, "n_parameters": 1.5},
                {"test_mse": 1.0, "seed": "0"},
                {"test_mse": 1.0, "wall_seconds": None},
            )
        ),
        ("study.json", "{"),
        ("environments.json", "[]"),
    ],
)
def test_damaged_files_are_one_line(done: Path, tmp_path: Path, name: str, text: str) -> None:
    out = Path(shutil.copytree(done, tmp_path / "copy"))
    (out / name).write_text(text)
    with pytest.raises(RunError, match=f"{name} is damaged"):
        run_study(SMALL.part(rows=["ridge"], seeds=4), out, whole=SMALL)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    slow_but(
        [("processor", None, "processor: Input should be a valid string")],
        [
            ("commit", {"name": "x"}, "commit: Input should be a valid string"),
            ("versions", {"torch": ["2"]}, "versions.torch: Input should be a valid string"),
            ("processor", None, "processor: Input should be a valid string"),
        ],
    ),
)
def test_damaged_environments_are_refused(done: Path, tmp_path: Path, name: str, value: object, message: str) -> None:
    shutil.copytree(done, tmp_path / "out")
    path = tmp_path / "out" / "environments.json"
    path.write_text(json.dumps({key: made | {name: value} for key, made in json.loads(path.read_text()).items()}))
    for read in (read_environments, lambda out: write_report(out, tmp_path / "page.html")):
        with pytest.raises(RunError, match=f"environments.json is damaged or of another version: {message}"):
            read(tmp_path / "out")


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
    plain = work.run_group

    def noted(tasks: list[StudyTask], folder: Path) -> list[Record]:
        begun.extend((task.row, task.seed) for task in tasks)
        return plain(tasks, folder)

    monkeypatch.setattr(runner, "run_group", noted)
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
    for name in ("train_run", "resume_run", "_side_by_side"):
        monkeypatch.setattr(side_by_side, name, None)
    run_study(SMALL, out)
    assert numbers(out) == numbers(done)


def test_a_record_is_of_the_process_that_trained(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of one with other code that reads what is finished."""
    out = Path(shutil.copytree(done, tmp_path / "copy"))
    (out / "records.jsonl").unlink()
    monkeypatch.setattr(work, "environment", lambda: environment() | {"commit": "another"})
    part = SMALL.part(rows=["circuit", "derived", "ridge"], datasets=["narma5"])
    known = {record["row"]: record["environment"] for record in read_records(done)}
    records = {record["row"]: record["environment"] for record in run_study(part, out, whole=SMALL)}
    assert records["circuit"] == records["derived"] == known["circuit"]
    assert records["ridge"] != known["ridge"], "it was computed anew"


@pytest.mark.slow
def test_an_unfinished_study_may_be_moved(done: Path, tmp_path: Path) -> None:
    """Also in the last training of a chain, which starts from another folder of the study."""
    part, here, there = SMALL.part(rows=["derived"], datasets=["narma5"]), tmp_path / "here", tmp_path / "there"
    with interrupted_in(2), pytest.raises(KeyboardInterrupt):  # the last epoch of the search, which is finished then
        run_study(part, here, whole=SMALL)
    here.rename(there)
    run_study(part, there, whole=SMALL)
    assert numbers(there) == [r for r in numbers(done) if (r["row"], r["dataset"]) == ("derived", "narma5")]


def test_records_of_a_file_before_it_changed_are_not_in_the_table(tmp_path: Path) -> None:
    rows = {"ridge": {"control": {"control": "ridge"}}, "persistence": {"control": {"control": "persistence"}}}
    path = write_series(tmp_path / "wave.csv")
    study = Study.model_validate({"name": "s", "datasets": {"mine": {"csv": str(path), "target": "value"}}, "rows": rows})
    before = run_study(study.part(seeds=3), tmp_path / "out", whole=study)
    assert load_study_folder(tmp_path / "out")[1] == before
    path.write_text(path.read_text().replace("0.0\n", "1.0\n", 1))
    after = run_study(study.part(seeds=1), tmp_path / "out", whole=study)
    assert load_study_folder(tmp_path / "out")[1] == after
    assert {record["id"] for record in after}.isdisjoint(record["id"] for record in before)
    path.unlink()
    left = {(record["row"], record["seed"]): record for record in load_study_folder(tmp_path / "out")[1]}
    assert [left[record["row"], 0] for record in after] == after, "what was done last, where nobody can tell"
    assert len(left) == 6


@pytest.mark.slow
def test_a_study_moves_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by a relative path: what is finished stays, what is unfinished goes on, also between the stages of a chain."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    write_series(here / "wave.csv")
    rows = {name: row for name, row in SMALL.model_dump()["rows"].items() if name in ("circuit", "derived", "ridge")}
    datasets = {"wave": {"csv": "wave.csv", "target": "value"}}
    content = {"name": "s", "seeds": 1, "common": SMALL.common, "rows": rows, "datasets": datasets}
    study = Study.model_validate(content)
    monkeypatch.chdir(here)
    whole = run_study(study, Path("whole"))
    with interrupted_in(2), pytest.raises(KeyboardInterrupt):
        run_study(study.part(rows=["derived"]), Path("out"), whole=study)
    here.rename(there)
    monkeypatch.chdir(there)
    assert load_study_folder(Path("whole"))[1] == whole
    run_study(study, Path("out"))
    assert numbers(Path("out")) == numbers(Path("whole"))
    shutil.rmtree("out/runs/" + next(record["id"] for record in whole if record["row"] == "derived") + "/tuned")
    shutil.rmtree("out/runs/" + next(record["id"] for record in whole if record["row"] == "derived") + "/derived")
    Path("out/records.jsonl").unlink()
    there.rename(here)
    monkeypatch.chdir(here)
    run_study(study, Path("out"))
    assert numbers(Path("out")) == numbers(Path("whole"))


def test_series_and_their_published_errors_may_be_added(tmp_path: Path) -> None:
    published = {"ridge": {"damped_shm": 0.1, "narma5": 0.2}}
    study = Study.model_validate(SMALL.model_dump() | {"published": published}).part(rows=["ridge"], seeds=1)
    run_study(study.part(datasets=["narma5"]), tmp_path / "out")
    run_study(study, tmp_path / "out")
    assert load_study_folder(tmp_path / "out")[0].published == published


@pytest.mark.slow
def test_processes_give_the_same_numbers(done: Path, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    run_study(SMALL, tmp_path / "two", jobs=2, report=lambda n, total, record: said.append((n, total)))
    assert numbers(tmp_path / "two") == numbers(done)
    assert said == [(n, 15) for n in range(1, 16)]


def test_a_process_that_is_killed_is_one_line(tmp_path: Path) -> None:
    """As by the system where memory runs out."""

    def kill(pid: int = os.getpid()) -> None:
        import psutil

        while not any((tmp_path / "out").rglob("history.jsonl")):  # one that has nothing to do yet is replaced by another one
            time.sleep(0.02)
        workers = [one for one in psutil.Process(pid).children() if "LokyProcess" in " ".join(one.cmdline())]
        max(workers, key=lambda one: one.cpu_times().user).kill()

    study = SMALL.with_epochs(2000).part(rows=["circuit"], datasets=["narma5", "damped_shm"])
    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(RunError, match="a process that trained was killed"):
        run_study(study, tmp_path / "out", jobs=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "tuned"}, "recipe 'paper', not 'tuned'|recipe None, not 'tuned'"),
        ({"name": "other"}, "name 'small', not 'other'"),
        ({"common": {"hidden_size": 2}}, "common"),
        (
            {
                "primary": "valid_mse",
                "rows": {"lstm": {"run": {"model": "lstm", "valid_fraction": 0.2}}},
                "families": {},
                "published": {},
            },
            "primary",
        ),
        ({"rows": SMALL.model_dump()["rows"] | {"lstm": {"run": {"model": "lstm", "hidden_size": 9}}}}, "another 'lstm'"),
        ({"datasets": {"damped_shm": {"window": 2}, "narma5": {"window": 9}}}, "another 'narma5'"),
        ({"shorter": {"narma5": 2}}, "another number of epochs for 'narma5'"),
        ({"families": {"all": [["lstm", "circuit"]]}}, "another 'all' among its families"),
        ({"published": {"circuit": {"damped_shm": 0.06}}}, "another 'circuit on damped_shm' among its published"),
    ],
)
def test_a_folder_of_another_study_is_refused(done: Path, changes: dict, message: str) -> None:
    before = numbers(done)
    with pytest.raises(RunError, match=message):
        run_study(Study.model_validate(SMALL.model_dump() | changes), done)
    assert numbers(done) == before
