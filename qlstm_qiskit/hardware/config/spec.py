"""The description of a backend: frozen plain data, read from backends.yaml; no secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationInfo, field_validator, model_validator

from qlstm_qiskit.hardware.config.parts import (
    IMPORT_PATH,
    GuardSpec,
    MitigationSpec,
    NoiseSpec,
    Options,
    TranspileSpec,
    conflict,
    is_import_path,
    named,
)
from qlstm_qiskit.hardware.config.secrets import TOKEN_ADVICE, is_variable_name, looks_like_token

#: Shots of a kind that cannot be exact, where none are given.
DEFAULT_SHOTS = 4096

_DEVICE = {"shots", "transpile", "pack", "reduce", "rep_delay_us", "guard"}
_CLOUD = {"mode", "instance", "account", "token_env", "tags", "timeout_s"}
#: What each kind reads.
_READ: dict[str, set[str]] = {
    "statevector": {"shots", "sampling", "noise", "transpile", "reduce", "seed"},
    "aer": {"shots", "method", "noise", "transpile", "reduce", "seed"},
    "fake": _DEVICE | {"device", "seed"},
    "ibm": _DEVICE | _CLOUD | {"device", "channel", "primitive", "mitigation", "seed"},
    "provider": _DEVICE | {"provider", "primitive", "timeout_s", "seed"},
}
#: What may change while a run continues; results and the cut into jobs do not depend on it.
_FREE = {"mode", "instance", "account", "token_env", "tags", "timeout_s"}
_FREE_LIMITS = {"max_circuits", "max_qpu_seconds", "max_execution_time", "monthly_seconds", "confirm"}


class BackendSpec(Options):
    """One entry of backends.yaml. A field that its kind would ignore may not be set.

    Attributes:
        name: The key of the entry.
        kind: "statevector": the exact interpreter. "aer": expectation values, or shots, by Aer on this machine, with `noise`
            of a device or without. "fake": IBM Runtime's primitives in local testing mode on a fake device. "ibm": IBM
            Runtime. "provider": any Qiskit `BackendV2`.
        device: Of "fake" and "ibm"; with "ibm", None is the least busy one.
        provider: Import path "module:name" of a `BackendV2` or of a function without arguments that returns one.
        shots: For each circuit; None is exact, and `DEFAULT_SHOTS` with "fake", "ibm" and "provider", which always sample.
        sampling: Of "statevector" with shots. "gaussian": normal numbers with the covariance that shots have, whose size has a
            gradient; right for hundreds of shots. "multinomial": bit strings; the gradient is that of the mean.
        method: Aer's simulation method; a statevector where None, always the density matrix with `noise`.
        noise: Of "statevector" and "aer".
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
        timeout_s: Seconds to wait for a job's result, where it can be fetched later.
        seed: Of simulated shot noise; a run's own seed where None.

    Raises:
        ValidationError: A value is not allowed, or would be ignored (pydantic's; `load_specs` turns it into a `SpecError`).
    """

    name: str
    kind: Literal["statevector", "aer", "fake", "ibm", "provider"]
    device: str | None = None
    provider: str | None = None
    shots: PositiveInt | None = None
    sampling: Literal["gaussian", "multinomial"] = "gaussian"
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
    def ideal(self) -> bool:
        """Whether it is the exact interpreter, without shots or noise: what everything else is compared with."""
        return self.kind == "statevector" and self.exact and self.noise is None

    @property
    def noise_of(self) -> str | None:
        """The device whose noise it simulates."""
        return None if self.noise is None else self.noise.device or self.noise.provider

    @property
    def code(self) -> str | None:
        """Import path of what it calls that is not of this package: whoever uses it must trust it."""
        return self.provider if self.noise is None else self.noise.provider

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
        """The same, with permission to submit beyond the limits of the guard; simulators of this machine have no limits."""
        if self.kind in {"statevector", "aer"}:
            return self
        return self.model_copy(update={"guard": self.guard.model_copy(update={"confirm": True})})

    def inside(self, device: str | None = None) -> BackendSpec:
        """The exact interpreter with its shots and the noise of its device, as far as a device is known without a login.

        Args:
            device: A fake device in place of its own.
        """
        noise = self.noise
        if device is not None or (self.local and self.device is not None):
            noise = NoiseSpec(device=device or self.device)
        elif self.kind == "provider":
            noise = NoiseSpec(provider=self.provider)
        return BackendSpec(
            name=self.name,
            kind="statevector",
            shots=self.shots or 1024,
            sampling=self.sampling,
            noise=noise,
            transpile=TranspileSpec() if noise is None else self.transpile,
            reduce=self.reduce,
        )

    def about(self) -> str:
        """One line about what evaluates the circuits, beside device and shots."""
        if self.kind == "statevector":
            parts = ["exact interpreter, autograd", *([] if self.noise is None else [self._noisy])]
            return ", ".join(parts if self.exact else [*parts, f"{self.sampling} shots"])
        if self.kind == "aer":
            return f"Qiskit Aer, {self._noisy}"
        if self.kind == "provider":
            return f"any Qiskit backend, {self.primitive}"
        return f"IBM Runtime's {self.primitive}, {'local testing mode' if self.local else f'{self.mode} mode'}"

    @property
    def _noisy(self) -> str:
        if self.noise is None:
            return "no noise"
        return "device noise" + ("" if self.noise.readout else " without readout errors")

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
            raise conflict("name", "a backend's name is made of letters, digits, '-', '_' and '.'; rename it.")
        return name

    @field_validator("name", "device", "provider")
    @classmethod
    def _name_of_something(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else named(str(info.field_name), value)

    @field_validator("tags")
    @classmethod
    def _plain_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if any(map(looks_like_token, tags)):
            raise conflict("tags", f"a tag looks like a token; {TOKEN_ADVICE}")
        return tags

    @field_validator("token_env", "account", "instance")
    @classmethod
    def _no_token(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            field = str(info.field_name)
            if looks_like_token(value) or (field == "token_env" and not is_variable_name(value)):
                raise conflict(field, f"{field} has a value that is not a name; {TOKEN_ADVICE}")
        return value

    @model_validator(mode="after")
    def _nothing_ignored(self) -> BackendSpec:
        for field, message in _conflicts(self):
            raise conflict(field, message)
        return self


def _conflicts(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    """Fields, dotted, that the backend would ignore or that it lacks, with what to do."""
    for field in type(spec).model_fields:
        if field not in _READ[spec.kind] | {"name", "kind"} and _is_set(spec, field):
            kinds = " or ".join(kind for kind, read in _READ.items() if field in read)
            yield field, f"kind {spec.kind} would ignore {field}, which goes with kind {kinds}; leave it out."
    if spec.kind in {"statevector", "aer"}:
        yield from _simulated(spec)
    else:
        yield from _device(spec)
    if spec.kind == "provider":
        yield from _provider(spec)
    elif spec.kind == "ibm":
        yield from _local(spec) if spec.local else _cloud(spec)


def renewed(spec: BackendSpec, today: BackendSpec) -> BackendSpec:
    """A backend as it was recorded, with today's access, limits and waiting times; all that decides results stays."""
    free = _FREE if spec.local or today.local else _FREE | {"channel"}
    values = spec.model_dump() | {field: getattr(today, field) for field in free}
    values["guard"] |= {field: getattr(today.guard, field) for field in _FREE_LIMITS}
    return type(spec).model_validate(values)


def _is_set(options: Any, field: str) -> bool:
    return bool(getattr(options, field) != type(options).model_fields[field].default)


def _simulated(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    if spec.exact and _is_set(spec, "sampling"):
        yield "sampling", "exact values are not sampled; give shots, or leave sampling out."
    if spec.noise is None and _is_set(spec, "transpile"):
        yield "transpile", "transpile fits circuits to a device; give noise a device, or leave transpile out."
    if spec.noise is not None and spec.method not in {None, "density_matrix"}:
        yield "method", "noise is simulated by density_matrix; leave method out."
    if spec.exact and spec.seed is not None:
        yield "seed", "exact values have no shot noise to seed; give shots, or leave seed out."


def _device(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    if spec.exact:
        yield "shots", f"kind {spec.kind} always samples; shots must be a number."
    if spec.device is None and (spec.kind == "fake" or (spec.kind == "ibm" and spec.local)):
        yield "device", "device is missing; name the fake device to run on, such as device: fez."
    if spec.pack != "off" and spec.transpile.layout is not None:
        yield "transpile.layout", "pack chooses qubits and would ignore layout; leave one of them out."
    if spec.guard.max_execution_time is not None and (spec.kind != "ibm" or spec.local):
        yield "guard.max_execution_time", "max_execution_time is read by IBM Runtime on real devices only; leave it out."


def _provider(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    if not is_import_path(spec.provider or ""):
        yield "provider", f"provider {IMPORT_PATH}"
    if spec.primitive == "legacy-estimator":
        yield "primitive", "legacy-estimator is IBM Runtime's; kind provider takes sampler or estimator."


def _cloud(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    if spec.account and spec.token_env:
        yield "token_env", "account and token_env are two ways in; leave one of them out."
    if spec.seed is not None:
        yield "seed", "the shots of a real device have no seed; leave it out."
    if spec.primitive == "sampler" and spec.mitigation.resilience_level > 0:
        yield "mitigation.resilience_level", "a sampler has no resilience_level; leave it out, or set primitive: estimator."


def _local(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    for field in sorted(_CLOUD):
        if _is_set(spec, field):
            yield field, f"local testing mode would ignore {field}; leave it out."
    for field in type(spec.mitigation).model_fields:
        if _is_set(spec.mitigation, field):
            yield f"mitigation.{field}", f"{field} is for real devices, not for local testing mode; leave it out."
