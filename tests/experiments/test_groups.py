"""Seeds of a study's cell that are trained together: which are, and that no number depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qlstm_qiskit.experiments.runs.load import load_run
from qlstm_qiskit.experiments.runs.training import side_by_side
from qlstm_qiskit.experiments.studies import work
from qlstm_qiskit.experiments.studies.records import read_environments, read_records
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import Study
from qlstm_qiskit.experiments.studies.work import in_groups
from qlstm_qiskit.training.callbacks import LastEpoch
from tests.experiments.studied import SMALL, numbers

CHAINS = Study.model_validate(
    {
        "name": "chains",
        "seeds": 3,
        "datasets": {"damped_shm": {"window": 2}},
        "common": {"hidden_size": 1, "epochs": 2, "batch_size": 40},
        "rows": {
            "derived": {
                "search": {"model": "diffqas", "depth": 1, "valid_fraction": 0.2, "search": {"name": "weighted-sum"}},
                "run": {"epochs": 3, "lr": 0.005},
            },
        },
    }
)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were side by side, training after training."""
    found, plain = [], side_by_side.fit_side_by_side

    def noted(estimators: Any, *given: Any, dry: bool = False) -> Any:
        if not dry:
            found.append(len(estimators))
        return plain(estimators, *given, dry=dry)

    monkeypatch.setattr(side_by_side, "fit_side_by_side", noted)
    return found


def test_which_are_a_group() -> None:
    """Seeds of a cell that run side by side; fewer of them where processes would have nothing to do."""
    study = Study.model_validate(SMALL.model_dump() | {"seeds": 3, "seeds_of": {}}).part(
        rows=["circuit", "lstm", "ridge"], datasets=["narma5"]
    )
    groups = in_groups(study.tasks(), 2)
    assert [(group[0].row, len(group)) for group in groups] == [("circuit", 3), ("lstm", 3), *[("ridge", 1)] * 3]
    assert sorted(task.id for group in groups for task in group) == sorted(task.id for task in study.tasks())
    for jobs, seeds in ((1, [[0, 1, 2]]), (2, [[0, 1], [2]]), (9, [[0], [1], [2]])):
        found = in_groups(study.part(rows=["circuit"]).tasks(), jobs)
        assert sorted([task.seed for task in group] for group in found) == seeds


def test_numbers_do_not_depend_on_the_grouping(tmp_path: Path, sizes: list[int]) -> None:
    study = Study.model_validate(SMALL.model_dump() | {"seeds": 3, "seeds_of": {}}).part(rows=["circuit"], datasets=["narma5"])
    run_study(study, tmp_path / "whole")
    assert sizes == [3]
    for seeds in (1, 3):
        run_study(study.part(seeds=seeds), tmp_path / "parts", whole=study)
    assert sizes == [3, 1, 2]
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    (made,) = read_environments(tmp_path / "whole").values()
    assert made["trained"] == "side by side"


def test_one_that_diverges_is_a_record_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study.model_validate(SMALL.model_dump() | {"seeds": 3, "seeds_of": {}}).part(rows=["circuit"], datasets=["narma5"])
    run_study(study, tmp_path / "whole")
    begin, begun = LastEpoch.on_epoch_begin, []

    def breaks(self: LastEpoch, net: Any, **options: Any) -> None:
        begin(self, net, **options)
        begun.append(net)
        if len(begun) == 2:
            net.module_.head.bias.data.fill_(float("nan"))

    monkeypatch.setattr(LastEpoch, "on_epoch_begin", breaks)
    records = run_study(study, tmp_path / "broken")
    assert ["error" in record for record in records] == [False, True, False]
    assert "training diverged in epoch 1" in records[1]["error"]
    whole = numbers(tmp_path / "whole")
    assert [numbers(tmp_path / "broken")[n] for n in (0, 2)] == [whole[n] for n in (0, 2)]


def test_chains_search_together_and_go_on_together_where_circuits_agree(tmp_path: Path, sizes: list[int]) -> None:
    run_study(CHAINS, tmp_path / "whole")
    kept = [record["circuits"] for record in read_records(tmp_path / "whole")]
    alike = [sum(own == other for other in kept) for own in kept]
    assert sizes[0] == 3
    assert sorted(sizes[1:]) == sorted(size for size in set(alike) for _ in range(alike.count(size) // size))
    for seeds in (1, 2, 3):
        run_study(CHAINS.part(seeds=seeds), tmp_path / "parts", whole=CHAINS)
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    for record in read_records(tmp_path / "whole"):
        stages = [load_run(tmp_path / "whole" / "runs" / record["id"] / stage) for stage in ("search", "tuned")]
        assert [run.metrics["trained"] for run in stages] == ["side by side"] * 2


def test_a_group_is_a_group_of_equal_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "reason_one_by_one", lambda spec: None)
    assert [len(group) for group in in_groups(CHAINS.tasks(), 1)] == [3]
    monkeypatch.setattr(work, "reason_one_by_one", lambda spec: "it cannot be")
    assert [len(group) for group in in_groups(CHAINS.tasks(), 1)] == [1, 1, 1]
