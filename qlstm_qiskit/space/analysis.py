"""Abilities and costs of each candidate of a space: proven where a proof is possible, estimated where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlstm_qiskit.circuits import Polynomial, relabelling
from qlstm_qiskit.circuits.frequencies import readable
from qlstm_qiskit.errors import OptionError, require_at_least
from qlstm_qiskit.space.candidate import Candidate
from qlstm_qiskit.space.dead import polynomial_of, structure_of, verdict
from qlstm_qiskit.space.merit import entangling_capability, expressibility, random_states, states_fit
from qlstm_qiskit.space.pool import SearchSpace

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.device.transpile_report import TranspileReport


@dataclass(frozen=True)
class CandidateReport:
    """One candidate, read at its first outputs.

    Attributes:
        name, n_inputs, n_weights: Of the candidate.
        zero: All outputs are 0, whatever inputs and weights are.
        zero_outputs: Numbers of the outputs that are 0.
        blind: No output depends on an input.
        unseen_inputs, inert_weights: Columns of the parameters that no output depends on.
        equal_to: The first earlier candidate that is the same function up to a sign and relabelled weights; never given for
            zeros.
        sign: 1 or -1: this candidate's outputs are `sign` times those of `equal_to`.
        frequencies: Fourier support: vectors with a magnitude for each input that occur in some output; None if unknown.
        complete: What is not called dead is alive; see `circuits.Structure`. What is called dead is dead in any case.
        compared: It was small enough to be compared with the others.
        entangling_capability: Mean Meyer-Wallach Q, estimated from random inputs and weights; None where states do not fit.
        expressibility: Kullback-Leibler divergence from Haar-random states, in nats, estimated likewise; 0 is best.
        depth, two_qubit_gates: Written in one-qubit gates and CNOTs.
        device: What it becomes on a device; None where none was given.
    """

    name: str
    n_inputs: int
    n_weights: int
    zero: bool
    zero_outputs: tuple[int, ...]
    blind: bool
    unseen_inputs: tuple[int, ...]
    inert_weights: tuple[int, ...]
    equal_to: str | None
    sign: int
    frequencies: tuple[tuple[float, ...], ...] | None
    complete: bool
    compared: bool
    entangling_capability: float | None
    expressibility: float | None
    depth: int
    two_qubit_gates: int
    device: TranspileReport | None

    @property
    def n_frequencies(self) -> int | None:
        """Vectors of the Fourier support, the constant among them."""
        return None if self.frequencies is None else len(self.frequencies)

    @property
    def degree(self) -> float | None:
        """The largest sum of an element's frequencies: how many inputs are multiplied, where each has the frequency 1."""
        return None if self.frequencies is None else readable(max(map(sum, self.frequencies), default=0.0))

    @property
    def verdict(self) -> str:
        """In words, the worst first: "zero", "blind", "= -RY|linear-RX"; empty where nothing is wrong with it."""
        own = verdict(zero=self.zero, blind=self.blind)
        same = "" if self.equal_to is None else f"= {'-' if self.sign < 0 else ''}{self.equal_to}"
        return ", ".join(filter(None, (own, same)))


@dataclass(frozen=True)
class SpaceAnalysis:
    """Reports on the candidates of a space, in their order.

    Attributes:
        reports: One per candidate.
        n_qubits, depth, n_outputs: What was analysed; `depth` is None for given circuits.
        samples, seed: Random states per candidate behind the estimated figures of merit; no samples where states do not fit.
        device: Name of the device; None where none was given.
    """

    reports: tuple[CandidateReport, ...]
    n_qubits: int
    depth: int | None
    n_outputs: int
    samples: int
    seed: int
    device: str | None = None

    def counts(self) -> dict[str, int]:
        """How many candidates are zero, blind, without a weight that matters, equal to an earlier one."""
        reports = self.reports
        return {
            "candidates": len(reports),
            "zero": sum(report.zero for report in reports),
            "blind": sum(report.blind for report in reports),
            "inert": sum(len(report.inert_weights) == report.n_weights for report in reports),
            "equal": sum(report.equal_to is not None for report in reports),
            "not_complete": sum(not report.complete for report in reports),
        }

    def facts(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        rows = [
            asdict(report)
            | {
                "n_frequencies": report.n_frequencies,
                "degree": report.degree,
                "device": report.device and asdict(report.device),
            }
            for report in self.reports
        ]
        about = {"n_qubits": self.n_qubits, "depth": self.depth, "n_outputs": self.n_outputs, "device": self.device}
        return {**about, "samples": self.samples, "seed": self.seed, "counts": self.counts(), "candidates": rows}


def analyze(
    space: SearchSpace | Sequence[Candidate],
    n_qubits: int | None = None,
    depth: int | None = None,
    n_outputs: int | None = None,
    *,
    backend: str | None = None,
    backends: Path | None = None,
    cache: Path | None = None,
    samples: int = 400,
    seed: int = 0,
) -> SpaceAnalysis:
    """Analyse the candidates of a space, or given ones.

    Args:
        space: The space, or candidates.
        n_qubits, depth: As in `SearchSpace.candidates`; leave them out for given candidates.
        n_outputs: Outputs that are read from each. By default those of ``QLSTM(input_size=1)``, whose hidden features take all
            inputs but one: inputs - 1, and at least 1.
        backend: Name of a backend with a device, to transpile for.
        backends: A file of backends in place of ./backends.yaml.
        cache: Folder in which transpiled circuits are kept.
        samples, seed: Random states per candidate, for the entangling capability and, in all pairs, the expressibility; where
            states of so many qubits do not fit in memory, these two figures are left out.

    Raises:
        OptionError: A size that does not fit, or a backend without a device.
        CircuitError: A candidate has fewer outputs, or more qubits than the device.
        CapacityError: The circuits, or the fidelities of so many samples, are too large for this machine.
    """
    require_at_least("samples", samples, 2)
    if isinstance(space, SearchSpace):
        if n_qubits is not None and not space.fixed:
            states_fit(require_at_least("n_qubits", n_qubits, 1), samples)  # samples are refused before anything is built
        first = space.draft(n_qubits, depth, n_outputs).candidates[0]
        read = _outputs(first) if n_outputs is None else n_outputs
        candidates, layers = space.candidates(n_qubits, depth, read), space.resolve_depth(depth)
    elif n_qubits is not None or depth is not None or not space:
        raise OptionError("give candidates, at least one, without n_qubits and depth: they have both fixed.")
    else:
        candidates, layers = tuple(space), None
        read = _outputs(candidates[0]) if n_outputs is None else n_outputs
    size = max(candidate.n_qubits for candidate in candidates)
    samples = samples if states_fit(size, samples) else 0
    device: str | None = None
    transpiled: Sequence[TranspileReport | None] = (None,) * len(candidates)
    if backend is not None:
        from qlstm_qiskit.hardware import find_spec
        from qlstm_qiskit.space.transpiled import transpile_candidates

        found, transpiled = transpile_candidates(candidates, read, find_spec(backend, backends), cache)
        device = found.name
    earlier: list[tuple[str, Polynomial]] = []
    pairs = zip(candidates, transpiled, strict=True)
    reports = tuple(_report(candidate, read, earlier, item, samples, seed) for candidate, item in pairs)
    return SpaceAnalysis(reports, size, layers, read, samples, seed, device)


def _outputs(candidate: Candidate) -> int:
    return min(max(1, len(candidate.inputs) - 1), len(candidate.observables()))


def _report(
    candidate: Candidate,
    n_outputs: int,
    earlier: list[tuple[str, Polynomial]],
    device: TranspileReport | None,
    samples: int,
    seed: int,
) -> CandidateReport:
    """Report on a candidate, and add it to those that later ones are compared with unless it is equal to one of them."""
    from qlstm_qiskit.hardware.device.transpile_report import in_cnots, is_pair

    found = structure_of(candidate, n_outputs)
    own = None if found.is_zero else polynomial_of(candidate, n_outputs)
    equal_to, sign = None, 1
    if own is not None:
        for name, other in earlier:
            same = relabelling(own, other)
            if same is not None:
                equal_to, sign = name, same.sign
                break
        else:
            earlier.append((candidate.name, own))
    states = random_states(candidate.program, samples, seed) if samples else None
    bare = in_cnots(candidate.circuit)
    return CandidateReport(
        name=candidate.name,
        n_inputs=len(candidate.inputs),
        n_weights=len(candidate.weights),
        zero=found.is_zero,
        zero_outputs=tuple(output for output, zero in enumerate(found.zero) if zero),
        blind=found.is_blind,
        unseen_inputs=tuple(column for column in range(len(candidate.inputs)) if column not in found.inputs),
        inert_weights=tuple(column for column in range(len(candidate.weights)) if column not in found.weights),
        equal_to=equal_to,
        sign=sign,
        frequencies=found.frequencies,
        complete=found.complete,
        compared=own is not None or found.is_zero,
        entangling_capability=None if states is None else entangling_capability(states),
        expressibility=None if states is None else expressibility(states),
        depth=bare.depth(),
        two_qubit_gates=sum(map(is_pair, bare.data)),
        device=device,
    )
