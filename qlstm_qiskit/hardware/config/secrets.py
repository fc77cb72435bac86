"""Recognition of credentials, and text without any: a service's answer may repeat the token that it was sent."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

#: Variables from which Qiskit and IBM's tools read a token, besides the one that a backend names and those that sound like it.
VARIABLES = ("QISKIT_IBM_TOKEN", "IBM_QUANTUM_TOKEN", "IBMCLOUD_API_KEY")
#: Where `QiskitRuntimeService.save_account` keeps tokens, in plain text.
ACCOUNTS = Path(".qiskit") / "qiskit-ibm.json"
#: A long opaque string behind a word that announces a secret.
_ANNOUNCED = re.compile(
    r"(?i)\b(bearer|api[-_ ]?key|(?:access[-_])?token|authorization)(\W{1,6}(?:bearer\W{1,3})?)[\w\-.+/=]{16,}"
)
HIDDEN = "***"

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


def _secrets(token_env: str | None) -> Iterable[str]:
    named = {*VARIABLES, token_env}
    secrets = {value for name, value in os.environ.items() if name in named} | set(_saved_tokens())
    others = {value for name, value in os.environ.items() if is_secret_key(name)}
    # A shorter one is not a secret and would eat words, as would TOKENIZERS_PARALLELISM=false.
    return [*(secret for secret in secrets if len(secret) >= 4), *(secret for secret in others if len(secret) >= 8)]


def _saved_tokens() -> list[str]:
    try:
        accounts = json.loads((Path.home() / ACCOUNTS).read_text())
        return [str(account["token"]) for account in accounts.values() if account.get("token")]
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError):
        return []  # none saved, or not readable: nothing to hide
