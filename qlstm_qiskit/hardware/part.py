"""A part of a device as a device of its own, simulated with its noise by Aer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import rustworkx as rx
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Measure, Operation
from qiskit.providers import BackendV2, JobStatus, JobV1, Options
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData
from qiskit.transpiler import Target

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator

#: Qubits up to which a noisy circuit is simulated by its density matrix (4^n numbers) and by state vectors, one a shot.
DENSITY_QUBITS, STATE_QUBITS = 12, 24


def sub_target(target: Target, qubits: Sequence[int]) -> Target:
    """The part of a target on `qubits`, which become 0, 1, ...; instructions between others are gone."""
    place = {qubit: position for position, qubit in enumerate(qubits)}
    properties = target.qubit_properties
    result = Target(
        description=target.description,
        num_qubits=len(qubits),
        dt=target.dt,
        granularity=target.granularity,
        min_length=target.min_length,
        pulse_alignment=target.pulse_alignment,
        acquire_alignment=target.acquire_alignment,
        qubit_properties=[properties[qubit] for qubit in qubits] if properties else None,
    )
    for name in sorted(target.operation_names):  # their own order differs from process to process
        operation, known = target.operation_from_name(name), target[name]
        if not known or None in known:  # an instruction for any qubits
            result.add_instruction(operation, name=name)
            continue
        kept = {tuple(place[q] for q in key): value for key, value in known.items() if all(q in place for q in key)}
        if kept:
            result.add_instruction(operation, kept, name=name)
    return result


class PartDevice(BackendV2):
    """A device whose `run` simulates its target's noise and readout errors.

    Qubits that do not interact are independent, gate noise and readout errors included. So a circuit of several blocks is
    simulated block by block, and the bits of each shot are put together: 23 blocks of four qubits in a fraction of a
    second, where one simulation of 92 qubits takes half a minute for 1000 shots.
    """

    def __init__(self, target: Target, name: str = "part") -> None:
        super().__init__(name=name)
        self._target = target
        self._simulator: AerSimulator | None = None
        self._parts: dict[tuple[int, ...], PartDevice] = {}

    @property
    def target(self) -> Target:
        return self._target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024)

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Simulate circuits of this device's instructions; options as of `AerSimulator.run`."""
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        options = {"shots": self.options.shots} | options
        blocks = [_blocks(circuit) for circuit in circuits]
        if any(len(some) > 1 for some in blocks):
            return _Done(self, self._joined(circuits, blocks, options))
        if self._simulator is None:
            from qiskit_aer import AerSimulator
            from qiskit_aer.noise import NoiseModel

            self._simulator = AerSimulator(noise_model=NoiseModel.from_backend(self), method=_method(self.num_qubits))
        return self._simulator.run(circuits, **options)

    def _joined(
        self, circuits: Sequence[QuantumCircuit], blocks: Sequence[Sequence[tuple[int, ...]]], options: dict[str, Any]
    ) -> Result:
        """Run equal blocks of all circuits together, and join the bits of each shot."""
        shots = [np.zeros((options["shots"], circuit.num_clbits), dtype=bool) for circuit in circuits]
        pieces: dict[tuple[int, ...], list[tuple[int, QuantumCircuit, list[int]]]] = {}
        for index, (circuit, some) in enumerate(zip(circuits, blocks, strict=True)):
            for qubits, (piece, clbits) in _cut(circuit, some).items():
                pieces.setdefault(qubits, []).append((index, piece, clbits))
        for qubits, mine in pieces.items():
            if qubits not in self._parts:
                self._parts[qubits] = PartDevice(sub_target(self._target, qubits))
            own = options | {"memory": True}
            if own.get("seed_simulator") is not None:  # other blocks draw other numbers
                own["seed_simulator"] = int(np.random.SeedSequence([own["seed_simulator"], *qubits]).generate_state(1)[0] >> 1)
            result = self._parts[qubits].run([piece for _, piece, _ in mine], **own).result()
            for (index, _, clbits), found in zip(mine, result.results, strict=True):
                wide = object if len(clbits) > 62 else np.int64
                outcomes = np.array([int(shot, 16) for shot in found.data.memory], dtype=wide)
                shots[index][:, clbits] = outcomes[:, None] >> np.arange(len(clbits)) & 1
        results = [_experiment(circuit, bits) for circuit, bits in zip(circuits, shots, strict=True)]
        return Result(backend_name=self.name, backend_version="", job_id="", success=True, results=results)


class _Done(JobV1):
    """A job that has its result."""

    def __init__(self, backend: BackendV2, result: Result) -> None:
        super().__init__(backend, "")
        self._result = result

    def submit(self) -> None:
        """It ran when it was made."""

    def result(self) -> Result:
        return self._result

    def status(self) -> JobStatus:
        return JobStatus.DONE


def _blocks(circuit: QuantumCircuit) -> list[tuple[int, ...]]:
    """Qubits that interact and are measured; one block where there is more than gates and measurements."""
    graph, measured = rx.PyGraph(multigraph=False), set()
    graph.add_nodes_from(range(circuit.num_qubits))
    for item in circuit.data:
        wires = [circuit.find_bit(qubit).index for qubit in item.qubits]
        if isinstance(item.operation, Measure):
            measured |= set(wires)
        elif isinstance(item.operation, Gate):
            graph.add_edges_from_no_data([(wires[0], wire) for wire in wires[1:]])
        elif item.name != "barrier":
            return [tuple(range(circuit.num_qubits))]
    return [tuple(sorted(block)) for block in rx.connected_components(graph) if block & measured]


def _cut(circuit: QuantumCircuit, blocks: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[QuantumCircuit, list[int]]]:
    """A circuit for each block of qubits, with the bits of `circuit` that it writes."""
    home = {qubit: (block, position) for block in blocks for position, qubit in enumerate(block)}
    items: dict[tuple[int, ...], list[tuple[Operation, list[int], list[int]]]] = {block: [] for block in blocks}
    for item in circuit.data:
        wires = [home.get(circuit.find_bit(qubit).index) for qubit in item.qubits]
        found = [wire for wire in wires if wire is not None]
        if item.name == "barrier" or not found:  # or on a qubit that is not read
            continue
        bits = [circuit.find_bit(bit).index for bit in item.clbits]
        items[found[0][0]].append((item.operation, [position for _, position in found], bits))
    result = {}
    for block, mine in items.items():
        clbits = sorted({bit for _, _, bits in mine for bit in bits})
        piece = QuantumCircuit(len(block), len(clbits))
        for operation, positions, bits in mine:
            piece.append(operation, positions, [clbits.index(bit) for bit in bits])
        result[block] = (piece, clbits)
    return result


def _experiment(circuit: QuantumCircuit, bits: NDArray[np.bool_]) -> ExperimentResult:
    packed = np.packbits(bits, axis=1, bitorder="little")[:, ::-1]
    memory = [hex(int.from_bytes(row.tobytes(), "big")) for row in packed]
    header = {
        "name": circuit.name,
        "creg_sizes": [[register.name, register.size] for register in circuit.cregs],
        "memory_slots": circuit.num_clbits,
        "metadata": circuit.metadata,
    }
    data = ExperimentResultData(counts=dict(Counter(memory)), memory=memory)
    return ExperimentResult(len(bits), True, data, header=header)


def _method(n_qubits: int) -> str:
    if n_qubits <= DENSITY_QUBITS:
        return "density_matrix"  # one run, whatever the number of shots
    return "statevector" if n_qubits <= STATE_QUBITS else "matrix_product_state"
