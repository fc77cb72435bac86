"""A study on a Ray cluster of two nodes on this machine: equal numbers, and a node that dies takes no result with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.experiments.studies.runner import run_study
from tests.experiments.studied import SMALL, numbers

ray = pytest.importorskip("ray")


@pytest.fixture
def cluster() -> Iterator[object]:
    """A head without processors and two nodes with one each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    made.wait_for_nodes()
    made.workers = nodes
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
def test_a_cluster_gives_the_same_numbers_and_survives_the_loss_of_a_node(cluster, done: Path, tmp_path: Path) -> None:
    finished: list[str] = []
    kept: list[str] = []

    def kill_a_node() -> None:
        while len(finished) < 3:
            time.sleep(0.02)
        kept.extend(finished)
        cluster.remove_node(cluster.workers[0], allow_graceful=False)

    killer = threading.Thread(target=kill_a_node, daemon=True)
    killer.start()
    run_study(SMALL, tmp_path / "loss", cluster=cluster.address, report=lambda n, total, record: finished.append(record["id"]))
    killer.join(timeout=60)
    assert not killer.is_alive()
    assert len(finished) == len(set(finished)) == 15, "no finished run is lost or done twice"
    assert 3 <= len(kept) < 15, "the node went away in the middle"
    assert numbers(tmp_path / "loss") == numbers(done)


def test_no_cluster_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no Ray cluster at '127.0.0.1:1'"):
        run_study(SMALL, tmp_path / "out", cluster="127.0.0.1:1")
