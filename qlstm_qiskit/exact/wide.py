"""Candidates that are too wide for a statevector: either they have a multilinear form, or they are refused in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qlstm_qiskit.circuits import Program
from qlstm_qiskit.circuits.cone import WORD_QUBITS
from qlstm_qiskit.errors import CapacityError
from qlstm_qiskit.exact.memory import fitting_qubits

#: Names that a message lists.
_MOST_NAMES = 4


def is_wide(programs: Sequence[Program]) -> bool:
    """Whether a form may be the only way to evaluate one of these circuits."""
    return max(program.n_qubits for program in programs) > WORD_QUBITS


def require_forms(
    programs: Sequence[Program], without: Sequence[int], refused: Mapping[int, str], names: Sequence[str]
) -> None:
    """Refuse candidates that have no form and do not fit into memory as states.

    Args:
        programs: Of all candidates.
        without: Places of those that have no form.
        refused: What there is too much of, for those of them that have the structure.
        names: Of all candidates.

    Raises:
        CapacityError: There are any; the message says what stands in the way.
    """
    fitting = fitting_qubits()
    lost = [index for index in without if programs[index].n_qubits > fitting]
    if not lost:
        return
    grown = [index for index in lost if index in refused]
    own = grown or lost
    listed = ", ".join(names[index] for index in own[:_MOST_NAMES]) + ", ..." * (len(own) > _MOST_NAMES)
    which = f"the candidate {listed}" if len(own) == 1 else f"{len(own)} of {len(programs)} candidates ({listed})"
    where = f"on {programs[own[0]].n_qubits} qubits, where a statevector of {fitting} qubits fits into the memory that is free"
    advice = "fewer qubits (n_qubits, or hidden_size), or a device."
    if grown:
        raise CapacityError(
            f"outputs of {which} are sums of {refused[own[0]]} of the exact interpreter, {where}. Use less depth, circuits "
            f"whose light cones are narrow (the linear entangler, not the cyclic one), {advice}"
        )
    raise CapacityError(
        f"{which} read data twice, or in gates of several qubits, or have a numeric gate of several qubits that is not "
        f"Clifford: that has no multilinear form, {where}. Use other circuits, {advice}"
    )
