"""One thread in every test process: the tests run side by side, and sums keep their order."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20250814)


@pytest.fixture(params=["states", "form"])
def path(request: pytest.FixtureRequest) -> str:
    """Each path of the exact interpreter in turn."""
    return str(request.param)
