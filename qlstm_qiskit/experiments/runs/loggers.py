"""Logging of trainings to TensorBoard and MLflow, in addition to the run folder, by skorch's callbacks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from skorch.callbacks import Callback, MlflowLogger, TensorBoard

from qlstm_qiskit.errors import OptionError, installing, unknown_option
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.training.callbacks import Watcher


def _tensorboard(out: Path, _: RunSpec) -> Callback:
    from torch.utils.tensorboard import SummaryWriter

    return _TensorBoard(SummaryWriter(str(out / "tensorboard")))


class _TensorBoard(TensorBoard, Watcher):
    """skorch's logger, of which replicas may have one each."""


class _Mlflow(MlflowLogger, Watcher):
    """skorch's logger, except that a failing server does not end a training: logging stops after one warning.

    The model is in the run folder, so nothing is uploaded or pickled.
    """

    def __init__(self, run: Any, client: Any) -> None:
        super().__init__(run, client, create_artifact=False)
        self.lost_ = False

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self._try(lambda: super(_Mlflow, self).on_epoch_end(net, **kwargs))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        self._try(lambda: super(_Mlflow, self).on_train_end(net, **kwargs))

    def fail(self) -> None:
        """Mark the run as failed, after an error in training."""
        self._try(lambda: self.client.set_terminated(self.run.info.run_id, "FAILED"))

    def _try(self, log: Callable[[], object]) -> None:
        from mlflow.exceptions import MlflowException

        if self.lost_:
            return
        try:
            log()
        except (MlflowException, OSError) as error:
            self.lost_ = True
            warnings.warn(f"mlflow is no longer logged to: {' '.join(str(error).split())}", stacklevel=2)


def _mlflow(out: Path, spec: RunSpec) -> Callback:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "qlstm")
    hidden = {"backend_options", "genotype", "space", "start", "data"}  # may contain accounts and local paths
    params = spec.model_dump(mode="json", exclude_defaults=True, exclude=hidden)
    try:
        client = MlflowClient()
        experiment = client.get_experiment_by_name(name)
        place = client.create_experiment(name) if experiment is None else experiment.experiment_id
        run = client.create_run(place, run_name=out.name)
        for key, value in {"series": spec.data.dataset or Path(str(spec.data.csv)).name, **params}.items():
            client.log_param(run.info.run_id, key, value)
    except MlflowException as error:
        raise OptionError(f"mlflow cannot be logged to: {' '.join(str(error).split())}") from None
    return _Mlflow(run, client)


#: Name -> the callback for a run folder. "tensorboard" writes to tensorboard/ in it; "mlflow" writes to MLFLOW_TRACKING_URI,
#: into the experiment MLFLOW_EXPERIMENT_NAME ("qlstm" by default).
LOGGERS: Mapping[str, Callable[[Path, RunSpec], Callback]] = MappingProxyType({"tensorboard": _tensorboard, "mlflow": _mlflow})


def make_loggers(names: Sequence[str], out: Path, spec: RunSpec) -> list[Callback]:
    """The callbacks of these names.

    Raises:
        OptionError: A name is unknown, its package is not installed, or its server cannot be reached.
    """
    for name in names:
        if name not in LOGGERS:
            raise unknown_option("logger", name, LOGGERS)
    try:
        return [LOGGERS[name](out, spec) for name in names]
    except ImportError as error:
        if "mlflow" in names and find_spec("mlflow") is not None:  # its default store is a database
            raise OptionError(
                f"logging to mlflow: {error}, which its own database needs; set MLFLOW_TRACKING_URI to a server, or "
                "pip install mlflow."
            ) from None
        raise OptionError(f"logging to {' and '.join(names)}: {error}; {installing('logging')}.") from None


def note_failure(loggers: Sequence[Callback]) -> None:
    """Tell loggers that record the state of a run that its training ended with an error."""
    for logger in loggers:
        if isinstance(logger, _Mlflow):
            logger.fail()
