"""Limits on the size of models, checked before anything is built or allocated."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qlstm_qiskit.errors import require_at_least
from qlstm_qiskit.exact import require_bytes, require_qubits
from qlstm_qiskit.hardware import Backend, NoisyBackend, SampledBackend, StatevectorBackend
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.sizes import require_buildable

#: Most stacked layers; a network of a thousand is still built in seconds.
MOST_LAYERS = 10_000


def require_possible(
    spaces: Sequence[SearchSpace],
    input_size: int,
    hidden_size: int,
    n_qubits: int | None,
    depth: int | None,
    backend: Backend,
) -> None:
    """Refuse cells that are too large for this machine, or for any.

    Args:
        spaces: The candidates of each cell.
        input_size, hidden_size, n_qubits, depth: As in `QLSTMCell`.
        backend: What evaluates the circuits.

    Raises:
        OptionError: `n_qubits` or `depth` is not a positive integer.
        CapacityError: The circuits, or the linear layers of the hybrid variant, are too large.
    """
    width = input_size + hidden_size
    built = [space for space in spaces if not space.fixed]
    size = width if n_qubits is None else require_at_least("n_qubits", n_qubits, 1)
    if built:
        layers = built[0].resolve_depth(depth)
        assert layers is not None
        require_buildable(size, layers, sum(len(space) for space in built))
        if isinstance(backend, StatevectorBackend | SampledBackend | NoisyBackend):
            require_qubits(size)
    if n_qubits is not None:
        require_parameters(len(spaces) * 2 * width * size, "the linear layers round the circuits", "cpu")


def require_parameters(count: int, what: str, device: torch.device | str) -> None:
    """Refuse parameters (of at least 4 bytes each) that do not fit in memory.

    Raises:
        CapacityError: They do not fit.
    """
    require_bytes(4 * count, f"{what} of {count:,} parameters", torch.device(device))
