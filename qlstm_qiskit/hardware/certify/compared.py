"""Values and gradients beside those of the exact interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from qiskit.providers import BackendV2
from torch import Tensor

from qlstm_qiskit.errors import QLSTMError
from qlstm_qiskit.hardware.certify.outcome import Outcome, failed, not_applicable, passed
from qlstm_qiskit.hardware.certify.probes import INPUTS, WEIGHTS, Probe, Values, entangled
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.contract.backend import Backend
from qlstm_qiskit.hardware.interpreter.backend import PrimitiveBackend

#: Standard errors within which values lie.
_ERRORS = 5.0
#: How far exact values may be off.
EXACT = 1e-6
#: How far noise that is seen, and not stated, may move a value.
_BY_NOISE = 0.25


@dataclass(frozen=True)
class Reference:
    """Exact values to compare with.

    Attributes:
        name: In messages.
        backend: Computes them.
    """

    name: str
    backend: Backend


def noisy_reference(spec: BackendSpec, backend: PrimitiveBackend, device: BackendV2, n_qubits: int) -> list[Reference]:
    """The exact interpreter with the noise of a device's target, on the circuits as the backend fits them; none where it
    states no noise that can be simulated.
    """
    from qlstm_qiskit.hardware.device.named import states_noise
    from qlstm_qiskit.hardware.device.readout import noise_target
    from qlstm_qiskit.hardware.interpreter.sampled import Device, NoisyBackend
    from qlstm_qiskit.hardware.jobs.maker_jobs import device_name

    with suppress(QLSTMError):
        if states_noise(device):
            target = device.target if spec.kind == "provider" else noise_target(device)
            readout = spec.noise is None or spec.noise.readout
            own = NoisyBackend(spec, Device(target, backend.prepare, readout), lambda _: backend)
            own.bank([entangled(n_qubits)])  # whether it can be simulated
            return [Reference(f"the noise of {device_name(device)}", own)]
    return []


def values_of(backend: Backend, probe: Probe, rows: Values) -> Values:
    """Values of a probe without weights, (rows, observables): one job."""
    bound = backend.bank([probe]).bind(torch.zeros((1, 0), dtype=torch.float64))
    with torch.no_grad():
        return np.asarray(bound.candidates(torch.tensor(rows))[:, 0, 0])


def differentiated(backend: Backend, probe: Probe) -> tuple[Values, Values]:
    """Values of `entangled` (inputs, observables), and the gradient of the sum of the first: by inputs, then by weights."""
    inputs = torch.tensor(INPUTS, requires_grad=True)
    weights = torch.tensor(WEIGHTS[None], requires_grad=True)
    values: Tensor = backend.bank([probe]).bind(weights).candidates(inputs)[:, 0, 0]
    found = torch.autograd.grad(values[:, 0].sum(), (inputs, weights))
    return np.asarray(values.detach()), np.concatenate([np.asarray(item).ravel() for item in found])


def compared(
    found: tuple[Values, Values], references: Sequence[Reference], probe: Probe, shots: int | None, unstated: float = 0.0
) -> list[Outcome]:
    """Outcomes of values and gradient, `found` as of `differentiated`, by the reference that each is closest to.

    `unstated` is the part of the shots with a certain outcome that had another one, on a device that states no noise.
    """
    best: list[tuple[float, float, str]] = [(np.inf, np.inf, "")] * len(found)
    for reference in references:
        exact, slope = differentiated(reference.backend, probe)
        for index, (own, true, error) in enumerate(zip(found, (exact, slope), _errors(exact, slope, shots), strict=True)):
            off = np.abs(own - true)
            best[index] = min(best[index], (float((off / error).max()), float(off.max()), reference.name))
    return [_verdict(*own, shots, unstated) for own in best]


def _errors(exact: Values, slope: Values, shots: int | None) -> tuple[Values, Values]:
    """How far values and gradient may be off."""
    if shots is None:
        return np.full_like(exact, EXACT), np.full_like(slope, EXACT)
    variance = np.maximum(1 - exact**2, 1 / shots) / shots
    # (f(a + pi/2) - f(a - pi/2)) / 2 of values whose variance is at most 1 / shots; that by a weight is a sum over inputs
    summed = np.where(np.arange(len(slope)) < len(INPUTS), 1, len(INPUTS))
    return _ERRORS * np.sqrt(variance), _ERRORS * np.sqrt(summed / 2 / shots)


def _verdict(worst: float, off: float, reference: str, shots: int | None, unstated: float) -> Outcome:
    if shots is None:
        return passed(f"as {reference}") if worst <= 1 else failed(f"off {reference} by more than {EXACT:g}")
    away = f"{worst * _ERRORS:.2g} standard errors from {reference}"
    if worst > 1 and unstated and off < _BY_NOISE:
        return not_applicable(
            f"noise that its target does not state: {away}, and {unstated:.1%} of shots with a certain outcome have another"
        )
    return passed(away) if worst <= 1 else failed(away)
