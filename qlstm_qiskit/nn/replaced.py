"""Recurrent layers whose circuits are replaced by classical maps."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from qlstm_qiskit.errors import unknown_option
from qlstm_qiskit.nn.classical import ClassicalBank, FrozenMap, TanhMap
from qlstm_qiskit.nn.products import FullProductMap, ProductMap

#: What may stand in place of a bank of circuits, by name.
CLASSICAL_BANKS: Mapping[str, type[ClassicalBank]] = MappingProxyType(
    {bank.kind: bank for bank in (ProductMap, TanhMap, FrozenMap, FullProductMap)}
)


def replace_banks(layer: nn.Module, kind: str, generator: torch.Generator | None = None) -> None:
    """Replace the circuits of a recurrent layer by classical maps, in place; all other parameters stay as they are.

    Args:
        layer: A `Recurrent`.
        kind: A name in `CLASSICAL_BANKS`.
        generator: What the layer was drawn from; it is not moved: the maps have a generator of their own, from its seed, so
            that everything else that is drawn is as with circuits. Torch's default generator, which moves, where None.

    Raises:
        OptionError: There is no such kind, or it does not fit the circuits.
        CapacityError: The maps do not fit in memory.
    """
    if kind not in CLASSICAL_BANKS:
        raise unknown_option("bank", kind, ("circuits", *CLASSICAL_BANKS))
    own = None
    if generator is not None:
        seed = int(np.random.SeedSequence([generator.initial_seed(), 1]).generate_state(1)[0])
        own = torch.Generator(device=generator.device).manual_seed(seed)
    cells: Any = layer
    for cell in cells.layers():
        cell.bank = CLASSICAL_BANKS[kind](cell.bank, own)
