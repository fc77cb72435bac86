"""Random numbers of a fit from its own generator, so that fits in threads do not draw from each other's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

#: Where noise comes from: torch's default generator where None; with several, each is that of a replica.
Source = torch.Generator | tuple[torch.Generator, ...] | None


class Stream(torch.Generator):
    """A generator that is not copied: in copies and pickles of its owner it is None, which means torch's default generator."""

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        return None

    def __reduce__(self) -> Any:
        return type(None), ()


def seeded(seed: int, device: torch.device | str = "cpu") -> Stream:
    """A stream with the numbers of torch's default generator after ``torch.manual_seed(seed)``."""
    stream = Stream(device=device)
    stream.manual_seed(seed)
    return stream


@contextmanager
def drawing_from(generator: torch.Generator, module: nn.Module) -> Iterator[None]:
    """Let a module draw dropout between layers and the noise of sampled mixings from a generator.

    On the CPU the numbers are those that torch's default generator would give.

    Args:
        generator: Source of the noise, on the device of the module.
        module: Any module; everything else that it draws still comes from torch's default generator.
    """
    noisy = [part for part in module.modules() if hasattr(part, "noise_source")]
    stacks = [part for part in module.modules() if isinstance(part, nn.LSTM | nn.GRU) and part.dropout and part.num_layers > 1]
    for part in noisy:
        part.noise_source = generator  # type: ignore[assignment]
    for stack in stacks:
        stack.forward = partial(_layer_by_layer, stack, generator)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in noisy:
            del part.noise_source
        for stack in stacks:
            del stack.forward


def draw_each_from(generators: Sequence[torch.Generator], module: nn.Module) -> None:
    """Let a module of replicas draw the noise of each from a generator of its own; see `drawing_from`."""
    for part in module.modules():
        if hasattr(part, "noise_source"):
            part.noise_source = tuple(generators)  # type: ignore[assignment]


def dropout(values: Tensor, probability: float, training: bool, generator: Source) -> Tensor:
    """`torch.nn.functional.dropout` from a generator.

    Args:
        values: (time, batch, features), or (rows, features); with generators of replicas (time, replicas x batch, features).
        probability: Of a feature to be dropped.
        training: Nothing is dropped without.
        generator: See `Source`.
    """
    if generator is None or not training:
        return nn.functional.dropout(values, probability, training)
    if isinstance(generator, tuple):
        time, rows, features = values.shape
        own = [values.new_empty(time, rows // len(generator), features) for _ in generator]
        kept = torch.cat([each.bernoulli_(1 - probability, generator=g) for each, g in zip(own, generator, strict=True)], dim=1)
    else:
        kept = torch.empty_like(values).bernoulli_(1 - probability, generator=generator)
    return values * kept.div_(1 - probability)


def gumbel(like: Tensor, generator: Source) -> Tensor:
    """Noise in the shape of a tensor, as `torch.nn.functional.gumbel_softmax` draws it; see `Source`."""
    if isinstance(generator, tuple):
        return torch.stack([gumbel(own, each) for own, each in zip(like, generator, strict=True)])
    return -torch.empty_like(like, memory_format=torch.legacy_contiguous_format).exponential_(generator=generator).log()


def _layer_by_layer(stack: nn.LSTM | nn.GRU, generator: torch.Generator | None, input: Tensor, hx: Any = None) -> Any:
    """The forward pass of a stack, layer by layer: torch's fused operation draws dropout from the default generator."""
    is_lstm = isinstance(stack, nn.LSTM)
    if generator is None or not stack.training:
        return (nn.LSTM if is_lstm else nn.GRU).forward(stack, input, hx)  # type: ignore[arg-type]
    assert input.dim() == 3, "a forecaster reads batches"
    sequence = input.transpose(0, 1) if stack.batch_first else input
    both, last = 1 + stack.bidirectional, []
    start = sequence.new_zeros(both * stack.num_layers, sequence.shape[1], stack.hidden_size)
    before = (start,) * (1 + is_lstm) if hx is None else hx if is_lstm else (hx,)
    for number in range(stack.num_layers):
        if number:
            sequence = dropout(sequence, stack.dropout, True, generator)
        own = slice(both * number, both * (number + 1))
        weights, state = [value for cell in stack.all_weights[own] for value in cell], tuple(part[own] for part in before)
        how: Any = (weights, stack.bias, 1, 0.0, True, stack.bidirectional, False)
        sequence, *after = torch.lstm(sequence, state, *how) if is_lstm else torch.gru(sequence, state[0], *how)
        last.append(after)
    states = tuple(torch.cat(parts) for parts in zip(*last, strict=True))
    return sequence.transpose(0, 1) if stack.batch_first else sequence, states if is_lstm else states[0]
