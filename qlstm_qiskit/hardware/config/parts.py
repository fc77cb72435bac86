"""Parts of an entry of backends.yaml: frozen plain data."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from qlstm_qiskit.hardware.config.secrets import TOKEN_ADVICE, looks_like_token

#: What a provider must be.
IMPORT_PATH = 'must be the import path "module:name" of a BackendV2, or of a function that returns one.'


class Options(BaseModel):
    """What all parts and entries have in common."""

    # Strict: YAML's `true` is not 1, and "1024" is not a number. Inputs stay out of messages: one may be a token.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class NoiseSpec(Options):
    """Noise of a device in a simulation on its active qubits only. Either `device` or `provider` says which.

    Attributes:
        device: A fake backend of qiskit-ibm-runtime, such as "torino" or "fez", whose calibration is taken.
        provider: Import path "module:name" of any `BackendV2`, or of a function without arguments that returns one, whose
            target says how it errs.
        readout: Whether bits are also read wrongly at the calibrated rates.
    """

    device: str | None = None
    provider: str | None = None
    readout: bool = True

    @field_validator("device", "provider")
    @classmethod
    def _no_token(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else named(f"noise.{info.field_name}", value)

    @model_validator(mode="after")
    def _one_device(self) -> NoiseSpec:
        if (self.device is None) == (self.provider is None):
            raise conflict("noise", "noise is that of one device; name a fake one as device, or a BackendV2 as provider.")
        if self.provider is not None and not is_import_path(self.provider):
            raise conflict("noise.provider", f"noise.provider {IMPORT_PATH}")
        return self


class TranspileSpec(Options):
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
            raise conflict("layout", "layout must name qubits of the device, each once.")
        return layout


class MitigationSpec(Options):
    """Error suppression and mitigation by IBM Runtime."""

    resilience_level: Literal[0, 1, 2] = 0
    dynamical_decoupling: bool = False
    twirling: bool = False


class GuardSpec(Options):
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


def is_import_path(value: str) -> bool:
    """Whether it is "module:name"."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value) is not None


def named(field: str, value: str) -> str:
    """The name of a device or of code, unless it is a token."""
    if looks_like_token(value, named=True):
        raise conflict(field, f"{field} looks like a token; {TOKEN_ADVICE}")
    return value


def conflict(field: str, message: str) -> PydanticCustomError:
    """An error about a dotted field, for `load_specs` to find its line."""
    return PydanticCustomError("conflict", "{text}", {"text": message, "field": field})
