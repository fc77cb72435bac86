from .bar import ProgressBar as ProgressBar
from .classifier import QLSTMClassifier as QLSTMClassifier
from .estimator import train_together as train_together
from .models import MODELS as MODELS
from .models import build_forecaster as build_forecaster
from .outlook import propose_batch_size as propose_batch_size
from .regressor import QLSTMRegressor as QLSTMRegressor
from .spsa import SPSA as SPSA
