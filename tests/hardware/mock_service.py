"""A mocked IBM Runtime: the real client, down to its HTTP session, against a server that is a folder.

Only the last step, sending an HTTP request, is replaced. Submissions are appended to a synced log and jobs are files, so that
a process that comes after a killed one finds what the dead one left, as at the real service.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import QiskitRuntimeService, fake_provider, qiskit_runtime_service
from qiskit_ibm_runtime.accounts import Account, management
from qiskit_ibm_runtime.api.client import RuntimeClient
from qiskit_ibm_runtime.api.client_parameters import ClientParameters
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from requests.adapters import BaseAdapter
from requests.auth import AuthBase

from qlstm_qiskit.hardware.contract.executor import circuit_bytes
from qlstm_qiskit.storage import write_atomically

CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:01234567-89ab-cdef::"
TOKEN = "a-token-for-the-mocked-service"
#: Name of the device at the service -> the fake device that it is.
DEVICES = {"ibm_small": fake_provider.FakeManilaV2, "ibm_smaller": fake_provider.FakeBogotaV2}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: HTTP status of the answer; None is a connection that breaks.
        after: Whether the server has done what was asked before it goes wrong.
        text: Of the answer.
        kill: The process dies by SIGKILL at this point instead.
    """

    status: int | None = None
    after: bool = False
    text: str = "something went wrong"
    kill: bool = False


class Server:
    """The service's side.

    Args:
        folder: Where it keeps everything.

    Attributes:
        faults: For each operation ("submit", "find", "job", "results", "usage", "cancel", "device") what its next requests
            meet; None is nothing.
        outcomes: How the next accepted jobs end: "Completed" (the default), "Failed", "Cancelled" or "Ran too long".
        polls: How often a new job is seen as "Queued" before it ends.
        lag: How many of the next lists of jobs come out empty.
        online: Whether devices take jobs.
        used_up: Whether the account has no QPU time left.
        requests, headers: Of all requests so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, deque[Fault | None]] = defaultdict(deque)
        self.outcomes: deque[str] = deque()
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.polls = 0
        self.lag = 0
        self.online = True
        self.used_up = False
        (folder / "jobs").mkdir(parents=True, exist_ok=True)

    def log(self) -> list[dict[str, Any]]:
        """The jobs that were accepted, in order."""
        path = self.folder / "accepted.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / "jobs" / f"{job_id}.json").read_text()))

    def answer(self, request: requests.PreparedRequest) -> requests.Response:
        parts = urlsplit(str(request.url))
        path = parts.path.partition("/api/v1")[2] or parts.path
        operation = _operation(str(request.method), path)
        self.requests.append(operation)
        self.headers.append(dict(request.headers))
        queue = self.faults[operation]
        fault = queue.popleft() if queue else None
        if fault is not None and not fault.after:
            return _fail(request, fault)
        status, content = self._handle(operation, path, parse_qs(parts.query), request.body)
        if fault is not None:
            return _fail(request, fault)
        return _response(request, status, content)

    def _handle(self, operation: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        name = path.strip("/").split("/")[1] if path.count("/") > 1 else ""
        if operation == "submit":
            return 200, self._accept(str(body.decode() if isinstance(body, bytes) else body))
        if operation == "find" and self.lag > 0:
            self.lag -= 1
            return 200, {"jobs": [], "count": 0}
        if operation == "find":
            found = [
                self._view(entry["job"]) for entry in reversed(self.log()) if set(query.get("tags", ())) <= set(entry["tags"])
            ]
            return 200, {"jobs": found, "count": len(found)}
        if operation in {"job", "results", "usage", "cancel"}:
            if not (self.folder / "jobs" / f"{name}.json").exists():
                return 404, {"error": {"message": "Job not found", "code": 1291}}
            return self._job(operation, name)
        if operation == "device":
            return 200, self._device(path, name)
        if operation == "account":
            return 200, {
                "usage_limit_reached": self.used_up,
                "usage_limit_seconds": 600,
                "usage_consumed_seconds": 600 * self.used_up,
            }
        if operation == "session":
            return 200, {"id": "session-1"}
        return 404, {}

    def _job(self, operation: str, job_id: str) -> tuple[int, Any]:
        job = self.job(job_id)
        if operation == "cancel":
            if job["status"] not in {"Queued", "Running"}:
                return 409, {"error": {"message": "job has ended", "code": 1292}}
            self._save(job_id, job | {"status": "Cancelled", "polls": 0})
            return 204, ""
        if operation == "usage":
            return 200, {"usage": {"status": "complete", "qpu_charge_time_seconds": 2}}
        if operation == "results":
            return 200, self._result(job_id, job)
        if job["status"] == "Queued" and job["polls"] > 0:
            self._save(job_id, job | {"polls": job["polls"] - 1})
        elif job["status"] == "Queued":
            self._save(job_id, job | {"status": job["outcome"]})
        return 200, self._view(job_id)

    def _accept(self, body: str) -> dict[str, Any]:
        payload = json.loads(body, cls=RuntimeDecoder)
        content = _content(payload)
        job_id = f"job-{len(self.log())}"
        job = {"status": "Queued", "polls": self.polls, "outcome": self.outcomes.popleft() if self.outcomes else "Completed"}
        self._save(job_id, job | {"body": body, "tags": payload.get("tags", []), "backend": payload["backend"]})
        with (self.folder / "accepted.jsonl").open("a") as file:
            file.write(json.dumps({"job": job_id, "content": content, "tags": payload.get("tags", [])}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return {"id": job_id, "backend": payload["backend"]}

    def _view(self, job_id: str) -> dict[str, Any]:
        job = self.job(job_id)
        state: dict[str, Any] = {"status": job["status"]}
        if job["status"] == "Failed":
            state |= {"reason": "the control electronics lost the qubits", "reason_code": 8000}
        if job["status"] == "Ran too long":
            state = {"status": "Cancelled", "reason": "ran longer than the maximum", "reason_code": 1305}
        program = json.loads(job["body"])["program_id"]
        return {"id": job_id, "state": state, "backend": job["backend"], "program": {"id": program}, "tags": job["tags"]}

    def _result(self, job_id: str, job: dict[str, Any]) -> Any:
        if job["status"] != "Completed":
            return "Traceback: no result"
        payload = json.loads(job["body"], cls=RuntimeDecoder)
        seed = 1 + int(_content(payload)[:7], 16)
        pubs = payload["params"]["pubs"]
        simulator = AerSimulator()
        if payload["program_id"] == "sampler":
            result = BackendSamplerV2(backend=simulator, options={"seed_simulator": seed}).run(pubs).result()
        else:
            result = BackendEstimatorV2(backend=simulator, options={"seed_simulator": seed}).run(pubs).result()
        return json.dumps(result, cls=RuntimeEncoder)

    def _device(self, path: str, name: str) -> Any:
        if not name:
            return {
                "devices": [
                    {"name": n, "qubits": 5, "queue_length": 7 - i, "status": {"name": "online" if self.online else "paused"}}
                    for i, n in enumerate(DEVICES)
                ]
            }
        fake = DEVICES[name]
        folder = Path(str(fake.dirname))
        if path.endswith("status"):
            return {"state": self.online, "status": "active" if self.online else "maintenance", "length_queue": 3}
        if path.endswith("configuration"):
            return json.loads((folder / fake.conf_filename).read_text()) | {"backend_name": name}
        return json.loads((folder / fake.props_filename).read_text())

    def _save(self, job_id: str, job: dict[str, Any]) -> None:
        write_atomically(self.folder / "jobs" / f"{job_id}.json", json.dumps(job))


class MockService(QiskitRuntimeService):
    """A `QiskitRuntimeService` whose requests go to a `Server`; all else is the real one."""

    def __init__(self, server: Server, token: str = TOKEN) -> None:
        self.server = server
        self._all_instances: list[dict[str, Any]] = []
        self._saved_instances: list[str] = []
        self._instance_auto = True
        self._account = Account(token=token, instance=CRN)
        self._client_params = ClientParameters(channel="ibm_quantum_platform", token=token, instance=CRN, url=self._account.url)
        self._channel = "ibm_quantum_platform"
        self._url_resolver = None
        self._backend_configs: dict[str, Any] = {}
        self._default_instance = True
        client = RuntimeClient(self._client_params)
        client._session.auth = _Bearer(token)
        client._session.mount("https://", _Adapter(server))
        self._active_api_client = client
        self._api_clients = {CRN: client}
        self._backends_info_per_instance: dict[str, list[dict[str, Any]]] = {}
        self._backend_instance_groups: list[dict[str, Any]] = []
        self._region = self._plans_preference = self._tags = None


def install(server: Server, patch: pytest.MonkeyPatch) -> None:
    """Let `QiskitRuntimeService(...)` itself reach the server: the list of instances and the HTTP transport are replaced.

    No account is saved, and no variable of the environment holds a token.
    """

    def client(params: Any) -> RuntimeClient:
        made = RuntimeClient(params)
        made._session.auth = _Bearer(params.token)
        made._session.mount("https://", _Adapter(server))
        return made

    crn = {"crn": CRN, "plan": "open", "name": "mine", "tags": [], "pricing_type": "free"}
    patch.setattr(qiskit_runtime_service, "RuntimeClient", client)
    patch.setattr(Account, "list_instances", lambda self: [crn])
    patch.setattr(management, "_DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(server.folder / "qiskit-ibm.json"))
    patch.setenv("USAGE_DATA_OPT_OUT", "True")  # else the client reads its whole stack for each request
    for name in ("QISKIT_IBM_TOKEN", "QISKIT_IBM_CHANNEL", "QISKIT_IBM_INSTANCE"):
        patch.delenv(name, raising=False)


class _Adapter(BaseAdapter):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        return self.server.answer(request)

    def close(self) -> None: ...


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _operation(method: str, path: str) -> str:
    if path.startswith("/sessions"):
        return "session"
    if path.startswith("/jobs"):
        if path == "/jobs":
            return "submit" if method == "POST" else "find"
        return {"results": "results", "cancel": "cancel", "metrics": "usage"}.get(path.rsplit("/", 1)[-1], "job")
    return "account" if path.startswith("/instances") else "device"


def _content(payload: dict[str, Any]) -> str:
    """Hash of the work that is asked for, without names, tags and identities."""
    digest = hashlib.sha256(payload["program_id"].encode())
    for pub in payload["params"]["pubs"]:
        circuit, *rest = pub
        digest.update(circuit_bytes(circuit))
        digest.update(json.dumps(rest, cls=RuntimeEncoder).encode())
    return digest.hexdigest()


def _fail(request: requests.PreparedRequest, fault: Fault) -> requests.Response:
    if fault.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.status is None:
        raise requests.ConnectionError(f"Connection aborted: {fault.text}")
    return _response(request, fault.status, {"error": {"message": fault.text, "code": 1000 + fault.status}})


def _response(request: requests.PreparedRequest, status: int, content: Any) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.url = str(request.url)
    response.request = request
    response.encoding = "utf-8"
    response._content = (content if isinstance(content, str) else json.dumps(content)).encode()
    return response
