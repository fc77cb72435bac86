"""From the run of a search to the run of a fine-tuned model, through run folders."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.errors import DataError, OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, derive_run, load_run, plan_run, start_from, train_run
from qlstm_qiskit.experiments.runs import derive as derive_module
from qlstm_qiskit.experiments.runs.plan import plan_work
from qlstm_qiskit.experiments.runs.transpile import transpile_run
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.search import Genotype, make_strategy
from qlstm_qiskit.training.tensors import read_weights
from tests.speed import slow_but


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    path = tmp_path_factory.mktemp("data") / "wave.csv"
    pd.DataFrame({"value": np.sin(np.arange(60) / 3)}).to_csv(path, index=False)
    return DataSpec(csv=str(path), target="value")


@pytest.fixture(scope="module")
def search(data: DataSpec, tmp_path_factory: pytest.TempPathFactory) -> Run:
    spec = RunSpec(data=data, hidden_size=2, depth=1, epochs=4, valid_fraction=0.25, search=make_strategy("softmax"))
    return train_run(spec, tmp_path_factory.mktemp("runs") / "search")


@pytest.fixture(scope="module")
def derived(search: Run) -> Run:
    return derive_run(search.path, search.path.parent / "derived", top_k=1)


def tune(derived: Run, out: Path, **changes) -> Run:
    return train_run(derived.spec.model_copy(update={"start": start_from(derived.path), "epochs": 3} | changes), out)


@pytest.mark.slow
def test_circuits_of_a_search_under_noise_are_scored_under_it(data: DataSpec, tmp_path: Path) -> None:
    """Without shots, so that scores are exact; errors of stages stay those of ideal circuits."""
    options = {"hidden_size": 2, "depth": 1, "epochs": 1, "search": make_strategy("softmax"), "backend": "exact-noise-torino"}
    noisy = train_run(RunSpec(data=data, **options).on("exact-noise-torino"), tmp_path / "search")
    scores = {}
    for name in ("noisy", "again", "ideal"):
        if name == "ideal":
            config = json.loads((noisy.path / "config.json").read_text())
            exact = {"backend": "statevector", "backend_options": None}
            (noisy.path / "config.json").write_text(json.dumps(config | exact))
        found = derive_run(noisy.path, tmp_path / name)
        genotype = found.spec.genotype
        scores[name] = [choice.score for gate in genotype.layers[0].values() for choice in gate]
        assert genotype.provenance.get("noise_of") == (None if name == "ideal" else "torino")
        assert found.spec.backend == "statevector"
        exactly = found.spec.task.error(found.predict(found.dataset.x_test), found.dataset.y_test)
        assert found.metrics["stages"]["derived"]["test_mse"] == pytest.approx(exactly, rel=1e-12)
    assert scores["noisy"] == scores["again"]
    assert scores["noisy"] != scores["ideal"]
    np.testing.assert_allclose(scores["noisy"], scores["ideal"], rtol=0.5)


def test_a_search_records_its_weights_and_its_validation_error(search: Run) -> None:
    assert [line["epoch"] for line in search.architecture] == [1, 2, 3, 4]
    last = search.architecture[-1]["layers"][0]
    assert len(last["candidates"]) == 36
    np.testing.assert_allclose(np.sum(last["coefficients"], axis=1), 1, rtol=1e-12)
    assert search.metrics["search"] == "softmax"
    windows, targets = search.dataset.validation(0.25)
    expected = float(np.mean((search.predict(windows) - targets) ** 2))
    assert search.metrics["valid_mse"] == pytest.approx(expected, rel=1e-12)
    assert search.history[-1]["valid_mse"] == pytest.approx(expected, rel=1e-9)


def test_the_derived_run_is_a_run_like_any_other(search: Run, derived: Run) -> None:
    genotype = Genotype.model_validate_json((derived.path / "genotype.json").read_text())
    assert genotype == derived.spec.genotype
    assert genotype.provenance["search"] == "softmax"
    assert genotype.provenance["scored_on"] == "9 windows held out"
    assert derived.metrics["n_circuits"] == genotype.n_circuits == 4
    assert (derived.metrics["model"], derived.metrics["epochs"]) == ("derived", 4)
    stages = derived.metrics["stages"]
    assert stages["search"]["n_circuits"] == 144
    assert stages["search"]["test_mse"] == pytest.approx(search.metrics["test_mse"], rel=1e-12)
    assert stages["derived"]["test_mse"] == derived.metrics["test_mse"]
    again = load_run(derived.path)
    x = derived.dataset.x_test
    np.testing.assert_array_equal(again.predict(x), derived.predict(x))


@pytest.mark.parametrize(
    "backend", slow_but(["aer-exact", "fake-manila"], ["aer-exact", "aer-noise-torino", "fake-manila", "ibm-local"])
)
def test_it_runs_on_every_kind_of_backend(derived: Run, backend: str) -> None:
    run = load_run(derived.path, backend=backend)
    prediction = run.predict(derived.dataset.x_test[:2])
    exact = derived.predict(derived.dataset.x_test[:2])
    tolerance = 1e-9 if backend == "aer-exact" else 0.5
    np.testing.assert_allclose(prediction, exact, rtol=0, atol=tolerance)
    run.close()


def test_what_it_becomes_on_a_device_names_the_gates(derived: Run) -> None:
    found = transpile_run(derived.path, "fake-manila")
    own = {gate: choices[0].candidate for gate, choices in derived.spec.genotype.layers[0].items()}
    named = {gate: report.name for report, gates in zip(found.layers[0], found.gates[0], strict=True) for gate in gates}
    assert named == own


def test_fine_tuning_goes_on_from_it_and_reports_the_way(derived: Run, tmp_path: Path) -> None:
    tuned = tune(derived, tmp_path / "tuned")
    assert list(tuned.metrics["stages"]) == ["search", "derived", "fine_tuned"]
    assert tuned.metrics["stages"]["fine_tuned"]["test_mse"] == tuned.metrics["test_mse"]
    assert tuned.metrics["stages"]["derived"] == derived.metrics["stages"]["derived"]
    still = tune(derived, tmp_path / "still", lr=1e-300, epochs=1)
    x = derived.dataset.x_test
    np.testing.assert_allclose(still.predict(x), derived.predict(x), rtol=0, atol=1e-12)
    scratch = train_run(derived.spec.model_copy(update={"epochs": 3}), tmp_path / "scratch")
    assert scratch.spec.start is None
    assert "stages" not in scratch.metrics
    assert not np.array_equal(scratch.predict(x), tuned.predict(x))
    again = tune(derived, tmp_path / "again")
    assert read_weights(again.path / "model.safetensors")[1].keys() == read_weights(tuned.path / "model.safetensors")[1].keys()
    assert np.array_equal(again.predict(x), tuned.predict(x))


def test_a_start_that_has_changed_or_is_gone_is_refused(derived: Run, tmp_path: Path) -> None:
    copied = shutil.copytree(derived.path, tmp_path / "copy")
    spec = derived.spec.model_copy(update={"start": start_from(copied)})
    content = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").write_bytes(content[:-1] + b"\x01")
    with pytest.raises(RunError, match="has changed since"):
        train_run(spec, tmp_path / "a")
    (copied / "model.safetensors").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        train_run(spec, tmp_path / "b")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_a_run_without_a_validation_part_is_scored_on_its_last_training_windows(data: DataSpec, tmp_path: Path) -> None:
    train_run(RunSpec(data=data, hidden_size=1, depth=1, epochs=1, num_layers=2), tmp_path / "search")
    derived = derive_run(tmp_path / "search", tmp_path / "derived", strategy="weight", top_k=2)
    assert derived.spec.genotype is not None
    assert derived.spec.genotype.provenance["scored_on"] == "7 windows of the training part"
    assert [stage["valid_mse"] for stage in derived.metrics["stages"].values()] == [None, None]
    assert derived.metrics["n_circuits"] == 16
    assert [len(layer["cell"]) for layer in derived.spec.genotype.layers] == [2, 2]


@pytest.mark.slow
def test_a_search_that_drops_candidates_is_read_back_evaluated_and_planned(data: DataSpec, tmp_path: Path) -> None:
    strategy = make_strategy("shrinking", {"keep": 2, "begin": 0.3, "end": 0.6})
    spec = RunSpec(data=data, hidden_size=2, depth=1, epochs=4, search=strategy)
    run = train_run(spec, tmp_path / "run")
    assert run.metrics["n_circuits"] == 8
    assert run.header.gates is not None
    sizes = [np.count_nonzero(line["layers"][0]["coefficients"]) for line in run.architecture]
    assert sizes[0] == 144 > sizes[-1] == 8
    x = run.dataset.x_test[:3]
    aer = load_run(run.path, backend="aer-exact")
    np.testing.assert_allclose(aer.predict(x), run.predict(x), rtol=0, atol=1e-9)
    ours = plan_run(run.path, find_spec("ibm"), windows=2, device="fez")
    whole = train_run(spec.model_copy(update={"search": None, "epochs": 1}), tmp_path / "whole")
    assert ours.unpacked is not None
    assert 0 < ours.unpacked.circuits <= 8 * 2 * 4, "equal circuits run once"
    assert plan_run(whole.path, find_spec("ibm"), windows=2, device="fez").unpacked.circuits > 8 * 2 * 4
    derived = derive_run(run.path, tmp_path / "derived")
    assert derived.metrics["n_circuits"] == 4
    header = json.loads(json.dumps(read_weights(run.path / "model.safetensors")[0]))
    assert header["gates"][0][0] == list(run.forecaster.recurrent.gates[0][0])


@pytest.mark.slow
def test_an_interrupted_derivation_leaves_nothing(search: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = derive_module.write_atomically
    for moment in range(4):
        written = []

        def interrupted(path, content, moment=moment, written=written):
            if len(written) == moment:
                raise KeyboardInterrupt
            written.append(path)
            plain(path, content)

        monkeypatch.setattr(derive_module, "write_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            derive_run(search.path, tmp_path / "new" / "out")
        assert not (tmp_path / "new").exists()
    monkeypatch.setattr(derive_module, "write_atomically", plain)
    assert derive_run(search.path, tmp_path / "new" / "out").metrics["n_circuits"] == 4


def test_an_error_on_windows_that_were_trained_on_is_not_called_validation(derived: Run, tmp_path: Path) -> None:
    stages = tune(derived, tmp_path / "held").metrics["stages"]
    assert all(stage["valid_mse"] > 0 for stage in stages.values())
    stages = tune(derived, tmp_path / "all", valid_fraction=0.0).metrics["stages"]
    assert [stage["valid_mse"] is None for stage in stages.values()] == [False, False, True]


@pytest.mark.slow
def test_plans_know_the_strategy(data: DataSpec, tmp_path: Path) -> None:
    def circuits(name: str, **options) -> int:
        strategy = make_strategy(name, options)
        spec = RunSpec(data=data, hidden_size=1, depth=1, epochs=2, valid_fraction=0.25, search=strategy)
        return plan_work(spec, find_spec("ibm"), "train", 40, (4, 1, 1), device="fez").unpacked.circuits

    plain, random = circuits("weighted-sum"), circuits("random")
    valid = plain - (circuits("bilevel") - plain)  # a second pass over the training windows alone
    assert 0 < valid < 0.1 * plain
    assert random < 0.5 * plain
    assert circuits("best-of-random", k=4) == pytest.approx(5 * random, rel=0.5), "other choices"


@pytest.mark.slow
def test_plans_of_predictions_ask_for_no_validation_part(data: DataSpec) -> None:
    spec = RunSpec(data=data, hidden_size=1, depth=1, valid_fraction=0.25)

    def planned(task: str, horizon: int = 1) -> int:
        return plan_work(spec, find_spec("ibm"), task, 3, (4, 1, horizon), device="fez").unpacked.circuits

    assert planned("predict") > 0
    for horizon in (1, 3):
        with pytest.raises(DataError, match="3 windows leave no validation part"):
            planned("train", horizon)


def test_what_is_in_the_way_or_has_no_circuits_is_refused(data: DataSpec, search: Run, derived: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="already holds a run"):
        derive_run(search.path, derived.path)
    with pytest.raises(RunError, match="there is no run folder"):
        derive_run(tmp_path / "nowhere", tmp_path / "out")
    train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1), tmp_path / "lstm")
    with pytest.raises(OptionError, match="no circuits"):
        derive_run(tmp_path / "lstm", tmp_path / "out")
    with pytest.raises(OptionError, match="Did you mean 'weight'"):
        derive_run(search.path, tmp_path / "out", strategy="wieght")
    assert not (tmp_path / "out").exists()
    spec = derived.spec.model_copy(update={"genotype": None})
    with pytest.raises(OptionError, match="qlstm derive"):
        train_run(spec, tmp_path / "out")
