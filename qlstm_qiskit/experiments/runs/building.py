"""Models of runs, built from their spec and given their parameters."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from qlstm_qiskit.errors import OptionError, RunError
from qlstm_qiskit.experiments.runs.agreement import CONFIG, MODEL
from qlstm_qiskit.experiments.runs.header import RunHeader
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.hardware import load_backend
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.training.fitting import Seeds


def _require_dtype(forecaster: Forecaster, tensors: dict[str, torch.Tensor]) -> None:
    """Refuse parameters of another dtype, which loading would convert silently."""
    for name, value in forecaster.state_dict().items():
        if value.dtype != tensors[name].dtype:
            raise OptionError(f"{name} is {tensors[name].dtype}, not {value.dtype}")


def build(
    spec: RunSpec, header: RunHeader, tensors: dict[str, torch.Tensor], path: Path, work: str | None = None
) -> Forecaster:
    """The model of a run, in evaluation mode.

    Args:
        spec: The run.
        header: Of its weights.
        tensors: Its parameters.
        path: Its folder.
        work: The name under which jobs that leave this machine are recorded; none are where None.

    Raises:
        RunError: The parameters are those of another model.
    """
    estimator, options = spec.estimator(device="cpu"), spec.backend_options  # read where there is no other device, too
    if options is not None and work is not None:
        name = f"{work} {options.name} {hashlib.sha256((path / MODEL).read_bytes()).hexdigest()[:8]}"
        seed = Seeds.of(spec.seed).backend if options.local else None  # shots on a device have no seed
        estimator.set_params(backend=load_backend(options, seed=seed, record=path, run=name, ordered=False))
    forecaster = estimator.build_module(len(header.features), header.n_outputs, generator=torch.Generator())
    try:
        if header.gates is not None and forecaster.circuits is not None:
            forecaster.circuits.keep(header.gates)
        forecaster.load_state_dict(tensors)
        _require_dtype(forecaster, tensors)
    except (RuntimeError, ValueError, IndexError) as error:
        raise RunError(
            f"{path / MODEL} holds the parameters of another model than {path / CONFIG} ({spec.model}, hidden_size "
            f"{spec.hidden_size}, depth {spec.depth}): {' '.join(str(error).split())}"
        ) from error
    return forecaster.eval()
