"""Trust in the code that a run folder names."""

from __future__ import annotations

from pathlib import Path

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.runs.agreement import CONFIG
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.hardware import names_own_code


def require_trusted(path: Path, spec: RunSpec, trust: bool, file: Path | None = None) -> None:
    """Refuse to call code that a folder names, unless the user trusts it.

    Args:
        path: The folder.
        spec: The content of its config.json.
        trust: Whether the user has allowed the code to be called.
        file: The user's file of backends; by default ./backends.yaml, if there is one.

    Raises:
        RunError: Its backend calls the code of a provider that no entry of the user's file has.
    """
    options = spec.backend_options
    if trust or options is None or names_own_code(options, file):
        return
    module, _, name = str(options.code).partition(":")
    raise RunError(
        f"{path / CONFIG} names the provider {options.code!r}: Python would import {module} and call {name}, whoever wrote "
        "it. If you trust it, say --trust-provider (trust=True), or put a backend with this provider into your backends.yaml; "
        "or choose another one with --backend."
    )
