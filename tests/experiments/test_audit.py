"""Audits: what is trained, in which pairs, what is said about made-up errors, what survives a kill, what is refused."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, RunSpec, derive_run, load_run, start_from, train_run
from qlstm_qiskit.experiments.studies import audit as audits
from qlstm_qiskit.experiments.studies.audit import audit_run, audit_study
from qlstm_qiskit.experiments.studies.audited import answer, load_audit, said, verdict_of
from qlstm_qiskit.experiments.studies.records import load_study_folder, read_records
from qlstm_qiskit.experiments.studies.table import table
from tests.experiments.own_circuits import FILE
from tests.experiments.resumable import write_series
from tests.experiments.studied import numbers
from tests.forked import child, ended

SMALL: dict[str, Any] = {"model": "config1", "hidden_size": 1, "depth": 1, "epochs": 2, "batch_size": 20}


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("data") / "wave.csv")


def trained(csv: Path, out: Path, **options: Any) -> Path:
    train_run(RunSpec(data=DataSpec(csv=str(csv), target="value"), **(SMALL | options)), out)
    return out


@pytest.fixture(scope="module")
def run(csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(csv, tmp_path_factory.mktemp("run") / "run", seed=1)


def test_an_audit_trains_pairs_and_is_read_again(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "audit"
    found = audit_run(run, out, seeds=2, banks=["tanh", "products"])
    assert load_audit(out) == found
    assert [row.row for row in found.rows] == ["circuits", "tanh", "products"]
    assert [row.circuits for row in found.rows] == [4 * 4, 0, 0]  # 4 gates, a window of 4
    assert found.retrained is not None
    assert found.retrained.here == found.retrained.there == load_run(run).metrics["test_mse"]
    assert found.seeds == (0, 1)
    assert [row.shared for row in found.rows] == [True] * 3, "times are shares"
    assert [test.verdict for test in found.tests] == ["too few"] * 2
    assert found.answer == "2 seeds cannot decide; give at least 7 (--seeds)."
    records = read_records(out)
    for record in records:
        own = load_run(out / "runs" / record["id"])
        assert (own.spec.bank, own.spec.seed) == (record["row"], record["seed"])
        assert own.metrics["n_parameters"] == next(r.all_parameters for r in found.rows if r.row == record["row"])
        assert (own.forecaster.circuits is None) == (record["row"] != "circuits")
        same = {name: getattr(own.spec, name) for name in ("epochs", "lr", "optimizer", "batch_size", "hidden_size", "data")}
        assert same == {name: getattr(load_run(run).spec, name) for name in same}
    before = (out / "records.jsonl").read_bytes()
    again: list[int] = []
    assert audit_run(run, out, seeds=2, banks=["tanh", "products"], report=lambda *_: again.append(1)) == found
    assert again == []
    assert (out / "records.jsonl").read_bytes() == before
    more = audit_run(run, out, seeds=3, banks=["tanh", "products"])  # seeds may be added, as in any study
    assert more.rows[0].errors[:2] == found.rows[0].errors


def test_models_of_an_audit_start_equal_but_for_the_bank(run: Path) -> None:
    study = audit_study(run, load_run(run).spec, seeds=2, banks=["tanh", "products", "frozen"])
    for seed in (0, 1):
        starts = []
        for row in study.rows:
            spec = study.task(row, "wave", seed).work
            assert isinstance(spec, RunSpec)
            dataset, estimator = spec.data.load(), spec.estimator()
            fit = estimator._begin(dataset.x_train, dataset.answers, None)
            training = fit.prepare(fit.seeds.model)
            starts.append({n: v for n, v in training.net.module_.state_dict().items() if ".bank." not in n})
            training.end()
        assert list(starts[0]) == ["head.weight", "head.bias"]
        for other in starts[1:]:
            assert all(torch.equal(value, other[name]) for name, value in starts[0].items())


def made_up(monkeypatch: pytest.MonkeyPatch, errors: dict[str, list[float]]) -> None:
    """Let studies come out with these errors, without training."""

    def run_study(study: Any, out: Path, **options: Any) -> list[dict[str, Any]]:
        Path(out).mkdir(exist_ok=True)
        return [
            {"id": task.id, "row": task.row, "dataset": task.dataset, "seed": task.seed, "n_circuits": 4, "epochs": 2}
            | ({"test_mse": error, "wall_seconds": 2.0} if math.isfinite(error) else {"error": "diverged", "test_mse": None})
            for task in study.tasks()
            for error in [errors[task.row][task.seed]]
        ]

    monkeypatch.setattr(audits, "run_study", run_study)


def test_verdicts_on_made_up_errors(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the errors, a third of them, and now more, now less: 10 pairs of one sign have p = 2 / 2^10."""
    base = [0.01 * 1.3**seed for seed in range(10)]
    errors = {
        "circuits": base,
        "products": [2 * error for error in base],
        "tanh": [error / 3 for error in base],
        "frozen": [error * (1.5 + 0.01 * n if n % 2 else 1 / (1.5 + 0.011 * n)) for n, error in enumerate(base)],
    }
    made_up(monkeypatch, errors)
    found = audit_run(run, tmp_path / "out")
    products, tanh, frozen = found.tests
    assert [test.verdict for test in found.tests] == ["circuits", "classical", "undecided"]
    assert (products.factor, tanh.factor) == (pytest.approx(2), pytest.approx(1 / 3))
    assert (products.superiority, tanh.superiority, frozen.superiority) == (1, 0, 0.5)
    assert (products.rank_biserial, tanh.rank_biserial) == (1, -1)
    assert products.p == tanh.p == 2 / 2**10
    assert products.p_holm == 3 * 2 / 2**10
    assert products.interval == (pytest.approx(2), pytest.approx(2))
    assert frozen.detectable is not None
    assert frozen.detectable > 1.5
    assert found.answer == (
        "It is not the circuit: with the tanh layer (with more parameters) in its place the test error is lower. The "
        "circuits are better than the linear map on products; the frozen random features in their place: no difference that "
        "10 seeds show."
    )
    texts = [said(test, 1.0) for test in found.tests]
    assert texts[0] == "The circuits are better than the linear map on products, whose errors are higher by a factor of 2."
    assert texts[1] == "Errors with the tanh layer are lower than with the circuits by a factor of 3."
    assert texts[2].startswith("No difference from the frozen random features that 10 seeds show; one by a factor of")
    assert said(products, 1.5).endswith("The map has 1.5 times as many parameters.")


def test_trainings_that_diverge_are_worse_than_all(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up(monkeypatch, {"circuits": [0.01 + 0.001 * n for n in range(8)], "tanh": [math.inf] * 5 + [0.1, 0.2, 0.3]})
    found = audit_run(run, tmp_path / "out", seeds=8, banks=["tanh"])
    (test,) = found.tests
    assert (test.verdict, test.factor, test.detectable) == ("circuits", None, None)
    assert found.rows[1].errors[:5] == (None,) * 5
    assert found.rows[1].median is None
    assert said(test, 1.0) == "The circuits are better than the tanh layer, whose errors are higher without bound."
    assert json.loads((tmp_path / "out" / "audit.json").read_text(), parse_constant=pytest.fail)["tests"][0]["factor"] is None
    assert load_audit(tmp_path / "out") == found


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((0.049, 0.01, 0.5), "circuits"),
        ((0.049, 0.01, -0.5), "classical"),
        ((0.05, 0.01, -0.9), "undecided"),
        ((0.06, 0.05, 1.0), "too few"),
    ],
)
def test_rules(numbers: tuple[float, float, float], verdict: str) -> None:
    assert verdict_of(*numbers) == verdict


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ({"tanh": "circuits"}, "It is the circuit, as far as these maps can tell: the circuits are better than the tanh layer"),
        (
            {"tanh": "circuits", "frozen": "undecided"},
            "It need not be the circuit: the circuits are better than the tanh layer, but",
        ),
        ({"tanh": "undecided", "frozen": "undecided"}, "Nothing says that it is the circuit. The tanh layer and the frozen"),
        ({"tanh": "classical", "frozen": "classical"}, "It is not the circuit: with the tanh layer and the frozen"),
        ({"tanh": "classical", "frozen": "circuits"}, "lower. The circuits are better than the frozen random features."),
        ({"tanh": "too few"}, "10 seeds cannot decide; give at least 6"),
    ],
)
def test_answers(verdicts: dict[str, Any], text: str) -> None:
    assert text in answer(verdicts, 10, dict.fromkeys(verdicts, 1.0))


def test_an_answer_says_where_a_better_map_has_more_parameters() -> None:
    found = answer({"tanh": "classical", "frozen": "undecided"}, 10, {"tanh": 1.5, "frozen": 1.0})
    assert found.startswith(
        "It is not the circuit: with the tanh layer (with more parameters) in its place the test error is lower."
    )


def test_a_killed_audit_goes_on(run: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seeds": 2, "banks": ["tanh"]}
    whole = audit_run(run, tmp_path / "whole", **options)

    def killed() -> None:
        seen = [0]
        replace = Path.replace

        def die_later(self: Path, target: Path) -> Path:
            seen[0] += "model.safetensors" in str(target) and len(read_records(tmp_path / "out")) == 2
            if seen[0] == 2:  # when the second seed of the map is written, after both of the circuits
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self, target)

        Path.replace = die_later  # type: ignore[method-assign]
        audit_run(run, tmp_path / "out", **options)

    assert not ended(child(killed))
    assert len(read_records(tmp_path / "out")) == 2
    assert not (tmp_path / "out" / "audit.json").exists()
    seen: list[int] = []
    found = audit_run(run, tmp_path / "out", report=lambda done, total, record: seen.append(done), **options)
    assert seen == [3, 4]
    assert numbers(tmp_path / "out") == numbers(tmp_path / "whole")
    assert [row.errors for row in found.rows] == [row.errors for row in whole.rows]
    assert found.tests == whole.tests


def test_seeds_begin_at_the_runs_own_where_it_is_a_large_one(csv: Path, tmp_path: Path) -> None:
    found = audit_run(trained(csv, tmp_path / "run", seed=77), tmp_path / "out", seeds=2, banks=["tanh"])
    assert found.seeds == (77, 78)
    assert found.retrained is not None
    assert found.retrained.here == found.retrained.there
    study, records = load_study_folder(tmp_path / "out")  # as `qlstm table` and `report` read it
    assert table(study, records).cells["tanh", "wave"].values == found.rows[1].errors


def test_seeds_and_maps_are_added_to_those_that_are_there(csv: Path, tmp_path: Path) -> None:
    own, out = trained(csv, tmp_path / "run", seed=2), tmp_path / "out"
    first = audit_run(own, out, seeds=2, banks=["tanh"])
    assert first.seeds == (2, 3)
    more = audit_run(own, out, seeds=3, banks=["tanh", "frozen"])
    assert more.seeds == (2, 3, 4), "not 0, 1, 2, which would leave out what is there"
    assert [test.row for test in more.tests] == ["tanh", "frozen"]
    assert [row.errors[:2] for row in more.rows[:2]] == [row.errors for row in first.rows]
    with pytest.raises(RunError, match="among its rows"):
        audit_run(own, out, seeds=3, banks=["frozen"])


def test_own_circuits_are_those_of_the_run_and_no_code_is_called(csv: Path, tmp_path: Path) -> None:
    (tmp_path / "circuits.py").write_text(FILE)
    options = {"model": "diffqas", "hidden_size": 2, "depth": None, "n_qubits": 2, "space": f"{tmp_path}/circuits.py:space"}
    run = trained(csv, tmp_path / "run", **options)
    (tmp_path / "circuits.py").write_text("raise AssertionError('called')")
    found = audit_run(run, tmp_path / "out", seeds=1, banks=["tanh", "frozen"])
    assert found.hybrid
    assert found.retrained is not None
    assert found.retrained.here == found.retrained.there
    with pytest.raises(
        OptionError, match="row 'products' of the audit: bank='products' takes the products that circuits reach"
    ):
        audit_run(run, tmp_path / "refused", seeds=1)
    assert not (tmp_path / "refused").exists()


def test_circuits_of_an_entangler(csv: Path, tmp_path: Path) -> None:
    run = trained(csv, tmp_path / "run", hidden_size=2, entangler="cyclic")
    found = audit_run(run, tmp_path / "out", seeds=1, banks=["products"])
    assert found.retrained is not None
    assert found.retrained.here == found.retrained.there


def test_a_derived_model_that_went_on_from_its_search(csv: Path, tmp_path: Path) -> None:
    search = trained(csv, tmp_path / "search", model="diffqas", hidden_size=1)
    derived = derive_run(search, tmp_path / "derived")
    spec = derived.spec.model_copy(update={"start": start_from(tmp_path / "derived"), "epochs": 2})
    train_run(spec, tmp_path / "tuned")
    found = audit_run(tmp_path / "tuned", tmp_path / "out", seeds=1, banks=["tanh"])
    assert found.from_start
    assert found.retrained is None
    assert found.rows[0].circuits == 4 * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "lstm", "depth": None}, "its model is lstm, which has no circuits"),
        ({"bank": "tanh"}, "its circuits are replaced by tanh already"),
        ({"search": {"name": "softmax"}}, "it is a search over circuits; derive a model"),
        ({"backend": "exact-shots"}, "trained on exact-shots, whose shots or noise"),
        ({"backend": "exact-noise-fez"}, "trained on exact-noise-fez"),
        ({"backend": "aer-exact"}, "trained on aer-exact"),
        ({"data": {"dataset": "italy_power_demand", "task": "classification"}}, "it predicts classes"),
    ],
)
def test_what_cannot_be_audited_is_one_line(run: Path, change: dict[str, Any], message: str) -> None:
    spec = RunSpec.model_validate({"data": {"dataset": "bessel"}} | SMALL | change)
    spec = spec.on(spec.backend)
    with pytest.raises(OptionError, match=message) as caught:
        audit_study(run, spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"banks": ["tan"]}, "unknown bank 'tan'. Did you mean 'tanh'"),
        ({"banks": ["tanh", "tanh"]}, "give each once"),
        ({"banks": []}, "banks are none"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_wrong_options(run: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        audit_run(run, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_folders_of_something_else(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="holds a run; choose another folder"):
        audit_run(run, run)
    (tmp_path / "audit.json").write_text('{"format": 2}')
    with pytest.raises(RunError, match=r"audit.json is damaged or of another version"):
        load_audit(tmp_path)
