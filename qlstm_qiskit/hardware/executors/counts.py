"""Counts of outcomes from the results of devices of any maker; anything that is not certainly the measurement is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qlstm_qiskit.hardware.executors.results import field_of, refuse, shown

#: States of results and circuits that are not measurements; "DONE" and "COMPLETED" are among those that are.
FAILED = re.compile(
    r"(?i)(?<!no )(?<!without )err|fail|cancel|partial|incomplete|abort|timed? ?out|invalid|queued|running|initializ"
)


def counts_of(result: Any, circuits: Sequence[QuantumCircuit], shots: int) -> list[dict[int, int]]:
    """How often each outcome was measured, from what a `BackendV2` of any maker gives.

    Memory and counts are understood, with outcomes as numbers, hexadecimal or bit strings. Where circuits are named in the
    result their order does not matter.

    Args:
        result: A Qiskit `Result`, or what looks like one.
        circuits: That were run, with names of their own.
        shots: Of each.

    Returns:
        For each circuit a count for each outcome, whose bit i is the circuit's classical bit i.

    Raises:
        ResultError: It failed, in part or as a whole, holds fewer or more circuits or shots, other registers or wider outcomes,
            or nothing that is known here.
    """
    found = field_of(result, "results")
    if not isinstance(found, list | tuple):
        refuse(f"it is a {type(result).__name__} without a list of results of circuits")
    _require_success(result, "it", optional=True)
    if len(found) != len(circuits):
        refuse(f"it has results of {len(found)} circuits, and {len(circuits)} were run")
    names = [circuit.name for circuit in circuits]
    histograms = []
    for index, (circuit, item) in enumerate(zip(circuits, _ordered(found, names), strict=True)):
        what = f"circuit {index} of {len(circuits)}"
        _require_success(item, what, optional=False)
        histograms.append(_histogram(item, _sizes(circuit), shots, what))
    return histograms


def _ordered(found: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Results in the order of the circuits: by name where they have our names, else as they are, which is Qiskit's rule."""
    given = [str(field_of(field_of(item, "header"), "name")) for item in found]
    if not set(given) & set(names):
        return list(found)
    if sorted(given) != sorted(names):
        refuse("its results are of other circuits than were run, or of some of them twice")
    by_name = dict(zip(given, found, strict=True))
    return [by_name[name] for name in names]


def _require_success(item: Any, what: str, optional: bool) -> None:
    success, status = field_of(item, "success"), field_of(item, "status")
    text = str(getattr(status, "name", status or ""))
    if success is None and optional:
        success = True
    if success is not True and success != 1:
        refuse(f"{what} is marked as failed" + (f" ({shown(text)})" if text else ""))
    if FAILED.search(text):
        refuse(f"{what} has the status {shown(text)}")


def _histogram(item: Any, sizes: Sequence[int], shots: int, what: str) -> dict[int, int]:
    if (level := field_of(item, "meas_level")) not in (None, 2):
        refuse(f"{what} was measured at level {level}, which is not bits")
    _require_registers(field_of(item, "header"), sizes, what)
    data = field_of(item, "data")
    counts, memory = field_of(data, "counts"), field_of(data, "memory")
    if isinstance(memory, np.ndarray):
        memory = memory.tolist()
    read = []
    if counts is not None:
        if not isinstance(counts, Mapping):
            refuse(f"{what} has counts of the type {type(counts).__name__}")
        read.append(_added(counts, sizes, what))
    if isinstance(memory, list | tuple) and memory:
        if not all(isinstance(key, str | int | np.integer) for key in memory):
            refuse(f"{what} has a memory that is not bits")
        read.append(_added(Counter(memory), sizes, what))
    if not read:
        refuse(f"{what} has neither counts nor memory")
    for own in read:
        if sum(own.values()) != shots:
            refuse(f"{what} has {sum(own.values())} shots, and {shots} were asked for")
    if read[0] != read[-1]:
        refuse(f"{what} has counts and a memory that contradict each other")
    return read[0]


def _added(counts: Mapping[Any, Any], sizes: Sequence[int], what: str) -> dict[int, int]:
    result: dict[int, int] = {}
    for key, number in counts.items():
        whole = type(number) is not bool and isinstance(number, int | float | np.integer) and float(number).is_integer()
        if not whole or number < 0:
            refuse(f"{what} has the count {shown(str(number))}, which is not a number of shots")
        if number:
            outcome = _outcome(key, sizes, what)
            result[outcome] = result.get(outcome, 0) + int(number)
    return result


def _outcome(key: Any, sizes: Sequence[int], what: str) -> int:
    """An outcome as a number: from one, from hexadecimal, or from bits, the last register first, with spaces or without."""
    width = sum(sizes)
    value = -1
    if isinstance(key, int | np.integer) and type(key) is not bool:
        value = int(key)
    elif isinstance(key, str) and re.fullmatch("0[xX][0-9a-fA-F]+", key):
        value = int(key, 16)
    elif isinstance(key, str) and re.fullmatch("[01]+( [01]+)*", key):
        parts = [len(part) for part in key.split(" ")]
        if sum(parts) == width and len(parts) in {1, len(sizes)} and (len(parts) == 1 or parts == [*reversed(sizes)]):
            value = int(key.replace(" ", ""), 2)
    if not 0 <= value < 1 << width:
        refuse(f"{what} has the outcome {shown(str(key))}, and {width} bits were measured")
    return value


def _sizes(circuit: QuantumCircuit) -> list[int]:
    sizes = [register.size for register in circuit.cregs]
    return sizes if sum(sizes) == circuit.num_clbits else [circuit.num_clbits]


def _require_registers(header: Any, sizes: Sequence[int], what: str) -> None:
    """Refuse a result that says itself that it is of other registers; most say nothing."""
    slots, registers = field_of(header, "memory_slots"), field_of(header, "creg_sizes")
    given = None
    if isinstance(registers, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in registers):
        given = [pair[1] for pair in registers]
    if isinstance(slots, int | np.integer) and slots != sum(sizes):
        refuse(f"{what} has {slots} classical bits, and {sum(sizes)} were measured")
    if given and given != list(sizes):
        refuse(f"{what} has classical registers of {given} bits, and {list(sizes)} were measured")
