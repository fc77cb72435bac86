"""A Ray cluster behind joblib. Ray schedules; nothing here does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from qlstm_qiskit.errors import OptionError

#: A worker that its node takes with it is started again elsewhere, and its task is run again; and one thread a process.
_WORKER = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": -1}
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
        from ray.util.joblib import register_ray
    except ImportError:
        raise OptionError("a cluster needs Ray: pip install 'qlstm-qiskit[ray]'.") from None
    try:
        ray.init(address=address, runtime_env={"env_vars": _VARIABLES}, log_to_driver=False, include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(
            f"there is no Ray cluster at {address!r} ({_line(error)}); start one with `ray start --head`."
        ) from None
    try:
        register_ray()
        from joblib.parallel import BACKENDS

        count = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        yield {"n_jobs": count, "backend": BACKENDS["ray"](ray_remote_args=_WORKER), "batch_size": 1, "pre_dispatch": "all"}
    finally:
        ray.shutdown()


def lost_worker(error: Exception) -> bool:
    """Whether a worker or its node went away, so that what it did can be done again."""
    from ray.exceptions import RayError, RayTaskError

    return isinstance(error, RayError) and not isinstance(error, RayTaskError)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
