from .callbacks import ProgressBar as ProgressBar
from .classifier import QLSTMClassifier as QLSTMClassifier
from .models import MODELS as MODELS
from .models import build_forecaster as build_forecaster
from .regressor import QLSTMRegressor as QLSTMRegressor
from .spsa import SPSA as SPSA
