"""How much memory a statevector bank needs, asked before anything is allocated."""

from __future__ import annotations

import psutil
import torch

from qlstm_qiskit.errors import CapacityError

#: States that are alive at once in a pass without gradients: old, new and a temporary.
_LIVE_STATES = 3


def require_memory(
    n_qubits: int, circuits: int, samples: int, steps: int, item_bytes: int, available: int | None = None
) -> int:
    """Return the bytes that a batched pass needs, or refuse.

    Args:
        n_qubits: Qubits of each circuit.
        circuits: Circuits that run side by side (gates x candidates).
        samples: Samples in the batch.
        steps: States that automatic differentiation keeps: the schedule's steps times the time steps, or 0 without gradients.
        item_bytes: Bytes of one complex amplitude (16 for float64, 8 for float32).
        available: Bytes that may be used; by default what this machine has free.

    Raises:
        CapacityError: It does not fit; the message says how many qubits would.
    """
    if available is None:
        available = free_bytes(torch.device("cpu"))
    per_amplitude = circuits * samples * (steps + _LIVE_STATES) * item_bytes
    needed = per_amplitude * 2**n_qubits
    if needed > available:
        fitting = max(int(available // per_amplitude).bit_length() - 1, 0)
        raise CapacityError(
            f"{n_qubits} qubits need {_readable(needed)} for {circuits} circuits x {samples} samples "
            f"and {steps} kept states, but {_readable(available)} are free: {fitting} qubits fit. "
            f"Use fewer qubits (hidden_size, or n_qubits), a smaller batch or fewer candidates."
        )
    return needed


def free_bytes(device: torch.device) -> int:
    """Bytes that are free where tensors of this device live."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _readable(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"
