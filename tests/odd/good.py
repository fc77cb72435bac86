"""The good inputs that are damaged: small run folders of every kind, a study, a scaling folder, exports, a ledger."""

from __future__ import annotations

import json
import traceback
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qlstm_qiskit.experiments import DataSpec, RunSpec, derive_run, forecast_errors, load_run, train_run
from qlstm_qiskit.experiments.export.write import export_run
from qlstm_qiskit.experiments.scaling import measure as scaling_module
from qlstm_qiskit.experiments.scaling.measure import Measured, ScalingPlan, ScalingRecord, measure_scaling
from qlstm_qiskit.experiments.studies.runner import run_study
from qlstm_qiskit.experiments.studies.study import load_study
from qlstm_qiskit.nn.update import LSTM_GATES as GATES
from qlstm_qiskit.search import Genotype, make_strategy
from qlstm_qiskit.space import SearchSpace
from tests.experiments.device_work import connect, spec
from tests.experiments.resumable import interrupted_in
from tests.forked import child, ended
from tests.hardware.mock_service import Server

WINDOW = 2

STUDY = {
    "name": "odd",
    "title": "An odd study",
    "seeds": 1,
    "seeds_of": {"wave.csv": 1},
    "datasets": {"wave.csv": {"csv": "wave.csv", "target": "value", "window": WINDOW}},
    "common": {"hidden_size": 1, "epochs": 1, "batch_size": 40},
    "steps": 1,
    "rows": {
        "lstm": {"run": {"model": "lstm", "lr": 0.1}, "note": "control"},
        "ridge": {"control": {"control": "ridge"}},
        "persistence": {"control": {"control": "persistence"}},
    },
    "families": {"all": [["lstm", "ridge"], ["ridge", "persistence"]]},
    "published": {"lstm": {"wave.csv": 0.05}},
    "about": "Nothing.",
}

BACKENDS = """\
mine:
  kind: aer
  shots: 64
  method: statevector
exact:
  kind: aer
noisy:
  kind: aer
  noise:
    device: manila
    readout: true
inside:
  kind: statevector
  shots: 64
  sampling: gaussian
  noise:
    device: manila
  transpile:
    seeds: 1
rehearsal:
  kind: fake
  device: manila
  shots: 64
  pack: 2
  transpile:
    level: 1
    seeds: 2
    seed: 3
    measure_aware: false
  guard:
    max_pubs: 50
    max_executions: 5000000
    max_circuits: 100000
    max_qpu_seconds: 300
statevector:
  kind: statevector
"""


@dataclass(frozen=True)
class Good:
    """Where the good inputs are."""

    folder: Path

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


def write_series(path: Path) -> None:
    rows = np.arange(30)
    values = {"value": np.sin(rows / 2) + rows / 100, "other": np.cos(rows / 3)}
    pd.DataFrame({name: column.round(6) for name, column in values.items()}).to_csv(path, index=False)


def make(folder: Path) -> Good:
    """Train, derive, export and run all that is damaged; the same numbers each time.

    In a child process: cases are forked from this one, and Qiskit's threads, once begun, would be waited for in vain there.
    """

    def work() -> None:
        try:
            _make(folder)
        except BaseException:
            traceback.print_exc()
            raise

    assert ended(child(work))
    return Good(folder)


def _make(folder: Path) -> None:
    folder.mkdir()
    write_series(folder / "wave.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _runs(folder)
        _exports(folder)
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
        run_study(load_study(folder / "study.yaml"), folder / "study")
        (folder / "backends.yaml").write_text(BACKENDS)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(scaling_module, "measure_point", measured)
            measure_scaling(PLAN, folder / "scaling")
    with pytest.MonkeyPatch.context() as patch:
        connect(Server(folder / "device" / "service"), patch)
        given = {"epochs": 1, "batch_size": 20, "data": data(folder)}
        train_run(spec(folder / "wave.csv", **given), folder / "device" / "run")
        with closing(load_run(folder / "device" / "run")) as run:  # what `evaluate` asks for is in the record, too
            errors = forecast_errors(run.dataset, run.predict(run.dataset.x_test))
        (folder / "device" / "evaluated.json").write_text(json.dumps(errors))


def data(folder: Path, **options: object) -> DataSpec:
    return DataSpec(**({"csv": str(folder / "wave.csv"), "target": "value", "window": WINDOW} | options))


def _runs(folder: Path) -> None:
    options = {"model": "config1", "hidden_size": 1, "depth": 1, "epochs": 2}
    plain = RunSpec(data=data(folder), **options)
    train_run(plain, folder / "run")
    several = data(folder, features=("value", "other"), horizon=2, season=3)
    train_run(plain.model_copy(update={"data": several}), folder / "two")
    train_run(RunSpec(data=data(folder), model="lstm", hidden_size=1, epochs=2), folder / "lstm")
    hybrid = {"n_qubits": 2, "input_map": "arctan", "num_layers": 2}
    train_run(RunSpec(data=data(folder), **(options | hybrid)), folder / "hybrid")
    pairs = options | {"model": "derived", "genotype": two_circuits()}
    search = pairs | {"valid_fraction": 0.2, "search": make_strategy("softmax", {})}
    train_run(RunSpec(data=data(folder), **search), folder / "search")
    derive_run(folder / "search", folder / "derived")
    train_run(RunSpec(data=data(folder), genotype=own_circuits(), model="derived", hidden_size=1, epochs=1), folder / "own")
    bilevel = pairs | {"search": make_strategy("bilevel", {}), "valid_fraction": 0.4}
    for name, own in (("cut", options), ("searching", bilevel)):
        again = RunSpec(data=data(folder), **(own | {"epochs": 3, "batch_size": 7}))
        train_run(again, folder / f"{name}-whole")
        with interrupted_in(2):
            train_run(again, folder / name)


def two_circuits() -> Genotype:
    """A space of two candidates, so that a search is small."""
    choices = [{"candidate": "H-RY|linear-RY", "weight": 1.0}, {"candidate": "RX|cyclic-RX", "weight": 0.5}]
    return Genotype.model_validate({"depth": 1, "layers": [dict.fromkeys(GATES, choices)]})


def own_circuits() -> Genotype:
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuit = QuantumCircuit(2, name="mine")
    for qubit in range(2):
        circuit.ry(x[qubit], qubit)
        circuit.rx(w[qubit], qubit)
    circuit.cx(0, 1)
    candidate = SearchSpace.from_circuits([circuit], inputs=list(x)).fixed[0]
    return Genotype.from_circuits([[[(candidate, 1.0, None)]] * 4], None, {})


def _exports(folder: Path) -> None:
    for kind in ("qasm3", "qpy", "multilinear"):
        export_run(folder / "run", kind, folder / kind)
    export_run(folder / "hybrid", "qasm3", folder / "hybrid-qasm3")
    export_run(folder / "hybrid", "multilinear", folder / "hybrid-multilinear")


PLAN = ScalingPlan(axes={"window": (2, 4)}, epochs=1, seeds=1, repeats=1)


def measured(plan: ScalingPlan, point, environment: dict, jobs: int = 1) -> ScalingRecord:
    """A point of a scaling folder without the time that measuring takes."""
    own = Measured(step_ms=2.0, memory_mib=1.5, loaded_mib=20.0, n_parameters=9, n_circuits=4, test_mse=(0.25,) * plan.seeds)
    return ScalingRecord(point=point, circuits=("H-RY|linear-RX",), path="form", qlstm=own, lstm=own, environment=environment)
