from .data import load_dataset as load_dataset
from .experiments import load_run as load_run
from .hardware import load_backend as load_backend
from .nn import QFWP as QFWP
from .nn import QGRU as QGRU
from .nn import QLSTM as QLSTM
from .nn import CircuitBank as CircuitBank
from .nn import QFWPCell as QFWPCell
from .nn import QGRUCell as QGRUCell
from .nn import QLSTMCell as QLSTMCell
from .space import Candidate as Candidate
from .space import SearchSpace as SearchSpace
from .space import analyze as analyze
from .training import QLSTMClassifier as QLSTMClassifier
from .training import QLSTMRegressor as QLSTMRegressor

__version__: str
