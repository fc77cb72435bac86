"""Evaluations that follow a study's trainings: recorded once, added later without training again, and put into the table."""

import json
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments.runs.load import load_run
from qlstm_qiskit.experiments.runs.training import side_by_side
from qlstm_qiskit.experiments.studies import work
from qlstm_qiskit.experiments.studies.records import load_study_folder, read_records
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.experiments.studies.table import table
from qlstm_qiskit.nn import predict_windows
from qlstm_qiskit.report.table import markdown

CONTENT = {
    "name": "evaluated",
    "seeds": 2,
    "datasets": {"damped_shm": {"window": 2}},
    "common": {"hidden_size": 1, "epochs": 1, "batch_size": 40},
    "rows": {
        "circuit": {"run": {"model": "config1", "depth": 1}},
        "lstm": {"run": {"model": "lstm"}},
        "map": {"run": {"model": "config1", "depth": 1, "bank": "tanh"}},
        "persistence": {"control": {"control": "persistence"}},
    },
}
SHOTS = {"few shots": {"backend": "exact-shots", "shots": 16, "repeats": 3}}
MORE = SHOTS | {
    "measured": {"backend": "aer-shots", "shots": 16, "rows": ["circuit"], "predicted_by": "few shots"},
    "exact": {"backend": "aer-exact"},
}


def study(evaluations: dict[str, object], primary: str = "test_mse") -> Study:
    return Study.model_validate(CONTENT | {"evaluations": evaluations, "primary": primary})


def test_evaluations_are_recorded_and_may_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run_study(study({}), tmp_path)
    assert not any("evaluations" in record for record in plain)
    trained = []
    for name in ("train_run", "_side_by_side"):
        monkeypatch.setattr(side_by_side, name, lambda specs, outs, *given, **options: trained.append(outs))
    own = study(MORE)
    records = {(record["row"], record["seed"]): record for record in run_study(own, tmp_path)}
    assert not trained, "a run that is there is not trained again"
    for before in plain:
        after = dict(records[before["row"], before["seed"]])
        found = {name: item["errors"] for name, item in after.pop("evaluations").items()}
        after["wall_seconds"] = before["wall_seconds"]
        assert after == before
        assert list(found) == ["few shots", *(["measured"] if before["row"] == "circuit" else []), "exact"]
        assert found["exact"] == pytest.approx([before["test_mse"]], rel=1e-9)
        repeats = 3 if before["row"] == "circuit" else 1
        assert len(set(found["few shots"])) == len(found["few shots"]) == repeats
    monkeypatch.setattr(work, "evaluate", lambda *given: pytest.fail("evaluated twice"))
    assert [record["evaluations"] for record in run_study(own, tmp_path)] == [
        record["evaluations"] for record in records.values()
    ]
    with pytest.raises(RunError, match="another 'few shots' among its evaluations"):
        run_study(study({"few shots": {"backend": "exact-shots", "shots": 17}}), tmp_path)


def test_an_evaluation_is_that_of_the_backend(tmp_path: Path) -> None:
    own = study({"bits": {"backend": "aer-shots", "shots": 50, "repeats": 2}})
    (first, second) = (record for record in run_study(own, tmp_path) if record["row"] == "circuit")
    assert first["evaluations"] != second["evaluations"], "another seed has other shots"
    task = next(task for task in own.tasks() if task.row == "circuit")
    spec = task.evaluations["bits"].spec
    assert (spec.kind, spec.shots) == ("aer", 50)
    run = load_run(tmp_path / "runs" / task.id, backend=spec.model_copy(update={"seed": 1_000_000}))
    data = run.dataset
    errors = [float(np.mean((predict_windows(run.forecaster, data.x_test) - data.y_test) ** 2)) for _ in range(2)]
    assert first["evaluations"]["bits"]["errors"] == pytest.approx(errors, rel=1e-12)


def test_rows_are_compared_by_an_evaluation(tmp_path: Path) -> None:
    own = study(MORE, "few shots").model_copy(update={"families": {"all": [("circuit", "lstm")]}})
    records = run_study(own, tmp_path)
    found = table(*load_study_folder(tmp_path))
    cell = found.cells["circuit", "damped_shm"]
    of_circuit = [record["evaluations"] for record in records if record["row"] == "circuit"]
    assert cell.values == tuple(np.mean(item["few shots"]["errors"]) for item in of_circuit)
    measured = [item["measured"]["errors"][0] for item in of_circuit]
    assert cell.evaluated["measured"].median == pytest.approx(np.median(measured))
    assert cell.measured == {"measured": pytest.approx(sum(measured) / sum(cell.values))}
    assert found.cells["lstm", "damped_shm"].measured == {}
    text = markdown(found)
    for line in (
        "Test MSE on few shots after training",
        "## On measured",
        "## Error on measured as a multiple of that on few shots",
        f"| `circuit` | {cell.measured['measured']:.2f} |",
    ):
        assert line in text
    assert "## On few shots" not in text
    json.dumps(found.to_json(), allow_nan=False)
    assert set(found.to_json()["cells"][0]) >= {"evaluated", "measured"}
    without = table(study({}), records).to_json()["cells"][0]
    assert not {"evaluated", "measured"} & set(without)
    assert len(read_records(tmp_path)) == 8


def test_runs_that_diverged_are_infinite_and_have_no_part_in_what_was_predicted(tmp_path: Path) -> None:
    own = study(MORE, "few shots")
    records = run_study(own, tmp_path)
    failed = [record for record in records if record["row"] == "circuit"][1]
    place = {name: failed[name] for name in ("id", "row", "dataset", "seed", "environment")}
    records[records.index(failed)] = place | {"error": "training diverged", "test_mse": None}
    first = next(record["evaluations"] for record in records if record["row"] == "circuit")
    cell = table(own, records).cells["circuit", "damped_shm"]
    assert cell.values[1] == np.inf
    assert cell.measured == {"measured": pytest.approx(first["measured"]["errors"][0] / np.mean(first["few shots"]["errors"]))}
    markdown(table(own, records))


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    for evaluations, primary, words in (
        (SHOTS, "other", "primary is 'other'; it should be one of 'test_mse', 'valid_mse', 'few shots'"),
        (MORE, "measured", "primary is 'measured'"),
        ({"a": {"backend": "exact-shots", "rows": ["circus"]}}, "test_mse", "circuit"),
        ({"a": {"backend": "exact-shots", "predicted_by": "b"}}, "test_mse", "evaluation 'b'"),
        ({"a": {"backend": "exact-shots", "shots": 0}}, "test_mse", "greater than 0"),
    ):
        with pytest.raises((ValueError, OptionError), match=words):
            study(evaluations, primary)
    for backend, words in (("ibm", "a study evaluates on this machine, and backend ibm does not"), ("aer-shot", "aer-shots")):
        with pytest.raises(OptionError, match=words):
            study({"a": {"backend": backend}}).tasks()
    assert not any(tmp_path.iterdir())
