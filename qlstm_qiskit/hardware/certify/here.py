"""A backend as models use it: `load_backend(...).bank(...)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np
import torch
from qiskit.quantum_info import Statevector
from torch import Tensor

from qlstm_qiskit.errors import QLSTMError
from qlstm_qiskit.hardware.certify.outcome import CHECKS, Outcome, failed, not_applicable, passed
from qlstm_qiskit.hardware.certify.probes import (
    INPUTS,
    PAIRS,
    PHASES,
    WEIGHTS,
    Probe,
    Values,
    entangled,
    idle,
    order_fault,
    phases,
    sets_fault,
    turned,
    turns,
    value_fault,
)
from qlstm_qiskit.hardware.certify.raw import DRAWN, said
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import Backend
from qlstm_qiskit.hardware.device.compact import compact
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend

#: The seed of two backends that should agree.
_SEED = 7
#: Standard errors within which values lie.
_ERRORS = 5.0
#: What the words of an error about a result say of the check that it belongs to; the first that is found counts.
_CONCERNS = (
    ("seed", "equal seeds"),
    ("does not fit", "parameters kept by transpilation"),
    ("the device failed|neither a job nor a result|without a list of results", "kind of answer"),
    ("marked as failed|has the status", "status"),
    ("results of .* circuits", "number of results"),
    ("neither counts nor memory|has a memory|contradict", "memory"),
    ("shots, and|number of shots", "shots as asked"),
    ("registers|classical bits", "register names"),
)
#: Characters of a cause; what Qiskit says of a circuit that does not fit has hundreds.
_LONG = 240
#: How far exact values may be off.
_EXACT = 1e-6


@dataclass(frozen=True)
class Reference:
    """Exact values to compare with.

    Attributes:
        name: In messages.
        backend: Computes them.
    """

    name: str
    backend: Backend


class Here:
    """The steps of the suite on one backend, and their outcomes.

    Args:
        spec: Its entry.
        load: Makes the backend, given a seed or None.
        n_qubits: Qubits of the largest probe.
        references: What values may agree with, given the backend; the ideal circuit is always among them.
        seeds: Whether the backend takes a seed; else why not.
    """

    def __init__(
        self,
        spec: BackendSpec,
        load: Callable[[int | None], PrimitiveBackend],
        n_qubits: int,
        references: Callable[[PrimitiveBackend], Sequence[Reference]] = lambda _: (),
        seeds: str | None = None,
    ) -> None:
        self.spec, self.n_qubits = spec, n_qubits
        self._load, self._references, self._no_seeds = load, references, seeds
        self.outcomes: dict[str, Outcome] = {}

    def run(self) -> dict[str, Outcome]:
        """Each of `CHECKS`; what cannot be reached after an error is not applicable."""
        try:
            backend = self._load(None)
        except QLSTMError as error:
            seed = "ignore seed" in str(error)
            self.outcomes["equal seeds" if seed else "limits of circuits and shots"] = failed(_words(error))
            return self._all()
        self.outcomes["limits of circuits and shots"] = passed()
        with closing(backend):
            self.fit(backend)
            if not self.bits(backend):
                return self._all("not tried, as nothing can be read")
            for step in (self.idle, self.letters, self.independence, self.numbers):
                step(backend)
        self.seeds()
        return self._all()

    def _all(self, reason: str = "not tried") -> dict[str, Outcome]:
        return {name: self.outcomes.get(name, not_applicable(reason)) for name in CHECKS}

    def fit(self, backend: PrimitiveBackend) -> None:
        """Fit a circuit unbound, bind it afterwards, and compare it with the circuit as it was; nothing is run."""
        probe = entangled(self.n_qubits)
        parameters = [*probe.inputs, *probe.weights]

        def judge() -> Outcome:
            isa = backend.prepare(probe.name, probe.circuit, parameters, list(probe.measured))
            lost = [p.name for p in parameters if p not in isa.circuit.parameters]
            if lost:
                return failed(f"lost {', '.join(lost)}")
            point = dict(zip(parameters, [*INPUTS[0], *WEIGHTS], strict=True))
            small = compact(isa)
            bound = Statevector(small.circuit.assign_parameters({p: point[p] for p in small.circuit.parameters}))
            own = [bound.expectation_value(item).real for item in small.observables]
            true = Statevector(probe.circuit.assign_parameters(point))
            wanted = [true.expectation_value(item).real for item in probe.measured]
            return passed() if np.allclose(own, wanted, atol=_EXACT) else failed("bound afterwards its values are others")

        self._try("parameters kept by transpilation", judge)

    def bits(self, backend: PrimitiveBackend) -> bool:
        """Four parameter sets of the turned qubits: order, sets, shots. Whether they were read at all."""
        rows = turns(self.n_qubits)
        read = ("kind of answer", "status", "number of results", "memory", "shots as asked", "register names")
        judged = ("order of qubits and bits", "several parameter sets")
        try:
            values = _values(backend, turned(self.n_qubits), rows)
        except Exception as error:  # noqa: BLE001 - somebody else's code below
            self.outcomes |= dict.fromkeys((*read, *judged), not_applicable("there are no values"))
            self.outcomes |= {_concerned(error): failed(_words(error))} | _failures(self.outcomes)
            return False
        self.outcomes |= dict.fromkeys(read, passed())
        order = order_fault(values[:2])
        sets = sets_fault(values[:2])
        if self.spec.shots is not None and self.spec.primitive == "sampler":
            counts = (values + 1) / 2 * self.spec.shots
            if np.abs(counts - np.round(counts)).max() > 1e-6:
                self.outcomes["shots as asked"] = failed(f"values are not means of {self.spec.shots} shots")
        else:
            self.outcomes["shots as asked"] = not_applicable("values are not counts of bits")
        self.outcomes[judged[0]] = failed(order) if order is not None else passed("right")
        if order is not None:
            self.outcomes[judged[1]] = not_applicable("bits are wrong altogether")
        else:
            self.outcomes[judged[1]] = failed(sets) if sets is not None else passed()
        return True

    def idle(self, backend: PrimitiveBackend) -> None:
        """Qubits with nothing between them, of which only the outer ones are measured."""
        if self.n_qubits < 3:
            self.outcomes["subsets and idle qubits"] = not_applicable(f"{self.n_qubits} qubits")
            return
        self._compare(backend, "subsets and idle qubits", idle(), PAIRS, np.cos(PAIRS))

    def letters(self, backend: PrimitiveBackend) -> None:
        """<X> and <Y> of a qubit on the equator."""
        wanted = np.hstack([np.cos(PHASES), np.sin(PHASES)])
        self._compare(backend, "observables with X and Y", phases(), PHASES, wanted)

    def _compare(self, backend: PrimitiveBackend, name: str, probe: Probe, rows: Values, wanted: Values) -> None:
        def judge() -> Outcome:
            fault = value_fault(_values(backend, probe, rows), wanted)
            return passed() if fault is None else failed(fault)

        self._try(name, judge)

    def independence(self, backend: PrimitiveBackend) -> None:
        """The same circuits in two jobs, whose shots must be others."""
        name = "independence of jobs"
        if (reason := self._without_shots()) is not None:
            self.outcomes[name] = not_applicable(reason)
            return
        rows = turns(self.n_qubits)[2:]

        def judge() -> Outcome:
            first, second = (_values(backend, turned(self.n_qubits), rows) for _ in range(2))
            return failed("two jobs have the same shots") if np.array_equal(first, second) else passed()

        self._try(name, judge)

    def seeds(self) -> None:
        """Two backends with the same seed."""
        name, reason = "equal seeds", self._no_seeds or self._without_shots()
        if reason is not None:
            self.outcomes[name] = not_applicable(reason)
            return
        rows = turns(self.n_qubits)[2:]

        def once() -> Values:
            with closing(self._load(_SEED)) as backend:
                return _values(backend, turned(self.n_qubits), rows)

        def judge() -> Outcome:
            if np.array_equal(once(), once()):
                return passed()
            if self.spec.seed is None and self.spec.kind == "provider":
                return not_applicable("the device ignores seeds: runs on it are not repeatable")
            return failed("equal seeds give other shots")

        self._try(name, judge)

    def numbers(self, backend: PrimitiveBackend) -> None:
        """Values and gradients of a small circuit, against those of the exact interpreter."""
        names = ("values", "gradients by parameter shift")
        probe = entangled(self.n_qubits)
        try:
            values, gradient = _differentiated(backend, probe)
        except Exception as error:  # noqa: BLE001
            self.outcomes |= dict.fromkeys(names, failed(_words(error)))
            return
        shots, worst = self.spec.shots, [np.inf, np.inf]
        for reference in (Reference("the ideal circuit", StatevectorBackend()), *self._references(backend)):
            exact, slope = _differentiated(reference.backend, probe)
            variance = 0.0 if shots is None else np.maximum(1 - exact**2, 1 / shots) / shots
            # (f(a + pi/2) - f(a - pi/2)) / 2 of values whose variance is at most 1 / shots; a weight's is a sum over inputs
            summed = np.where(np.arange(len(slope)) < len(INPUTS), 1, len(INPUTS))
            spread = 0.0 if shots is None else np.sqrt(summed / 2 / shots)
            off = [np.abs(values - exact) / _bound(variance**0.5), np.abs(gradient - slope) / _bound(spread)]
            for index, (name, own) in enumerate(zip(names, off, strict=True)):
                if own.max() < worst[index]:
                    worst[index] = float(own.max())
                    self.outcomes[name] = self._verdict(float(own.max()), reference.name)

    def _verdict(self, worst: float, reference: str) -> Outcome:
        if self.spec.shots is None:
            return passed(f"as {reference}") if worst <= 1 else failed(f"off {reference} by more than {_EXACT:g}")
        away = f"{worst * _ERRORS:.2g} standard errors from {reference}"
        return passed(away) if worst <= 1 else failed(away)

    def _without_shots(self) -> str | None:
        if self.spec.shots is None:
            return "values are exact"
        return f"{self.spec.shots} shots are too few to tell" if self.spec.shots < DRAWN else None

    def _try(self, name: str, judge: Callable[[], Outcome]) -> None:
        try:
            self.outcomes[name] = judge()
        except Exception as error:  # noqa: BLE001 - somebody else's code below
            self.outcomes[name] = failed(_words(error))


def noisy_reference(spec: BackendSpec, backend: PrimitiveBackend, device: object) -> list[Reference]:
    """The exact interpreter with the noise of a device's target, on the circuits as the backend fits them; none where it
    states no noise that can be simulated.
    """
    from qiskit.providers import BackendV2

    from qlstm_qiskit.hardware.device.named import states_noise
    from qlstm_qiskit.hardware.device.readout import noise_target
    from qlstm_qiskit.hardware.interpreter.sampled import Device, NoisyBackend

    assert isinstance(device, BackendV2)
    with suppress(QLSTMError):
        if states_noise(device):
            target = device.target if spec.kind == "provider" else noise_target(device)
            readout = spec.noise is None or spec.noise.readout
            own = NoisyBackend(spec, Device(target, backend.prepare, readout), lambda _: backend)
            own.bank([entangled(2)])  # whether it can be simulated
            return [Reference(f"the noise of {device.name}", own)]
    return []


def _values(backend: Backend, probe: Probe, rows: Values) -> Values:
    """Values of a probe without weights, (rows, observables): one job."""
    bound = backend.bank([probe]).bind(torch.zeros((1, 0), dtype=torch.float64))
    with torch.no_grad():
        return np.asarray(bound.candidates(torch.tensor(rows))[:, 0, 0])


def _differentiated(backend: Backend, probe: Probe) -> tuple[Values, Values]:
    """Values of `entangled` (inputs, observables), and the gradient of the sum of the first: by inputs, then by weights."""
    inputs = torch.tensor(INPUTS, requires_grad=True)
    weights = torch.tensor(WEIGHTS[None], requires_grad=True)
    values: Tensor = backend.bank([probe]).bind(weights).candidates(inputs)[:, 0, 0]
    found = torch.autograd.grad(values[:, 0].sum(), (inputs, weights))
    return np.asarray(values.detach()), np.concatenate([np.asarray(item).ravel() for item in found])


def _bound(error: Values | float) -> Values:
    return np.maximum(_ERRORS * np.asarray(error), _EXACT)


def _failures(outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    return {name: own for name, own in outcomes.items() if own.result == "failed"}


def _concerned(error: Exception) -> str:
    """The check that an error in reading the first job belongs to; that of the order of bits where it is none of them."""
    found = (name for words, name in _CONCERNS if re.search(words, str(error)))
    return next(found, "order of qubits and bits")


def _words(error: Exception) -> str:
    """The error in a line, without what the record of jobs says of where it is."""
    if not isinstance(error, QLSTMError):
        return said(error)
    text = re.split(r"\. (?:Nothing is lost|It was not recorded)", " ".join(str(error).split()))[0]
    text = re.sub(r"^job \d+(?: \(.*?\))? on .*?: (?:there is no usable result: )?", "", text)
    return text if len(text) <= _LONG else f"{text[:_LONG]} ..."
