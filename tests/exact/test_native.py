"""Compiled loops call no Python: where one did, a Ctrl-C in it came back as a SystemError."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
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


def test_a_loop_is_compiled_again_when_one_that_it_calls_in_another_file_changes(tmp_path: Path) -> None:
    head = "from qlstm_qiskit.exact.native import jit\n"
    (tmp_path / "outer.py").write_text(head + "from inner import fill\n@jit\ndef run(out):\n    fill(out)\n")
    code = (
        "import numpy as np, outer; out = np.zeros(1); outer.run(out); print(out[0], sum(outer.run.stats.cache_hits.values()))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    said = []
    for value in (1, 1, 2):
        (tmp_path / "inner.py").write_text(head + f"@jit\ndef fill(out):\n    out[0] = {value}\n")
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.split())
    assert said == [["1.0", "0"], ["1.0", "1"], ["2.0", "0"]]
