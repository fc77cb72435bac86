"""Runs: their specs, training into a folder, reading back, forecasting."""

from qlstm_qiskit.experiments.derive import derive_run
from qlstm_qiskit.experiments.environment import versions
from qlstm_qiskit.experiments.forecast import predict_table, roll_out
from qlstm_qiskit.experiments.metrics import forecast_errors, reference_errors
from qlstm_qiskit.experiments.plan import plan_run, require_affordable_evaluation
from qlstm_qiskit.experiments.recipes import RECIPES
from qlstm_qiskit.experiments.rollout import horizon_errors, rolled_errors, rolled_out, rolled_windows
from qlstm_qiskit.experiments.run import Run, load_run, load_spec
from qlstm_qiskit.experiments.spec import DataSpec, RunSpec, Start
from qlstm_qiskit.experiments.start import start_from
from qlstm_qiskit.experiments.train import is_unfinished, require_same, resume_command, resume_run, train_run

__all__ = [
    "RECIPES",
    "DataSpec",
    "Run",
    "RunSpec",
    "Start",
    "derive_run",
    "forecast_errors",
    "horizon_errors",
    "is_unfinished",
    "load_run",
    "load_spec",
    "plan_run",
    "predict_table",
    "reference_errors",
    "require_affordable_evaluation",
    "require_same",
    "resume_command",
    "resume_run",
    "roll_out",
    "rolled_errors",
    "rolled_out",
    "rolled_windows",
    "start_from",
    "train_run",
    "versions",
]
