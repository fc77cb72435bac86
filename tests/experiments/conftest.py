"""What several tests of studies read."""

from pathlib import Path

import pytest

from qlstm_qiskit.experiments.studies.runner import run_study
from tests.experiments.studied import SMALL


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small study, run in this process."""
    out = tmp_path_factory.mktemp("studies") / "small"
    run_study(SMALL, out)
    return out
