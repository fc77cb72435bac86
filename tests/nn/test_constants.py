"""Gates that are called constant are, and no other ones: by values and gradients of the circuits themselves."""

import torch

from qlstm_qiskit.nn import QGRU, QLSTM
from qlstm_qiskit.nn.constants import about_constants, circuit_verdicts, constant_gates
from qlstm_qiskit.search import Genotype

LIVE, BLIND, ZERO = "H-RY|linear-RY", "H-RX|cyclic-RY", "H-RX|linear-RX"


def genotype(**gates: list[str]) -> Genotype:
    """One LSTM whose gates sum over these circuits at depth 1; those that are not given see their inputs."""
    kept = {"input": [LIVE], "forget": [LIVE], "cell": [LIVE], "output": [LIVE]} | gates
    layer = {gate: [{"candidate": name, "weight": 0.5} for name in names] for gate, names in kept.items()}
    return Genotype.model_validate({"depth": 1, "layers": [layer]})


def test_what_is_called_constant_is() -> None:
    found = genotype(input=[BLIND], forget=[ZERO], cell=[BLIND, ZERO], output=[LIVE, BLIND])
    layer = QLSTM(1, 2, depth=1, space=found.spaces(), angle_std=1.0, generator=torch.Generator().manual_seed(0))
    (cell,) = layer.layers()
    assert circuit_verdicts(cell.bank) == {LIVE: "", BLIND: "blind", ZERO: "zero"}
    assert constant_gates(layer) == {"input": "blind", "forget": "zero", "cell": "blind"}
    inputs = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = cell.bank(inputs)
    spread = (values.amax(0) - values.amin(0)).amax(-1)
    assert (spread[:3] < 1e-12).all()
    assert spread[3] > 0.1
    assert values[:, 1].abs().max() < 1e-12
    assert (values[:, [0, 2]].abs().amax((0, 2)) > 0.01).all(), "blind is not zero"


def test_a_healthy_model_has_none_and_gates_are_named_by_their_layer() -> None:
    assert constant_gates(QLSTM(1, 2, depth=1)) == constant_gates(QGRU(1, 2, depth=1)) == {}
    assert about_constants({}) == ""
    (space,) = genotype(output=[ZERO]).spaces()
    (healthy,) = genotype().spaces()
    two = QLSTM(1, 2, depth=1, num_layers=2, space=[healthy, space])
    assert constant_gates(two) == {"output of layer 2": "zero"}
    text = about_constants(constant_gates(two))
    assert "output of layer 2 (zero)" in text
    assert "trained constant" not in text
