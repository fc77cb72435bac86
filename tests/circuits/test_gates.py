"""The gate table against Qiskit's own matrices."""

import numpy as np
import pytest
import scipy.linalg
from qiskit.quantum_info import Operator

from qlstm_qiskit.circuits import GENERATORS
from qlstm_qiskit.circuits.gates import DECOMPOSITIONS, LIBRARY


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.9])
def test_generator_is_the_gate(name: str, angle: float) -> None:
    generator = GENERATORS[name]
    a, b, c = generator.parts()
    own = a + np.cos(generator.scale * angle) * b + np.sin(generator.scale * angle) * c
    gate = LIBRARY[name](angle)
    assert Operator(own).equiv(Operator(gate), rtol=0, atol=1e-14)
    np.testing.assert_allclose(own, scipy.linalg.expm(-1j * generator.scale * angle * generator.matrix), atol=1e-14)


@pytest.mark.parametrize("name", sorted(DECOMPOSITIONS))
def test_decomposition_is_the_gate(name: str) -> None:
    angles = (0.7, -1.3, 2.1)
    product = np.eye(2)
    for part, index in DECOMPOSITIONS[name]:
        product = Operator(LIBRARY[part](angles[index])).data @ product
    assert Operator(product).equiv(Operator(LIBRARY[name](*angles)), rtol=0, atol=1e-14)
