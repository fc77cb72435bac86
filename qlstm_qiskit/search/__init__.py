"""Search: strategies that train structural weights, and the way from a trained search to one circuit a gate."""

from qlstm_qiskit.search.device_cost import DeviceCost
from qlstm_qiskit.search.strategies import STRATEGIES, AnyStrategy, Strategy, WeightedSum, make_strategy

__all__ = ["STRATEGIES", "AnyStrategy", "DeviceCost", "Strategy", "WeightedSum", "make_strategy"]
