"""What a run's page says of lags and features."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, attribute, load_run, train_run
from qlstm_qiskit.report.pages import attribution
from qlstm_qiskit.report.pages.attribution import attribution_section
from qlstm_qiskit.report.pages.content import Panels, Text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    spec = RunSpec(data=DataSpec(dataset="damped_shm"), model="config1", hidden_size=1, depth=1, epochs=1, batch_size=60)
    return load_run(train_run(spec, tmp_path_factory.mktemp("page") / "run").path)


def test_figures_are_of_what_attribute_gives(run: Run) -> None:
    [section] = attribution_section(run)
    text, panels = section.parts
    assert isinstance(text, Text)
    assert isinstance(panels, Panels)
    data = run.dataset
    places = np.unique(np.linspace(0, len(data.x_test) - 1, 24).round().astype(int))
    found = attribute(run, data.x_test[places], nodes=16)
    for plot, values in zip(panels.plots, (np.abs(found.values).mean((0, 3)), found.values[-1, :, :, 0]), strict=True):
        [cells] = plot.figure["data"]
        assert cells["x"] == [4, 3, 2, 1]
        np.testing.assert_allclose(cells["z"], values.T)
        rows = list(csv.DictReader(io.StringIO(plot.download.text)))
        assert [(int(row["lag"]), row["feature"]) for row in rows] == [(lag, data.features[0]) for lag in (4, 3, 2, 1)]
        np.testing.assert_allclose([float(row["value"]) for row in rows], values.ravel())
        assert cells["zmax"] == pytest.approx(np.abs(values).max())


def test_lags_of_a_lead_are_rows_before_the_one_that_is_predicted(tmp_path: Path) -> None:
    data = DataSpec(dataset="henon", lead=3)
    spec = RunSpec(data=data, model="config1", hidden_size=1, depth=1, epochs=1, batch_size=600)
    run = load_run(train_run(spec, tmp_path / "run").path)
    assert attribute(run, run.dataset.x_test[:1]).lags == (6, 5, 4, 3)
    [section] = attribution_section(run)
    said, panels = section.parts
    assert isinstance(said, Text)
    assert isinstance(panels, Panels)
    assert "A window ends 3 rows before the one that it predicts." in said.text
    mean, last = panels.plots
    assert mean.figure["data"][0]["x"] == [6, 5, 4, 3]
    assert "the value 3 steps ahead" in last.caption


def test_wide_circuits_and_a_missing_package_are_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "widest_circuit", lambda run: 60)
    [section] = attribution_section(run)
    [said] = section.parts
    assert isinstance(said, Text)
    assert "60 qubits" in said.text
    monkeypatch.setattr(attribution, "has_captum", lambda: False)
    [section] = attribution_section(replace(run))
    [said] = section.parts
    assert isinstance(said, Text)
    assert "captum" in said.text


def test_a_run_of_classes_has_the_score_of_the_class_that_is_given(tmp_path: Path) -> None:
    data = DataSpec(dataset="italy_power_demand", task="classification")
    spec = RunSpec(data=data, model="config1", hidden_size=1, depth=1, epochs=1, batch_size=200)
    run = load_run(train_run(spec, tmp_path / "run").path)
    [section] = attribution_section(run)
    text, panels = section.parts
    assert isinstance(text, Text)
    assert isinstance(panels, Panels)
    mean, last = panels.plots
    window = run.dataset.x_test[-1:]
    [given] = run.predict(window)
    output = list(run.header.classes.array).index(given)
    [cells] = last.figure["data"]
    np.testing.assert_allclose(cells["z"], attribute(run, window, nodes=16).values[0, :, :, output].T, atol=1e-9)
    assert repr(run.header.classes.values[output]) in last.caption
    assert "all 2 outputs" in mean.caption
    assert "Lag 1 is a window's last row." in text.text
    assert cells["showscale"], "24 lags have no numbers"
