"""Compiled loops call no Python: where one did, a Ctrl-C in it came back as a SystemError."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
import torch

from qlstm_qiskit.exact import kernels, replica_kernels, vectors
from qlstm_qiskit.exact.feature_kernels import features_backward
from qlstm_qiskit.hardware import StatevectorBackend
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.nn.sequence_kernels import lstm_over
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


CALLS = "from qlstm_qiskit.exact.native import jit\n@jit\ndef fill(out):\n    out[0] = {value}\n"
WRITES_CODE = """from numba import types
from numba.extending import intrinsic
@intrinsic
def fill(context, out):
    def generate(context, builder, signature, values):
        array = context.make_array(signature.args[0])(context, builder, values[0])
        builder.store(context.get_constant(types.float64, {value}), array.data)
        return context.get_dummy_value()
    return types.void(out), generate
"""


@pytest.mark.parametrize("inner", [pytest.param(CALLS, id="a loop"), pytest.param(WRITES_CODE, id="what writes code")])
def test_a_loop_is_compiled_again_when_what_it_calls_in_another_file_changes(inner: str, tmp_path: Path) -> None:
    head = "from qlstm_qiskit.exact.native import jit\n"
    (tmp_path / "outer.py").write_text(head + "from inner import fill\n@jit\ndef run(out):\n    fill(out)\n")
    code = (
        "import numpy as np, outer; out = np.zeros(1); outer.run(out); print(out[0], sum(outer.run.stats.cache_hits.values()))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    said = []
    for value in (1, 1, 2):
        (tmp_path / "inner.py").write_text(inner.format(value=value))
        os.utime(tmp_path / "inner.py", (value, value))  # a clock may be too coarse to tell
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        said.append(done.stdout.split())
    assert said == [["1.0", "0"], ["1.0", "1"], ["2.0", "0"]]


def test_a_loop_is_compiled_again_when_what_writes_its_vectors_changes() -> None:
    source = Path(vectors.__file__).stat()
    for loop in (kernels.build_forward, kernels.build_backward, replica_kernels.build_backward, features_backward, lstm_over):
        assert (source.st_mtime, source.st_size) in loop._cache._cache_file._source_stamp


def test_without_compilation_the_loops_give_the_same_numbers() -> None:
    code = (
        "import torch; from qlstm_qiskit import QLSTM, SearchSpace; g = torch.Generator().manual_seed(1);"
        "m = QLSTM(2, 3, depth=1, space=SearchSpace.handcrafted(1), angle_std=1.0, generator=g);"
        "x = torch.rand(3, 5, 2, dtype=torch.float64, generator=g); m(x)[0].square().sum().backward();"
        "print(m.cells[0].bank.angles.grad.flatten().tolist())"
    )
    found = []
    for environment in (dict(os.environ), os.environ | {"NUMBA_DISABLE_JIT": "1"}):
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.append(torch.tensor(json.loads(done.stdout), dtype=torch.float64))
    assert found[0].abs().max() > 1e-3
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-13)
