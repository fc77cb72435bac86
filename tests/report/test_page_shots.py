"""What a run's page says of shots: the numbers of `shot_curve`, with the noise of the backend that the run was trained on."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from qlstm_qiskit.errors import CircuitError
from qlstm_qiskit.experiments import DataSpec, Run, RunSpec, load_run, train_run
from qlstm_qiskit.experiments.runs.shots import SHOTS, ShotCurve, shot_curve
from qlstm_qiskit.hardware import EXACT, BackendSpec, find_spec
from qlstm_qiskit.report.pages import shots
from qlstm_qiskit.report.pages.content import DataGrid, Plot, Text
from qlstm_qiskit.report.pages.shots import shots_section

OPTIONS = {"model": "config1", "hidden_size": 1, "depth": 1, "epochs": 1, "batch_size": 40}
NOISY = BackendSpec.model_validate({"name": "own", "kind": "aer", "shots": 100, "noise": {"device": "manila"}})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("shots") / "run"
    train_run(RunSpec(data=DataSpec(dataset="elnino"), **OPTIONS), folder)
    return load_run(folder, backend=EXACT)


def parts(run: Run, backend: BackendSpec | None, backends: Path | None = None) -> tuple[str, Plot, DataGrid, DataGrid]:
    [section] = shots_section(run, backend, backends)
    assert section.title == "Shots"
    text, plot, errors, facts = section.parts
    assert isinstance(text, Text)
    assert isinstance(plot, Plot)
    assert isinstance(errors, DataGrid)
    assert isinstance(facts, DataGrid)
    return text.text, plot, errors, facts


def columns(plot: Plot) -> dict[str, list[float]]:
    header, *rows = csv.reader(io.StringIO(plot.download.text))
    return {name: list(map(float, own)) for name, own in zip(header, zip(*rows, strict=True), strict=True)}


def test_an_ideal_device_where_the_run_was_trained_exactly(run: Run) -> None:
    text, plot, errors, facts = parts(run, None)
    curve = shot_curve(run.path, SHOTS[::2], repeats=4)
    assert "on an ideal device" in text
    drawn = columns(plot)
    assert drawn["shots"] == list(curve.shots) == [64, 256, 1024, 4096, 16384, 65536]
    assert drawn["mse"] == list(curve.errors)
    assert drawn["standard_error"] == list(curve.standard_errors)
    assert drawn["model"] == [run.metrics["test"]["mse"]] * 6 == pytest.approx([curve.model] * 6, rel=1e-12)
    assert set(drawn["device"]) == {0.0}
    assert drawn["persistence"] == [run.metrics["persistence"]["mse"]] * 6
    named = {trace["name"]: trace for trace in plot.figure["data"]}
    assert list(named) == [
        "with shots",
        "model, exact values of ideal circuits",
        "no model: persistence",
        "no model: seasonal naive",
    ]
    assert len({(trace["line"]["color"], trace["line"]["dash"]) for trace in named.values()}) == len(named)
    assert [row[0] for row in errors.rows] == ["64", "256", "1,024", "4,096", "16,384", "65,536"]
    assert errors.rows[0][1] == f"{curve.errors[0]:.3g}"
    assert errors.rows[0][3] == f"{curve.errors[0] - curve.model:.3g}"
    assert not any("adds" in row[0] for row in facts.rows)


def test_the_noise_of_the_backend_that_it_was_trained_on(run: Run) -> None:
    text, plot, _, facts = parts(run, NOISY)
    curve = shot_curve(run.path, SHOTS[::2], backend=NOISY.inside(), repeats=4)
    assert "and the noise of manila" in text
    assert columns(plot)["mse"] == list(curve.errors)
    assert columns(plot)["device"] == [curve.device] * 6
    assert curve.device != 0
    level = next(trace for trace in plot.figure["data"] if trace["name"] == "model and device, without shot noise")
    assert level["y"] == [curve.model + curve.device] * 6
    assert ["device adds", f"{curve.device:.3g}"] in list(map(list, facts.rows))


def test_shots_that_are_needed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = ShotCurve("own", "mse", (64, 1024), (1.0, 0.01), (0.1, 0.1), 0.001, 0.0, {"persistence": 0.1})
    monkeypatch.setattr(shots, "expected_errors", lambda *_, **__: curve)
    facts = dict(parts(run, None)[3].rows)
    assert facts["shots to beat naive"] == "256"
    assert facts["shots within 10 %"] == "more than 1,024"
    curve = replace(curve, model=0.2, errors=(1.0, 0.21))  # worse than persistence without shot noise
    facts = dict(parts(run, None)[3].rows)
    assert facts["shots to beat naive"] == "none is enough"


def test_no_section_where_it_cannot_be_done(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classical = RunSpec(data=DataSpec(dataset="elnino"), model="lstm", hidden_size=1, epochs=1, batch_size=40)
    assert list(shots_section(train_run(classical, tmp_path / "lstm"), None, None)) == []

    def refused(*_: object, **__: object) -> None:
        raise CircuitError("too large")

    monkeypatch.setattr(shots, "expected_errors", refused)
    assert list(shots_section(run, None, None)) == []


def test_code_that_only_the_folder_names_is_not_called(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As evaluating and resuming do not; an entry of the user's own file is trusted."""
    called = tmp_path / "called"
    (tmp_path / "somebodys.py").write_text(
        "from pathlib import Path\nfrom qiskit_ibm_runtime.fake_provider import FakeManilaV2\n\n"
        f"def device():\n    Path({str(called)!r}).touch()\n    return FakeManilaV2()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text("theirs: {kind: statevector, shots: 100, noise: {provider: 'somebodys:device'}}\n")
    theirs = find_spec("theirs", file)
    assert "on an ideal device" in parts(run, theirs)[0]
    assert not called.exists()
    assert "the noise of somebodys:device" in parts(run, theirs, file)[0]
    assert called.exists()


def test_what_may_leave_this_machine_is_not_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    curve = ShotCurve("own", "mse", (64, 1024), (1.0, 0.01), (0.1, 0.1), 0.001, 0.0, {"persistence": 0.1})
    monkeypatch.setattr(shots, "expected_errors", lambda _, backend, *__, **___: asked.append(backend) or curve)
    provider = BackendSpec(name="ion", kind="provider", provider="somebodys:device")
    list(shots_section(run, provider, None))
    assert asked == [EXACT.inside()]
