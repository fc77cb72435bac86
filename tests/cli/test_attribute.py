"""`qlstm attribute`: its table, its file, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qlstm_qiskit.experiments import DataSpec, RunSpec, attribute, load_run, train_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = DataSpec(dataset="damped_shm", horizon=2)
    spec = RunSpec(data=data, model="config1", hidden_size=2, depth=1, epochs=1, batch_size=60)
    return train_run(spec, tmp_path_factory.mktemp("attribute") / "run").path


def test_the_command(qlstm, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "values.csv"
    code, said, err = qlstm("attribute", run, "--windows", 3, "--out", out)
    assert (code, err) == (0, "")
    trained = load_run(run)
    data, found = trained.dataset, attribute(trained, trained.dataset.x_test[-3:])
    table = pd.read_csv(out)
    assert list(table.columns) == ["window", "lag", "feature", "output", "value"]
    np.testing.assert_allclose(table["value"].to_numpy().reshape(found.values.shape), found.values, atol=1e-12)
    assert sorted(set(table["window"])) == [len(data.x_test) - 3 + place for place in range(3)]
    one = table[(table.lag == 1) & (table.output == 2)]["value"]
    np.testing.assert_allclose(one, found.values[:, -1, 0, 1], atol=1e-12)
    assert "within" in said
    code, said, err = qlstm("attribute", run, "--windows", 3, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(said)
    sizes = {row["lag"]: row["value"] for row in facts["table"]}
    assert sizes == pytest.approx(dict(zip(found.lags, np.abs(found.values).mean((0, 2, 3)), strict=True)))
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert facts["gap"] < 1e-7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--windows", 0], "--windows is 0"),
        (["--windows", 10_000], "the test part has"),
        (["--out", "values.xlsx"], "--out takes"),
        (["--out", "nowhere/values.csv"], "no folder nowhere"),
    ],
)
def test_mistakes(qlstm, run: Path, options: list, said: str) -> None:
    code, _, err = qlstm("attribute", run, *options)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_without_captum(qlstm, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlstm_qiskit.cli.attribute.find_spec", lambda name: None)
    code, _, err = qlstm("attribute", run)
    assert code == 2
    assert "needs captum" in err
