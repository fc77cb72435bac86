"""What a backend may not say: options that it would ignore, options that are missing, and credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlstm_qiskit.hardware.spec import BackendSpec

_DEVICE = {"shots", "transpile", "pack", "reduce", "rep_delay_us", "guard"}
_CLOUD = {"mode", "instance", "account", "token_env", "tags", "timeout_s"}
#: What each kind reads.
_READ: dict[str, set[str]] = {
    "statevector": set(),
    "aer": {"shots", "method", "noise", "transpile", "reduce", "seed"},
    "fake": _DEVICE | {"device", "seed"},
    "ibm": _DEVICE | _CLOUD | {"device", "channel", "primitive", "mitigation", "seed"},
    "provider": _DEVICE | {"provider", "primitive", "seed"},
}
#: What may change while a run goes on; results and the cut into jobs do not depend on it.
_FREE = {"mode", "instance", "account", "token_env", "tags", "timeout_s"}
_FREE_LIMITS = {"max_circuits", "max_qpu_seconds", "max_execution_time", "monthly_seconds", "confirm"}

#: What to do about a credential in a file; said without the credential.
TOKEN_ADVICE = (
    "credentials must not stand in this file (the value is not shown here). Remove it, revoke it if the file was shared, and "
    "give account: the name of an account saved by QiskitRuntimeService.save_account, or token_env: the name, in capitals, of "
    "an environment variable that holds the token."
)
#: The same about a name that is given elsewhere.
NAME_ADVICE = (
    "it looks like a token (and is not shown). Give a name; tokens are found by account or token_env in the entry of a backend."
)
_SECRET_KEY = re.compile("token|passw(or)?d|secret|credential|bearer|authorization|(api|access|private|iam|auth)key")


def is_secret_key(key: str) -> bool:
    """Whether a key asks for a credential, however it is spelled; `token_env` asks for a name."""
    return key != "token_env" and bool(_SECRET_KEY.search(re.sub("[^a-z]", "", key.lower())))


def looks_like_token(text: str, named: bool = False) -> bool:
    """Whether a text has a long run of random letters and digits, as API keys have; a resource name of IBM Cloud has not.

    Args:
        text: A value of an entry.
        named: Whether it names code or a device: words in capitals with a number ("GenericBackendV2") are none then.
    """
    if text.startswith("crn:"):
        return False
    runs = re.findall("[A-Za-z0-9]{16,}", text)
    return any(_is_random(run) and not (named and _is_words(run)) for run in runs)


def _is_random(run: str) -> bool:
    digits = len(re.findall("[0-9]+", run))
    mixed = all(re.search(kind, run) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return mixed or bool(re.fullmatch("[0-9a-fA-F]{32,}", run)) or (len(run) >= 20 and digits >= 4)


def _is_words(run: str) -> bool:
    """Whether a run is made of words, three letters long on average, and of at most two numbers."""
    pieces = re.findall("[A-Z]?[a-z]+|[A-Z]+|[0-9]+", run)
    return len(run) >= 3 * len(pieces) and sum(piece.isdecimal() for piece in pieces) <= 2 and len(run) < 32


def is_variable_name(text: str) -> bool:
    """Whether a text is the name of an environment variable, in capitals; tokens are not."""
    return bool(re.fullmatch("[A-Z_][A-Z0-9_]{0,63}", text)) and not looks_like_token(text)


def conflicts(spec: BackendSpec) -> Iterator[tuple[str, str]]:
    """Fields, dotted, that the backend would ignore or that it lacks, with what to do."""
    for field in type(spec).model_fields:
        if field not in _READ[spec.kind] | {"name", "kind"} and _is_set(spec, field):
            kinds = " or ".join(kind for kind, read in _READ.items() if field in read)
            yield field, f"kind {spec.kind} would ignore {field}, which goes with kind {kinds}; leave it out."
    if spec.kind == "aer":
        yield from _aer(spec)
    elif spec.kind != "statevector":
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


def _aer(spec: BackendSpec) -> Iterator[tuple[str, str]]:
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
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", spec.provider or ""):
        yield "provider", 'provider must be the import path "module:name" of a BackendV2, or of a function that returns one.'
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
