"""Run folders whose files contradict one another are refused, with the names of both and what they say."""

import base64
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from qiskit import qpy
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import CircuitError, DataError, RunError, ShapeError
from qlstm_qiskit.experiments import (
    DataSpec,
    Run,
    RunSpec,
    derive_run,
    forecast_errors,
    horizon_errors,
    load_run,
    plan_run,
    predict_table,
    roll_out,
    start_from,
    train_run,
)
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.experiments.runs import recording
from qlstm_qiskit.experiments.runs.header import read_model
from qlstm_qiskit.experiments.runs.load import load_metrics
from qlstm_qiskit.experiments.runs.start import read_start
from qlstm_qiskit.experiments.runs.transpile import transpile_run
from qlstm_qiskit.hardware import find_spec
from qlstm_qiskit.report.pages.write import write_report
from qlstm_qiskit.search.genotype import StoredCircuit
from qlstm_qiskit.space import SearchSpace
from tests.speed import slow_but

OPTIONS = {"model": "diffqas", "hidden_size": 1, "depth": 1, "epochs": 2, "batch_size": 0}


def series(path: Path, rows: int = 60) -> Path:
    steps = np.arange(rows)
    pd.DataFrame({"y": np.sin(steps / 3), "z": np.cos(steps / 5)}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agreement")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Run:
    data = DataSpec(csv=str(series(folder / "s.csv")), target="y")
    return train_run(RunSpec(data=data, valid_fraction=0.2, **OPTIONS), folder / "run")


@pytest.fixture(scope="module")
def derived(trained: Run, folder: Path) -> Run:
    return derive_run(trained.path, folder / "derived")


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "copy"))


def edit(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file, dotted with two underscores."""
    content = json.loads(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split("__")
        place = content
        for key in outer:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(content))


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> None:
    """Change header and tensors of a file of weights."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["qlstm_qiskit"])
    tensors = load_file(path)
    change(header, tensors)
    save_file(tensors, path, metadata={"qlstm_qiskit": json.dumps(header)})


def without_config(path: Path) -> None:
    """As versions wrote it that did not note what weights were trained with."""
    rewrite(path / "model.safetensors", lambda header, _: header.pop("config"))


CHANGES: dict[str, tuple[Any, str]] = {
    "data__window": (6, r"data.window 6, and .*model.safetensors says 4"),
    "data__horizon": (3, r"data.horizon 3, and .*model.safetensors says 1"),
    "data__target": ("z", r"data.target 'z', and .*model.safetensors says 'y'"),
    "data__features": (["y", "z"], r"data.features \['y', 'z'\], and .*model.safetensors says \['y'\]"),
    "data__season": (3, r"data.season 3, and .*model.safetensors says None"),
    "model": ("reservoir", r"model 'reservoir', and .*model.safetensors says 'diffqas'"),
    "hidden_size": (30, r"hidden_size 30, and .*model.safetensors says 1"),
    "depth": (2, r"depth 2, and .*model.safetensors says 1"),
    "input_map": ("arctan", r"input_map 'arctan', and .*model.safetensors says 'identity'"),
    "mixing": ("softmax", r"mixing 'softmax', and .*model.safetensors says 'linear'"),
    "num_layers": (2, r"num_layers 2, and .*model.safetensors says 1"),
    "dtype": ("float32", r"dtype 'float32', and .*model.safetensors says 'float64'"),
    "valid_fraction": (0.3, r"valid_fraction 0.3, and .*model.safetensors says 0.2"),
    "epochs": (1, "says (1 )?epochs|epochs 1"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_config_of_another_training(copied: Path, field: str) -> None:
    value, message = CHANGES[field]
    edit(copied / "config.json", **{field: value})
    with pytest.raises(RunError, match=message):
        load_run(copied)


def test_weights_of_before_an_option_were_trained_with_its_default(copied: Path) -> None:
    """Options are added: a header that says nothing of one is not one that says anything."""
    rewrite(copied / "model.safetensors", lambda header, _: header["config"].pop("mixing"))
    load_run(copied)
    edit(copied / "config.json", mixing="softmax")
    with pytest.raises(RunError, match=r"mixing 'softmax', and .*model.safetensors says 'linear'"):
        load_run(copied)


def test_a_config_that_cuts_otherwise(copied: Path) -> None:
    """Where the range of the training part is the same."""
    edit(copied / "config.json", data__train_fraction=0.6)
    with pytest.raises(DataError, match="says train_fraction 0.6, and .*model.safetensors says 0.67"):
        _ = load_run(copied).dataset
    with pytest.raises(DataError, match="train_fraction"):
        plan_run(copied, find_spec("ibm"), device="fez")


def test_every_use_of_a_folder_looks(copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(copied / "config.json", data__window=6)
    uses: list[Callable[[], object]] = [
        lambda: derive_run(copied, tmp_path / "d"),
        lambda: export_run(copied, "qpy", tmp_path / "e"),
        lambda: plan_run(copied, find_spec("ibm"), device="fez"),
        lambda: transpile_run(copied, "fake-manila"),
        lambda: write_report(copied, tmp_path / "page.html"),
    ]
    for use in uses:
        with pytest.raises(RunError, match=r"data.window 6, and .*model.safetensors says 4"):
            use()
    for command in (
        ["evaluate", str(copied)],
        ["predict", str(copied), "--csv", str(copied / "config.json"), "--out", str(tmp_path / "p.csv")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        assert "data.window 6, and" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


@pytest.mark.parametrize(
    ("field", "value"), slow_but([("data__window", 6)], [("data__window", 6), ("data__horizon", 3), ("data__target", "z")])
)
def test_a_folder_of_before_is_compared_with_its_header(copied: Path, field: str, value: object) -> None:
    """Its weights do not say what they were trained with, and are read all the same."""
    plain = load_run(copied)
    without_config(copied)
    before = load_run(copied)
    np.testing.assert_array_equal(before.predict(before.dataset.x_test), plain.predict(plain.dataset.x_test))
    edit(copied / "config.json", **{field: value})
    with pytest.raises(RunError, match=r"config.json says data\."):
        load_run(copied)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model", "config1", "config.json says model 'diffqas', and .*metrics.json says 'config1'"),
        ("seed", 1, "config.json says seed 0, and .*metrics.json says 1"),
        ("epochs", 5, "model.safetensors says epochs 2, and .*metrics.json says 5"),
        ("search", "l1", "config.json says search None, and .*metrics.json says 'l1'"),
    ],
)
def test_metrics_of_another_run(copied: Path, field: str, value: object, message: str) -> None:
    edit(copied / "metrics.json", **{field: value})
    with pytest.raises(RunError, match=message):
        load_run(copied)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_circuits", True, "n_circuits: Input should be a valid integer"),
        ("interrupted", "false", "interrupted: Input should be a valid boolean"),
        ("test", {"mse": "0.1"}, "test.mse: Input should be a valid number"),
        ("persistence", {"mase": math.nan}, "persistence.mase: Input should be a finite number"),
        ("stages", {"search": {"epochs": 1, "n_circuits": 2}}, "stages.search.test_mse: Field required"),
        ("versions", {"torch": 2}, "versions.torch: Input should be a valid string"),
    ],
)
def test_metrics_of_other_kinds(copied: Path, field: str, value: object, message: str) -> None:
    edit(copied / "metrics.json", **{field: value})
    with pytest.raises(RunError, match=f"metrics.json is damaged or of another version: {message}"):
        load_run(copied)
    with pytest.raises(RunError, match=message):
        load_metrics(copied)


def lines_of(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("name", ["history.jsonl", "architecture.jsonl"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:1], "has 1 lines, and there are 2 finished epochs"),
        (lambda lines: [], "has 0 lines, and there are 2 finished epochs"),
        (lambda lines: lines[1:] + lines[:1], "line 1 is of epoch 2"),
        (lambda lines: [lines[0], lines[0]], "line 2 is of epoch 1"),
        (lambda lines: [lines[0], lines[1] | {"epoch": "2"}], "epoch: Input should be a valid integer"),
        (lambda lines: [lines[0], {"epoch": 2}], "Field required"),
        (lambda lines: [lines[0], {"epoch": 2, "train_mse": 1.0, "test_mse": "1", "layers": {}}], "Input should be a valid"),
    ],
)
def test_rows_that_are_not_those_of_the_epochs(copied: Path, name: str, change, message: str) -> None:
    lines_of(copied / name, change)
    with pytest.raises(RunError, match=f"{name}.*{message}"):
        load_run(copied)


def test_a_history_may_be_ahead_of_the_weights(copied: Path) -> None:
    for name in ("history.jsonl", "architecture.jsonl"):
        lines_of(copied / name, lambda lines: [*lines, lines[-1] | {"epoch": 3}])
    assert [line["epoch"] for line in load_run(copied).history] == [1, 2]


def test_lines_are_never_fewer_than_the_epochs_of_the_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while a training goes back to its best epoch: a process that is killed there leaves a folder that can be read."""
    plain, seen = recording.write_atomically, []

    def watched(path: Path, content: str) -> None:
        plain(path, content)
        if (path.parent / "model.safetensors").exists():
            seen.append((len(content.splitlines()), read_model(path.parent / "model.safetensors")[0].epoch))

    monkeypatch.setattr(recording, "write_atomically", watched)
    data = DataSpec(csv=str(folder / "s.csv"), target="y")
    options = OPTIONS | {"model": "lstm", "depth": None, "epochs": 8, "lr": 3.0}
    run = train_run(RunSpec(data=data, valid_fraction=0.2, patience=8, **options), tmp_path / "run")
    assert run.epochs < max(epoch for _, epoch in seen), "it went back"
    assert all(lines >= epoch for lines, epoch in seen)


def test_a_circuit_of_an_old_format_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its expressions may be in a format that can call code."""
    stored = StoredCircuit.of(SearchSpace.paper().candidates(2, 1)[0])
    assert stored.candidate("a").n_qubits == 2
    content = bytearray(base64.b64decode(stored.qpy))
    content[6] = 12
    monkeypatch.setattr(qpy, "load", lambda file: pytest.fail("it was read"))
    with pytest.raises(CircuitError, match="the stored circuit 'a' is damaged"):
        stored.model_copy(update={"qpy": base64.b64encode(content).decode()}).candidate("a")


def test_an_error_that_was_no_number_is_none_again(copied: Path) -> None:
    lines_of(copied / "history.jsonl", lambda lines: [lines[0] | {"test_mse": None}, lines[1]])
    first, second = load_run(copied).history
    assert math.isnan(first["test_mse"])
    assert second["test_mse"] > 0


def test_another_genotype(derived: Run, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(derived.path, tmp_path / "copy"))
    genotype = json.loads((copy / "genotype.json").read_text())
    genotype["layers"][0]["input"][0]["weight"] += 1
    (copy / "genotype.json").write_text(json.dumps(genotype))
    with pytest.raises(RunError, match=r"genotype.json and .*config.json hold different genotypes"):
        load_run(copy)
    edit(copy / "config.json", genotype=genotype)
    with pytest.raises(RunError, match="config.json says genotype"):
        load_run(copy)


def test_a_search_without_a_history_can_be_derived_from(copied: Path, tmp_path: Path) -> None:
    (copied / "history.jsonl").unlink()
    assert derive_run(copied, tmp_path / "derived").history == []
    assert load_run(tmp_path / "derived").history == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers(copied: Path, value: float) -> None:
    def spoil(_: dict, tensors: dict[str, torch.Tensor]) -> None:
        tensors["head.bias"][0] = value

    rewrite(copied / "model.safetensors", spoil)
    with pytest.raises(RunError, match=r"model.safetensors is damaged: head.bias has values that are not finite"):
        load_run(copied)
    with pytest.raises(RunError, match="not finite"):
        read_start(start_from(copied))


@pytest.mark.parametrize(
    "change",
    [
        {"input_scaler": {"low": [0.0, 0.0], "high": [1.0, 1.0]}},
        {"input_scaler": {"low": [0.0], "high": [1.0, 1.0]}},
        {"target_scaler": {"low": [], "high": []}},
        {"target_scaler": {"low": [math.nan], "high": [1.0]}},
        {"input_scaler": {"low": [2.0], "high": [1.0]}},
    ],
)
def test_scalers_that_do_not_fit(copied: Path, change: dict[str, Any]) -> None:
    rewrite(copied / "model.safetensors", lambda header, _: header.update(change))
    with pytest.raises(RunError, match="model.safetensors is damaged or of another version"):
        load_run(copied)


def test_parameters_of_another_type(copied: Path) -> None:
    """Reading would round, or fill up, without a word."""
    without_config(copied)
    edit(copied / "config.json", dtype="float32")
    with pytest.raises(RunError, match=r"parameters of another model than .*is torch.float64, not torch.float32"):
        load_run(copied)


def test_a_folder_is_named_by_text_too(trained: Run) -> None:
    assert load_run(str(trained.path)).path == trained.path


def test_another_series_of_the_package(tmp_path: Path) -> None:
    run = train_run(RunSpec(data=DataSpec(dataset="narma5"), model="lstm", hidden_size=1, epochs=1), tmp_path / "run")
    without_config(run.path)
    edit(run.path / "config.json", data__dataset="narma10")
    with pytest.raises(RunError, match="config.json says dataset 'narma10', and .*metrics.json says 'narma5'"):
        load_run(run.path)
    edit(run.path / "metrics.json", dataset="damped_shm")
    edit(run.path / "config.json", data__dataset="damped_shm")
    with pytest.raises(RunError, match=r"model.safetensors says features \('u',\), and the series of .*has \('value',\)"):
        _ = load_run(run.path).dataset


def test_a_run_of_before_keeps_its_split(tmp_path: Path) -> None:
    """0.7 of 90 windows were 62, as a product of floats, and are 63."""
    data = DataSpec(csv=str(series(tmp_path / "s.csv", 94)), target="y", train_fraction=0.7)
    run = train_run(RunSpec(data=data, model="lstm", hidden_size=1, epochs=1), tmp_path / "run")
    assert len(run.dataset.x_train) == len(load_run(run.path).dataset.x_train) == 63
    without_config(run.path)
    before = load_run(run.path)
    assert (len(before.dataset.x_train), len(before.dataset.x_test)) == (62, 28)
    np.testing.assert_array_equal(before.dataset.x_test[1:], run.dataset.x_test)


def test_shapes_are_not_broadcast(trained: Run) -> None:
    data = trained.dataset
    wide = np.repeat(data.y_test, 3, axis=1)
    with pytest.raises(ShapeError, match=r"predictions have the shape \(\d+, 3\); what came true has \(\d+, 1\)"):
        forecast_errors(data, wide)
    with pytest.raises(ShapeError):
        forecast_errors(data, data.y_test[:, 0])
    with pytest.raises(ShapeError):
        horizon_errors(wide, data.y_test, 1.0)


def test_predictions_that_are_no_numbers(copied: Path, folder: Path) -> None:
    """Finite weights, and finite values: their products may be too large."""

    def enlarge(_: dict, tensors: dict[str, torch.Tensor]) -> None:
        tensors["head.weight"].fill_(1e308)
        tensors["head.bias"].fill_(1.7e308)
        tensors["recurrent.cells.0.bank.structural_weights"].fill_(1e3)

    rewrite(copied / "model.safetensors", enlarge)
    run = load_run(copied)
    for use in (
        lambda: run.predict(run.dataset.x_test),
        lambda: predict_table(run, folder / "s.csv"),
        lambda: roll_out(run, folder / "s.csv", 3),
    ):
        with pytest.raises(DataError, match="gives no finite number for|no finite number"):
            use()


def test_errors_that_are_no_numbers(trained: Run) -> None:
    data = trained.dataset
    with pytest.raises(DataError, match="the mse of predictions of s is not a finite number"):
        forecast_errors(data, np.full_like(data.y_test, 1e200))
    with pytest.raises(DataError, match="grow beyond all numbers"):
        horizon_errors(np.full((3, 2), 1e200), np.zeros((3, 2)), 1.0)


@pytest.mark.slow
def test_values_that_float32_cannot_square(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("y\n" + "1\n2\n" * 30 + "1e30\n1\n1\n")
    spec = RunSpec(data=DataSpec(csv=str(path), target="y"), model="lstm", hidden_size=1, epochs=1, dtype="float32")
    with pytest.raises(DataError, match=r"which float32 cannot square; correct them, or train with float64"):
        train_run(spec, tmp_path / "run")
    assert train_run(spec.model_copy(update={"dtype": "float64"}), tmp_path / "run").metrics["test_mse"] > 1e50
