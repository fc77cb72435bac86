"""What a backend is: frozen plain data, read from backends.yaml; no secrets."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from qlstm_qiskit.hardware.rules import TOKEN_ADVICE, conflicts, is_variable_name, looks_like_token

#: Shots of a kind that cannot be exact, where none are given.
DEFAULT_SHOTS = 4096


class _Options(BaseModel):
    # Strict: YAML's `true` is no 1, and "1024" no number. Inputs stay out of messages: one may be a token.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class NoiseSpec(_Options):
    """Noise of a device in a simulation on its active qubits only.

    Attributes:
        device: A fake backend of qiskit-ibm-runtime, such as "torino" or "fez", whose calibration is taken.
        readout: Whether bits are also read wrongly at the calibrated rates.
    """

    device: str
    readout: bool = True

    @field_validator("device")
    @classmethod
    def _no_token(cls, value: str) -> str:
        return _named("noise.device", value)


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
    layout: tuple[int, ...] | None = Field(default=None, strict=False)
    measure_aware: bool = True

    @field_validator("layout")
    @classmethod
    def _distinct(cls, layout: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if layout is not None and (not layout or len(set(layout)) < len(layout) or min(layout) < 0):
            raise _conflict("layout", "layout must name qubits of the device, each once.")
        return layout


class MitigationSpec(_Options):
    """Error suppression and mitigation by IBM Runtime."""

    resilience_level: Literal[0, 1, 2] = 0
    dynamical_decoupling: bool = False
    twirling: bool = False


class GuardSpec(_Options):
    """What a job, and all jobs of a loaded backend together, may cost; None is no limit.

    Attributes:
        max_pubs, max_executions: Of one job; larger requests are cut into several. An execution is a circuit x a shot.
        max_circuits, max_qpu_seconds: Of a command, or of a training with all that it had done before it was resumed; beyond
            them nothing is submitted unless confirmed.
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
    """One entry of backends.yaml. What its kind would ignore may not be set.

    Attributes:
        name: The key of the entry.
        kind: "statevector": the exact interpreter. "aer": expectation values, or shots, by Aer on this machine, with `noise`
            of a device or without. "fake": IBM Runtime's primitives in local testing mode on a fake device. "ibm": IBM
            Runtime. "provider": any Qiskit `BackendV2`.
        device: Of "fake" and "ibm"; with "ibm", None is the least busy one.
        provider: Import path "module:name" of a `BackendV2` or of a function without arguments that returns one.
        shots: For each circuit; None is exact, and `DEFAULT_SHOTS` with "fake", "ibm" and "provider", which always sample.
        method: Aer's simulation method; a statevector where None, always the density matrix with `noise`.
        noise: Of "aer".
        transpile: How circuits are fitted to the device.
        primitive: "sampler" measures only the circuit's qubits and takes means here; "estimator" is the executor-based
            estimator of IBM Runtime, "legacy-estimator" its deprecated EstimatorV2.
        mode: How IBM Runtime groups jobs.
        channel, instance, account, token_env: IBM Cloud access: an account saved under that name, or the name of an
            environment variable that holds the token. "local" is local testing mode.
        mitigation: Of "ibm".
        pack: Circuits that run side by side on a large device: a number, "auto" or "off".
        reduce: Leave out circuits and shifts that are proven to be dead, and all but one of equal circuits. The proofs are
            about ideal circuits; false submits everything, for what a noisy device makes of them.
        rep_delay_us: Microseconds between shots, for the cost plan.
        guard: Limits.
        tags: Of jobs.
        timeout_s: Seconds to wait for a job's result.
        seed: Of simulated shot noise; a run's own seed where None.

    Raises:
        ValidationError: A value is not allowed, or would be ignored (pydantic's; `load_specs` turns it into a `SpecError`).
    """

    name: str
    kind: Literal["statevector", "aer", "fake", "ibm", "provider"]
    device: str | None = None
    provider: str | None = None
    shots: PositiveInt | None = None
    method: Literal["automatic", "statevector", "density_matrix", "matrix_product_state"] | None = None
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
    reduce: bool = True
    rep_delay_us: PositiveFloat = 250.0
    guard: GuardSpec = GuardSpec()
    tags: tuple[str, ...] = Field(default=(), strict=False)
    timeout_s: PositiveFloat | None = None
    seed: int | None = Field(default=None, ge=0)

    @property
    def exact(self) -> bool:
        """Whether expectation values come without shot noise."""
        return self.shots is None

    @property
    def local(self) -> bool:
        """Whether it is certain that everything runs on this machine."""
        return self.kind in {"statevector", "aer", "fake"} or self.channel == "local"

    @property
    def leaves(self) -> bool:
        """Whether circuits leave this machine, so that they cost money or time and are recorded."""
        return not (self.local or self.guard.dry_run)

    @property
    def recorded(self) -> bool:
        """Whether jobs of evaluations may be recorded: those that leave this machine, and rehearsals in local testing mode."""
        return self.kind in {"ibm", "provider"} and not self.guard.dry_run

    def confirmed(self) -> BackendSpec:
        """The same, with leave to submit beyond the limits of the guard; simulators of this machine have no limits."""
        if self.kind in {"statevector", "aer"}:
            return self
        return self.model_copy(update={"guard": self.guard.model_copy(update={"confirm": True})})

    def about(self) -> str:
        """One line about what evaluates the circuits, beside device and shots."""
        if self.kind == "statevector":
            return "exact interpreter, autograd"
        if self.kind == "aer":
            if self.noise is None:
                return "Qiskit Aer, no noise"
            return "Qiskit Aer, device noise" + ("" if self.noise.readout else " without readout errors")
        if self.kind == "provider":
            return f"any Qiskit backend, {self.primitive}"
        return f"IBM Runtime's {self.primitive}, {'local testing mode' if self.local else f'{self.mode} mode'}"

    @model_validator(mode="before")
    @classmethod
    def _always_sampled(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("kind") in ("fake", "ibm", "provider"):
            return {"shots": DEFAULT_SHOTS} | values
        return values

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise _conflict("name", "a backend's name is made of letters, digits, '-', '_' and '.'; rename it.")
        return name

    @field_validator("name", "device", "provider")
    @classmethod
    def _name_of_something(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else _named(str(info.field_name), value)

    @field_validator("tags")
    @classmethod
    def _plain_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if any(map(looks_like_token, tags)):
            raise _conflict("tags", f"a tag looks like a token; {TOKEN_ADVICE}")
        return tags

    @field_validator("token_env", "account", "instance")
    @classmethod
    def _no_token(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            field = str(info.field_name)
            if looks_like_token(value) or (field == "token_env" and not is_variable_name(value)):
                raise _conflict(field, f"{field} has a value that is not a name; {TOKEN_ADVICE}")
        return value

    @model_validator(mode="after")
    def _nothing_ignored(self) -> BackendSpec:
        for field, message in conflicts(self):
            raise _conflict(field, message)
        return self


def _named(field: str, value: str) -> str:
    """The name of a device or of code, unless it is a token."""
    if looks_like_token(value, named=True):
        raise _conflict(field, f"{field} looks like a token; {TOKEN_ADVICE}")
    return value


def _conflict(field: str, message: str) -> PydanticCustomError:
    """An error about a dotted field, for `load_specs` to find its line."""
    return PydanticCustomError("conflict", "{text}", {"text": message, "field": field})
