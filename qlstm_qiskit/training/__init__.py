"""Training: the models by name, the scikit-learn estimator, and weights on disk."""

from qlstm_qiskit.training.callbacks import ProgressBar
from qlstm_qiskit.training.models import MODELS, build_forecaster
from qlstm_qiskit.training.regressor import QLSTMRegressor
from qlstm_qiskit.training.spsa import SPSA

__all__ = ["MODELS", "SPSA", "ProgressBar", "QLSTMRegressor", "build_forecaster"]
