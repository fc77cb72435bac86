"""The price of fitting a circuit to a device, and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rustworkx as rx
from qiskit import QuantumCircuit
from qiskit.providers import BackendV2
from qiskit.transpiler import generate_preset_pass_manager

#: Rings of up to this many qubits are looked for on the device.
_LONGEST_RING = 8


@dataclass(frozen=True)
class TranspileReport:
    """What fitting a circuit to a device has cost; pairs are (before, after).

    Attributes:
        name, device: Of the circuit and of the device.
        two_qubit_gates: Before: with every gate written in CNOT and one-qubit gates.
        depth, two_qubit_depth: Layers of all gates, and of two-qubit gates alone.
        swaps: SWAPs that routing has added.
        success: Estimated success probability of a run, readout of the measured qubits included; NaN where the device
            does not say how many qubits it has.
        qubits: Device qubit on which each qubit of the circuit ends, and is measured; -1 for one that does nothing.
        warning: Where the SWAPs come from, and what else speaks against the values; None without any.
    """

    name: str
    device: str
    two_qubit_gates: tuple[int, int]
    depth: tuple[int, int]
    two_qubit_depth: tuple[int, int]
    swaps: int
    success: float
    qubits: tuple[int, ...]
    warning: str | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TranspileReport:
        """From what `dataclasses.asdict` gave, with tuples that have become lists."""
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
        return cls(**fields)


def compare(
    circuit: QuantumCircuit, isa: QuantumCircuit, backend: BackendV2, *, swaps: int, success: float, qubits: tuple[int, ...]
) -> TranspileReport:
    """Report on `circuit`, which has become `isa` on a device."""
    before = in_cnots(circuit)
    return TranspileReport(
        name=circuit.name,
        device=backend.name,
        two_qubit_gates=(_pairs(before), _pairs(isa)),
        depth=(before.depth(), isa.depth()),
        two_qubit_depth=(before.depth(is_pair), isa.depth(is_pair)),
        swaps=swaps,
        success=success,
        qubits=qubits,
        warning=_warning(before, backend, swaps) if swaps else None,
    )


def in_cnots(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with every gate written in one-qubit gates and CNOTs."""
    return generate_preset_pass_manager(0, basis_gates=["u", "cx"]).run(circuit)


def is_pair(item: Any) -> bool:
    """Whether an instruction of a circuit is a gate on two qubits."""
    return len(item.qubits) == 2 and item.operation.name != "barrier"


def _pairs(circuit: QuantumCircuit) -> int:
    return sum(is_pair(item) for item in circuit.data)


def _warning(circuit: QuantumCircuit, backend: BackendV2, swaps: int) -> str:
    device, ring = backend.name, _ring(circuit)
    added = f"{swaps} SWAP{'s' * (swaps > 1)} added on {device}"
    if ring is None:
        return f"{added}: the device's couplings do not follow the circuit's"
    lacks = f", which {device} does not have" if ring <= _LONGEST_RING and not _has_ring(backend, ring) else ""
    return f"{added}: its cyclic entangler closes a ring of {ring} qubits{lacks}; a linear entangler needs fewer"


def _ring(circuit: QuantumCircuit) -> int | None:
    """Qubits in the longest ring of a cycle basis of the circuit's interactions; None without a ring."""
    graph = rx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(circuit.num_qubits))
    for item in circuit.data:
        if is_pair(item):
            first, second = (circuit.find_bit(qubit).index for qubit in item.qubits)
            graph.add_edge(first, second, None)
    return max((len(ring) for ring in rx.cycle_basis(graph)), default=None)


def _has_ring(backend: BackendV2, n_qubits: int) -> bool:
    coupling = backend.target.build_coupling_map()
    if coupling is None:
        return True
    graph = coupling.graph.to_undirected(multigraph=False)
    return bool(rx.is_subgraph_isomorphic(graph, rx.generators.cycle_graph(n_qubits), induced=False))
