"""An order of plane rotations in which numbers are used again while they are still in a core's first cache."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from qlstm_qiskit.exact.tables import Array

#: Rotations of the circuit in a window: 2^4 coefficients at most turn into one another in it.
_WINDOW = 4


def near_order(rotation: Array, first: Array, second: Array) -> Array:
    """Places of the steps of a section in another order that gives the same coefficients.

    In a window of a few rotations, coefficients fall into small sets that do not meet. All steps of a set come together; steps
    that meet stay in their order.

    Args:
        rotation, first, second: See `Propagation`; steps of a rotation stand together.
    """
    if not len(rotation):
        return np.zeros(0, dtype=np.int64)
    window = np.cumsum(np.diff(rotation, prepend=rotation[0]) != 0) // _WINDOW
    groups = np.empty(len(rotation), dtype=np.int64)
    for number in range(window[-1] + 1):
        own = np.flatnonzero(window == number)
        size = int(max(first[own].max(), second[own].max())) + 1
        graph = coo_array((np.ones(len(own)), (first[own], second[own])), shape=(size, size))
        groups[own] = connected_components(graph, directed=False)[1][first[own]]
    return np.lexsort((np.arange(len(rotation)), groups, window))
