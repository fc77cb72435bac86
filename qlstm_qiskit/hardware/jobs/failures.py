"""The meaning of a service's exceptions, and advice for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from qiskit.exceptions import QiskitError

from qlstm_qiskit.hardware.config.secrets import scrub

Kind = Literal[
    "network", "busy", "maintenance", "quota", "credentials", "failed", "too long", "cancelled", "unknown job", "refused"
]

#: What services, the network and the checks before a submission raise; anything else is a bug and is not caught.
FOREIGN = (QiskitError, OSError, ValueError, RuntimeError)

#: Exceptions by name: importing qiskit-ibm-runtime takes a second, not all versions have all of them, and of the others only
#: the package of the device's maker is installed.
_BY_NAME: dict[str, Kind] = {
    "RuntimeJobMaxTimeoutError": "too long",
    "RuntimeJobFailureError": "failed",
    "RuntimeInvalidStateError": "cancelled",
    "RuntimeJobNotFound": "unknown job",
    "IBMNotAuthorizedError": "credentials",
    "IonQJobFailureError": "failed",
    "SuperstaqUnsuccessfulJobException": "failed",
}
_QUOTA = re.compile(r"(?i)quota|usage limit|no more time available|(allocat|plan).{0,40}(exceed|exhaust|reached|used up)")
_UNREACHED = re.compile(r"(?i)timed? ?out|connection|unreachable|reset by peer")

SENTENCES: dict[Kind, str] = {
    "network": "the service cannot be reached",
    "busy": "the service takes no more requests at the moment",
    "maintenance": "the service or the device is in maintenance",
    "quota": "the budget of the account is used up; wait until it is renewed or name another instance",
    "credentials": "the service does not accept the credentials; renew the token, and check account, token_env and instance",
    "failed": "it failed at the service",
    "too long": "it took longer than its maximum execution time; raise guard.max_execution_time or lower guard.max_executions",
    "cancelled": "it was cancelled",
    "unknown job": "the service does not know it; check account and instance",
    "refused": "it was refused",
}


class MakerError(RuntimeError):
    """What the package of a device's maker raises that is none of Python's errors for it, or an answer that is none."""


@dataclass(frozen=True)
class Failure:
    """An exception, understood.

    Attributes:
        kind: What happened.
        detail: Its text, without secrets.
    """

    kind: Kind
    detail: str

    @property
    def passing(self) -> bool:
        """Whether the same read may succeed a little later."""
        return self.kind in {"network", "busy", "maintenance"}

    @property
    def unclear(self) -> bool:
        """Whether a submission that ended so may have been accepted."""
        return self.kind in {"network", "maintenance"}

    @property
    def sentence(self) -> str:
        return f"{SENTENCES[self.kind]} ({self.detail})"


def understand(error: BaseException, token_env: str | None = None) -> Failure:
    """Say what an exception of a service or of the network means."""
    chain = list(chain_of(error))
    text = " ".join(str(getattr(error, "message", None) or error).split()) or type(error).__name__
    return Failure(_kind(chain, text), scrub(text, token_env))


def _kind(chain: list[BaseException], text: str) -> Kind:
    outer = chain[1] if isinstance(chain[0], MakerError) and len(chain) > 1 else chain[0]
    names = [cls.__name__ for cls in type(outer).__mro__]
    codes = [code for error in chain for code in _codes(error)]
    code = next((code for code in codes if code > 0), None)
    silent = code is None and (bool(codes) or any(_unreached(error) for error in chain))  # -1 stands for no answer
    signs: tuple[tuple[Kind, bool], ...] = (
        ("quota", code == 402 or _QUOTA.search(text) is not None),
        ("maintenance", code == 503 or "maintenance" in text.lower()),
        ("busy", code == 429),
        ("credentials", code in {401, 403}),
        ("unknown job", code == 404),
        ("network", silent or code == 408 or (code or 0) >= 500),
        ("refused", True),
    )
    named = [_BY_NAME[name] for name in names if name in _BY_NAME]
    return (named + [kind for kind, seen in signs if seen])[0]


def _unreached(error: BaseException) -> bool:
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return type(error).__module__.partition(".")[0] in {"requests", "urllib3", "httpx", "httpcore", "botocore"} and bool(
        _UNREACHED.search(repr(error))
    )


def _codes(error: BaseException) -> Iterator[int]:
    for holder in (error, getattr(error, "response", None)):
        code = getattr(holder, "status_code", None)
        if isinstance(code, int):
            yield code


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it came from, also those that `from None` hides from a traceback."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
