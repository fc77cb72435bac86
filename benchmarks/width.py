"""One training step of a hybrid layer at several widths, beside 30 qubits, in one process.

    python -m benchmarks.width [--qubits 30 32 60 100 156] [--depth 2] [--model 1] [--json]
    python -m benchmarks.width --peer [--qubits 156] [--depth 2]        # beside pauli-prop, which must be installed
    python -m benchmarks.width --bank [--qubits 24] [--depth 2]         # many candidates, beside torch.nn.LSTM

The layer has hidden size 5 and one circuit per gate, between two linear layers. A step is as in `benchmarks.step`; widths are
timed in alternation, in processor time. `--peer`: the same layer and the same step with circuits by pauli-prop
(`peer_models.pauli_propagation` says how), timed only after loss and all gradients agreed. `--bank`: the paper's candidates on
hidden size + 1 qubits, as many as the exact interpreter takes. OMP_NUM_THREADS should be 1.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psutil
import torch
from torch import nn

from benchmarks.step import training_step
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.space.blocks import BLOCKS, ENCODINGS

_BATCH, _WINDOW, _HIDDEN, _ROUNDS = 10, 4, 5, 3

#: Loss and gradients of a peer must agree this well; it is timed this often.
_AGREE, _PEER_ROUNDS = 1e-8, 5


def measure(qubits: list[int], depth: int, model: int) -> list[dict[str, float]]:
    """For each width: milliseconds of a step, ratio to the first, seconds to build; MiB of the process, and of all layers."""
    torch.manual_seed(0)
    before = psutil.Process().memory_info().rss / 2**20
    x, y = (torch.randn(*shape, dtype=torch.float64) for shape in ((_BATCH, _WINDOW, 1), (_BATCH, 1)))
    steps, built = [], []
    for n_qubits in qubits:
        start = time.perf_counter()
        layer = QLSTM(1, _HIDDEN, n_qubits=n_qubits, depth=depth, space=SearchSpace.handcrafted(model), batch_first=True)
        steps.append(training_step(layer, _HIDDEN, x, y))
        steps[-1]()
        built.append(time.perf_counter() - start)
    rounds = [[_cpu_ms(step) for step in steps] for _ in range(_ROUNDS)]
    times = [sorted(column)[_ROUNDS // 2] for column in zip(*rounds, strict=True)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        {
            "qubits": n,
            "depth": depth,
            "ms": ms,
            "ratio": ms / times[0],
            "first_s": first,
            "process_mib": memory,
            "own_mib": memory - before,
        }
        for n, ms, first in zip(qubits, times, built, strict=True)
    ]


def measure_peer(n_qubits: int, depth: int, model: int) -> dict[str, float | str]:
    """A step of ours and of pauli-prop in one process, in alternation, after both gave the same loss and gradients."""
    from benchmarks.peer_models.pauli_propagation import PauliPropagation

    torch.manual_seed(0)
    x, y = (torch.randn(*shape, dtype=torch.float64) for shape in ((_BATCH, _WINDOW, 1), (_BATCH, 1)))
    options = {"n_qubits": n_qubits, "depth": depth, "space": SearchSpace.handcrafted(model), "batch_first": True}
    ours = QLSTM(1, _HIDDEN, angle_std=1.0, **options)
    theirs = QLSTM(1, _HIDDEN, backend=PauliPropagation(), **options)
    theirs.load_state_dict(ours.state_dict())
    found = []
    for layer in (ours, theirs):
        loss = (layer(x)[0][:, -1].sum(1, keepdim=True) - y).square().mean()
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in layer.parameters())])
        assert all(parameter.grad.abs().max() > 0 for parameter in layer.parameters())
    difference = max(float((one - other).abs().max() / one.abs().max()) for one, other in zip(*found, strict=True))
    assert difference < _AGREE, f"the peer disagrees by {difference:.1g}"
    steps = [training_step(layer, _HIDDEN, x, y) for layer in (ours, theirs)]
    rounds = [(_cpu_ms(steps[0]), _cpu_ms(steps[1], 1)) for _ in range(_PEER_ROUNDS)]
    own, other = (statistics.median(column) for column in zip(*rounds, strict=True))
    versions = ", ".join(f"{name} {version(name)}" for name in ("pauli-prop", "qiskit", "numpy"))
    return {
        "qubits": n_qubits,
        "depth": depth,
        "ms": own,
        "peer_ms": other,
        "ratio": other / own,
        "difference": difference,
        "versions": versions,
    }


def measure_bank(n_qubits: int, depth: int) -> dict[str, float]:
    """A step of the paper's candidates that are taken on so many qubits, beside torch.nn.LSTM of the same hidden size."""
    torch.manual_seed(0)
    hidden = n_qubits - 1
    x, y = (torch.randn(*shape, dtype=torch.float64) for shape in ((_BATCH, _WINDOW, 1), (_BATCH, 1)))
    reference = training_step(nn.LSTM(1, hidden, batch_first=True, dtype=torch.float64), hidden, x, y)
    for left_out in ((), ("cyclic-RX", "cyclic-RY")):  # of which each output sees the whole ring
        space = SearchSpace.product(tuple(ENCODINGS), tuple(block for block in BLOCKS if block not in left_out))
        try:
            start = time.perf_counter()
            step = training_step(QLSTM(1, hidden, depth=depth, space=space, batch_first=True), hidden, x, y)
            step()
            break
        except CapacityError:
            continue
    first, steps = time.perf_counter() - start, (step, reference)
    rounds = [[_cpu_ms(step) for step in steps] for _ in range(_ROUNDS)]
    own, other = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "qubits": n_qubits,
        "depth": depth,
        "candidates": len(space),
        "refused": len(ENCODINGS) * len(left_out),
        "first_s": first,
        "ms": own,
        "lstm_ms": other,
        "ratio": own / other,
    }


def report(widths: list[dict[str, float]], peer: list[dict[str, Any]], bank: list[dict[str, float]]) -> str:
    """A table of targets: widths of which the first is the reference, one row of a peer or none, and one of many candidates."""
    lines = ["| work | ms | beside | ms | ratio | must | aim |", "|---|---|---|---|---|---|---|"]
    first = widths[0]
    for row in widths[1:]:
        limits = ("6", "4") if row["qubits"] == 100 else ("", "")
        lines.append(
            f"| {row['qubits']} qubits | {row['ms']:.3g} | {first['qubits']} qubits | {first['ms']:.3g} "
            f"| **{row['ratio']:.2f}** | {limits[0]} | {limits[1]} |"
        )
    for row in peer:
        lines.append(
            f"| {row['qubits']} qubits | {row['ms']:.3g} | pauli-prop | {row['peer_ms']:.3g} "
            f"| **{row['ratio']:.3g}** times as fast | 10 | 30 |"
        )
    for row in bank:
        name = f"{row['candidates']} candidates, {row['qubits']} qubits ({row['refused']} are refused)"
        other = f"nn.LSTM of hidden {row['qubits'] - 1}"
        lines.append(f"| {name} | {row['ms']:.3g} | {other} | {row['lstm_ms']:.3g} | **{row['ratio']:.3g}** | 10 | 5 |")
    memory = (
        f"Peak memory with all these widths: {first['process_mib']:.0f} MiB, of which layers and steps {first['own_mib']:.0f}"
    )
    return "\n".join([*lines, "", f"{memory} (must: 2048, aim: 512).", *(f"Versions: {row['versions']}." for row in peer)])


def _cpu_ms(step: Callable[[], None], calls: int = 15) -> float:
    """Median milliseconds of processor time; beside other work, long calls wait for their turn and short ones do not."""
    times = []
    for _ in range(calls):
        start = time.process_time()
        step()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def main() -> None:
    """Print a row per width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qubits", type=int, nargs="+")
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--model", type=int, default=1, help="of the paper's six handcrafted circuits")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--bank", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peer or given.bank:
        qubits = given.qubits or [156 if given.peer else 24]
        measured = [measure_peer(n, given.depth, given.model) if given.peer else measure_bank(n, given.depth) for n in qubits]
        text = "\n\n".join("\n".join(f"{key}: {value}" for key, value in row.items()) for row in measured)
        print(json.dumps(measured) if given.json else text)
        return
    rows = measure(given.qubits or [30, 32, 60, 100, 156], given.depth, given.model)
    if given.json:
        print(json.dumps(rows))
        return
    for row in rows:
        text = f"{row['qubits']:4} qubits, depth {row['depth']}: {row['ms']:6.1f} ms, {row['ratio']:.2f} times, "
        print(f"{text}first step after {row['first_s']:.1f} s")
    print(
        f"Peak memory of the process: {rows[0]['process_mib']:.0f} MiB, of these layers and steps {rows[0]['own_mib']:.0f} MiB"
    )


if __name__ == "__main__":
    main()
