"""The conformance suite, on devices that each have one habit or fault: what it says of them, alone and here."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.circuit.library import CXGate, RYGate, XGate
from qiskit.providers import BackendV2
from qiskit.providers.basic_provider import BasicSimulator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qlstm_qiskit.cli import main
from qlstm_qiskit.errors import BudgetError
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.certify.outcome import CHECKS, Certificate
from qlstm_qiskit.hardware.certify.probes import order_fault, sets_fault, turns
from qlstm_qiskit.hardware.certify.suite import certify_backend
from qlstm_qiskit.hardware.config.file import find_spec
from qlstm_qiskit.hardware.config.parts import TranspileSpec
from tests.hardware import test_contract as contract
from tests.hardware import test_makers as makers
from tests.hardware import test_targets as targets
from tests.hardware.mock_service import Server, install
from tests.speed import slow_but

SHOTS = 900


def with_memory(change: Callable[[Any, Any], Any]) -> Callable[[], BackendV2]:
    """A device whose results are changed after they have had a memory, whether it was asked for or not."""
    return lambda: makers.Device(lambda result, circuits: change(makers._with_memory(result), circuits))


def reversed_bits(widths: tuple[int, ...] = (1, 2, 3)) -> Callable[[], BackendV2]:
    """Bits of each circuit in reverse order, where it measures one of these numbers of them."""

    def write(value: int, width: int) -> str:
        text = format(value, f"0{width}b")
        return hex(int(text[::-1] if width in widths else text, 2))

    return with_memory(makers.rewritten(write, memory=True))


def first_set_alone(result: Any, circuits: Any) -> Any:
    """Circuits of as many bits have the outcomes of the first of them."""
    first: dict[int, Any] = {}
    for item in result.results:
        item.data = first.setdefault(makers.bits(item), item.data)
    return result


def misread(item: Any, every: int = 5) -> None:
    """A fifth of the shots have all bits flipped."""
    flip = (1 << makers.bits(item)) - 1
    words = item.data.memory
    words[::every] = [hex(int(word, 16) ^ flip) for word in words[::every]]
    del item.data.counts


def ten_at_most(result: Any, circuits: Any) -> Any:
    """What is beyond ten circuits in a job was not run."""
    for item in result.results[10:]:
        item.data = type(item.data)(counts={"0x0": SHOTS}, memory=["0x0"] * SHOTS)
    return result


class Repeating(makers.Device):
    """Draws the same shots in every job."""

    def run(self, run_input: Any, **options: Any) -> Any:
        return super().run(run_input, **(options | {"seed_simulator": options.get("seed_simulator") or 5}))


class RaisesOnSeed(makers.Device):
    """Says that it takes a seed, and does not."""

    def run(self, run_input: Any, **options: Any) -> Any:
        if options.get("seed_simulator") is not None:
            raise ValueError("no such option: seed_simulator")
        return super().run(run_input, **options)


class WantsSeed(makers.Device):
    """Fails where the seed is None, as Qiskit's sampler gives it; results have no memory."""

    def __init__(self) -> None:
        super().__init__(lambda result, circuits: makers.RIGHT["counts alone"](makers._with_memory(result), circuits))

    def run(self, run_input: Any, **options: Any) -> Any:
        if "seed_simulator" in options and options["seed_simulator"] is None:
            raise TypeError("incompatible function arguments")
        return super().run(run_input, **options)


class Surprising(makers.Device):
    """Refuses what it did not say that it refuses."""

    def run(self, run_input: Any, **options: Any) -> Any:
        raise ValueError("Shots must be in the range [1, 100].")


class NoNumber(makers.Device):
    """States a limit that is none."""

    @property
    def max_circuits(self) -> Any:
        return 0


def without_y() -> BackendV2:
    """Real gates only."""
    own = [(RYGate(targets.T), targets.EVERY), (XGate(), targets.EVERY), (CXGate(), targets.LINE)]
    return targets.Described(targets.target_of(*own))


@dataclass
class Said:
    """What is expected: the first failing check here, with its cause; checks that fail alone, with theirs."""

    device: Callable[[], BackendV2]
    fails: tuple[str, str] | None = None
    raw: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


ORDER, SETS, SEEDS, FIT = (
    *("order of qubits and bits", "several parameter sets", "equal seeds"),
    "parameters kept by transpilation",
)
ZEROS = {"memory": "counts without memory", ORDER: "^zeros without memory$"}
NO_RESULT = {"kind of answer": "calibration", "independence of jobs": "KeyError: 'calibration'", SEEDS: "calibration"}
WRONG = {name: with_memory(change) for name, (change, _) in makers.WRONG.items()}
CASES = {
    "whole": Said(makers.Device),
    "one circuit at a time": Said(makers.OneByOne),
    "GenericBackendV2 with noise": Said(lambda: GenericBackendV2(4, seed=3)),
    "AerSimulator": Said(AerSimulator),
    "BasicSimulator, which names no number of qubits": Said(BasicSimulator),
    "FakeManilaV2": Said(FakeManilaV2),
    "one qubit": Said(lambda: GenericBackendV2(1, ["rz", "sx", "x"], noise_info=False, seed=1)),
    "two qubits": Said(lambda: GenericBackendV2(2, noise_info=False, seed=1)),
    "couplers in one direction": Said(targets.one_way),
    "gates of a part of the qubits": Said(targets.uneven),
    "no option for seeds": Said(makers.Seedless),
    "zeros without memory": Said(with_memory(makers.RIGHT["counts alone"]), None, ZEROS),
    "zeros without memory, and a seed wanted": Said(
        WantsSeed, None, ZEROS | {ORDER: "^zeros without memory; without a seed it raises TypeError$"}
    ),
    "a result at once": Said(makers.AtOnce, None, {"kind of answer": "a Result in place of a job", ORDER: "AttributeError"}),
    "seed ignored": Said(makers.Forgetful, None, {SEEDS: "ignores seed_simulator"}),
    "seed ignored, and relied on": Said(
        makers.Forgetful, (SEEDS, "the device has ignored seed"), {SEEDS: "ignores"}, {"seed": 5}
    ),
    "seed that nothing takes": Said(makers.Seedless, (SEEDS, "lab would ignore seed"), {}, {"seed": 5}),
    "raises on a seed": Said(RaisesOnSeed, (SEEDS, "no such option: seed_simulator"), {SEEDS: "no such option"}),
    "a limit that is none": Said(NoNumber, None, {"limits of circuits and shots": "max_circuits is '0'"}),
    "fewer shots than are asked for": Said(
        lambda: makers.Seedless(SHOTS - 1),
        ("limits of circuits and shots", f"shots is {SHOTS}; lab takes at most {SHOTS - 1}"),
        {"limits of circuits and shots": f"{SHOTS} shots are not within 1 to {SHOTS - 1}"},
    ),
    "a limit that is not stated": Said(
        Surprising,
        ("limits of circuits and shots", "it was refused .Shots must be in the range"),
        {"kind of answer": "ValueError: Shots must be"},
    ),
    "wider outcomes": Said(WRONG["wider numbers"], (ORDER, "the outcome '512'"), {}),
    "bits in reverse order": Said(reversed_bits(), (ORDER, "bits in reverse order"), {ORDER: "bits in reverse order"}),
    "bits of a subset in reverse order": Said(
        reversed_bits((2,)),
        ("subsets and idle qubits", "values are 1, -1, -1, 1 in place of -1, 1, 1, -1"),
        {"subsets and idle qubits": "values are"},
    ),
    "parameters of the first set alone": Said(
        with_memory(first_set_alone),
        (SETS, "all parameter sets give the values of the first"),
        {SETS: "all parameter sets give the values of the first"},
    ),
    "fails": Said(makers.Broken, ("kind of answer", "the device failed: KeyError: 'calibration'"), NO_RESULT),
    "nothing": Said(WRONG["nothing"], ("kind of answer", "neither a job nor a result"), {"kind of answer": "NoneType"}),
    "marked as failed": Said(WRONG["failed"], ("status", "marked as failed"), {"status": "marked as failed"}),
    "a circuit marked as failed": Said(
        WRONG["a circuit failed"], ("status", r"marked as failed .'ERROR: lost'"), {"status": "'ERROR: lost'"}
    ),
    "fewer results": Said(
        WRONG["fewer circuits"],
        ("number of results", "results of 3 circuits, and 4"),
        {"number of results": "1 results of 2 circuits"},
    ),
    "no data": Said(WRONG["no data"], ("memory", "neither counts nor memory"), {"memory": "neither memory nor counts"}),
    "short memory": Said(
        WRONG["short memory"],
        ("shots as asked", f"{SHOTS} shots, and|{SHOTS - 1} shots"),
        {"shots as asked": f"^{SHOTS - 1} shots in place of {SHOTS}$"},
    ),
    "other registers": Said(
        WRONG["a register more, as the header says"], ("register names", r"registers of \[2, 1\] bits"), {}
    ),
    "the same shots in every job": Said(
        Repeating, ("independence of jobs", "two jobs have the same shots"), {"independence of jobs": "the same shots"}
    ),
    "no gate for Y": Said(without_y, (FIT, "does not fit described"), {FIT: "TranspilerError"}),
    "a stage that fails": Said(targets._staged, (FIT, "no_such_plugin"), {FIT: "no_such_plugin"}),
    "misread by more than it says": Said(
        with_memory(makers.each(misread)), ("values", r"\d standard errors from the ideal circuit"), {}
    ),
    "ten circuits in a job": Said(
        with_memory(ten_at_most), ("gradients by parameter shift", r"\d standard errors from the ideal circuit"), {}
    ),
}
#: One of each kind of answer.
QUICK = (
    *("whole", "zeros without memory", "zeros without memory, and a seed wanted", "raises on a seed", "bits in reverse order"),
    *("parameters of the first set alone", "marked as failed", "short memory", "no gate for Y"),
    *("BasicSimulator, which names no number of qubits", "seed that nothing takes", "fewer shots than are asked for"),
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.fixture
def certify(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Certificate]:
    def certified(device: BackendV2, say: Callable[[str], None] = lambda _: None, **options: Any) -> Certificate:
        monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
        entry = {"name": "mine", "kind": "provider", "provider": "a:b", "shots": SHOTS, "guard": {"confirm": True}}
        return certify_backend(BackendSpec.model_validate(entry | options), say)

    return certified


@pytest.mark.parametrize("name", slow_but(QUICK, CASES))
def test_what_is_said_of_a_device(certify, name: str) -> None:
    said = CASES[name]
    found = certify(said.device(), **said.options)
    assert [check.name for check in found.checks] == list(CHECKS)
    failing = found.first_failing
    if said.fails is None:
        assert failing is None, failing
    else:
        assert failing is not None
        assert failing.name == said.fails[0], failing
        assert re.search(said.fails[1], failing.here.cause), failing
        assert "\n" not in failing.here.cause
    raw = {check.name: check.raw for check in found.checks}
    for check, cause in said.raw.items():
        assert raw[check].result == "failed", raw[check]
        assert re.search(cause, raw[check].cause), raw[check]
    if not said.raw and said.fails is None:
        assert {check.raw.result for check in found.checks} <= {"passed", "not applicable"}, found.checks


def test_noise_that_a_device_does_not_state_is_seen_and_judged_by_nothing(certify) -> None:
    """One in ten shots is wrong, as on IQM's devices, whose errors are not in their targets."""
    found = certify(with_memory(makers.each(lambda item: misread(item, every=10)))())
    assert found.first_failing is None, found.first_failing
    values = next(check.here for check in found.checks if check.name == "values")
    assert values.result == "not applicable"
    said = r"noise that its target does not state: \d+(\.\d)? standard errors from the ideal circuit, and 10.0% of shots with a"
    assert re.match(said, values.cause), values


def test_every_check_is_red_somewhere() -> None:
    red = {said.fails[0] for said in CASES.values() if said.fails} | {check for said in CASES.values() for check in said.raw}
    assert red | {"observables with X and Y"} == set(CHECKS)


@pytest.mark.slow
def test_a_device_without_y_measures_neither_x_nor_y(certify) -> None:
    found = {check.name: check for check in certify(without_y()).checks}
    assert found["observables with X and Y"].here.result == "failed"
    assert found["subsets and idle qubits"].here.result == "passed"
    assert found[ORDER].raw.result == "passed"


def test_what_this_package_does_is_said_where_it_helps(certify) -> None:
    by_name = {check.name: check for check in certify(CASES["zeros without memory"].device()).checks}
    order = by_name[ORDER]
    assert (order.raw.cause, order.here.result) == ("zeros without memory", "passed")
    assert order.remedy == "results without memory are read from counts"
    assert by_name["values"].remedy == ""
    assert by_name["status"].remedy == ""


def test_as_much_is_sent_as_was_said_before(certify) -> None:
    device, said = makers.Device(), []

    def say(text: str) -> None:
        assert device.calls == []
        said.append(text)

    found = certify(device, say)
    spared = 5 + 8  # Qiskit's primitives are asked a second time, with a seed, only where they raise
    assert sum(call["circuits"] for call in device.calls) == found.work.circuits - spared
    assert {call["shots"] for call in device.calls} == {SHOTS}
    assert found.work.executions == found.work.circuits * SHOTS
    assert said == [
        f"At most {found.work.circuits} circuits of {SHOTS} shots in {found.work.jobs} jobs "
        f"(about {(found.work.executions * 253e-6 + 2 * found.work.jobs):.3g} s of QPU time) go to lab, "
        "which may be beyond this machine."
    ]


@pytest.mark.parametrize(
    ("guard", "words"),
    [({}, "sets no limit.*--confirm"), ({"max_circuits": 20}, "guard.max_circuits is 20"), ({"max_circuits": 500}, None)],
)
def test_nothing_leaves_this_machine_unless_it_is_allowed(certify, guard: dict[str, int], words: str | None) -> None:
    device = makers.Device()
    if words is None:
        assert certify(device, guard=guard).first_failing is None
        return
    with pytest.raises(BudgetError, match=words) as caught:
        certify(device, guard=guard)
    assert "\n" not in str(caught.value)
    assert device.calls == []


@pytest.mark.slow
def test_a_dry_run_submits_nothing(certify) -> None:
    device = makers.Device()
    found = certify(device, guard={"dry_run": True})
    assert found.first_failing is None
    assert {check.raw.cause for check in found.checks} == {"a dry run submits nothing"}
    assert device.calls == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["provider-estimator", "local-estimator", "local-legacy-estimator", "local-packed"])
def test_other_primitives_pass(name: str) -> None:
    spec = contract.SPECS[name].confirmed()
    spec = spec.model_copy(update={"transpile": TranspileSpec(layout=(0, 1, 2, 3))} if spec.pack == "off" else {})
    found = certify_backend(spec)
    assert found.first_failing is None, found.first_failing


PACKAGED = ("aer-exact", "aer-shots", "aer-noise-torino", "fake-manila", "fake-nighthawk", "ibm-local")


@pytest.mark.parametrize("name", slow_but(("aer-exact",), PACKAGED))
def test_packaged_backends_pass(name: str) -> None:
    found = certify_backend(find_spec(name))
    assert found.first_failing is None, found.first_failing
    assert {check.raw.result for check in found.checks} <= {"passed", "not applicable"}, found.checks
    values = {check.name: check.here for check in found.checks}["values"]
    assert values.result == "passed"


def test_a_noisy_device_is_compared_with_the_noise_that_it_states() -> None:
    """200,000 shots tell it from the ideal circuit by far."""
    spec = find_spec("fake-manila").model_copy(update={"shots": 200_000})
    found = {check.name: check.here for check in certify_backend(spec).checks}
    for name in ("values", "gradients by parameter shift"):
        assert re.fullmatch(r"[\d.]+ standard errors from the noise of fake_manila", found[name].cause)
        assert found[name].result == "passed"


@pytest.mark.slow
def test_jobs_at_ibm_are_priced_and_compared_here_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mocked service gives the same work the same shots."""
    server = Server(tmp_path / "service")
    install(server, monkeypatch)
    monkeypatch.setenv("MY_TOKEN", "a-token")
    guard = {"max_qpu_seconds": 300.0}
    spec = BackendSpec.model_validate({"name": "far", "kind": "ibm", "token_env": "MY_TOKEN", "shots": SHOTS, "guard": guard})
    found = certify_backend(spec)
    assert {check.raw.result for check in found.checks} == {"not applicable"}
    assert {check.name for check in found.checks if check.here.result == "failed"} == {"independence of jobs"}
    assert {check.name: check.here for check in found.checks}[SEEDS].cause == "shots of a real device have no seed"
    assert len(server.log()) == found.work.jobs
    with pytest.raises(BudgetError, match="sets no limit"):
        certify_backend(BackendSpec.model_validate(spec.model_dump() | {"guard": {}}))
    assert len(server.log()) == found.work.jobs


def test_the_exact_interpreter_has_nothing_to_certify() -> None:
    found = certify_backend(find_spec("exact-shots"))
    assert (found.checks, found.first_failing, found.work.circuits) == ((), None, 0)


@pytest.mark.parametrize(
    ("values", "order", "sets"),
    [
        (np.cos(turns(3)[:2]), None, None),
        (np.cos(turns(3)[:2]) * 0.7, None, None),
        (np.ones((2, 3)), "zero for every bit", None),
        (np.cos(turns(3)[:2, ::-1]), "bits in reverse order", None),
        (-np.cos(turns(3)[:2]), "0 and 1 in each other's place", None),
        (np.cos(turns(3)[[1, 0]]), None, "parameter sets in another order"),
        (np.cos(turns(3)[[0, 0]]), None, "all parameter sets give the values of the first"),
        (np.zeros((2, 3)), "<Z> of the qubits is 0, 0, 0, 0, 0, 0 in place of -1, 1, 1, -1, -1, 1", None),
    ],
)
def test_mistakes_of_bits_are_told_apart(values: np.ndarray, order: str | None, sets: str | None) -> None:
    assert (order_fault(values), sets_fault(values)) == (order, sets)


def whole() -> BackendV2:
    """For a backends.yaml."""
    return makers.Device()


def reverse() -> BackendV2:
    """For a backends.yaml."""
    return reversed_bits()()


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)

    def qlstm(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["backends", "certify", *arguments])
        return int(caught.value.code or 0), *capsys.readouterr()

    Path("backends.yaml").write_text(
        f"good: {{kind: provider, provider: '{__name__}:whole', shots: {SHOTS}, guard: {{max_circuits: 100}}}}\n"
        f"bad: {{kind: provider, provider: '{__name__}:reverse', shots: {SHOTS}}}\n"
    )
    code, out, err = qlstm("good")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.strip()]
    assert lines[0].startswith("At most ")
    assert lines[1] == "good: lab"
    assert [line.strip().split("  ")[0] for line in lines[4:]] == list(CHECKS)
    code, out, err = qlstm("bad", "--json")
    assert (code, out, err.count("\n")) == (2, "", 2)
    assert err.splitlines()[1].startswith("error: backend bad: ")
    assert "--confirm" in err
    code, out, err = qlstm("bad", "--confirm", "--json")
    assert code == 2
    assert err.splitlines()[1].startswith(f"error: backend bad fails the check {ORDER!r}: bits in reverse order. ")
    facts = json.loads(out)
    assert (facts["passed"], facts["first_failing"], facts["backend"]) == (False, ORDER, "bad")
    assert {row["check"]: row["here"]["result"] for row in facts["checks"]}[ORDER] == "failed"
    assert qlstm("exact-shots") == (
        0,
        "exact-shots is the exact interpreter, which runs no circuits: there is nothing to certify.\n",
        "",
    )
    assert json.loads(qlstm("statevector", "--json")[1])["checks"] == []
