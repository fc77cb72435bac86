"""One maker's devices, in the environment that has its package: every command on a tiny model, and a record of it.

python -m benchmarks.providers.run MAKER RECORD.json
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.providers.makers import MAKERS, Maker, Offered
from qlstm_qiskit.cli import main as qlstm
from qlstm_qiskit.experiments import load_run
from qlstm_qiskit.hardware import EXACT

SHOTS, WINDOWS, POINTS = 1000, 2, 8
#: What a traceback in place of a line of words looks like.
_RAW = "Traceback (most recent call last)"
_TRAIN = [
    "train",
    "--target",
    "value",
    "--window",
    "2",
    "--model",
    "config1",
    "--hidden-size",
    "2",
    "--depth",
    "1",
    "--seed",
    "1",
]


def main() -> None:
    """Read the maker's name and where the record goes, and write it."""
    name, record = sys.argv[1], Path(sys.argv[2]).resolve()
    maker = next(maker for maker in MAKERS if maker.name == name)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["QLSTM_CACHE"] = str(Path("cache").resolve())  # nothing that another version has transpiled
        chosen = [own for own in _prepared(maker) if own.name in sys.argv[3:] or not sys.argv[3:]]
        found = {own["device"]: own for own in json.loads(record.read_text())["devices"]} if sys.argv[3:] else {}
        found |= {offered.name: _device(offered) for offered in chosen}
        facts = _facts(maker) | {"devices": [found[own.name] for own in maker.devices if own.name in found]}
    record.write_text(json.dumps(facts, indent=1) + "\n")


def _facts(maker: Maker) -> dict[str, Any]:
    wanted = [text for text in requires(maker.package) or () if re.match(r"qiskit(?![\w-])", text)]
    return {
        "maker": maker.name,
        "package": maker.requirement,
        "version": version(maker.package),
        "qiskit": version("qiskit"),
        "needs": sorted({text.split(";")[0].strip() for text in wanted if "pin-" not in text}),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def _prepared(maker: Maker) -> tuple[Offered, ...]:
    """Entries of backends.yaml, two series, and a tiny model that was trained exactly, in the working folder."""
    Path("backends.yaml").write_text(json.dumps({own.name: own.entry(SHOTS) for own in maker.devices}))  # JSON is YAML
    for name, rows in (("long", 20), ("short", 9)):
        with Path(f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["value"], *([f"{math.sin(0.6 * row):.4f}"] for row in range(rows))])
    code, _, said = _command(*_TRAIN, "--csv", "long.csv", "--epochs", "30", "--out", "exact", "--json")
    if code:
        raise SystemExit(f"the tiny model was not trained exactly: {said}")
    return maker.devices


def _command(*arguments: str) -> tuple[int, str, str]:
    """A command line: its exit code, and what it prints on standard output and on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 1
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            qlstm(list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException as error:
            print(f"{_RAW}: {type(error).__name__}: {error}", file=sys.stderr)
    return code, out.getvalue(), err.getvalue()


def _step(*arguments: str) -> tuple[dict[str, Any], Any]:
    """A command for the record, and what it prints as JSON if it does."""
    start = time.perf_counter()
    code, out, err = _command(*arguments)
    said = "" if code == 0 else next((line for line in reversed(err.splitlines()) if line.strip()), "without a word")
    record = {"command": " ".join(arguments[:2] if arguments[0] == "backends" else arguments[:1])}
    record |= {"code": code, "said": said, "traceback": _RAW in err, "seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(record), flush=True)
    with contextlib.suppress(ValueError):
        return record, json.loads(out)
    return record, None


def _device(offered: Offered) -> dict[str, Any]:
    name = offered.name
    print(f"{name}:", flush=True)
    steps, found = [], {"device": name, "provider": offered.provider, "shown": offered.shown}
    commands = {
        "check": ["backends", "check", name],
        "certify": ["backends", "certify", name, "--confirm", "--json"],
        "transpile": ["transpile", "exact", "--backend", name, "--json"],
        "plan": ["backends", "plan", "exact", "--backend", name, "--windows", str(WINDOWS), "--json"],
        "evaluate": ["evaluate", "exact", "--backend", name, "--windows", str(WINDOWS), "--json"],
        "predict": ["predict", "exact", "--csv", "long.csv", "--last", "1", "--backend", name, "--out", f"{name}.csv"],
    }
    for key, arguments in commands.items():
        step, said = _step(*arguments)
        steps.append(step)
        if key == "predict" and step["code"] == 0 and len(Path(f"{name}.csv").read_text().splitlines()) != 2:
            step |= {"code": 1, "said": "there is not one row in the file"}
        found |= {key: said} if key in {"transpile", "evaluate"} and step["code"] == 0 else {}
        found |= {key: _certified(said)} if key == "certify" and said else {}
        if key == "certify" and steps[0]["code"]:
            break  # what the check fails at, all that follows does
    else:
        _, exact = _step("evaluate", "exact", "--windows", str(WINDOWS), "--json")
        found |= {"exact": exact["test"]["mse"], "values": _values(name)}
        found["evaluate"] = found.get("evaluate") and found["evaluate"]["test"]["mse"]
        found["transpile"] = found.get("transpile") and _transpiled(found["transpile"])
        steps.append(_trained(name))
    return found | {"steps": steps}


def _certified(said: dict[str, Any]) -> dict[str, Any]:
    """Checks that failed, with their causes, and the remarks on values."""
    failed = {
        level: {own["check"]: own[level]["cause"] for own in said["checks"] if own[level]["result"] == "failed"}
        for level in ("raw", "here")
    }
    remarks = {
        own["check"]: own["here"]["cause"]
        for own in said["checks"]
        if own["check"] in {"values", "gradients by parameter shift"}
    }
    return {"device": said["device"], "passed": said["passed"], **failed, "remarks": remarks}


def _transpiled(said: dict[str, Any]) -> dict[str, Any]:
    """The one circuit of the model on the device."""
    own = said["layers"][0]["candidates"][0]
    return {key: own[key] for key in ("two_qubit_gates", "depth", "swaps", "success", "qubits")}


def _values(name: str) -> dict[str, Any]:
    """Values of the model's circuits on the device beside those of the exact interpreter."""
    inputs = torch.tensor(np.random.default_rng(0).uniform(-1.5, 1.5, (POINTS, 3)))
    values = []
    try:
        for backend in (EXACT, name):
            with contextlib.closing(load_run("exact", backend=backend)) as run, torch.no_grad():
                assert run.forecaster.circuits is not None
                bank = next(iter(run.forecaster.circuits.layers())).bank
                values.append(bank.bind_now(POINTS, 1).candidates(inputs).numpy())
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    exact, found = values
    errors = np.sqrt(np.maximum(1 - exact**2, 16 / SHOTS) / SHOTS)  # as if of four shots at least: counts of fewer are skewed
    off = np.abs(found - exact)
    return {"n": off.size, "largest": round(float(off.max()), 4), "standard_errors": round(float((off / errors).max()), 2)}


def _trained(name: str) -> dict[str, Any]:
    """A training of two epochs on the device, killed after the first and resumed."""
    run = Path(f"trained-{name}")
    options = ["--csv", "short.csv", "--backend", name, "--optimizer", "spsa", "--batch-size", "0", "--epochs", "2"]
    start = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", "qlstm_qiskit", *_TRAIN, *options, "--out", str(run)]
    with Path("killed.txt").open("w+") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        history = run / "history.jsonl"
        while process.poll() is None and not (history.is_file() and history.read_text().strip()):
            time.sleep(0.05)
        killed = process.poll() is None
        if killed:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        file.seek(0)
        said = file.read()
    record: dict[str, Any] = {"command": "train, resume", "killed_after_an_epoch": killed, "traceback": _RAW in said}
    if not killed and process.returncode:
        line = next((line for line in reversed(said.splitlines()) if line.strip()), "without a word")
        return record | {"code": process.returncode, "said": line}
    code, _, err = _command("resume", str(run), "--json")
    retried = bool(code) and "--retry" in err  # a job was under way, and the device cannot be asked for it
    if retried:
        code, _, err = _command("resume", str(run), "--retry", "--json")
    epochs = len(history.read_text().splitlines())
    said = "" if code == 0 else next((line for line in reversed(err.splitlines()) if line.strip()), "without a word")
    record |= {"code": code, "said": said, "epochs": epochs, "retried": retried, "traceback": _RAW in err}
    record["seconds"] = round(time.perf_counter() - start, 1)
    print(json.dumps(record), flush=True)
    return record


if __name__ == "__main__":
    main()
