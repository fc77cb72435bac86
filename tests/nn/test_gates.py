"""Banks whose gates sum over candidates of their own."""

import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qlstm_qiskit.errors import CircuitError, OptionError
from qlstm_qiskit.nn import QLSTM, CircuitBank
from qlstm_qiskit.search import Genotype
from qlstm_qiskit.space import SearchSpace
from tests.hardware.test_bank import CountingBackend

GATES = [[0, 3], [1], [1, 2, 3], [3]]
CANDIDATES = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"]).candidates(3, 2)


def bank(gates=None, **options) -> CircuitBank:
    generator = torch.Generator().manual_seed(3)
    return CircuitBank(CANDIDATES, 4, 2, gates=gates, angle_std=1.0, generator=generator, **options)


def randomised(module: CircuitBank) -> CircuitBank:
    with torch.no_grad():
        for parameter in module.arch_parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=torch.Generator().manual_seed(5), dtype=parameter.dtype))
    return module


@pytest.mark.parametrize("sharing", ["none", "shared"])
@pytest.mark.parametrize("mixing", ["linear", "softmax"])
def test_a_part_of_the_candidates_is_the_whole_with_weight_zero_for_the_others(sharing: str, mixing: str) -> None:
    whole, part = randomised(bank(sharing=sharing, mixing=mixing)), bank(GATES, sharing=sharing, mixing=mixing)
    wanted = torch.tensor([[place in own for place in range(4)] for own in GATES])
    x = torch.rand(5, 3, dtype=torch.float64)
    with torch.no_grad():
        part.structural_weights.copy_(whole.structural_weights[wanted])
    assert torch.equal(
        part.expanded_angles()[part.expanded_angles() != 0], whole.expanded_angles()[part.expanded_angles() != 0]
    )
    with torch.no_grad():
        whole.structural_weights[~wanted] = 0.0 if mixing == "linear" else -torch.inf
    results = []
    for module in (whole, part):
        values = module(x)
        results.append((values, *torch.autograd.grad(values.square().sum(), [module.angles, module.structural_weights])))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=0, atol=1e-14)
    torch.testing.assert_close(results[1][2], results[0][2][wanted], rtol=0, atol=1e-13)
    if sharing == "shared":
        torch.testing.assert_close(results[1][1], results[0][1], rtol=0, atol=1e-13)
    else:
        torch.testing.assert_close(results[1][1], results[0][1][wanted.repeat_interleave(6, dim=1)], rtol=0, atol=1e-13)


def test_only_what_a_gate_sums_over_has_parameters_and_is_counted() -> None:
    part = bank(GATES)
    assert (part.angles.numel(), part.structural_weights.numel(), part.n_circuits) == (7 * 6, 7, 7)
    assert part.coefficients()[1].tolist() == [0, 1, 0, 0]
    assert bank([[2]] * 4).n_circuits == 4
    assert {"angles", "structural_weights"} == set(part.state_dict())


@pytest.mark.parametrize("sharing", ["none", "shared"])
def test_restrict_twice_keeps_values_and_says_where_they_were(sharing: str) -> None:
    module = randomised(bank(sharing=sharing))
    x = torch.rand(5, 3, dtype=torch.float64)
    start = {name: value.clone() for name, value in module.state_dict().items()}
    first = module.restrict([[0, 1, 3], [1, 3], [1, 3], [3]])
    assert [c.name for c in module.candidates] == ["H-RY|linear-RY", "H-RY|cyclic-RX", "RX|cyclic-RX"]
    for kept in first:
        assert torch.equal(kept.after, kept.before.flatten()[kept.places])
    second = module.restrict([[0, 2], [1], [1, 2], [2]])  # places among the three that are left
    again = bank([[0, 3], [1], [1, 3], [3]], sharing=sharing)
    with torch.no_grad():
        again.structural_weights.copy_(start["structural_weights"].flatten()[[0, 3, 5, 9, 11, 15]])
        if sharing == "none":
            assert torch.equal(second[0].after, again.angles)
    torch.testing.assert_close(module(x), again(x), rtol=0, atol=1e-14)
    frozen = bank(circuits="frozen")
    frozen.restrict([[0]] * 4)
    assert not frozen.angles.requires_grad


@pytest.mark.parametrize("gates", [[[0]] * 3, [[0], [], [1], [2]], [[0], [4], [1], [2]], [[-1]] * 4])
def test_gates_that_do_not_fit_are_refused(gates) -> None:
    with pytest.raises(OptionError, match="at least one place from 0 to 3 for each of 4 gates"):
        bank(gates)
    with pytest.raises(OptionError, match="at least one place"):
        bank().restrict(gates)
    with pytest.raises(OptionError, match=r"gate 1 sums over candidates \[1\]; it cannot keep \[0\]"):
        bank([[0, 3], [1], [0], [3]]).restrict([[0], [0], [0], [3]])


def test_a_device_is_asked_for_the_circuits_of_the_gates_alone() -> None:
    backend = CountingBackend()
    ours, exact = bank(GATES, backend=backend), bank(GATES)
    x = torch.rand(5, 3, dtype=torch.float64)
    results = []
    for module in (exact, ours):
        values = module(x)
        results.append((values, *torch.autograd.grad(values.square().sum(), list(module.parameters()))))
    for own, oracle in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(own, oracle, rtol=0, atol=1e-11)
    assert sum(backend.executor.jobs[0]) == 7 * 5, "seven pairs of gate and candidate, five samples"


def genotype() -> Genotype:
    first = {key: [{"candidate": "H-RY|linear-RY", "weight": 1.5}] for key in ("input", "forget", "cell", "output")}
    second = first | {"cell": [{"candidate": "RX|cyclic-RX", "weight": -0.5}, {"candidate": "RY|linear-RY", "weight": 0.25}]}
    return Genotype.model_validate({"depth": 2, "layers": [first, second]})


def test_a_genotype_makes_a_model_and_is_readable_plain_data() -> None:
    found = genotype()
    assert Genotype.model_validate_json(found.model_dump_json()) == found
    layer = QLSTM(1, 2, depth=found.depth, space=found.spaces(), num_layers=2)
    assert layer.n_circuits == found.n_circuits == 9
    assert [[c.name for c in cell.bank.candidates] for cell in layer.layers()] == [
        ["H-RY|linear-RY"],
        ["H-RY|linear-RY", "RX|cyclic-RX", "RY|linear-RY"],
    ]
    layer(torch.zeros(3, 4, 1, dtype=torch.float64))[0].sum().backward()
    with pytest.raises(OptionError, match="2 search spaces for 1 layers"):
        QLSTM(1, 2, depth=2, space=found.spaces())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": None}, "need a depth"),
        ({"layers": []}, "at least 1 item"),
        ({"layers": [{"input": []}]}, "expected input, forget, cell, output"),
        ({"layers": [{key: [] for key in ("input", "forget", "cell", "output")}]}, "at least one circuit"),
        ({"format": 2}, "format"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_damaged_genotype_is_refused(change: dict, message: str) -> None:
    content = genotype().model_dump() | change
    with pytest.raises(ValueError, match=message):
        Genotype.model_validate(content)
    content = genotype().model_dump(mode="json")
    content["layers"][0]["cell"][0]["candidate"] = "H-RW|linear-RY"
    with pytest.raises(ValueError, match="neither a known name nor stored"):
        Genotype.model_validate(content)


def test_own_circuits_are_stored_in_the_genotype() -> None:
    x, w = ParameterVector("x", 3), ParameterVector("w", 12)
    circuit = QuantumCircuit(3, name="mine")
    for k in range(12):
        circuit.ry(w[11 - k], k % 3)
        if k < 2:  # an input that the circuit does not use
            circuit.rz(2 * x[k], k)
        circuit.cx(k % 3, (k + 1) % 3)
    other = SearchSpace.product({"H-RY": circuit_of_rx}, ["linear-RY"]).candidates(3, 2)[0]
    mine = SearchSpace.from_circuits([circuit], inputs=list(x)[:2]).candidates()[0]
    for candidate in (mine, other):
        layer = [[(candidate, 1.0, None)]] * 4
        found = Genotype.from_circuits([layer], 2, {})
        again = Genotype.model_validate_json(found.model_dump_json())
        assert again.depth is None
        assert list(again.circuits) == [candidate.name]
        read = again.spaces()[0].candidates()[0]
        assert [p.name for p in read.weights] == [p.name for p in candidate.weights]
        values = torch.rand(2, len(candidate.inputs), dtype=torch.float64)
        before, after = CircuitBank([candidate], 1, angle_std=1.0), CircuitBank([read], 1)
        after.load_state_dict(before.state_dict())
        assert torch.equal(before(values), after(values))
    known = SearchSpace.paper().candidates(3, 2)[5]
    assert Genotype.from_circuits([[[(known, 1.0, 0.5)]] * 4], 2, {}).circuits == {}
    damaged = again.model_copy(
        update={"circuits": {"H-RY|linear-RY": again.circuits["H-RY|linear-RY"].model_copy(update={"qpy": "AAAA"})}}
    )
    with pytest.raises(CircuitError, match="damaged"):
        damaged.spaces()


def circuit_of_rx(n_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(n_qubits)
    for qubit, angle in enumerate(ParameterVector("a", n_qubits)):
        circuit.rx(angle, qubit)
    return circuit


def test_circuits_of_one_name_are_not_taken_for_one_another() -> None:
    def named(gate: str) -> QuantumCircuit:
        circuit = QuantumCircuit(2, name="mine")
        for qubit, angle in enumerate(ParameterVector("x", 2)):
            getattr(circuit, gate)(angle, qubit)
        return circuit

    with pytest.raises(CircuitError, match="more than one circuit is named 'mine'"):
        SearchSpace.from_circuits([named("rx"), named("ry")])
    first, second, again = (SearchSpace.from_circuits([named(gate)]).candidates()[0] for gate in ("rx", "ry", "rx"))
    layers = [[[(candidate, 1.0, None)]] * 4 for candidate in (first, second)]
    with pytest.raises(CircuitError, match="two different circuits are named 'mine'"):
        Genotype.from_circuits(layers, None, {})
    assert list(Genotype.from_circuits([layers[0], [[(again, 1.0, None)]] * 4], None, {}).circuits) == ["mine"]
    narrow, wide = (SearchSpace.paper().candidates(n, 1)[0] for n in (2, 3))  # known by name at any size
    assert Genotype.from_circuits([[[(item, 1.0, None)]] * 4 for item in (narrow, wide)], 1, {}).depth == 1
