"""One thread in every test process: the tests run side by side, and sums keep their order."""

import gc
import signal

import pytest
import torch

from tests import speed

torch.set_num_threads(1)

# A shell has commands that it starts in the background ignore Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if others := speed.left_out(items):
        config.hook.pytest_deselected(items=others)
        unwanted = set(others)
        items[:] = [item for item in items if item not in unwanted]


def pytest_collection_finish() -> None:
    """What was imported stays: a collector that walks it again and again takes a tenth of the time of all tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if speed.EVERY > 1:
        terminalreporter.write_line(f"EVERY={speed.EVERY}: one in {speed.EVERY} of many slow or odd cases of a test was tried")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20250814)


@pytest.fixture(params=["states", "form"])
def path(request: pytest.FixtureRequest) -> str:
    """Each path of the exact interpreter in turn."""
    return str(request.param)


@pytest.fixture(autouse=True, scope="session")
def _transpiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Transpiled circuits are kept in a folder of the tests' own, from worker to worker."""
    patch = pytest.MonkeyPatch()
    patch.setenv("QLSTM_CACHE", str(tmp_path_factory.getbasetemp().parent / "isa"))
