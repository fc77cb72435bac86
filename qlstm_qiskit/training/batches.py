"""Windows in batches, as a training reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from skorch.dataset import Dataset
from torch import Tensor


class Windows(Dataset):
    """skorch's data set of arrays, from which torch's loader takes a batch at once rather than window by window.

    The tensors are those that collating single windows gives; that takes most of the time of a step with many windows.
    """

    def __getitems__(self, places: Sequence[int]) -> list[Tensor]:
        """The windows at these places, (n, window, features), and their targets, (n, outputs); zeros where there are none."""
        index = torch.as_tensor(places)
        windows = torch.as_tensor(self.X).index_select(0, index)
        if self.y is None:
            return [windows, torch.zeros(len(windows), 1)]
        return [windows, torch.as_tensor(self.y).index_select(0, index)]


def as_it_is(batch: Any) -> Any:
    """What a loader makes of a batch of `Windows`: nothing, since it is one already."""
    return batch
