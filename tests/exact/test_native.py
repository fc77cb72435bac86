"""Compiled loops call no Python: where one did, a Ctrl-C in it came back as a SystemError."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest
import torch

from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.space import SearchSpace

WIDE = SearchSpace.product(["RY", "H-RZ"], ["linear-RY"])


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: QLSTM(1, 2, depth=1, backend=StatevectorBackend("form")), id="all products"),
        pytest.param(lambda: QLSTM(1, 14, depth=1, space=WIDE), id="some products"),
        pytest.param(lambda: QLSTM(1, 2, depth=1, circuits="frozen", backend=StatevectorBackend("form")), id="frozen"),
    ],
)
def test_a_step_and_an_evaluation_call_no_python_of_numba(build: Callable[[], QLSTM]) -> None:
    layer, inputs = build(), torch.rand(3, 4, 1, dtype=torch.float64)

    def pass_through() -> None:
        layer(inputs)[0].sum().backward()
        with torch.no_grad():
            layer(inputs)

    pass_through()  # compiles; a second time, because frozen angles are rotated in the first
    pass_through()
    called: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        called.add(frame.f_code.co_filename)

    sys.setprofile(note)
    try:
        pass_through()
    finally:
        sys.setprofile(None)
    assert any("qlstm_qiskit/exact/adjoint" in name for name in called)
    assert not [name for name in called if "numba" in name]
