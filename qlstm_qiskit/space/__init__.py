"""Search spaces: the sub-components of circuits, candidates, and pools of candidates."""

from qlstm_qiskit.space.analysis import CandidateReport, SpaceAnalysis, analyze
from qlstm_qiskit.space.blocks import (
    BLOCKS,
    ENCODINGS,
    ENTANGLERS,
    angle_encoding,
    cyclic_entangler,
    linear_entangler,
    rotation_layer,
    variational_block,
)
from qlstm_qiskit.space.candidate import Candidate
from qlstm_qiskit.space.dead import Draft
from qlstm_qiskit.space.genotype import GATES, Choice, Genotype
from qlstm_qiskit.space.pool import SearchSpace

__all__ = [
    "BLOCKS",
    "ENCODINGS",
    "ENTANGLERS",
    "GATES",
    "Candidate",
    "CandidateReport",
    "Choice",
    "Draft",
    "Genotype",
    "SearchSpace",
    "SpaceAnalysis",
    "analyze",
    "angle_encoding",
    "cyclic_entangler",
    "linear_entangler",
    "rotation_layer",
    "variational_block",
]
