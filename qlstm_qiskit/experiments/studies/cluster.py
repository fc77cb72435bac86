"""A Ray cluster behind joblib, which leaves scheduling to Ray."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from qlstm_qiskit.errors import OptionError, installing

#: As many workers as processors, spread over the nodes. One whose node goes away is started again on another, which must have
#: room for it, so none claims a whole processor; its task is run again there, but not forever: it may be what ends workers.
_WORKER = {"num_cpus": 0.01, "scheduling_strategy": "SPREAD", "max_restarts": -1, "max_task_retries": 3}
_VARIABLES = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@contextlib.contextmanager
def connected(address: str) -> Iterator[dict[str, Any]]:
    """Connect to a cluster; give what joblib's `Parallel` takes to run on it.

    Args:
        address: Of its head node; "auto" for the cluster that this machine belongs to, "local" for a new one on this machine.

    Raises:
        OptionError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError:
        raise OptionError(f"a cluster needs Ray: {installing('ray')}.") from None
    _require_reachable(address)
    try:
        ray.init(address=address, runtime_env={"env_vars": _VARIABLES}, log_to_driver=False, include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address, error) from None
    try:
        count = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        yield {"n_jobs": count, "backend": _backend(), "batch_size": 1, "pre_dispatch": "2*n_jobs"}
    finally:
        ray.shutdown()


def _backend() -> Any:
    """Joblib's Ray backend, which hands over results as they come: it inherits from one that is said not to, and does."""
    from ray.util.joblib.ray_backend import RayBackend

    class Backend(RayBackend):
        supports_return_generator = True

    return Backend(ray_remote_args=_WORKER)


def _require_reachable(address: str) -> None:
    """Try the port of an address: Ray itself asks for minutes, and then ends the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from None


def _no_cluster(address: str, error: Exception) -> OptionError:
    reason = " ".join(str(error).split())[:200]
    return OptionError(f"there is no Ray cluster at {address!r} ({reason}); start one with `ray start --head`.")


def lost_worker(error: Exception) -> bool:
    """Whether a worker or its node went away, so that what it did can be done again."""
    from ray.exceptions import RayError, RayTaskError

    return isinstance(error, RayError) and not isinstance(error, RayTaskError)
