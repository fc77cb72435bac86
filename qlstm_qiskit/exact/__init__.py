"""The exact interpreter: a bank of programs in, expectation values and gradients in torch out."""

from qlstm_qiskit.exact.activations import sigmoid, tanh
from qlstm_qiskit.exact.bank import ExactBank
from qlstm_qiskit.exact.batched import batched_product, even_sigmoid
from qlstm_qiskit.exact.bound import BoundBank
from qlstm_qiskit.exact.checks import check_bank_parameters
from qlstm_qiskit.exact.factors import evaluate_tree
from qlstm_qiskit.exact.filled import Filled
from qlstm_qiskit.exact.fourier import FourierSeries
from qlstm_qiskit.exact.memory import free_bytes, require_bytes, require_memory, require_noisy_qubits
from qlstm_qiskit.exact.native import jit, jit_unfused
from qlstm_qiskit.exact.noise import Channel, NoisyProgram
from qlstm_qiskit.exact.noisy import NoisyBank
from qlstm_qiskit.exact.plain import arrays, gradients, is_watched
from qlstm_qiskit.exact.shot_passes import CallShots, Shots
from qlstm_qiskit.exact.shots import MeasuredSum, SampledBank
from qlstm_qiskit.exact.shots_gaussian import GaussianBank
from qlstm_qiskit.exact.shots_multinomial import MultinomialBank

__all__ = [
    "BoundBank",
    "CallShots",
    "Channel",
    "ExactBank",
    "Filled",
    "FourierSeries",
    "GaussianBank",
    "MeasuredSum",
    "MultinomialBank",
    "NoisyBank",
    "NoisyProgram",
    "SampledBank",
    "Shots",
    "arrays",
    "batched_product",
    "check_bank_parameters",
    "evaluate_tree",
    "even_sigmoid",
    "free_bytes",
    "gradients",
    "is_watched",
    "jit",
    "jit_unfused",
    "require_bytes",
    "require_memory",
    "require_noisy_qubits",
    "sigmoid",
    "tanh",
]
