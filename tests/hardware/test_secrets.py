"""A canary token, in the environment and in a saved account, must appear nowhere: record, logs, errors, pickles, run folder."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.accounts import management

from qlstm_qiskit.errors import JobError, OptionError
from qlstm_qiskit.hardware.config.secrets import HIDDEN, scrub
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.runtime import Connection, connect
from tests.hardware.mock_service import Fault, MockService, Server
from tests.hardware.work import SPEC, do, runner
from tests.speed import slow_but

ENVIRONMENT, SAVED = "canary-in-the-environment-0a1b2c3d", "canary-in-an-account-4e5f6a7b"
CANARIES = (ENVIRONMENT, SAVED)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Both canaries are known to Qiskit; the server repeats what it was sent in all that goes wrong."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_TOKEN", ENVIRONMENT)
    monkeypatch.setenv("USAGE_DATA_OPT_OUT", "True")
    monkeypatch.setattr(management, "_DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(tmp_path / "home/.qiskit/qiskit-ibm.json"))
    QiskitRuntimeService.save_account(token=SAVED, name="mine")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield Server(tmp_path / "service")


def echo(status: int | None, after: bool = False) -> Fault:
    return Fault(status, after, f"bad header Authorization: Bearer {ENVIRONMENT}; key {SAVED}; apikey={ENVIRONMENT}")


FAULTS: list[tuple[str, Callable[[Server], Any]]] = [
    ("refused", lambda s: s.faults["submit"].append(echo(400))),
    ("not authorised", lambda s: s.faults["submit"].append(echo(401))),
    ("over quota", lambda s: s.faults["submit"].append(echo(403))),
    ("the network is gone", lambda s: [s.faults[n].extend([echo(None)] * 99) for n in ("submit", "find")]),
    ("maintenance", lambda s: s.faults["submit"].append(echo(503))),
    ("gone at fetch", lambda s: s.faults["results"].extend([echo(500)] * 99)),
    ("gone at poll", lambda s: s.faults["job"].extend([echo(429)] * 99)),
    ("nothing", lambda s: s.faults["results"].extend([echo(None), echo(502)])),
]


QUICK = [fault for fault in FAULTS if fault[0] in ("refused", "the network is gone", "nothing")]


@pytest.mark.parametrize("token", CANARIES)
@pytest.mark.parametrize(("case", "prepare"), slow_but(QUICK, FAULTS), ids=[case for case, _ in FAULTS])
def test_no_file_no_log_and_no_error_has_it(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str, prepare: Callable[[Server], Any], token: str
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    spec = SPEC.model_copy(update={"token_env": "MY_TOKEN"})
    text = ""
    with caplog.at_level(logging.DEBUG), Ledger(run / "jobs.sqlite") as ledger:
        jobs = runner(server, ledger, spec)
        jobs.service._active_api_client._session.auth.token = token
        prepare(server)
        try:
            do(jobs, steps=2)
        except JobError as error:
            text = "".join(traceback.format_exception(error)) + repr(error.args) + repr(error.__context__)
        assert bool(text) == (case != "nothing")
    assert any(headers["Authorization"] == f"Bearer {token}" for headers in server.headers)  # it was in use
    files = [path for path in run.rglob("*") if path.is_file()]
    assert files
    for canary in CANARIES:
        assert canary not in text
        assert canary not in caplog.text
        assert all(canary.encode() not in path.read_bytes() for path in files)


def test_what_holds_a_connection_cannot_be_pickled_or_copied(server: Server, tmp_path: Path) -> None:
    service = MockService(server, ENVIRONMENT)
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        jobs = runner(server, ledger)
        jobs.service = service
        for holder in (jobs, Connection(service, service.backend("ibm_small"), SPEC), ledger):
            with pytest.raises(TypeError):
                pickle.dumps(holder)
            with pytest.raises(TypeError):
                copy.deepcopy(holder)
            assert ENVIRONMENT not in repr(holder)


def test_specs_are_plain_and_hold_names_only(server: Server) -> None:
    spec = BackendSpec.model_validate({"name": "ibm", "kind": "ibm", "token_env": "MY_TOKEN"})
    for text in (spec.model_dump_json(), repr(spec), pickle.dumps(spec).decode("latin1")):
        assert not any(canary in text for canary in CANARIES)


@pytest.mark.parametrize("options", [{"token_env": "MY_TOKEN"}, {"account": "mine"}, {"account": "mien"}])
def test_a_login_that_fails_does_not_say_it(
    server: Server, options: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from qiskit_ibm_runtime.accounts import Account

    def refuse(self: Account) -> Any:
        raise ValueError(f"could not log in with {self.token}")

    monkeypatch.setattr(Account, "list_instances", refuse)
    spec = BackendSpec.model_validate({"name": "ibm", "kind": "ibm", **options})
    with caplog.at_level(logging.DEBUG), pytest.raises((JobError, OptionError)) as caught:
        connect(spec)
    text = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert not any(canary in text for canary in CANARIES)


SCRUBBED = [
    ("Authorization: Bearer abcDEF123456-_./+=xyz rest", f"Authorization: Bearer {HIDDEN} rest"),
    ("apikey 0123456789abcdef0123", f"apikey {HIDDEN}"),
    ("{'api_key': '0123456789abcdef0123', 'a': 1}", f"{{'api_key': '{HIDDEN}', 'a': 1}}"),
    ("access_token=0123456789abcdef0123&b=2", f"access_token={HIDDEN}&b=2"),
    (f"it was {SAVED}!", f"it was {HIDDEN}!"),
    (f"it was {ENVIRONMENT}!", f"it was {HIDDEN}!"),
    ("check token_env and instance; the token is wrong", "check token_env and instance; the token is wrong"),
    ("job d3f1k2l4m5n6p7q8r9s0 failed with code 1305", "job d3f1k2l4m5n6p7q8r9s0 failed with code 1305"),
]


@pytest.mark.parametrize(("text", "expected"), SCRUBBED)
def test_scrubbing(server: Server, text: str, expected: str) -> None:
    assert scrub(text, "MY_TOKEN") == expected


def test_scrubbing_needs_no_readable_account(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "home/.qiskit/qiskit-ibm.json"
    for content in ("{", "[]", json.dumps({"a": None}), json.dumps({"a": {"token": 5}})):
        path.write_text(content)
        assert scrub(f"{ENVIRONMENT} and 5", "MY_TOKEN") == f"{HIDDEN} and 5"
    path.unlink()
    assert scrub("nothing to hide", None) == "nothing to hide"
