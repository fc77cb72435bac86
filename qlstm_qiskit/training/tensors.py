"""Tensors on disk, in a safetensors file whose header carries plain JSON. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.storage import exists, write_atomically

_KEY = "qlstm_qiskit"


def save_weights(path: Path, module: nn.Module, header: dict[str, Any]) -> None:
    """Write the parameters of a module and a header of plain JSON values atomically.

    Raises:
        RunError: The file cannot be written.
    """
    write_tensors(path, module.state_dict(), header)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, Any]) -> None:
    """Write named tensors and a header of plain JSON values atomically; errors as for `save_weights`."""
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_atomically(path, save(content, metadata={_KEY: json.dumps(header)}))


def read_weights(path: Path, *, finite: bool = True) -> tuple[Any, dict[str, Tensor]]:
    """Read the header and the tensors of a file written by `write_tensors`.

    Args:
        path: The file.
        finite: Whether all tensors must be finite, as for a model.

    Raises:
        RunError: The file is missing or damaged, was not written by this package, or has a tensor that is not finite.
    """
    if not exists(path):
        raise RunError(f"there is no file {path}; is this a run folder that finished at least one epoch?")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError, AttributeError, OSError) as error:
        raise RunError(f"{path} is damaged or was not written by this package ({type(error).__name__}).") from error
    for name, values in tensors.items():
        if finite and values.is_floating_point() and not bool(torch.isfinite(values.double()).all()):
            raise RunError(f"{path} is damaged: {name} has values that are not finite.")
    return header, tensors
