"""The table that is made of records: medians, published errors, tests, restarts, several steps ahead, and what diverged."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.stages import stages
from qlstm_qiskit.errors import TrainingError
from qlstm_qiskit.experiments.studies.effects import effect
from qlstm_qiskit.experiments.studies.records import load_study_folder, read_records
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study, load_study
from qlstm_qiskit.experiments.studies.table import table
from qlstm_qiskit.report.table import draw_table, markdown
from qlstm_qiskit.training.callbacks import LastEpoch
from tests.experiments.studied import SMALL


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


def test_rows_lie_whole_inside_their_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "close", lambda figure: None)
    records = [{"row": row, "dataset": "narma5", "seed": 0, "test_mse": 0.1} for row in ("circuit", "lstm")]
    draw_table(table(SMALL, records), tmp_path)
    assert plt.gcf().axes[0].get_ylim() == (1.5, -0.5)
    monkeypatch.undo()
    plt.close("all")


def test_a_run_that_diverges_is_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(self, net, **kwargs):
        raise TrainingError("training diverged in epoch 1")

    monkeypatch.setattr(LastEpoch, "on_epoch_end", diverges)
    study = SMALL.part(rows=["lstm"], datasets=["narma5"])
    records = run_study(study, tmp_path / "out")
    assert [(r["test_mse"], r["error"]) for r in records] == [(None, "training diverged in epoch 1")]
    found = table(study, records)
    assert found.diverged == 1
    cell = found.cells["lstm", "narma5"]
    assert cell.summary.median == np.inf
    assert "1 runs diverged and count as infinite" in markdown(found)
    assert "the range where there are fewer than 6 seeds or a run diverged" in markdown(found)
    assert found.hours > 0, "it took its time"
    assert (cell.mase, cell.rolled_mase) == (None, None), "no run has it"
    others = [{"row": "lstm", "dataset": "narma5", "seed": n, "test_mse": 0.1, "test": {"mase": 0.5}} for n in (1, 2)]
    both = table(study.model_copy(update={"seeds_of": {}, "seeds": 3}), [*records, *others]).cells["lstm", "narma5"]
    assert both.mase.n == 3
    assert both.mase.median_interval == (0.5, np.inf), "as the primary figure"
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["cells"][0]["values"] == [None]
    draw_table(found, tmp_path)


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


def test_what_a_test_could_have_found_is_said_beside_it() -> None:
    """Of the seeds that both rows have, for all tests of the family."""
    rows = {name: {"run": {"model": name}} for name in ("config1", "config2", "lstm")}
    pairs = [("config1", "lstm"), ("config2", "lstm")]
    study = Study(name="s", datasets={"narma5": {}}, rows=rows, families={"all": pairs})
    generator, counts = np.random.default_rng(5), {"config1": 20, "config2": 4, "lstm": 24}
    errors = {name: generator.uniform(1, 2, count) for name, count in counts.items()}
    records = [
        {"row": name, "dataset": "narma5", "seed": seed, "test_mse": value}
        for name, own in errors.items()
        for seed, value in enumerate(own)
    ]
    many, few = table(study, records).families["all"]
    assert many.effect == effect(errors["config1"], errors["lstm"][:20], tests=2)
    assert many.effect.detectable is not None
    assert many.effect.detectable > 1
    assert few.effect.detectable is None
    text = markdown(table(study, records))
    assert f"| {many.comparison.delta:+.2f} | {many.effect.detectable:.2g} |" in text
    assert f"| {few.comparison.delta:+.2f} |  | too few seeds |" in text


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


@pytest.mark.slow
def test_a_study_of_searches(tmp_path: Path) -> None:
    """Its records have what the tables of `benchmarks.stages` are made of."""
    rows = ["full", "weighted-sum by contribution", "softmax + device", "random"]
    whole = load_study("search").with_epochs(1)
    study = whole.part(rows=rows, datasets=["damped_shm"], seeds=1)
    records = run_study(study, tmp_path / "out", whole=whole)
    assert load_study_folder(tmp_path / "out") == (whole, records)
    assert [set(record.get("stages", ())) for record in records] == [set(), *[{"search", "derived", "fine_tuned"}] * 3]
    assert [record["n_circuits"] for record in records] == [144, 4, 4, 4]
    lines = "\n".join(stages(study, records))
    search, derived, tuned = lines.split(": median test MSE**")[1:]
    for stage, part in (("search", search), ("derived", derived), ("fine_tuned", tuned)):
        assert f"{records[1]['stages'][stage]['test_mse']:.3g} |" in part
    assert "| weighted-sum | contribution |" in tuned
    assert "| full |" not in derived
    assert "| `softmax + device` | 58 | 4 |" in markdown(table(study, records))
