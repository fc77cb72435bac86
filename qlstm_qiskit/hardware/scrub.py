"""Text without secrets: what a service says may repeat the token that it was sent."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from qlstm_qiskit.hardware.rules import is_secret_key, looks_like_token

#: Variables from which Qiskit and IBM's tools read a token, besides the one that a backend names and those that sound like it.
VARIABLES = ("QISKIT_IBM_TOKEN", "IBM_QUANTUM_TOKEN", "IBMCLOUD_API_KEY")
#: Where `QiskitRuntimeService.save_account` keeps tokens, in plain text.
ACCOUNTS = Path(".qiskit") / "qiskit-ibm.json"
#: A long opaque string behind a word that announces a secret.
_ANNOUNCED = re.compile(
    r"(?i)\b(bearer|api[-_ ]?key|(?:access[-_])?token|authorization)(\W{1,6}(?:bearer\W{1,3})?)[\w\-.+/=]{16,}"
)
HIDDEN = "***"


def scrub(text: str, token_env: str | None = None) -> str:
    """Replace known tokens, and long strings behind words such as "Bearer", by ``***``.

    Tokens are read when they are needed and never kept, so that nothing that is pickled or printed can hold one.

    Args:
        text: Of an exception, or a line for a log.
        token_env: Name of one more environment variable that holds a token.
    """
    for secret in sorted(_secrets(token_env), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _ANNOUNCED.sub(rf"\1\2{HIDDEN}", text)


def is_secret(name: str) -> bool:
    """Whether what should name something is a token: a known one, or what looks like one."""
    return looks_like_token(name, named=True) or scrub(name) != name


def _secrets(token_env: str | None) -> Iterable[str]:
    named = {*VARIABLES, token_env}
    secrets = {value for name, value in os.environ.items() if name in named} | set(_saved_tokens())
    others = {value for name, value in os.environ.items() if is_secret_key(name)}
    # A shorter one is no secret and would eat words, as would TOKENIZERS_PARALLELISM=false.
    return [*(secret for secret in secrets if len(secret) >= 4), *(secret for secret in others if len(secret) >= 8)]


def _saved_tokens() -> list[str]:
    try:
        accounts = json.loads((Path.home() / ACCOUNTS).read_text())
        return [str(account["token"]) for account in accounts.values() if account.get("token")]
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError):
        return []  # none saved, or not readable: nothing to hide
