"""Models side by side, against each by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from torch import Tensor, nn

from qlstm_qiskit import QGRU, QLSTM, SearchSpace
from qlstm_qiskit.errors import CircuitError, OptionError, ShapeError
from qlstm_qiskit.exact import ExactBank, noisy, replicas
from qlstm_qiskit.exact import bank as exact_bank
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.nn import CircuitBank, Forecaster
from qlstm_qiskit.nn.replaced import replace_banks
from qlstm_qiskit.nn.replicas import ReplicaBank, replica_bytes, side_by_side
from qlstm_qiskit.space import Candidate

CONFIG1 = SearchSpace.handcrafted(1)
KINDS: dict[str, dict[str, Any]] = {
    "one circuit for each gate": {"space": CONFIG1},
    "36 candidates": {},
    "shared angles": {"sharing": "shared"},
    "frozen angles": {"circuits": "frozen"},
    "softmax": {"mixing": "softmax"},
    "linear layers": {"n_qubits": 5, "space": CONFIG1},
    "layers, directions": {"num_layers": 2, "bidirectional": True, "space": CONFIG1},
    "dropped candidates": {"restrict": [[0, 7], [3], [1, 2, 3], [35]]},
    "a GRU": {"cell": QGRU, "space": CONFIG1},
    "products": {"bank": "products-all"},
    "tanh, linear layers": {"bank": "tanh", "n_qubits": 5, "space": CONFIG1},
    "tanh without biases": {"bank": "tanh", "space": CONFIG1},
    "frozen features, a GRU": {"bank": "frozen", "cell": QGRU},
    "products, layers, directions": {"bank": "products", "num_layers": 2, "bidirectional": True, "space": CONFIG1},
}


def models(
    n: int = 3, cell: type[QLSTM] | type[QGRU] = QLSTM, restrict: Any = None, bank: str | None = None, **options: Any
) -> list[Forecaster]:
    made = []
    for seed in range(n):
        generator = torch.Generator().manual_seed(seed)
        layer = cell(2, 2, batch_first=True, generator=generator, angle_std=1.0, depth=1, **options)
        head = nn.Linear(layer.hidden_size * layer.n_directions, 2, dtype=torch.float64)
        for parameter in head.parameters():
            nn.init.normal_(parameter, generator=generator)
        if restrict is not None:
            layer.restrict([restrict])
        if bank is not None:
            replace_banks(layer, bank, generator)
        made.append(Forecaster(layer, head))
    return made


def windows(n: int, batch: int = 4) -> Tensor:
    return torch.randn(n, batch, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_are_those_of_each(kind: str) -> None:
    own = models(**KINDS[kind])
    joint, inputs = side_by_side(own), windows(len(own))
    outputs = joint(inputs.flatten(0, 1)).view(len(own), -1, 2)
    outputs.square().sum().backward()
    stacked = dict(joint.named_parameters())
    for place, model in enumerate(own):
        alone = model(inputs[place])
        alone.square().sum().backward()
        torch.testing.assert_close(outputs[place], alone, rtol=0, atol=1e-13)
        assert stacked.keys() == dict(model.named_parameters()).keys()
        for name, parameter in model.named_parameters():
            assert stacked[name].requires_grad == parameter.requires_grad
            torch.testing.assert_close(stacked[name][place], parameter, rtol=0, atol=0)
            if parameter.requires_grad:
                torch.testing.assert_close(stacked[name].grad[place], parameter.grad, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(joint(inputs.flatten(0, 1)).view_as(outputs), outputs, rtol=0, atol=1e-13)


ENTRY: dict[str, Any] = {"name": "here", "kind": "statevector", "shots": 300}
NOISE: dict[str, Any] = {"noise": {"device": "torino", "readout": True}}
RX = SearchSpace.product(["RY", "H-RX"], ["linear-RY", "linear-RX"])
SAMPLED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "shots": ({}, {"space": CONFIG1}),
    "shots, candidates": ({}, {"space": RX}),
    "shots, linear layers": ({}, {"n_qubits": 5, "space": CONFIG1}),
    "shots, a GRU": ({}, {"cell": QGRU, "space": RX}),
    "shots, dropped candidates": ({}, {"space": RX, "restrict": [[0, 2], [3], [1, 2, 3], [1]]}),
    "bit strings": ({"sampling": "multinomial"}, {"space": CONFIG1}),
    "bit strings, candidates": ({"sampling": "multinomial"}, {"space": RX}),
    "noise": (NOISE | {"shots": None}, {"space": CONFIG1}),
    "noise, candidates": (NOISE | {"shots": None}, {"space": RX}),
    "shots and noise": (NOISE, {"space": CONFIG1}),
    "shots and noise, candidates": (NOISE, {"space": RX}),
}


def sampled(entry: dict[str, Any], options: dict[str, Any], n: int = 3) -> list[Forecaster]:
    """Models, each with a backend and a seed of its own."""
    spec = BackendSpec.model_validate({key: value for key, value in (ENTRY | entry).items() if value is not None})
    return [models(seed + 1, backend=load_backend(spec, seed=seed), **options)[seed] for seed in range(n)]


def passed(model: Forecaster, inputs: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Outputs of two passes, the latter without gradients, and the gradients of the first."""
    outputs = model(inputs)
    outputs.square().sum().backward()
    with torch.no_grad():
        again = model(inputs)
    return [outputs, again], {name: own.grad for name, own in model.named_parameters() if own.grad is not None}


@pytest.mark.parametrize("kind", SAMPLED)
def test_each_draws_what_it_would_draw_by_itself(kind: str) -> None:
    entry, options = SAMPLED[kind]
    own, inputs = sampled(entry, options), windows(3)
    values, gradients = passed(side_by_side(own), inputs.flatten(0, 1))
    one_values, one_gradients = passed(side_by_side(sampled(entry, options)[2:]), inputs[2])
    for place, model in enumerate(sampled(entry, options)):
        alone, alone_gradients = passed(model, inputs[place])
        for found, expected, by_one in zip(values, alone, one_values, strict=True):
            torch.testing.assert_close(found.view(3, -1, 2)[place], expected, rtol=0, atol=1e-12)
            assert place < 2 or torch.equal(found.view(3, -1, 2)[place], by_one)
        assert alone_gradients.keys() == gradients.keys()
        for name, gradient in alone_gradients.items():
            torch.testing.assert_close(gradients[name][place], gradient, rtol=0, atol=1e-11)
            assert place < 2 or torch.equal(gradients[name][place], one_gradients[name][0])
    counts = {model.circuits.cells[0].bank.backend.draws.count for model in own}  # type: ignore[union-attr]
    n_stages = 2 if "GRU" in kind else 1
    assert counts == ({0} if "shots" not in kind and "bit" not in kind else {2 * 3 * n_stages})


@pytest.mark.parametrize("kind", [kind for kind in SAMPLED if "GRU" not in kind])
def test_bytes_are_those_that_a_pass_asks_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, asked = sampled(*SAMPLED[kind], n=1), list[int]()
    for module in (exact_bank, noisy):
        monkeypatch.setattr(module, "require_bytes", lambda needed, *about: asked.append(needed))
    inputs = windows(1)[0]
    side_by_side(own)(inputs)
    assert replica_bytes(own[0], samples=len(inputs), calls=inputs.shape[1]) == sum(asked) > 0


@pytest.mark.parametrize("kind", ["shots, candidates", "bit strings, candidates", "shots and noise, candidates"])
def test_sampled_candidates_apart_are_those_of_each_replica(kind: str) -> None:
    own, alone = (sampled(*SAMPLED[kind]) for _ in range(2))
    banks, others = ([model.circuits.cells[0].bank for model in each] for each in (own, alone))  # type: ignore[union-attr]
    inputs = torch.randn(3, 5, banks[0].n_inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    joint = ReplicaBank(banks).bind(samples=15).candidates(inputs.flatten(0, 1))
    for bank, rows, found in zip(others, inputs, joint.chunk(3), strict=True):
        torch.testing.assert_close(found, bank.bind(samples=5).candidates(rows), rtol=0, atol=1e-12)


def test_constants_of_observables_are_added_for_each() -> None:
    generator = torch.Generator().manual_seed(3)
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuit = QuantumCircuit(2)
    for qubit in range(2):
        circuit.ry(x[qubit], qubit)
        circuit.ry(w[qubit], qubit)
    circuit.cx(0, 1)
    outputs = [SparsePauliOp.from_list([("IZ", 0.5), ("II", 0.7)]), SparsePauliOp(["ZI"])]
    candidates = [Candidate(name, circuit, tuple(x), tuple(w), outputs) for name in ("one", "two")]
    spec = BackendSpec.model_validate(ENTRY | {"reduce": False})

    backends = [load_backend(spec, seed=n) for n in range(2)]
    banks = [CircuitBank(candidates, 2, backend=own, angle_std=1.0, generator=generator) for own in backends]
    inputs = torch.randn(8, 2, dtype=torch.float64, generator=generator)
    joint = ReplicaBank(banks).bind(samples=8)(inputs)
    for n, bank in enumerate(banks):
        backends[n].draws.count = 0
        torch.testing.assert_close(joint[4 * n :][:4], bank.bind(samples=4)(inputs[4 * n :][:4]), rtol=0, atol=1e-13)


def test_shots_that_were_allocated_are_refused() -> None:
    own = sampled({}, {"space": CONFIG1})
    own[1].circuits.cells[0].bank.allocate([[5] * 4] * 3)  # type: ignore[union-attr]
    with pytest.raises(OptionError, match=r"undo what was allocated by allocate\(None\)"):
        side_by_side(own)


@pytest.mark.parametrize("kind", ["36 candidates", "linear layers"])
def test_blocks_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, found = models(**KINDS[kind]), []
    for size in (1, replicas._BLOCK_BYTES):
        monkeypatch.setattr(replicas, "_BLOCK_BYTES", size)
        joint = side_by_side(own)
        joint(windows(len(own)).flatten(0, 1)).square().sum().backward()
        found.append([parameter.grad for parameter in joint.parameters()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_a_sparse_form_is_evaluated_by_replica() -> None:
    own = models(space=CONFIG1, n_qubits=33)
    inputs = windows(len(own))
    outputs = side_by_side(own)(inputs.flatten(0, 1)).view(len(own), -1, 2)
    for place, model in enumerate(own):
        torch.testing.assert_close(outputs[place], model(inputs[place]), rtol=0, atol=1e-13)


def test_models_are_left_as_they_are() -> None:
    own = models(space=CONFIG1)
    joint = side_by_side(own)
    with torch.no_grad():
        for parameter in joint.parameters():
            parameter.zero_()
    assert all(bool(parameter.any()) for parameter in own[0].recurrent.parameters())


@pytest.mark.parametrize(
    "made",
    [
        [],
        [*models(1, space=CONFIG1), *models(1)],
        [Forecaster(nn.LSTM(2, 2, 2, batch_first=True, dropout=p), nn.Linear(2, 1)) for p in (0.1, 0.2)],
        [*models(1, bank="tanh"), *models(1, bank="frozen")],
        [*models(1), *models(1, bank="tanh")],
        [
            *models(1, bank="products", space=SearchSpace.handcrafted(4)),
            *models(1, bank="products", space=SearchSpace.handcrafted(6)),
        ],
        [*models(1, restrict=[[0], [1], [2], [3]]), *models(1, restrict=[[0], [1], [2], [4]])],
        [*models(1, space=CONFIG1), *models(1, space=CONFIG1, input_map="arctan")],
    ],
    ids=[
        "none",
        "other shapes",
        "another dropout",
        "other maps",
        "circuits and maps",
        "maps of other products",
        "other candidates",
        "another input map",
    ],
)
def test_what_are_no_replicas(made: list[Forecaster]) -> None:
    with pytest.raises(OptionError, match="replicas are models of one shape with the same candidates, or maps"):
        side_by_side(made)


@pytest.mark.parametrize("gradients", [False, True])
def test_sequences_that_are_not_as_many_for_each_are_refused(gradients: bool) -> None:
    joint = side_by_side(models(space=CONFIG1)).circuits
    assert joint is not None
    with torch.set_grad_enabled(gradients), pytest.raises(ShapeError, match="7 sequences are not as many for each of 3"):
        joint(windows(1, 7).flatten(0, 1))


def test_circuits_without_a_form_are_refused() -> None:
    bank = models(1, space=CONFIG1)[0].circuits.cells[0].bank  # type: ignore[union-attr]
    exact = ExactBank([candidate.program for candidate in bank.candidates], bank._bank._observables, path="states")
    with pytest.raises(CircuitError, match="have no multilinear form"):
        exact.bind_replicas(bank.angles.detach().unsqueeze(0))


def test_parameters_of_another_shape_are_refused() -> None:
    bank = models(1, space=CONFIG1)[0].circuits.cells[0].bank._bank  # type: ignore[union-attr]
    with pytest.raises(ShapeError, match="weights"):
        bank.bind_replicas(torch.zeros(3, 4, 1 + sum(bank.n_weights), dtype=torch.float64))


def test_candidates_apart_are_those_of_each_replica() -> None:
    own = models()
    banks = [model.circuits.cells[0].bank for model in own]  # type: ignore[union-attr]
    inputs = torch.randn(len(own), 5, banks[0].n_inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    joint = ReplicaBank(banks).bind(samples=5 * len(own)).candidates(inputs.flatten(0, 1))
    for bank, rows, found in zip(banks, inputs, joint.chunk(len(own)), strict=True):
        torch.testing.assert_close(found, bank.bind(samples=5).candidates(rows), rtol=0, atol=1e-13)


@pytest.mark.parametrize("bank", ["tanh", "frozen", "products", "products-all"])
def test_memory_of_maps_is_foreseen(bank: str) -> None:
    """Against what torch keeps for the way back."""
    model, n_rows = models(1, bank=bank)[0], 4 * 500
    kept: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        outputs = model(windows(1, n_rows)[0])
    assert outputs.requires_grad
    assert 0.7 < sum(kept.values()) / replica_bytes(model, samples=n_rows, calls=3) < 1.4
