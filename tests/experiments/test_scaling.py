"""Time, memory and accuracy against the size of the model: which points come out, and that a folder goes on."""

import json
from collections import Counter
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from qlstm_qiskit import QLSTMRegressor, SearchSpace, load_dataset
from qlstm_qiskit.errors import DataError, OptionError, RunError, TrainingError
from qlstm_qiskit.experiments.scaling import measure as scaling
from qlstm_qiskit.experiments.scaling import step_cost
from qlstm_qiskit.experiments.scaling.measure import Point, ScalingPlan, along, measure_scaling
from qlstm_qiskit.experiments.scaling.step_cost import alternating_ms, memory_apart, spread
from tests.experiments.scaled import TINY, made_up


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """Nothing is measured; the points that would be."""
    points: list[Point] = []

    def note(plan, point, environment, jobs):
        points.append(point)
        return made_up(plan, point, environment)

    monkeypatch.setattr(scaling, "measure_point", note)
    return points


def test_the_default_plan_leaves_its_base_along_one_axis_at_a_time() -> None:
    points = ScalingPlan().points()
    base = Point(hidden=3, depth=2, candidates=36, window=4)
    changes = [{name for name, value in point if value != getattr(base, name)} for point in points]
    assert Counter(name for change in changes for name in change) == {"depth": 4, "candidates": 4, "hidden": 5, "window": 3}
    assert points.count(base) == 1
    assert len(points) == len(set(points)) == 17


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"axes": {}}, OptionError, "no axis is given"),
        ({"axes": {"depht": (1,)}}, OptionError, "Did you mean 'depth'"),
        ({"axes": {"candidates": (37,)}}, OptionError, "candidates is 37; the paper's space has 36"),
        ({"axes": {"hidden": (0,)}}, OptionError, "hidden is 0"),
        ({"axes": {"window": (400,)}}, DataError, "a smaller window"),
        ({"dataset": "nothing"}, OptionError, "unknown dataset"),
        ({"seeds": 0}, OptionError, "seeds is 0"),
        ({"repeats": 0}, OptionError, "repeats is 0"),
    ],
)
def test_a_plan_that_cannot_be_measured_is_refused_before_a_folder_is_made(
    tmp_path: Path, options: dict, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        measure_scaling(ScalingPlan(**options), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_candidates_are_spread_over_encodings_and_blocks() -> None:
    paper = SearchSpace.paper().names
    chosen = {count: spread(count).names for count in range(1, 37)}
    assert chosen[1] == SearchSpace.handcrafted(1).names == ("H-RY|linear-RY",)
    assert chosen[36] == paper
    for count, names in chosen.items():
        assert len(names) == count
        assert names == tuple(name for name in paper if name in names), "in the paper's order"
        assert set(names) > set(chosen.get(count - 1, ()))
        for part in (0, 1):
            often = Counter(name.split("|")[part] for name in names)
            assert max(often.values()) <= (count + 5) // 6
            if count % 6 == 0:
                assert list(often.values()) == [count // 6] * 6
    with pytest.raises(OptionError, match="candidates is 0"):
        spread(0)


@pytest.mark.slow
def test_a_tiny_plan_measured(tmp_path: Path) -> None:
    seen = []
    records = measure_scaling(TINY, tmp_path, jobs=2, report=lambda *args: seen.append(args))
    assert [record.point for record in records] == list(TINY.points())
    assert seen == [(1, 2, records[0]), (2, 2, records[1])]
    data = load_dataset("damped_shm", window=2)
    for record, hidden in zip(records, (1, 2), strict=True):
        assert record.circuits == ("H-RY|linear-RY", "H-RZ|linear-RZ")
        assert record.path == "form"
        qubits, head = hidden + 1, hidden + 1
        assert (record.qlstm.n_circuits, record.qlstm.n_parameters) == (8, 4 * 2 * qubits + 4 * 2 + head)
        assert (record.lstm.n_circuits, record.lstm.n_parameters) == (0, 4 * hidden * (1 + hidden + 2) + head)
        space = SearchSpace.product(("H-RY",), ("linear-RY",)).choices + SearchSpace.product(("H-RZ",), ("linear-RZ",)).choices
        quantum = {"model": "diffqas", "depth": 1, "space": SearchSpace(choices=space)}
        for model, own in ((quantum, record.qlstm), ({"model": "lstm"}, record.lstm)):
            for seed, error in enumerate(own.test_mse):
                trained = QLSTMRegressor(hidden_size=hidden, max_epochs=1, seed=seed, **model).fit(data.x_train, data.y_train)
                assert error == pytest.approx(np.mean((trained.predict(data.x_test) - data.y_test) ** 2), rel=1e-12)
            assert own.step_ms > 0
            assert own.memory_mib >= 0
            assert own.loaded_mib > 1, "the peak of the process that asks is not that of the one that measures"
        assert record.environment["versions"]["qlstm-qiskit"]
    lines = [json.loads(line) for line in (tmp_path / "scaling.jsonl").read_text().splitlines()]
    assert lines[0] == {"plan": TINY.model_dump(mode="json", exclude={"axes"})}
    assert [scaling.ScalingRecord.model_validate(line) for line in lines[1:]] == list(records)
    assert measure_scaling(TINY, tmp_path) == records, "read back"


def test_a_training_that_diverges_does_not_end_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(*_: object) -> None:
        raise TrainingError("the loss is no longer finite")

    monkeypatch.setattr(QLSTMRegressor, "fit", diverges)
    assert scaling.last_error(TINY, TINY.base, "lstm", 0) is None


def test_what_a_folder_holds_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list) -> None:
    plan = TINY.model_copy(update={"axes": {"hidden": (1, 2, 3)}})
    first, second, third = plan.points()

    def stop(number: int, missing: int, record: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_scaling(plan, tmp_path, report=stop)
    assert measured == [first, second]
    measured.clear()
    records = measure_scaling(plan, tmp_path)
    assert measured == [third]
    assert [record.point for record in records] == [first, second, third]
    measured.clear()
    assert measure_scaling(plan, tmp_path) == records
    assert measured == []
    other = plan.model_copy(update={"axes": {"depth": (1, 2)}})
    records = measure_scaling(other, tmp_path)
    assert measured == [Point(hidden=1, depth=2, candidates=2, window=2)], "the base point is on both axes"
    assert [r.point.hidden for r in along("hidden", plan.base, records[::-1])] == [1, 2, 3]
    assert [r.point.depth for r in along("depth", plan.base, records[::-1])] == [1, 2]


def test_a_file_of_another_plan_or_a_damaged_one_is_refused_and_left_alone(tmp_path: Path, measured: list) -> None:
    measure_scaling(TINY, tmp_path)
    measured.clear()
    path = tmp_path / "scaling.jsonl"
    for changes, said in (
        ({"epochs": 2}, r"differs in epochs \(1 there, 2 here\)\. Give the same options, or another folder"),
        ({"base": Point(hidden=2)}, "differs in base"),
        ({"repeats": 9, "dataset": "bessel"}, r'differs in dataset \("damped_shm" there, "bessel" here\), repeats'),
    ):
        before = path.read_bytes()
        with pytest.raises(RunError, match=said):
            measure_scaling(TINY.model_copy(update=changes), tmp_path)
        assert path.read_bytes() == before
    lines = path.read_text().splitlines()
    for damaged in ("", "{", "3", lines[0] + "\n" + lines[1][:-9], lines[0] + '\n{"point": 1}'):
        path.write_text(damaged)
        with pytest.raises(RunError, match=r"scaling\.jsonl is damaged"):
            measure_scaling(TINY, tmp_path)
    assert measured == []


def test_calls_are_timed_in_turn_and_the_warm_up_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], []
    took = {"a": cycle([100, 100, 100, 1, 9, 2]), "b": cycle([50, 50, 50, 4, 4, 3])}
    monkeypatch.setattr(step_cost.time, "perf_counter", lambda: clock[0])

    def run(name: str) -> None:
        calls.append(name)
        clock[0] += next(took[name])

    assert alternating_ms([lambda: run("a"), lambda: run("b")], repeats=3) == [2000, 4000]
    assert calls == ["a", "b"] * 6


def test_a_step_is_one_of_the_training_that_the_errors_come_from() -> None:
    """Steps on the first batch alone are a training on it."""
    point = Point(hidden=2, depth=1, candidates=2, window=3)
    data = load_dataset("bessel", window=3)
    for model in step_cost.COMPARED:
        module, run = step_cost.training_step(point, model, "bessel", 10)
        start = {name: value.clone() for name, value in module.state_dict().items()}
        for _ in range(4):
            run()
        trained = step_cost.regressor_at(point, model, max_epochs=4, batch_size=10, start=start)
        trained.fit(data.x_train[:10], data.y_train[:10])
        for name, value in trained.module_.state_dict().items():
            np.testing.assert_allclose(module.state_dict()[name], value, rtol=0, atol=1e-12)
            assert not np.array_equal(value, start[name])


def test_an_interrupted_training_has_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = SimpleNamespace(interrupted_=True, fit=lambda x, y: None)
    monkeypatch.setattr(scaling, "regressor_at", lambda *args, **options: stopped)
    with pytest.raises(KeyboardInterrupt):
        scaling.last_error(TINY, TINY.base, "lstm", 0)


@pytest.mark.slow
def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(RunError, match="ended with 1: .*unknown dataset 'nothing'"):
        memory_apart(Point(), "nothing", 10)
