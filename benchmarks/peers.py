"""One training step of the 36-candidate quantum LSTM in other libraries, each in an environment of its own, against ours.

Run ``python -m benchmarks.peers [--peer NAME ...] [--size S|L] [--batch N] [--json] [--repeat K]`` from the repository root.
A peer is timed only after its loss and all of its gradients were shown to equal ours in float64.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_ENVIRONMENTS = _ROOT / ".venv-peers"

#: OMP_NUM_THREADS holds back torch, PennyLane on torch and Qiskit. JAX has a thread pool of its own and uses all cores.
_ONE_THREAD = MappingProxyType({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})

_TIMEOUT_S = 3600

_TORCH = ("torch==2.13.0",)
_JAX = ("jax==0.10.2", "jaxlib==0.10.2")


class PeerError(Exception):
    """A peer could not be installed, disagrees with us, or failed; the message is the reason to print."""


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Args:
        module: Its script, a module of `benchmarks.peer_models`.
        installs: Calls of pip, each a list of arguments, in this order: torch alone and pinned comes first, since an
            unpinned one may bring gigabytes of GPU libraries with it.
        threads: What it runs on.
    """

    module: str
    installs: tuple[tuple[str, ...], ...]
    threads: str = "1"


#: By name; the slowest last.
PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "tensorcircuit-jax": Peer("tensorcircuit_jax", ((*_JAX, "tensorcircuit-ng==1.10.0"),), "all cores"),
        "pennylane-jax": Peer("pennylane_jax", ((*_JAX, "pennylane==0.45.1"),), "all cores"),
        "pennylane-torch": Peer("pennylane_torch", (_TORCH, ("pennylane==0.45.1",))),
        "estimator-qnn": Peer("estimator_qnn", (_TORCH, ("qiskit==2.6.2", "qiskit-machine-learning==0.9.1"))),
    }
)

#: Peers whose plain installation does not work, with what was seen.
NOT_RUN: Mapping[str, str] = MappingProxyType(
    {
        "torchquantum": "torchquantum 0.1.8 (the release that pip picks) installs with TensorFlow, Qiskit 0.46 and an unpinned "
        "torch with GPU libraries (8 GB), and then fails on import: it needs qiskit_ibm_runtime without declaring it"
    }
)


def environment(name: str, peer: Peer) -> Path:
    """The Python of a peer's environment under .venv-peers, made on the first call and whenever its pins change.

    Raises:
        PeerError: pip failed.
    """
    folder = _ENVIRONMENTS / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed, pins = folder / "installed.json", json.dumps(peer.installs)
    if python.exists() and installed.exists() and installed.read_text() == pins:
        return python
    _note(f"{name}: making {folder.relative_to(_ROOT)}")
    shutil.rmtree(folder, ignore_errors=True)
    _ENVIRONMENTS.mkdir(exist_ok=True)
    (_ENVIRONMENTS / ".gitignore").write_text("*\n")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for arguments in peer.installs:
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise PeerError(f"pip install {' '.join(arguments)} failed: {_last_line(done.stderr)}")
    installed.write_text(pins)
    return python


def measure(name: str, problem: Path, repeat: int) -> dict[str, Any]:
    """Run a peer's script on a problem file and read its JSON line.

    Raises:
        PeerError: The peer could not be installed, disagrees with us, or failed.
    """
    peer = PEERS[name]
    python = environment(name, peer)
    _note(f"{name}: checking, then timing")
    command = [
        str(python),
        "-W",
        "ignore",
        "-m",
        f"benchmarks.peer_models.{peer.module}",
        str(problem),
        "--repeat",
        str(repeat),
    ]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd=_ROOT,
            env={**os.environ, **_ONE_THREAD},
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise PeerError(f"no result after {_TIMEOUT_S} s") from None
    if done.returncode:
        raise PeerError(_last_line(done.stderr))
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**result, "threads": peer.threads}


def compare(names: list[str], size: str, batch: int, repeat: int) -> dict[str, Any]:
    """Check and time the named peers, then ours and torch.nn.LSTM in this process."""
    from benchmarks.peer_models import reference

    measured: list[dict[str, Any]] = []
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        problem = Path(folder) / "problem.npz"
        reference.write_problem(problem, size, batch)
        for name in names:
            try:
                if name in NOT_RUN:
                    raise PeerError(NOT_RUN[name])
                measured.append(measure(name, problem, repeat))
            except PeerError as error:
                skipped[name] = str(error)
                _note(f"{name}: skipped: {error}")
    own = reference.time_own(size, batch, max(repeat, 50))
    for line in measured:
        line |= {
            "size": size,
            "times_ours": line["step_ms"] / own["ours_ms"],
            "times_lstm": line["step_ms"] / own["lstm_ms"],
        }
    return {
        "size": size,
        "batch": batch,
        "dtype": "float64",
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        **own,
        "peers": measured,
        "skipped": skipped,
    }


def table(result: Mapping[str, Any]) -> str:
    """The result as lines of text."""
    rows = [
        (f"ours {result['versions']['qlstm-qiskit']}", result["ours_ms"], "", "1", result["warmup_s"]),
        (f"torch.nn.LSTM {result['versions']['torch']}", result["lstm_ms"], "", "1", None),
    ]
    for line in result["peers"]:
        mark = "*" if "scaled_from" in line else ""
        difference = f"{line['max_difference']:.0e}"
        rows.append((line["peer"] + mark, line["step_ms"], difference, line["threads"], line["warmup_s"]))
    lines = [
        f"size {result['size']}, batch {result['batch']}, {result['dtype']}, {result['machine']}, {result['date']}",
        f"{'':32}{'step ms':>12}{'x ours':>12}{'x nn.LSTM':>12}{'warm-up s':>11}{'difference':>12}  threads",
    ]
    for name, step, difference, threads, warmup in rows:
        ours, lstm = step / result["ours_ms"], step / result["lstm_ms"]
        seconds = "" if warmup is None else f"{warmup:.1f}"
        lines.append(f"{name:32}{step:12,.2f}{ours:12,.2f}{lstm:12,.2f}{seconds:>11}{difference:>12}  {threads}")
    for line in result["peers"]:
        versions = ", ".join(f"{package} {number}" for package, number in line["versions"].items())
        lines.append(f"{line['peer']}: {versions}")
        if "scaled_from" in line:
            scaled = line["scaled_from"]
            lines.append(
                f"  * scaled: {scaled['units_in_a_step']:,} x {scaled['unit_ms']:.1f} ms, the time of {scaled['what']}; "
                f"mean over {len(scaled['units_timed'])} candidates"
            )
    lines += [f"{name}: skipped: {reason}" for name, reason in result["skipped"].items()]
    return "\n".join(lines)


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.splitlines()[0])
    names = (*PEERS, *NOT_RUN)
    parser.add_argument("--peer", action="append", choices=names, metavar="NAME", help=f"{', '.join(names)}; default all")
    parser.add_argument("--size", choices=("S", "L"), default="S", help="S: hidden 3, depth 1; L: hidden 5, depth 5")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=10, help="timed steps a peer; the median counts")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    given = parser.parse_args()
    if given.batch < 1 or given.repeat < 1:
        parser.error("--batch and --repeat must be at least 1")
    os.environ.update(_ONE_THREAD)  # before torch is loaded
    result = compare(given.peer or list(names), given.size, given.batch, given.repeat)
    print(json.dumps(result) if given.json else table(result))


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("WARNING")]
    return lines[-1] if lines else "no message"


if __name__ == "__main__":
    main()
