"""The exact interpreter: a bank of programs in, expectation values and gradients in torch out."""

from qlstm_qiskit.exact.bank import BoundBank, ExactBank
from qlstm_qiskit.exact.fourier import FourierSeries
from qlstm_qiskit.exact.memory import require_memory
from qlstm_qiskit.exact.native import jit

__all__ = ["BoundBank", "ExactBank", "FourierSeries", "jit", "require_memory"]
