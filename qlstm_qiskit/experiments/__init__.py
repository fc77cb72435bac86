"""Runs: their specs, training into a folder, reading back, forecasting."""

from qlstm_qiskit.data.errors import forecast_errors, reference_errors
from qlstm_qiskit.data.rollout import horizon_errors, rolled_errors, rolled_out, rolled_windows
from qlstm_qiskit.experiments.runs.allocation import Allocation, allocate_shots
from qlstm_qiskit.experiments.runs.attribution import Attribution, attribute
from qlstm_qiskit.experiments.runs.classify import class_table
from qlstm_qiskit.experiments.runs.derive import derive_run
from qlstm_qiskit.experiments.runs.ensemble import Ensemble, member_folder
from qlstm_qiskit.experiments.runs.environment import versions
from qlstm_qiskit.experiments.runs.forecast import predict_table, roll_out, table_of
from qlstm_qiskit.experiments.runs.load import Run, load_run, load_spec
from qlstm_qiskit.experiments.runs.plan import plan_run, require_affordable_evaluation
from qlstm_qiskit.experiments.runs.recipes import RECIPES
from qlstm_qiskit.experiments.runs.series import DataSpec
from qlstm_qiskit.experiments.runs.settle import require_same
from qlstm_qiskit.experiments.runs.spec import RunSpec, Start
from qlstm_qiskit.experiments.runs.start import start_from
from qlstm_qiskit.experiments.runs.training.entry import resume_run, train_run
from qlstm_qiskit.experiments.runs.training.one import is_unfinished, resume_command

__all__ = [
    "RECIPES",
    "Allocation",
    "Attribution",
    "DataSpec",
    "Ensemble",
    "Run",
    "RunSpec",
    "Start",
    "allocate_shots",
    "attribute",
    "class_table",
    "derive_run",
    "forecast_errors",
    "horizon_errors",
    "is_unfinished",
    "load_run",
    "load_spec",
    "member_folder",
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
    "table_of",
    "train_run",
    "versions",
]
