"""Windows in batches, as a training reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.dataset import Dataset
from torch import Tensor


def as_tensor(values: NDArray[Any]) -> Tensor:
    """An array as a tensor, with a copy where it cannot be written to, which torch wants."""
    return torch.as_tensor(np.require(values, requirements="W"))


class Windows(Dataset):
    """skorch's data set of arrays, from which torch's loader takes a batch at once rather than window by window.

    The tensors are those that collating single windows gives; that takes most of the time of a step with many windows.
    """

    def __init__(self, X: NDArray[Any], y: NDArray[Any] | None = None, length: int | None = None) -> None:
        super().__init__(X, y, length)
        self.windows, self.targets = (None if part is None else as_tensor(part) for part in (X, y))

    def __getitems__(self, places: Sequence[int]) -> list[Tensor]:
        """The windows at these places, (n, window, features), and their targets, (n, outputs); zeros where there are none."""
        index = torch.as_tensor(places)
        found = [None if part is None else part.index_select(0, index) for part in (self.windows, self.targets)]
        return [torch.zeros(len(index), 1) if part is None else part for part in found]


def as_it_is(batch: Any) -> Any:
    """What a loader makes of a batch of `Windows`: nothing, since it is one already."""
    return batch
