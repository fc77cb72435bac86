"""PennyLane default.qubit with JAX: the whole training step in one jit, parameter broadcast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peer_models.common import GATES, Problem, run
from benchmarks.peer_models.jax_lstm import training_step
from benchmarks.peer_models.pennylane_circuit import circuits, single_circuits


def build(problem: Problem) -> Callable[[], Sequence[jax.Array]]:
    """One execution for each candidate at depth 1, which compiles in about a minute; otherwise one for each entangler.

    Measured at S, batch 10: 23 ms (time steps in a scan) against 39 ms (unrolled). At depth 5 the first was not tried.
    """
    alone = problem.depth == 1
    groups = list(single_circuits(problem, "jax") if alone else circuits(problem, "jax", jnp.asarray))
    order = np.arange(len(problem.names)) if alone else problem.order()

    def bank(inputs: jax.Array, angles: jax.Array) -> jax.Array:
        outputs = []
        for members, circuit in groups:
            shape = (len(members), len(GATES), problem.batch)
            rows = jnp.broadcast_to(inputs.T[:, None, None], (problem.n_qubits, *shape))
            own = angles[:, np.array(members)].transpose(2, 1, 0)[..., None]
            weights = jnp.broadcast_to(own, (len(own), *shape))
            values = circuit(rows.reshape(len(rows), -1), weights.reshape(len(own), -1))
            outputs.append(jnp.stack(values, axis=-1).reshape(*shape, problem.hidden))
        return jnp.concatenate(outputs)[order].swapaxes(0, 1)

    return training_step(problem, bank, scan=alone)


if __name__ == "__main__":
    run("pennylane-jax", build, ("pennylane", "jax", "jaxlib", "numpy"))
