"""The sub-components of a candidate: encodings, entanglers and rotation layers.

Each is a function that returns a `QuantumCircuit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qlstm_qiskit.errors import OptionError, require_at_least, separate_names, unknown_option
from qlstm_qiskit.space.entanglers import device_entangler, grid_entangler, heavy_hex_entangler

#: A function of the number of qubits that returns a circuit; its free parameters, in Qiskit's order, are its angles.
Builder = Callable[[int], QuantumCircuit]

AXES = ("Y", "Z", "X")

#: What the name of a device follows in that of an entangler.
OF_DEVICE = "device:"


def angle_encoding(n_qubits: int, axis: str, hadamard: bool = False) -> QuantumCircuit:
    """One input angle per qubit: an optional Hadamard, then ``R_axis(x_i)`` on qubit i.

    Args:
        n_qubits: Number of qubits, and of inputs ``x``.
        axis: "X", "Y" or "Z".
        hadamard: Put a Hadamard on every qubit first.

    Raises:
        OptionError: `n_qubits` is below 1, or the axis is unknown.
    """
    circuit = QuantumCircuit(require_at_least("n_qubits", n_qubits, 1))
    if hadamard:
        circuit.h(range(n_qubits))
    return circuit.compose(_rotations(n_qubits, axis, "x"))


def rotation_layer(n_qubits: int, axis: str) -> QuantumCircuit:
    """One trained angle per qubit: ``R_axis(w_i)`` on qubit i.

    Args:
        n_qubits: Number of qubits, at least 1.
        axis: "X", "Y" or "Z".

    Raises:
        OptionError: `n_qubits` is below 1, or the axis is unknown.
    """
    return _rotations(require_at_least("n_qubits", n_qubits, 1), axis, "w")


def linear_entangler(n_qubits: int) -> QuantumCircuit:
    """CNOTs on neighbours: (0, 1), (2, 3), ... and then (1, 2), (3, 4), ...

    Args:
        n_qubits: Number of qubits, at least 1.

    Raises:
        OptionError: `n_qubits` is below 1.
    """
    circuit = QuantumCircuit(require_at_least("n_qubits", n_qubits, 1))
    for start in (0, 1):
        for qubit in range(start, n_qubits - 1, 2):
            circuit.cx(qubit, qubit + 1)
    return circuit


def cyclic_entangler(n_qubits: int) -> QuantumCircuit:
    """CNOTs round a ring, in order: (i, (i + 1) mod n) for i = 0 .. n - 1; none on a single qubit.

    Args:
        n_qubits: Number of qubits, at least 1.

    Raises:
        OptionError: `n_qubits` is below 1.
    """
    circuit = QuantumCircuit(require_at_least("n_qubits", n_qubits, 1))
    if n_qubits > 1:
        for qubit in range(n_qubits):
            circuit.cx(qubit, (qubit + 1) % n_qubits)
    return circuit


def variational_block(n_qubits: int, entangler: str, axis: str) -> QuantumCircuit:
    """One layer of an ansatz: an entangler, then a rotation layer.

    Args:
        n_qubits: Number of qubits, at least 1.
        entangler: A name in `ENTANGLERS`, or "device:NAME" with a snapshot of a device, see `device_entangler`.
        axis: Of the rotations: "X", "Y" or "Z".

    Raises:
        OptionError: `n_qubits` is below 1, or a name is unknown.
    """
    return entangler_named(entangler)(n_qubits).compose(rotation_layer(n_qubits, axis))


def entangler_named(name: str) -> Builder:
    """The entangler of a name in `ENTANGLERS`, or of "device:NAME" with a snapshot of a device, such as "device:fez".

    Raises:
        OptionError: There is none.
    """
    if isinstance(name, str) and name.startswith(OF_DEVICE) and name != OF_DEVICE:
        return partial(device_entangler, device=name.removeprefix(OF_DEVICE))
    if name not in ENTANGLERS:
        raise unknown_option("entangler", str(name), (*ENTANGLERS, f"{OF_DEVICE}NAME"))
    return ENTANGLERS[name]


def entangler_names(text: str) -> tuple[str, ...]:
    """Names of entanglers that one option has, separated by commas; each once.

    Raises:
        OptionError: A name is empty.
    """
    return separate_names("entangler", text)


def blocks_of(entanglers: Sequence[str]) -> Mapping[str, Builder]:
    """The three variational blocks of each of some entanglers, "heavy-hex-RY" and so on, for `SearchSpace.product`.

    Args:
        entanglers: Names, each as in `entangler_named`.

    Raises:
        OptionError: There is no such entangler, or none is given.
    """
    if isinstance(entanglers, str) or not entanglers:
        raise OptionError(f"entanglers is {entanglers!r}; give a list of names, with at least one.")
    for name in entanglers:
        entangler_named(name)
    return {f"{name}-R{axis}": partial(variational_block, entangler=name, axis=axis) for name in entanglers for axis in AXES}


def _rotations(n_qubits: int, axis: str, name: str) -> QuantumCircuit:
    if axis not in AXES:
        raise unknown_option("rotation axis", axis, AXES)
    circuit = QuantumCircuit(n_qubits)
    for qubit, angle in enumerate(ParameterVector(name, n_qubits)):
        getattr(circuit, f"r{axis.lower()}")(angle, qubit)
    return circuit


#: The paper's two entanglers.
PAPER_ENTANGLERS = ("linear", "cyclic")

#: Name -> function that builds the entangler for a number of qubits.
ENTANGLERS: Mapping[str, Builder] = MappingProxyType(
    {"linear": linear_entangler, "cyclic": cyclic_entangler, "heavy-hex": heavy_hex_entangler, "grid": grid_entangler}
)

#: The paper's six encodings; "H-RY" has the Hadamards, "RY" has not.
ENCODINGS: Mapping[str, Builder] = MappingProxyType(
    {
        f"{'H-' if hadamard else ''}R{axis}": partial(angle_encoding, axis=axis, hadamard=hadamard)
        for hadamard in (True, False)
        for axis in AXES
    }
)

#: The paper's six variational blocks, "linear-RY" to "cyclic-RX".
BLOCKS: Mapping[str, Builder] = MappingProxyType(blocks_of(PAPER_ENTANGLERS))
