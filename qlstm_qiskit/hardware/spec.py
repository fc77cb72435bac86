"""What a backend is: frozen plain data, read from backends.yaml; no secrets."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoiseSpec(_Options):
    """Noise of a device in a simulation on its active qubits only.

    Attributes:
        device: A fake backend of qiskit-ibm-runtime, such as "torino" or "fez", whose calibration is taken.
        readout: Whether bits are also read wrongly at the calibrated rates.
    """

    device: str
    readout: bool = True


class TranspileSpec(_Options):
    """How circuits become ISA circuits.

    Attributes:
        level: Optimisation level of Qiskit's preset pass managers.
        seeds: How many layouts to try; the best by estimated success is taken.
        seed: The first of them.
        layout: Device qubits to use, in the order of the circuit's; searched where None.
        measure_aware: Count readout errors when layouts are compared.
    """

    level: Literal[0, 1, 2, 3] = 2
    seeds: PositiveInt = 4
    seed: int = Field(default=0, ge=0)
    layout: tuple[int, ...] | None = None
    measure_aware: bool = True


class MitigationSpec(_Options):
    """Error suppression and mitigation by IBM Runtime."""

    resilience_level: Literal[0, 1, 2] = 0
    dynamical_decoupling: bool = False
    twirling: bool = False


class GuardSpec(_Options):
    """What a job, and all jobs of a run together, may cost; None is no limit.

    Attributes:
        max_pubs, max_executions: Of one job; larger requests are cut into several. An execution is a circuit x a shot.
        max_circuits, max_qpu_seconds: Of a run; beyond them nothing is submitted unless confirmed.
        max_execution_time: Seconds after which IBM Runtime ends a job.
        monthly_seconds: The budget that a plan is compared with.
        confirm: Submit beyond the limits.
        dry_run: Do everything but submit: results come from a noiseless simulation of the ISA circuits.
    """

    max_pubs: PositiveInt = 50
    max_executions: PositiveInt = 5_000_000
    max_circuits: PositiveInt | None = None
    max_qpu_seconds: PositiveFloat | None = None
    max_execution_time: PositiveInt | None = None
    monthly_seconds: PositiveFloat = 600.0
    confirm: bool = False
    dry_run: bool = False


class BackendSpec(_Options):
    """One entry of backends.yaml.

    Attributes:
        name: The key of the entry.
        kind: "statevector": the exact interpreter. "aer": expectation values, or shots, by Aer on this machine, with `noise`
            of a device or without. "fake": IBM Runtime's primitives in local testing mode on a fake device. "ibm": IBM
            Runtime. "provider": any Qiskit `BackendV2`.
        device: Of "fake" and "ibm"; with "ibm", None is the least busy one.
        provider: Import path "module:name" of a `BackendV2` or of a function without arguments that returns one.
        shots: For each circuit; None is exact.
        method: Aer's simulation method.
        noise: Of "aer".
        transpile: How circuits are fitted to the device.
        primitive: "sampler" measures only the circuit's qubits and takes means here; "estimator" is the executor-based
            estimator of IBM Runtime, "legacy-estimator" its deprecated EstimatorV2.
        mode: How IBM Runtime groups jobs.
        channel, instance, account, token_env: IBM Cloud access: an account saved under that name, or the name of an
            environment variable that holds the token. "local" is local testing mode.
        mitigation: Of "ibm".
        pack: Circuits that run side by side on a large device: a number, "auto" or "off".
        rep_delay_us: Microseconds between shots, for the cost plan.
        guard: Limits.
        tags: Of jobs.
        timeout_s: Seconds to wait for a job's result.
        seed: Of shot noise; a run's own seed where None.
    """

    name: str
    kind: Literal["statevector", "aer", "fake", "ibm", "provider"]
    device: str | None = None
    provider: str | None = None
    shots: PositiveInt | None = None
    method: str | None = None
    noise: NoiseSpec | None = None
    transpile: TranspileSpec = TranspileSpec()
    primitive: Literal["sampler", "estimator", "legacy-estimator"] = "sampler"
    mode: Literal["job", "batch", "session"] = "job"
    channel: Literal["ibm_quantum_platform", "ibm_cloud", "local"] = "ibm_quantum_platform"
    instance: str | None = None
    account: str | None = None
    token_env: str | None = None
    mitigation: MitigationSpec = MitigationSpec()
    pack: PositiveInt | Literal["auto", "off"] = "off"
    rep_delay_us: PositiveFloat = 250.0
    guard: GuardSpec = GuardSpec()
    tags: tuple[str, ...] = ()
    timeout_s: PositiveFloat | None = None
    seed: int | None = Field(default=None, ge=0)
