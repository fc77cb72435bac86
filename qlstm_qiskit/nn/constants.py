"""Gates that are proven to be constant for all inputs."""

from __future__ import annotations

from typing import Any

from qlstm_qiskit.nn.bank import CircuitBank
from qlstm_qiskit.nn.recurrent import Recurrent
from qlstm_qiskit.space.dead import verdict_on


def circuit_verdicts(bank: CircuitBank) -> dict[str, str]:
    """The verdict on each circuit of a bank, by name: "zero", "blind" or empty; see `space.dead.verdict`."""
    return {candidate.name: verdict_on(candidate, bank.n_outputs) for candidate in bank.candidates}


def constant_gates(recurrent: Recurrent[Any]) -> dict[str, str]:
    """Gates none of whose circuits depend on their inputs, with the verdict: "zero" if all are zero, otherwise "blind".

    A gate is called "input", or "input of layer 2" if there are several layers.
    """
    found = {}
    for cell, where in zip(recurrent.layers(), recurrent.cell_names, strict=True):
        bank = cell.bank
        verdicts: dict[int, str] = {}  # the first live circuit settles a gate: proofs for large circuits take seconds
        for gate, own in zip(recurrent.gate_names, bank.gates, strict=True):
            words = set()
            for place in own:
                if place not in verdicts:
                    verdicts[place] = verdict_on(bank.candidates[place], bank.n_outputs)
                words.add(verdicts[place])
                if not verdicts[place]:
                    break
            else:
                found[f"{gate} of {where}" if where else gate] = "blind" if "blind" in words else "zero"
    return found


def about_constants(gates: dict[str, str]) -> str:
    """The result of `constant_gates` as one line for a reader; empty if there are no constant gates."""
    if not gates:
        return ""
    meaning = {"blind": "blind: a trained constant", "zero": "zero: 0 whatever its angles are"}
    listed = ", ".join(f"{gate} ({word})" for gate, word in gates.items())
    said = "; ".join(text for word, text in meaning.items() if word in gates.values())
    return (
        f"Proven: nothing that is fed in changes these gates: {listed}. {said.capitalize()}. "
        "On a device their circuits cost as much as any others."
    )
