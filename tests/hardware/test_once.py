"""No circuit is transpiled twice in a run, with or without a folder to keep it in."""

from pathlib import Path

import pytest

from qlstm_qiskit.experiments import DataSpec, RunSpec, load_run, train_run
from qlstm_qiskit.hardware import loading
from qlstm_qiskit.hardware.device import transpile as transpile_module
from qlstm_qiskit.hardware.executors import aer


@pytest.mark.parametrize("backend", ["aer-exact", "aer-noise-torino", pytest.param("fake-manila", marks=pytest.mark.slow)])
def test_a_training_transpiles_each_circuit_once(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csv = tmp_path / "series.csv"
    csv.write_text("value\n" + "\n".join(f"{0.1 * k % 0.7:.3f}" for k in range(9)) + "\n")
    monkeypatch.setenv("QLSTM_CACHE", str(tmp_path / "series.csv" / "no-folder"))
    loading._shared_transpiler.cache_clear()
    aer._opened.cache_clear()
    made: list[str] = []
    search = transpile_module.Transpiler._search
    opened = aer.transpile

    def counting(self, circuit, observables):
        made.append(circuit.name)
        return search(self, circuit, observables)

    def opening(circuit, **options):
        made.append(circuit.name)
        return opened(circuit, **options)

    monkeypatch.setattr(transpile_module.Transpiler, "_search", counting)
    monkeypatch.setattr(aer, "transpile", opening)
    data = DataSpec(csv=str(csv), target="value", window=2)
    spec = RunSpec(data=data, model="config1", hidden_size=1, depth=1, epochs=1, optimizer="spsa", backend=backend)
    train_run(spec, tmp_path / "run")
    assert len(made) == 1, "rehearsal, training and evaluation share it"
    load_run(tmp_path / "run")
    assert len(made) == 1
