"""Logging of trainings beside the run folder, by skorch's own callbacks for the tools that people have."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from skorch.callbacks import Callback, MlflowLogger, TensorBoard

from qlstm_qiskit.errors import OptionError, unknown_option
from qlstm_qiskit.experiments.spec import RunSpec


def _tensorboard(out: Path, _: RunSpec) -> Callback:
    from torch.utils.tensorboard import SummaryWriter

    return TensorBoard(SummaryWriter(str(out / "tensorboard")))


def _mlflow(out: Path, spec: RunSpec) -> Callback:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "qlstm")
    try:
        client = MlflowClient()
        experiment = client.get_experiment_by_name(name)
        place = client.create_experiment(name) if experiment is None else experiment.experiment_id
        run = client.create_run(place, run_name=out.name)
        for key, value in spec.model_dump(mode="json", exclude_defaults=True, exclude={"backend_options", "genotype"}).items():
            client.log_param(run.info.run_id, key, value)
    except MlflowException as error:
        raise OptionError(f"mlflow cannot be logged to: {' '.join(str(error).split())}") from None
    return MlflowLogger(run, client, create_artifact=False)  # the run folder has the model, and nothing is pickled


#: Name -> the callback for a run folder. "tensorboard" writes to tensorboard/ in it; "mlflow" to where MLFLOW_TRACKING_URI
#: says, into the experiment MLFLOW_EXPERIMENT_NAME ("qlstm" by default).
LOGGERS: Mapping[str, Callable[[Path, RunSpec], Callback]] = MappingProxyType({"tensorboard": _tensorboard, "mlflow": _mlflow})


def make_loggers(names: Sequence[str], out: Path, spec: RunSpec) -> list[Callback]:
    """The callbacks of these names.

    Raises:
        OptionError: An unknown name, or its package is not installed, or it cannot be reached.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown_option("logger", name, LOGGERS)
    try:
        return [LOGGERS[name](out, spec) for name in names]
    except ImportError as error:
        raise OptionError(f"logging to {' and '.join(names)}: {error}; pip install 'qlstm-qiskit[logging]'.") from None
