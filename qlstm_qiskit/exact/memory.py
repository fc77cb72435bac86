"""The memory that a pass needs, compared with what is free before anything large is allocated."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from qlstm_qiskit.errors import CapacityError

#: States that are alive at once in a pass without gradients: old, new and a temporary.
_LIVE_STATES = 3
#: What automatic differentiation keeps for each step: its input, and the copy that a matrix product makes of it.
_KEPT_PER_STEP = 2
#: Bytes of a permutation with phases for each basis state, as compiled and as tensors.
_TABLE_BYTES = 48

#: Qubits, and angles of the data, of circuits with noise: their strings and products are numbers of 64 bits.
MAX_NOISY_QUBITS = 31

#: So few bytes are not worth asking the system about in every pass.
_ALWAYS_FREE = 2**26

_CGROUP = Path("/sys/fs/cgroup")


def require_memory(
    n_qubits: int, circuits: int, samples: int, steps: int, item_bytes: int, tables: int = 0, available: int | None = None
) -> int:
    """Return the bytes that a batched pass needs, or refuse.

    Args:
        n_qubits: Qubits of each circuit.
        circuits: Circuits that run side by side (gates x candidates).
        samples: Samples in the batch.
        steps: The schedule's steps times the calls whose intermediate states are kept for gradients; 0 without gradients.
        item_bytes: Bytes of one complex amplitude (16 for float64, 8 for float32).
        tables: Permutations of basis states that are held.
        available: Bytes that may be used; by default what this machine has free.

    Raises:
        CapacityError: It does not fit; the message says how many qubits would.
    """
    if available is None:
        available = free_bytes(torch.device("cpu"))
    per_basis_state = circuits * samples * (_KEPT_PER_STEP * steps + _LIVE_STATES) * item_bytes + tables * _TABLE_BYTES
    needed = per_basis_state * 2**n_qubits
    if needed > available:
        fitting = max(int(available // per_basis_state).bit_length() - 1, 0)
        raise CapacityError(
            f"{n_qubits} qubits need {_readable(needed)} for {circuits} circuits on {samples} samples, "
            f"but {_readable(available)} are free: {fitting} qubits fit. Use fewer qubits (hidden_size, or n_qubits), "
            f"a smaller batch, a shorter window, less depth or fewer candidates."
        )
    return needed


def require_noisy_qubits(n_qubits: int) -> None:
    """Refuse circuits that are too wide for the exact interpreter with noise, before they are built.

    Args:
        n_qubits: Of each circuit.

    Raises:
        CapacityError: They are.
    """
    if n_qubits > MAX_NOISY_QUBITS:
        raise CapacityError(
            f"{n_qubits} qubits are too many for the exact interpreter with noise, which takes {MAX_NOISY_QUBITS} at most. Use "
            "fewer qubits (hidden_size, or n_qubits), a backend without noise, or one that runs circuits (aer-noise-fez)."
        )


def fitting_qubits() -> int:
    """The largest statevector that fits into the memory that is free, in qubits."""
    smallest = _LIVE_STATES * 8  # bytes for each amplitude, in float32
    return max((free_bytes(torch.device("cpu")) // smallest).bit_length() - 1, 0)


def require_bytes(needed: int, what: str, device: torch.device) -> int:
    """Return `needed` if that many bytes are free.

    Args:
        needed: Bytes.
        what: Takes them; the beginning of a message.
        device: Where tensors of it live.

    Raises:
        CapacityError: They are not free.
    """
    if needed <= _ALWAYS_FREE:
        return needed
    available = free_bytes(device)
    if needed > available:
        raise CapacityError(
            f"{what} needs {_readable(needed)}, but {_readable(available)} are free. Use fewer qubits (hidden_size, or "
            f"n_qubits), a smaller batch, a shorter window, less depth or fewer candidates."
        )
    return needed


def free_bytes(device: torch.device) -> int:
    """Bytes that are free where tensors of this device live, within the limit of a container if there is one.

    Args:
        device: A CPU, or a GPU of CUDA.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if limit == "max" else min(free, int(limit) - int(used))


def _readable(size: int) -> str:
    return f"{size / 2**30:.3g} GiB" if size < 2**1000 else f"about 2^{size.bit_length() - 31} GiB"
