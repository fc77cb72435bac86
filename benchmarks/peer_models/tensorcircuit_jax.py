"""tensorcircuit-ng on JAX: vmap over candidates, gates and samples, the whole training step in one jit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tensorcircuit as tc

from benchmarks.peer_models.common import Candidate, Problem, run
from benchmarks.peer_models.jax_lstm import training_step

#: The axes of tensorcircuit's rotation `r(theta, alpha, phi)` = exp(-i theta n), as (alpha, phi).
_AXES = {"X": (math.pi / 2, 0.0), "Y": (math.pi / 2, math.pi / 2), "Z": (0.0, 0.0)}


def circuit(problem: Problem, entangler: Candidate) -> Callable[..., jax.Array]:
    """Inputs (qubits,), weights (weights,), and the gates as data -> <Z_k>, (hidden,).

    The axes and the Hadamard (half a turn about X + Z) are data, so that candidates with one entangler are one circuit:
    at S, batch 10, that compiles in 7 s and not in 80, and a step is faster than with a circuit for each candidate.
    """
    n_qubits = problem.n_qubits
    bits = np.arange(2**n_qubits)[:, None] >> np.arange(n_qubits - 1, -1, -1) & 1  # qubit 0 is the first bit
    signs = 1.0 - 2.0 * bits[:, : problem.hidden]

    def outputs(inputs: jax.Array, weights: jax.Array, turn: jax.Array, first: jax.Array, axis: jax.Array) -> jax.Array:
        built = tc.Circuit(n_qubits)
        for qubit in range(n_qubits):
            built.r(qubit, theta=turn, alpha=math.pi / 4, phi=0.0)
            built.r(qubit, theta=inputs[qubit] / 2, alpha=first[0], phi=first[1])
        for layer in range(problem.depth):
            for control, target in entangler.cnots(n_qubits):
                built.cnot(control, target)
            for qubit in range(n_qubits):
                angle = weights[layer * n_qubits + qubit] / 2
                built.r(qubit, theta=angle, alpha=axis[0], phi=axis[1])
        return built.probability() @ signs

    return outputs


def build(problem: Problem) -> Callable[[], Sequence[jax.Array]]:
    """One vectorised circuit for each entangler."""
    tc.set_backend("jax")
    tc.set_dtype("complex128")
    order = problem.order()

    def group(inputs: jax.Array, angles: jax.Array, members: list[int]) -> jax.Array:
        own = [problem.candidates[index] for index in members]
        turns = jnp.array([math.pi / 2 if candidate.hadamard else 0.0 for candidate in own])
        first = jnp.array([_AXES[candidate.encoding] for candidate in own])
        axes = jnp.array([_AXES[candidate.rotation] for candidate in own])
        samples = jax.vmap(circuit(problem, own[0]), in_axes=(0, None, None, None, None))
        candidates = jax.vmap(samples, in_axes=(None, 0, 0, 0, 0))
        gates = jax.vmap(candidates, in_axes=(None, 0, None, None, None))
        return gates(inputs, angles[:, np.array(members)], turns, first, axes)

    def bank(inputs: jax.Array, angles: jax.Array) -> jax.Array:
        return jnp.concatenate([group(inputs, angles, members) for members in problem.groups()], axis=1)[:, order]

    return training_step(problem, bank, scan=False)


if __name__ == "__main__":
    run("tensorcircuit-jax", build, ("tensorcircuit-ng", "jax", "jaxlib", "numpy"))
