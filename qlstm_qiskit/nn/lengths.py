"""Sequences of different lengths, as torch packs them: no circuit is evaluated for padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from qlstm_qiskit.errors import ShapeError
from qlstm_qiskit.nn.cell import States


def sizes_of(packed: PackedSequence, input_size: int) -> tuple[int, ...]:
    """How many of the packed sequences have each time step; `ShapeError` unless each step has `input_size` features."""
    if packed.data.dim() != 2 or packed.data.shape[1] != input_size:
        shape = tuple(packed.data.shape)
        raise ShapeError(f"the packed input has data of the shape {shape}; expected (time steps of all, {input_size}).")
    return tuple(packed.batch_sizes.tolist())


def in_order(states: States, order: Tensor | None) -> States:
    """States (cells, sequences, features) with the sequences in another order."""
    return states if order is None else tuple(part[:, order] for part in states)


def over_lengths(
    advance: Callable[[Tensor, States], States], rows: Tensor, sizes: tuple[int, ...], first: States, *, backwards: bool
) -> tuple[Tensor, States]:
    """One cell over packed sequences; each begins with its own first time step, or, backwards, with its own last one.

    Args:
        advance: Takes inputs and states to the next states.
        rows: The inputs of the first time step, then of the second, ...: (rows, features), the longest sequence first.
        sizes: How many sequences have each time step.
        first: States to start from, each (sequences, features).
        backwards: Whether time runs backwards.

    Returns:
        The hidden states in the order of `rows`, and the states after the last step of each sequence.
    """
    steps = torch.split(rows, list(sizes))
    state, ended, found = tuple(part[:0] if backwards else part for part in first), [], []
    for step in reversed(steps) if backwards else steps:
        here, samples = len(state[0]), len(step)
        if samples > here:  # backwards: others begin
            state = tuple(torch.cat((own, start[here:samples])) for own, start in zip(state, first, strict=True))
        elif samples < here:  # forwards: the shortest have ended
            ended.append(tuple(part[samples:] for part in state))
            state = tuple(part[:samples] for part in state)
        state = advance(step, state)
        found.append(state[0])
    last = tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))
    return torch.cat(found[::-1] if backwards else found), last
