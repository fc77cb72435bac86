"""Exports: circuits in two formats and the multilinear form, each read back, each predicting as the model does."""

import csv
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit, qasm3, qpy
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import RXXGate
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from torch import nn

from qlstm_qiskit.data import Scaler
from qlstm_qiskit.errors import CircuitError, OptionError, RunError
from qlstm_qiskit.experiments.export import multilinear_reader
from qlstm_qiskit.experiments.export import write as export_module
from qlstm_qiskit.experiments.export.read import load_exported
from qlstm_qiskit.experiments.export.write import FORMATS, export_model
from qlstm_qiskit.experiments.runs.load import ModelHeader, predict_windows
from qlstm_qiskit.nn import QGRU, QLSTM, Forecaster, Recurrent
from qlstm_qiskit.search import Genotype
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training.models import build_forecaster
from tests.nn.test_gates import genotype
from tests.speed import slow_but

WINDOWS = np.random.default_rng(1).uniform(-1, 1, (7, 4, 2))


def header(n_features: int = 2, horizon: int = 2) -> ModelHeader:
    return ModelHeader(
        epoch=2,
        features=("a", "b")[:n_features],
        target="a",
        window=4,
        horizon=horizon,
        input_scaler=Scaler((-1.5, 2.0)[:n_features], (10.0, 2.0)[:n_features]),  # the second is a constant column
        target_scaler=Scaler((-1.5,), (10.0,)),
    )


FOUR = SearchSpace.product(["H-RY", "RX"], ["linear-RY", "cyclic-RX"])


def randomised(forecaster: Forecaster) -> Forecaster:
    """Parameters that make every one of them count, and leave the gates' functions steep."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in forecaster.named_parameters():
            scale = 4 / parameter.numel() ** 0.5 if "structural" in name else 1.0
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return forecaster.eval()


def named(model: str, **options) -> Forecaster:
    return randomised(build_forecaster(model, 2, 2, **({"hidden_size": 2, "depth": 1} | options)))


def from_space(space, layer: type[Recurrent] = QLSTM, **options) -> Forecaster:
    recurrent = layer(2, 2, space=space, batch_first=True, **options)
    return randomised(Forecaster(recurrent, nn.Linear(2 * recurrent.n_directions, 2, dtype=torch.float64)))


def ragged() -> Forecaster:
    found = genotype()
    return from_space(found.spaces(), depth=found.depth, num_layers=2)


def own_circuits(*, twice: bool = False, expression=None) -> list[QuantumCircuit]:
    """Circuits on four inputs whose names get in each other's way; the last qubit of the first one reads no data."""
    x, w = ParameterVector("x", 4), [Parameter("w1"), Parameter("x0"), Parameter("a b")]
    first, second = QuantumCircuit(4, name="my/own"), QuantumCircuit(4, name="my own")
    first.ry(2 * x[0] + 0.3, 0)
    first.rx(x[1] - 3 * x[2], 1)
    first.append(RXXGate(w[0]), [0, 1])
    first.crz(0.5 * w[1] + 1 / 3, 1, 2) if twice else first.rz(0.5 * w[1] + 1 / 3 - w[0], 2)
    first.cx(0, 3)
    first.cx(1, 0)
    if twice:
        first.ry(x[0], 0)
    second.h(range(4))
    for qubit in range(4):
        second.rz((2 if qubit == 0 else 1) * x[qubit], qubit)
        second.rx(w[2], qubit)
        second.sx(qubit)
    second.ry(np.pi / 2 + 1e-10, 1)
    second.iswap(0, 1)
    if expression is not None:
        first.rz(expression(w[0]), 0)
        first.ry(0.1, 0)
    return [first, second]


def own(**options) -> Forecaster:
    observables = [SparsePauliOp.from_list([("IIIZ", 0.5), ("IXXI", -1.5)]), SparsePauliOp("ZIII")]
    return from_space(SearchSpace.from_circuits(own_circuits(**options), observables=observables))


MODELS = {
    "diffqas": lambda: named("diffqas"),
    "diffqas-shared": lambda: named("diffqas-shared"),
    "reservoir, softmax": lambda: named("reservoir", mixing="softmax"),
    "gumbel": lambda: named("diffqas", mixing="gumbel-softmax"),
    "config1": lambda: named("config1", depth=2),
    "hybrid, 2 layers": lambda: named("diffqas", n_qubits=3, num_layers=2, hidden_size=4),
    "arctan": lambda: named("config2", input_map="arctan", hidden_size=3),
    "ragged": ragged,
    "own": own,
    "gru": lambda: from_space(SearchSpace.paper(), QGRU, depth=1),
    "gru, 2 layers, both ways": lambda: from_space(FOUR, QGRU, depth=1, num_layers=2, bidirectional=True),
    "hybrid, both ways": lambda: from_space(FOUR, depth=1, n_qubits=2, bidirectional=True),
}


#: Those without hundreds of circuits to write and read, one of a format, and a cell of each kind.
SMALL = [("config1", "multilinear"), ("arctan", "qasm3"), ("own", "qpy"), ("gru", "multilinear"), ("ragged", "multilinear")]


@pytest.mark.parametrize(("model", "kind"), slow_but(SMALL, product(MODELS, FORMATS)))
def test_round_trips_reproduce_predictions(model: str, kind: str, tmp_path: Path) -> None:
    forecaster, out = MODELS[model](), tmp_path / "new" / "out"
    expected = predict_windows(forecaster, WINDOWS)
    assert expected.std(axis=0).min() > 5e-4, "predictions depend on the data"
    written = export_model(forecaster, header(), out, kind)
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == set(written.files)
    original = header().target_scaler.inverse(expected)
    raw = header().input_scaler.inverse(WINDOWS)
    if kind == "multilinear":
        read = multilinear_reader.load(out / "multilinear.json")
        scaled, values = multilinear_reader.predict(read, WINDOWS, scaled=True), multilinear_reader.predict(read, raw)
    else:
        exported = load_exported(out)
        scaled, values = exported.predict(WINDOWS), exported.predict(raw, scaled=False)
        np.testing.assert_allclose(load_exported(out, bound=True).predict(WINDOWS), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(values, original, rtol=0, atol=1e-11)  # 5.75 times as wide
    assert written.difference <= 1e-12


@pytest.mark.slow
def test_float32_stays_float32(tmp_path: Path) -> None:
    forecaster = named("config1", dtype=torch.float32)
    export_model(forecaster, header(), tmp_path / "qpy", "qpy")
    exported = load_exported(tmp_path / "qpy")
    for name, value in forecaster.state_dict().items():
        assert torch.equal(exported.forecaster.state_dict()[name].flatten(), value.flatten())
    assert np.array_equal(exported.predict(WINDOWS), predict_windows(forecaster, WINDOWS))
    export_model(forecaster, header(), tmp_path / "form", "multilinear")


@pytest.mark.parametrize("kind", ["qasm3", "qpy"])
def test_a_weight_may_have_the_name_that_an_input_gets(kind: str, tmp_path: Path) -> None:
    x, circuit = ParameterVector("x", 4), QuantumCircuit(4)
    for qubit, name in enumerate(("x0", "x3", "w0", "x1")):
        circuit.ry(x[qubit] - 2 * Parameter(name), qubit)
        circuit.cx(qubit, (qubit + 1) % 4)
    forecaster = from_space(SearchSpace.from_circuits([circuit]))
    written = export_model(forecaster, header(), tmp_path, kind)
    assert written.difference <= 1e-12
    assert load_exported(tmp_path).model.layers[0].candidates["circuit-0"].weights == {
        "w0": "w0",
        "w1": "x0",
        "w2": "x1",
        "w3": "x3",
    }


@pytest.mark.parametrize("bound", [False, True])
def test_what_is_read_back_runs_on_other_backends(bound: bool, tmp_path: Path) -> None:
    forecaster = ragged()
    export_model(forecaster, header(), tmp_path, "qasm3")
    exported = load_exported(tmp_path, backend="aer-exact", bound=bound)
    np.testing.assert_allclose(exported.predict(WINDOWS), predict_windows(forecaster, WINDOWS), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["qasm3", "qpy"])
def test_files_are_enough_for_stock_qiskit(kind: str, tmp_path: Path) -> None:
    """One gate's sum from the manifest and the bound files, by Qiskit's own estimator."""
    forecaster = own()
    export_model(forecaster, header(), tmp_path, kind)
    (layer,) = json.loads((tmp_path / "model.json").read_text())["layers"]
    values = np.array([0.3, -0.8, 0.5, 0.1])
    total = np.zeros(2)
    for term in layer["gates"]["cell"]:
        candidate, path = layer["candidates"][term["candidate"]], tmp_path / term["bound"]["path"]
        circuit = qasm3.loads(path.read_text()) if kind == "qasm3" else qpy.load(path.open("rb"))[0]
        order = [list(candidate["inputs"]).index(parameter.name) for parameter in circuit.parameters]
        observables = [SparsePauliOp.from_list(terms) for terms in candidate["observables"]]
        result = StatevectorEstimator().run([(circuit, observables, values[order])]).result()[0]
        total += term["coefficient"] * result.data.evs
    bank = next(forecaster.recurrent.layers()).bank
    np.testing.assert_allclose(total, bank(torch.tensor(values)).detach()[2], rtol=0, atol=1e-12)


def test_file_names_say_layer_gate_and_candidate(tmp_path: Path) -> None:
    written = export_model(own(), header(), tmp_path / "own", "qasm3")
    assert {name for name in written.files if "forget" in name or "bound" not in name} == {
        "circuits/layer1-my_own.qasm",
        "circuits/layer1-my_own-2.qasm",
        "circuits/layer1-forget-my_own-bound.qasm",
        "circuits/layer1-forget-my_own-2-bound.qasm",
        "circuits/stdgates.inc",
        "model.json",
    }
    assert written.files[-1] == "model.json"
    manifest = json.loads((tmp_path / "own" / "model.json").read_text())
    weights = manifest["layers"][0]["candidates"]["my/own"]["weights"]
    assert weights == {"w0": "w1", "w1": "x0"}
    written = export_model(named("config1"), header(), tmp_path / "config", "qpy")
    assert "circuits/layer1-output-H-RY_linear-RY-bound.qpy" in written.files


def test_the_reader_needs_numpy_only(tmp_path: Path) -> None:
    """In a process that cannot import anything else that is installed."""
    forecaster = MODELS["hybrid, 2 layers"]()
    export_model(forecaster, header(), tmp_path / "out", "multilinear")
    raw = header().input_scaler.inverse(np.random.default_rng(2).uniform(-1, 1, (9, 2)))
    with (tmp_path / "series.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["b", "a"], *raw[:, ::-1].tolist()])
    script = (
        "import runpy, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] not in {'numpy', *sys.stdlib_module_names}:\n"
        "            raise ImportError('there is no ' + name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'qiskit', 'qlstm_qiskit'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "out" / "predict.py")]
    done = subprocess.run([*command, str(tmp_path / "series.csv")], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, *rows = list(csv.reader(done.stdout.splitlines()))
    assert first == ["after_row", "a+1", "a+2"]
    assert [int(row[0]) for row in rows] == list(range(4, 10))
    windows = np.stack([raw[start : start + 4] for start in range(6)])
    expected = predict_windows(forecaster, header().input_scaler.transform(windows))
    given = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(given, header().target_scaler.inverse(expected), rtol=0, atol=1e-11)
    short = tmp_path / "short.csv"
    short.write_text("a,b\n1,2\n")
    done = subprocess.run([*command, str(short)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (2, f"error: {short} has 1 rows; a window needs 4")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="does not hold a model of the format"):
        multilinear_reader.load(tmp_path / "other.json")


def test_candidates_that_read_other_angles_become_series_of_their_own(tmp_path: Path) -> None:
    export_model(own(), header(), tmp_path, "multilinear")
    (layer,) = json.loads((tmp_path / "multilinear.json").read_text())["layers"]
    assert [series["factors"][0] for series in layer["series"]] == [[2, 0, 0, 0], [2, 0, 0, 0]]
    assert layer["series"][0]["factors"][1:] == [[0, 1, -3, 0], [0] * 4, [0] * 4]


def test_what_a_format_cannot_hold_is_refused_and_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "out"
    with pytest.raises(CircuitError, match=r"'my/own' has no multilinear form: it reads its data more than once"):
        export_model(own(twice=True), header(), out, "multilinear")
    x = ParameterVector("x", 4)
    squares = QuantumCircuit(4, name="squares")
    for qubit in range(4):
        squares.ry(x[qubit] ** 2, qubit)
    tree = from_space(SearchSpace.from_circuits([squares]))
    with pytest.raises(CircuitError, match=r"'squares' reads its data as .*v0.*, which is not linear"):
        export_model(tree, header(), out, "multilinear")
    for odd in (tree, own(expression=lambda weight: weight.sin())):
        with pytest.raises(CircuitError, match="cannot be exported as qasm3: .* cannot be read as qasm3 .*Use --format qpy"):
            export_model(odd, header(), out, "qasm3")
        assert list(tmp_path.iterdir()) == []
    export_model(own(twice=True, expression=lambda weight: weight.sin()), header(), tmp_path / "qpy", "qpy")
    with pytest.raises(OptionError, match="this model has no circuits"):
        export_model(named("lstm", depth=None), header(), out, "qpy")
    with pytest.raises(OptionError, match="unknown format 'qasm'. Did you mean 'qasm3'?"):
        export_model(own(), header(), out, "qasm")
    monkeypatch.setattr(export_module, "_rename", _swapped)
    with pytest.raises(CircuitError, match="read back, its predictions differ by"):
        export_model(named("config1"), header(), out, "qpy")
    assert not out.parent.exists()


def _swapped(candidate) -> QuantumCircuit:
    """A fault: two inputs change places."""
    names = ["x1", "x0", *(f"x{k}" for k in range(2, len(candidate.inputs)))] + [f"w{k}" for k in range(len(candidate.weights))]
    listed = [*candidate.inputs, *candidate.weights]
    return candidate.circuit.assign_parameters({p: Parameter(name) for p, name in zip(listed, names, strict=True)})


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_overwritten(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    for out in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(RunError, match="exists already"):
            export_model(named("config1"), header(), out, kind)
    with pytest.raises(RunError, match="cannot"):
        export_model(named("config1"), header(), tmp_path / "mine.txt" / "below", kind)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def _edit(out: Path, change) -> None:
    content = json.loads((out / "model.json").read_text())
    change(content)
    (out / "model.json").write_text(json.dumps(content))


DAMAGES = {
    "no manifest": (lambda out: (out / "model.json").unlink(), "there is no .*model.json"),
    "half a manifest": (lambda out: (out / "model.json").write_text('{"format": 1'), "model.json cannot be read"),
    "a list": (lambda out: (out / "model.json").write_text("[]"), "damaged or of another version"),
    "bytes": (lambda out: (out / "model.json").write_bytes(b"\xff\xfe"), "model.json cannot be read"),
    "another version": (lambda out: _edit(out, lambda c: c.update(format=2)), "of another version: format"),
    "an angle too few": (
        lambda out: _edit(out, lambda c: c["layers"][0]["gates"]["cell"][0]["angles"].pop()),
        "'H-RY|linear-RY' has 3 angles in the cell gate",
    ),
    "a gate too few": (lambda out: _edit(out, lambda c: c["layers"][0]["gates"].pop("cell")), "expected input, forget, cell"),
    "an unknown candidate": (
        lambda out: _edit(out, lambda c: c["layers"][0]["gates"]["cell"][0].update(candidate="other")),
        "'other', which is not among",
    ),
    "a head of another size": (lambda out: _edit(out, lambda c: c["head"]["bias"].pop()), "do not fit together"),
    "a ragged matrix": (lambda out: _edit(out, lambda c: c["head"]["weight"][0].pop()), "do not fit together"),
    "another hidden size": (lambda out: _edit(out, lambda c: c.update(hidden_size=3)), "do not fit together"),
    "another window of names": (
        lambda out: _edit(out, lambda c: c["layers"][0]["candidates"]["H-RY|linear-RY"]["inputs"].pop("x0")),
        "does not fit",
    ),
    "an observable of another size": (
        lambda out: _edit(out, lambda c: c["layers"][0]["candidates"]["H-RY|linear-RY"].update(observables=[[["Z", 1.0]]] * 2)),
        "an observable acts on 1 qubits, its circuit on 4",
    ),
    "a file elsewhere": (
        lambda out: _edit(
            out, lambda c: c["layers"][0]["candidates"]["H-RY|linear-RY"]["parameterised"].update(path="circuits/../x")
        ),
        "parameterised.path",
    ),
    "a circuit too few": (lambda out: (out / "circuits/layer1-H-RY_linear-RY.qasm").unlink(), "No such file"),
    "a changed circuit": (
        lambda out: (out / "circuits/layer1-H-RY_linear-RY.qasm").write_text("OPENQASM 3.0;"),
        "is not the file that was exported",
    ),
}


#: Of different kinds.
QUICK = ["no manifest", "half a manifest", "a gate too few", "another hidden size", "a changed circuit"]


@pytest.mark.parametrize("damage", slow_but(QUICK, DAMAGES))
def test_damage_is_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    export_model(named("config1"), header(), tmp_path, "qasm3")
    inflict, message = DAMAGES[damage]
    inflict(tmp_path)
    with pytest.raises(RunError, match=message.replace("|", r"\|")) as caught:
        load_exported(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_order_of_a_gates_terms_does_not_matter(tmp_path: Path) -> None:
    forecaster = ragged()
    export_model(forecaster, header(), tmp_path, "qpy")
    _edit(tmp_path, lambda content: [terms.reverse() for layer in content["layers"] for terms in layer["gates"].values()])
    for bound in (False, True):
        read = load_exported(str(tmp_path), bound=bound).predict(WINDOWS)
        np.testing.assert_allclose(read, predict_windows(forecaster, WINDOWS), rtol=0, atol=1e-12)


def test_a_genotype_in_json_and_the_parameters_predict_the_same() -> None:
    forecaster = own()
    (cell,) = forecaster.recurrent.layers()
    weights = cell.bank.coefficients().detach()
    layer = [[(c, float(weights[gate, k]), None) for k, c in enumerate(cell.bank.candidates)] for gate in range(4)]
    found = Genotype.model_validate_json(Genotype.from_circuits([layer], None, {}).model_dump_json())
    again = from_space(found.spaces())
    flat = {name: value.flatten() if "bank" in name else value for name, value in forecaster.state_dict().items()}
    again.load_state_dict(flat)
    np.testing.assert_allclose(predict_windows(again, WINDOWS), predict_windows(forecaster, WINDOWS), rtol=0, atol=1e-12)


def test_a_derived_genotype_keeps_its_name_and_weights(tmp_path: Path) -> None:
    known = SearchSpace.paper().candidates(4, 1)
    layer = [[(known[place], 0.5, None)] for place in (0, 7, 7, 21)]
    found = Genotype.from_circuits([layer], 1, {})
    forecaster = from_space(found.spaces(), depth=found.depth)
    export_model(forecaster, header(), tmp_path, "qasm3")
    exported = load_exported(tmp_path)
    assert exported.model.layers[0].gates["cell"][0].candidate == known[7].name
    assert len(exported.model.layers[0].candidates) == 3
    np.testing.assert_allclose(exported.predict(WINDOWS), predict_windows(forecaster, WINDOWS), rtol=0, atol=1e-12)
