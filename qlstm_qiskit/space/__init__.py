"""Search spaces: the sub-components of circuits, candidates, and pools of candidates."""

from typing import NoReturn

from qlstm_qiskit.space.analysis import CandidateReport, SpaceAnalysis, analyze
from qlstm_qiskit.space.blocks import (
    BLOCKS,
    ENCODINGS,
    ENTANGLERS,
    angle_encoding,
    blocks_of,
    cyclic_entangler,
    linear_entangler,
    rotation_layer,
    variational_block,
)
from qlstm_qiskit.space.candidate import Candidate
from qlstm_qiskit.space.dead import Draft
from qlstm_qiskit.space.entanglers import device_entangler, graph_entangler, grid_entangler, heavy_hex_entangler
from qlstm_qiskit.space.pool import SearchSpace

__all__ = [
    "BLOCKS",
    "ENCODINGS",
    "ENTANGLERS",
    "Candidate",
    "CandidateReport",
    "Draft",
    "SearchSpace",
    "SpaceAnalysis",
    "analyze",
    "angle_encoding",
    "blocks_of",
    "cyclic_entangler",
    "device_entangler",
    "graph_entangler",
    "grid_entangler",
    "heavy_hex_entangler",
    "linear_entangler",
    "rotation_layer",
    "variational_block",
]


def __getattr__(name: str) -> NoReturn:
    if name in ("Choice", "Genotype"):
        raise ImportError(f"{name} is in qlstm_qiskit.search now; use `from qlstm_qiskit.search import {name}`.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
