"""Backends by name."""

from __future__ import annotations

from qlstm_qiskit.errors import unknown_option
from qlstm_qiskit.hardware.backend import Backend, StatevectorBackend

_BACKENDS = {"statevector": StatevectorBackend}


def load_backend(name: str = "statevector") -> Backend:
    """Return the backend of that name.

    Raises:
        OptionError: There is no backend of that name; the message lists those that there are.
    """
    if name not in _BACKENDS:
        raise unknown_option("backend", name, _BACKENDS)
    return _BACKENDS[name]()
