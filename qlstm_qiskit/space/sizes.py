"""Sizes of circuits that are refused before anything is built."""

from __future__ import annotations

from qlstm_qiskit.errors import CapacityError

#: Layers times qubits of all circuits together. Building and lowering takes about 0.2 ms for each on a slow core.
MOST_PLACES = 250_000


def require_buildable(n_qubits: int, depth: int, circuits: int) -> None:
    """Refuse circuits that would take minutes and gigabytes to build.

    Args:
        n_qubits, depth: Of each circuit.
        circuits: How many are built, of all layers of a model.

    Raises:
        CapacityError: They have more than `MOST_PLACES` places for gates: a qubit in the encoding or in a layer.
    """
    places = circuits * n_qubits * (depth + 1)
    if places > MOST_PLACES:
        raise CapacityError(
            f"{circuits} circuit{'s' * (circuits != 1)} of {n_qubits} qubits and depth {depth} are too large to build: qubits "
            f"times layers, encoding included, come to {places:,}, and {MOST_PLACES:,} is the limit. Use fewer qubits "
            "(hidden_size, or n_qubits), less depth, fewer candidates or fewer stacked cells."
        )
