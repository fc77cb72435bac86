"""Batches of windows are those that torch's loader makes of single ones."""

import numpy as np
import pytest
import torch
from skorch.dataset import Dataset
from torch.utils.data import DataLoader, default_collate

from qlstm_qiskit.training import fitting
from qlstm_qiskit.training.batches import Windows, as_it_is
from qlstm_qiskit.training.regressor import QLSTMRegressor

X = np.random.default_rng(0).normal(size=(23, 4, 3))
Y = np.random.default_rng(1).normal(size=(23, 2))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("y", [Y, None])
def test_a_batch_is_the_single_windows_together(dtype: type, y: np.ndarray | None) -> None:
    values = X.astype(dtype), None if y is None else y.astype(dtype)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(0)).tolist()
    found = list(DataLoader(Windows(*values), batch_size=5, sampler=order, collate_fn=as_it_is))
    expected = list(DataLoader(Dataset(*values), batch_size=5, sampler=order, collate_fn=default_collate))
    assert len(found) == len(expected) == 5
    for own, other in zip(found, expected, strict=True):
        for tensor, single in zip(own, other, strict=True):
            assert tensor.dtype == single.dtype
            assert tensor.stride() == single.stride()
            assert torch.equal(tensor, single)


@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"valid_fraction": 0.3, "batch_size": 4}])
def test_a_training_has_the_bits_of_single_windows(options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a window is never read by itself."""
    asked = {"model": "lstm", "hidden_size": 2, "max_epochs": 2} | options
    with monkeypatch.context() as patch:
        patch.setattr(Windows, "__getitem__", lambda *_: pytest.fail("a single window"))
        model = QLSTMRegressor(**asked).fit(X, Y)
        predicted = model.predict(X)
    monkeypatch.setattr(fitting, "Windows", Dataset)
    monkeypatch.setattr(fitting, "as_it_is", default_collate)
    single = QLSTMRegressor(**asked).fit(X, Y)
    assert (predicted == single.predict(X)).all()
    for first, second in zip(model.history_, single.history_, strict=True):
        assert {k: v for k, v in first.items() if k != "dur"} == {k: v for k, v in second.items() if k != "dur"}


def test_arrays_that_cannot_be_written_to_give_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    values = X.copy(), Y.copy()
    for part in values:
        part.setflags(write=False)
    (batch,) = DataLoader(Windows(*values), batch_size=23, collate_fn=as_it_is)
    assert torch.equal(batch[0], torch.tensor(X))
    assert len(recwarn) == 0
