"""A run that is trained on another torch device: recorded, refused where there is none, and read everywhere."""

import json
from pathlib import Path

import pytest
import torch

from qlstm_qiskit import QLSTMRegressor
from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments import DataSpec, RunSpec, load_run, require_same, train_run
from qlstm_qiskit.nn import checks
from qlstm_qiskit.report.pages.commands import again
from qlstm_qiskit.training import plain


def spec(device: str = "cpu") -> RunSpec:
    return RunSpec(data=DataSpec(dataset="nile"), model="lstm", hidden_size=2, epochs=2, device=device)


def test_files_of_the_cpu_do_not_name_it(tmp_path: Path) -> None:
    run = train_run(spec(), tmp_path / "run")
    assert "device" not in json.loads((run.path / "config.json").read_text())
    assert "device" not in run.weights.config
    assert "--device" not in again(run.spec, run.path)
    require_same(run.path, spec())


def test_another_device_is_recorded_and_the_run_is_read_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU under its other name stands for a device; then it is taken away."""
    run = train_run(spec("cpu:0"), tmp_path / "run")
    assert json.loads((run.path / "config.json").read_text())["device"] == "cpu:0"
    assert run.weights.config["device"] == "cpu:0"
    assert "--device cpu:0" in again(run.spec, run.path)
    for there, here in (("cpu:0", "cpu"), ("cpu", "cpu:0")):
        other = train_run(spec(there), tmp_path / there)
        with pytest.raises(RunError, match=f'it differs in device \\("{there}" there, "{here}" here\\)'):
            require_same(other.path, spec(here))

    def gone(device: object, dtype: object = None) -> None:
        if str(device) != "cpu":
            raise OptionError(f"there is no {device}")

    monkeypatch.setattr(plain, "require_device", gone)
    read = load_run(run.path)
    assert read.spec.device == "cpu:0"
    same = train_run(spec(), tmp_path / "plain")
    assert (read.predict(read.dataset.x_test) == same.predict(same.dataset.x_test)).all()
    with pytest.raises(OptionError, match="there is no cpu:0"):
        train_run(spec("cpu:0"), tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_where_there_is_no_cuda_one_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = torch.empty

    def without(*size: int, device: object = None, **options: object) -> torch.Tensor:
        if device == "cuda":
            raise AssertionError("Torch not compiled with CUDA enabled")  # as torch without CUDA does
        return whole(*size, device=device, **options)

    monkeypatch.setattr(checks.torch, "empty", without)
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--dataset", "nile", "--model", "lstm", "--epochs", "1", "--device", "cuda", "--out", str(out)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "device is 'cuda', which this installation of torch cannot use (" in line
    assert line.endswith("use 'cpu', or leave it out.")
    assert not out.exists()


def test_a_dtype_that_a_device_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with mps, which has no float64."""
    whole = torch.empty

    def single(*size: int, dtype: torch.dtype | None = None, **options: object) -> torch.Tensor:
        if dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as MPS doesn't support float64. Please use float32.")
        return whole(*size, dtype=dtype, **options)

    monkeypatch.setattr(checks.torch, "empty", single)
    with pytest.raises(OptionError, match=r"doesn't support float64\); give dtype 'float32', or use 'cpu'\.$"):
        plain.CheckedOptions.of(QLSTMRegressor())
    plain.CheckedOptions.of(QLSTMRegressor(dtype="float32"))
