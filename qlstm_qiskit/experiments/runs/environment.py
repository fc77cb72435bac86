"""Provenance of results: code, versions, machine."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from qlstm_qiskit import __version__


@lru_cache
def environment() -> dict[str, Any]:
    """The code, versions and machine that produce results: commit of the checkout if there is one, versions, processor."""
    folder = Path(__file__).parents[3]

    def git(*arguments: str) -> str | None:
        try:
            found = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return found.stdout.strip()

    commit = git("rev-parse", "HEAD") if (folder / ".git").exists() else None
    edits = None if commit is None else git("status", "--porcelain", "--", "qlstm_qiskit")
    changed = None if edits is None else bool(edits)
    return {"commit": commit, "changed": changed, "processor": _processor(), "versions": versions()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    packages = (
        "qiskit",
        "qiskit-aer",
        "qiskit-ibm-runtime",
        "qiskit-machine-learning",
        "torch",
        "numpy",
        "scipy",
        "scikit-learn",
        "skorch",
        "statsmodels",
    )
    found = {
        "qlstm-qiskit": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version(name) for name in packages},
    }
    with contextlib.suppress(PackageNotFoundError):  # an optional extra
        found["reservoirpy"] = version("reservoirpy")
    return found
