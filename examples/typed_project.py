"""A user's module, as a strict type checker sees it: `mypy --strict` and `pyright` find nothing to complain about."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import assert_type

from qlstm_qiskit import QLSTM, Candidate, CircuitBank, QLSTMRegressor, SearchSpace, analyze, load_backend, load_dataset


def forecast(name: str, depth: int = 1) -> NDArray[np.floating[Any]]:
    """Train on a series and predict its test part."""
    data = load_dataset(name, window=4)
    assert_type(data.x_train, NDArray[np.float64])
    model = QLSTMRegressor(model="diffqas", hidden_size=2, depth=depth, max_epochs=2, seed=0)
    assert_type(model.lr, float | None)
    assert_type(model.fit(data.x_train, data.y_train), QLSTMRegressor)
    return model.predict(data.x_test)


def layer() -> torch.Tensor:
    """A layer beside others of torch, with a space of one's own."""
    space = SearchSpace.product(("H-RY", "RX"), ("linear-RY",))
    assert_type(space.candidates(3, 1), tuple[Candidate, ...])
    recurrent = QLSTM(1, 2, depth=1, space=space, batch_first=True, backend=load_backend("statevector"))
    output, (h, c) = recurrent(torch.zeros(8, 4, 1, dtype=torch.float64))
    assert_type(next(recurrent.layers()).bank, CircuitBank)
    names = [report.name for report in analyze(space, n_qubits=3, depth=1).reports]
    assert_type(names, list[str])
    total: torch.Tensor = output[:, -1].sum(1) + h.sum() + c.sum()
    return total


if __name__ == "__main__":
    print(forecast("damped_shm")[:3], layer().shape)
