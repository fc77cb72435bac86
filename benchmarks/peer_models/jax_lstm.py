"""A jitted training step in JAX around any function that evaluates the candidates; for peers that have a JAX interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks.peer_models.common import Problem

jax.config.update("jax_enable_x64", True)

#: Inputs (batch, qubits) and angles (4, candidates, weights) -> outputs (4, candidates, batch, hidden).
Bank = Callable[[jax.Array, jax.Array], jax.Array]


def training_step(problem: Problem, bank: Bank, *, scan: bool) -> Callable[[], Sequence[jax.Array]]:
    """A function that returns the loss and the gradients of all parameters, in the order of `common.RESULTS`.

    The whole step is one jitted function: it is compiled in the first call. `scan` compiles one time step and loops over
    it; otherwise all time steps are unrolled.
    """
    parameters = tuple(jnp.asarray(array) for array in problem.parameters().values())
    x, y = jnp.asarray(problem["x"]), jnp.asarray(problem["y"])

    def loss(parameters: tuple[jax.Array, ...], x: jax.Array, y: jax.Array) -> jax.Array:
        angles, structural, head_weight, head_bias = parameters

        def cell(state: tuple[jax.Array, jax.Array], values: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
            h, c = state
            outputs = bank(jnp.concatenate((values, h), axis=1), angles)
            i, f, g, o = jnp.einsum("gc,gcbk->gbk", structural, outputs)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros((problem.batch, problem.hidden))
        (h, _), _ = jax.lax.scan(cell, (start, start), x.transpose(1, 0, 2), unroll=1 if scan else problem.steps)
        return jnp.mean((h @ head_weight.T + head_bias - y) ** 2)

    compiled = jax.jit(jax.value_and_grad(loss))

    def step() -> Sequence[jax.Array]:
        value, gradients = compiled(parameters, x, y)
        return jax.block_until_ready((value, *gradients))

    return step
