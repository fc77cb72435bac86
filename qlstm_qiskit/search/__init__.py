"""Search: strategies that train structural weights, and the derivation of one circuit per gate from a trained search."""

from qlstm_qiskit.search.derive import DERIVATIONS, derive
from qlstm_qiskit.search.device_cost import DeviceCost
from qlstm_qiskit.search.genotype import Choice, Genotype
from qlstm_qiskit.search.registry import STRATEGIES, AnyStrategy, make_strategy
from qlstm_qiskit.search.strategies import WeightedSum
from qlstm_qiskit.search.strategy import Strategy

__all__ = [
    "DERIVATIONS",
    "STRATEGIES",
    "AnyStrategy",
    "Choice",
    "DeviceCost",
    "Genotype",
    "Strategy",
    "WeightedSum",
    "derive",
    "make_strategy",
]
