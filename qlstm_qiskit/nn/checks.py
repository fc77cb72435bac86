"""Options and limits on the size of models, checked before anything is built or allocated."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qlstm_qiskit.errors import OptionError, require_at_least, unknown_option
from qlstm_qiskit.exact import require_bytes, require_noisy_qubits
from qlstm_qiskit.hardware import Backend, NoisyBackend, SampledBackend
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.sizes import require_buildable

#: Most stacked layers; a network of a thousand is still built in seconds.
MOST_LAYERS = 10_000

SHARINGS = ("none", "shared")
CIRCUITS = ("trained", "frozen")


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
        if isinstance(backend, NoisyBackend) or (isinstance(backend, SampledBackend) and backend.noisy):
            require_noisy_qubits(size)
    if n_qubits is not None:
        require_parameters(len(spaces) * 2 * width * size, "the linear layers round the circuits", "cpu")


def require_parameters(count: int, what: str, device: torch.device | str) -> None:
    """Refuse parameters (of at least 4 bytes each) that do not fit in memory.

    Raises:
        CapacityError: They do not fit.
    """
    require_bytes(4 * count, f"{what} of {count:,} parameters", torch.device(device))


def require_defaults(bias: bool, proj_size: int) -> None:
    """Raise `OptionError` if an option of `torch.nn.LSTM` that has no meaning for circuits differs from its default."""
    if proj_size:
        raise OptionError(f"proj_size={proj_size} is not supported; leave it at 0 and add a torch.nn.Linear.")
    if not bias:
        raise OptionError("bias=False is not supported: circuits have no biases to be left out; leave bias at True.")


def require_dropout(dropout: float, num_layers: int) -> None:
    """Raise `OptionError` unless dropout is a probability and there are layers for it to act between."""
    if not 0 <= dropout < 1:
        raise OptionError(f"dropout is {dropout}; it must be at least 0 and below 1.")
    if dropout and num_layers == 1:
        raise OptionError(f"dropout={dropout} acts between layers and num_layers is 1; give more layers or no dropout.")


def require_known(sharing: str, circuits: str, mixing: str) -> None:
    """Raise `OptionError` if a named option has an unknown value."""
    for kind, given, allowed in (
        ("sharing", sharing, SHARINGS),
        ("setting of circuits", circuits, CIRCUITS),
        ("mixing", mixing, MIXINGS),
    ):
        if given not in allowed:
            raise unknown_option(kind, given, allowed)


def require_device(device: torch.device | str | None, dtype: torch.dtype | None = None) -> None:
    """Raise `OptionError` unless tensors, of a dtype, can be created on a device and read back; None is torch's default."""
    advice = "use 'cpu', or leave it out"
    try:
        torch.empty(1, device=device).cpu()
        advice = "give dtype 'float32', or use 'cpu'"
        torch.empty(1, device=device, dtype=dtype).cpu()
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        reason = str(error).strip().split("\n")[0].split(". ")[0].rstrip(".")
        raise OptionError(f"device is {device!r}, which this installation of torch cannot use ({reason}); {advice}.") from error


def space_of_each_cell(
    space: SearchSpace | Sequence[SearchSpace], num_layers: int, n_directions: int
) -> tuple[SearchSpace, ...]:
    """One search space for all cells, one for each layer, or one for each cell; `OptionError` for another number."""
    if isinstance(space, SearchSpace):
        return (space,) * (num_layers * n_directions)
    if len(space) == num_layers * n_directions:
        return tuple(space)
    if len(space) != num_layers:
        raise OptionError(f"space has {len(space)} search spaces for {num_layers} layers; give one, or one for each layer.")
    return tuple(own for own in space for _ in range(n_directions))
