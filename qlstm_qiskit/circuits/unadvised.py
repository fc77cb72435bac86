"""Qiskit's matrices without advice that is not for who asks for them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from scipy.sparse import SparseEfficiencyWarning


@contextmanager
def unadvised() -> Iterator[None]:
    """Leave out scipy's advice on the format of sparse matrices, which Qiskit gets where it exponentiates Pauli strings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SparseEfficiencyWarning)
        yield
