"""Trust in the code that a run folder names."""

from __future__ import annotations

from pathlib import Path

from qlstm_qiskit.errors import RunError
from qlstm_qiskit.experiments.runs.agreement import CONFIG
from qlstm_qiskit.experiments.runs.spec import RunSpec
from qlstm_qiskit.hardware import BackendSpec, names_own_code


def require_trusted(path: Path, spec: RunSpec, trust: bool, file: Path | None = None, advice: str = "") -> None:
    """Refuse to call code that a folder names, unless the user trusts it.

    Args:
        path: The folder.
        spec: The content of its config.json.
        trust: Whether the user has allowed the code to be called.
        file: The user's file of backends; by default ./backends.yaml, if there is one.
        advice: What else can be done by whoever calls this.

    Raises:
        RunError: Its backend calls the code of a provider that no entry of the user's file has.
    """
    if spec.backend_options is not None:
        require_trusted_code(path / CONFIG, spec.backend_options, trust, file, advice)


def require_trusted_code(
    source: Path | None, options: BackendSpec, trust: bool, file: Path | None = None, advice: str = ""
) -> None:
    """Refuse to call the code of a backend that a file names, unless the user trusts it.

    Args:
        source: The file.
        options: The backend.
        trust, file, advice: As of `require_trusted`.

    Raises:
        RunError: No entry of the user's file has the provider.
    """
    if trust or names_own_code(options, file):
        return
    module, _, name = str(options.code).partition(":")
    raise RunError(
        f"{source} names the provider {options.code!r}: Python would import {module} and call {name}, whoever wrote "
        "it. If you trust it, say --trust-provider (trust=True), or put a backend with this provider into your backends.yaml"
        f"{advice and f'; {advice}'}."
    )
