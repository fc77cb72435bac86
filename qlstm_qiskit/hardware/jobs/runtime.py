"""IBM Runtime and other providers: accounts, devices, and a primitive for each job."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qiskit.providers import BackendV2

from qlstm_qiskit.errors import JobError, OptionError, unknown_option
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.device.named import device_named_in
from qlstm_qiskit.hardware.jobs.failures import FOREIGN, Failure, understand
from qlstm_qiskit.hardware.jobs.maker_jobs import device_name, maker_service
from qlstm_qiskit.hardware.jobs.makers import maker_primitive, require_takes

log = logging.getLogger(__name__)

_NO_SESSIONS = re.compile(r"(?i)open plan|\b1352\b|not authorized to run a session")
_BAD_TOKEN = re.compile(r"(?i)valid api token|api ?key could not be found|unable to retrieve instances")


class Connection:
    """A device, and the service behind it.

    A batch or session is opened when the first job needs it, and closed with the connection, also after an error.

    Args:
        service: A `QiskitRuntimeService` or `MakerService`; None where jobs end with their process.
        device: Circuits are fitted to it.
        spec: Of the backend.
    """

    def __init__(self, service: Any, device: BackendV2, spec: BackendSpec) -> None:
        self.service, self.device, self.spec = service, device, spec
        self._context: Any = None

    def __getstate__(self) -> None:
        raise TypeError("a connection holds credentials and cannot be pickled or copied")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mode(self) -> Any:
        """What primitives run in: the device, or the batch or session that is open.

        Raises:
            OptionError: The account's plan has no sessions.
            JobError: The batch or session cannot be opened.
        """
        if self.service is None or self.spec.mode == "job":
            return self.device
        if self._context is None:
            from qiskit_ibm_runtime import Batch, Session

            kind = Session if self.spec.mode == "session" else Batch
            self._context = _call(lambda: kind(backend=self.device), self.spec, self._explain_mode)
        return self._context

    def make(self, seed: int | None = None) -> Callable[[int, Sequence[str]], Any]:
        """How executors make the primitive of a job, from its number and tags; see `make_primitive`."""
        return lambda number, tags: make_primitive(self.spec, self.mode(), seed_of_job(seed, number), tags)

    def close(self) -> None:
        """Close the batch or session; jobs that are in it run to their end."""
        context, self._context = self._context, None
        if context is None:
            return
        try:
            context.close()
        except FOREIGN as error:  # it closes by itself after a while
            log.warning("the %s was not closed: %s", self.spec.mode, understand(error, self.spec.token_env).detail)

    def _explain_mode(self, failure: Failure) -> Exception:
        if _NO_SESSIONS.search(failure.detail):
            return OptionError(
                f"backend {self.spec.name}: mode session is not part of the account's plan ({failure.detail}); "
                "set mode: job or mode: batch."
            )
        return _unreachable(self.spec, f"cannot open a {self.spec.mode}", failure)


def connect(spec: BackendSpec, n_qubits: int = 1, device: str | None = None) -> Connection:
    """Find the device of a backend of kind fake, ibm or provider.

    Args:
        spec: Of the backend.
        n_qubits: That the device must have.
        device: Take this one where the backend leaves it open: a run that goes on needs the device that it was begun on.

    Raises:
        OptionError: Account, environment variable or device are missing or unknown, or the device is too small, or does not
            take the shots or the seed of the entry.
        JobError: The service cannot be reached, or does not accept the credentials.
    """
    if spec.kind == "provider":
        found = device_named_in(spec)
        require_takes(spec, found)
        connection = Connection(maker_service(spec, found), found, spec)
    elif spec.local:
        connection = Connection(None, device_named_in(spec), spec)
    else:
        service = open_service(spec)
        connection = Connection(service, _device(service, spec, spec.device or device, n_qubits), spec)
    if (connection.device.num_qubits or n_qubits) < n_qubits:  # simulators may leave it open
        raise OptionError(
            f"backend {spec.name}: {device_name(connection.device)} has {connection.device.num_qubits} qubits and {n_qubits} "
            "are needed; name a larger device or use fewer qubits."
        )
    return connection


def seed_of_job(seed: int | None, number: int) -> int | None:
    """A fresh seed for each job of a run, as one seed would give all jobs the same noise; never 0, which means none."""
    if seed is None:
        return None
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1) + 1


def make_primitive(spec: BackendSpec, mode: Any, seed: int | None = None, tags: Sequence[str] = ()) -> Any:
    """A V2 sampler or estimator for one job.

    Args:
        spec: Of the backend, of kind fake, ibm or provider; its options become those of the primitive.
        mode: A device, or an open batch or session.
        seed: Of simulated shots; see `seed_of_job`.
        tags: Of the job, where the service has tags.

    Raises:
        OptionError: The installed qiskit-ibm-runtime has no such primitive, or the device does not have that `rep_delay_us`.
    """
    if spec.kind == "provider":
        return maker_primitive(spec, mode, seed, tags)
    build = _primitive_class(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # chosen by name in backends.yaml, both old and new
        return build(mode=mode, options=_local_options(spec, seed) if spec.local else _options(spec, mode, tags))


def _primitive_class(spec: BackendSpec) -> Any:
    try:
        if spec.primitive == "estimator":
            from qiskit_ibm_runtime.executor_estimator import Estimator

            return Estimator
        from qiskit_ibm_runtime import EstimatorV2, SamplerV2
    except ImportError:
        raise OptionError(
            f"backend {spec.name}: the installed qiskit-ibm-runtime has no primitive {spec.primitive!r}; update it, or set "
            "primitive: sampler."
        ) from None
    return SamplerV2 if spec.primitive == "sampler" else EstimatorV2


def _local_options(spec: BackendSpec, seed: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {} if seed is None else {"simulator": {"seed_simulator": seed}}
    if spec.primitive == "estimator":  # works on this machine, so that level 1, IBM's default, would mitigate here too
        options["resilience_level"] = spec.mitigation.resilience_level
    return options


def _options(spec: BackendSpec, mode: Any, tags: Sequence[str]) -> dict[str, Any]:
    """Options for a real device; only those that the backend gives, so that IBM's defaults hold for the rest."""
    options: dict[str, Any] = {"environment": {"job_tags": list(tags)}}
    if spec.mitigation.dynamical_decoupling:
        options["dynamical_decoupling"] = {"enable": True}
    if spec.mitigation.twirling:
        options["twirling"] = {"enable_gates": True, "enable_measure": True}
    if spec.primitive != "sampler":
        options["resilience_level"] = spec.mitigation.resilience_level  # IBM's default is 1, which costs more circuits
    if spec.guard.max_execution_time is not None:
        options["max_execution_time"] = spec.guard.max_execution_time
    if spec.rep_delay_us != type(spec).model_fields["rep_delay_us"].default:  # a record does not tell whether it was given
        options["execution"] = {"rep_delay": _rep_delay(spec, mode)}
    return options


def _rep_delay(spec: BackendSpec, mode: Any) -> float:
    """Seconds between shots, if the device can do it."""
    device = mode._backend if hasattr(mode, "session_id") else mode
    low, high = getattr(device, "rep_delay_range", None) or (0.0, 0.0)
    seconds = spec.rep_delay_us * 1e-6
    if not low <= seconds <= high:
        allowed = f"{low * 1e6:g} to {high * 1e6:g}" if high else "none"
        raise OptionError(
            f"backend {spec.name}: rep_delay_us is {spec.rep_delay_us:g}; {device.name} takes {allowed}. Change it or leave it "
            "out."
        )
    return seconds


def open_service(spec: BackendSpec) -> Any:
    """Log in to IBM Runtime; for jobs that are fetched or cancelled, which need no device.

    Raises:
        OptionError: The account or environment variable is missing or unknown.
        JobError: The service cannot be reached, or does not accept the credentials.
    """
    from ibm_cloud_sdk_core import ApiException  # type: ignore[import-untyped]
    from qiskit_ibm_runtime import QiskitRuntimeService

    if (spec.instance or "").startswith("crn:") and (spec.instance or "").count(":") < 6:
        raise OptionError(f"backend {spec.name}: instance {spec.instance!r} is a part of a CRN; give all of it, or its name.")
    options: dict[str, Any] = {"instance": spec.instance}
    if spec.account is not None:
        saved = QiskitRuntimeService.saved_accounts()
        if spec.account not in saved:
            hint = "save one with QiskitRuntimeService.save_account(token=..., name=...)"
            if not saved:
                raise OptionError(f"backend {spec.name}: there is no account {spec.account!r}, and no other; {hint}.")
            raise OptionError(f"backend {spec.name}: {unknown_option('account', spec.account, saved)} Or {hint}.")
        options["name"] = spec.account
    elif spec.token_env is not None:
        options |= {"channel": spec.channel, "token": os.environ.get(spec.token_env)}
        if not options["token"]:
            raise OptionError(
                f"backend {spec.name}: the environment variable {spec.token_env} is not set; put your API token in it, or give "
                "account: the name of a saved account."
            )
    else:
        options["channel"] = spec.channel
    return _call(lambda: QiskitRuntimeService(**options), spec, lambda failure: _explain_account(spec, failure), ApiException)


def _explain_account(spec: BackendSpec, failure: Failure) -> Exception:
    if "Unable to find account" in failure.detail:
        return OptionError(
            f"backend {spec.name}: there is no saved account. Save one with QiskitRuntimeService.save_account(token=...), or "
            "give token_env: the name of an environment variable that holds a token."
        )
    if _BAD_TOKEN.search(failure.detail):
        failure = Failure("credentials", failure.detail)
    return _unreachable(spec, "cannot log in", failure)


def _device(service: Any, spec: BackendSpec, name: str | None, n_qubits: int) -> BackendV2:
    if name is None:
        found = _call(
            lambda: service.least_busy(min_num_qubits=n_qubits, operational=True, simulator=False),
            spec,
            lambda failure: _explain_device(service, spec, None, n_qubits, failure),
        )
        log.info("backend %s: %s is the least busy device", spec.name, found.name)
    else:
        found = _call(
            lambda: service.backend(name), spec, lambda failure: _explain_device(service, spec, name, n_qubits, failure)
        )
    return found


def _explain_device(service: Any, spec: BackendSpec, name: str | None, n_qubits: int, failure: Failure) -> Exception:
    if failure.kind != "refused":
        return _unreachable(spec, "cannot list devices", failure)
    if name is None:
        return OptionError(f"backend {spec.name}: no device with {n_qubits} qubits is online; try later or name a device.")
    names = _call(lambda: [device.name for device in service.backends()], spec, lambda _: None) or []
    if not names or name in names:
        return OptionError(f"backend {spec.name}: the account has no device {name!r} ({failure.detail}); check its instance.")
    return OptionError(f"backend {spec.name}: {unknown_option('device', name, names)}")


def _unreachable(spec: BackendSpec, what: str, failure: Failure) -> JobError:
    return JobError(f"backend {spec.name}: {what}: {failure.sentence}.")


def _call(call: Callable[[], Any], spec: BackendSpec, explain: Callable[[Failure], Exception | None], *more: Any) -> Any:
    """What the service answers, or the error that `explain` makes of its exception; None where it makes none.

    The service's own exception is dropped: it may hold what was sent, the token included.
    """
    try:
        return call()
    except (*FOREIGN, *more) as error:
        failure = understand(error, spec.token_env)
    problem = explain(failure)
    if problem is not None:
        raise problem
    return None
