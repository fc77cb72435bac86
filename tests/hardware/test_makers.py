"""Devices of other makers, each with a habit or a fault of its own: values are right, or refused in words."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import BackendV2, Options
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp
from qiskit.result import Counts

from qlstm_qiskit.errors import JobError, OptionError
from qlstm_qiskit.hardware import BackendSpec, load_backend
from qlstm_qiskit.hardware.executors.counts import counts_of
from qlstm_qiskit.hardware.executors.results import ResultError
from qlstm_qiskit.hardware.jobs.ledger import Ledger
from qlstm_qiskit.hardware.jobs.makers import ReadDevice
from qlstm_qiskit.hardware.jobs.pending import retry_ended
from qlstm_qiskit.space import Candidate, SearchSpace

SHOTS = 1500


class Device(GenericBackendV2):
    """Three ideal qubits; `change` is what its maker does to the result of Aer."""

    def __init__(self, change: Callable[[Any, list[QuantumCircuit]], Any] = lambda result, circuits: result) -> None:
        super().__init__(3, noise_info=False, seed=1)
        self.name = "lab"
        self.change = change
        self.calls: list[dict[str, Any]] = []

    def run(self, run_input: Any, **options: Any) -> Any:
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        self.calls.append(options | {"circuits": len(circuits)})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            job = super().run(circuits, **options)
        result = self.change(copy.deepcopy(job.result()), circuits)
        if result is None or isinstance(result, Done):
            return result
        return Done(result)


class Done:
    """A job that has ended."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def result(self) -> Any:
        return self._result


def each(change: Callable[[Any], object]) -> Callable[[Any, Any], Any]:
    """Do the same to the result of each circuit."""

    def changed(result: Any, circuits: Any) -> Any:
        for item in result.results:
            change(item)
        return result

    return changed


def bits(item: Any) -> int:
    return int(item.header["memory_slots"])


def no_memory(item: Any) -> None:
    del item.data.memory


def rewritten(write: Callable[[int, int], Any], memory: bool = False) -> Callable[[Any, Any], Any]:
    """Outcomes written in another way, as counts or as memory alone."""

    def change(item: Any) -> None:
        width = bits(item)
        if memory:
            item.data.memory = [write(int(word, 16), width) for word in item.data.memory]
            del item.data.counts
        else:
            item.data.counts = {write(int(word, 16), width): number for word, number in item.data.counts.items()}
            del item.data.memory

    return each(change)


def reversed_order(result: Any, circuits: Any) -> Any:
    result.results.reverse()
    return result


def nameless(item: Any) -> None:
    item.header = None


def as_counts(item: Any) -> None:
    item.data.counts = Counts(item.data.counts, memory_slots=bits(item))
    del item.data.memory


RIGHT: dict[str, Callable[[Any, Any], Any]] = {
    "as Aer": lambda result, circuits: result,
    "counts alone": each(no_memory),
    "counts by bits": rewritten(lambda value, width: format(value, f"0{width}b")),
    "counts by numbers": rewritten(lambda value, width: value),
    "counts by NumPy's numbers": rewritten(lambda value, width: np.int64(value)),
    "counts by long hexadecimals": rewritten(lambda value, width: f"0x{value:08X}"),
    "Qiskit's Counts": each(as_counts),
    "memory by bits": rewritten(lambda value, width: format(value, f"0{width}b"), memory=True),
    "memory by numbers": rewritten(lambda value, width: value, memory=True),
    "no headers": each(nameless),
    "another order": reversed_order,
    "a dictionary": lambda result, circuits: result.to_dict(),
    "counts in floating point": each(
        lambda item: setattr(item.data, "counts", {k: float(n) for k, n in item.data.counts.items()})
    ),
    "no word on success as a whole": lambda result, circuits: (setattr(result, "success", None), result)[1],
}


def marked(**fields: object) -> Callable[[Any, Any], Any]:
    """The result as a whole says something else of itself."""

    def change(result: Any, circuits: Any) -> Any:
        for name, value in fields.items():
            setattr(result, name, value)
        return result

    return change


def item_marked(**fields: object) -> Callable[[Any, Any], Any]:
    """So does the result of the last circuit."""

    def change(result: Any, circuits: Any) -> Any:
        for name, value in fields.items():
            setattr(result.results[-1], name, value)
        return result

    return change


def data(item: Any, **fields: object) -> None:
    item.data = fields


def moved(item: Any, shots: int) -> None:
    """So many shots more of one outcome."""
    word = next(iter(item.data.counts))
    item.data.counts[word] += shots
    del item.data.memory


def renamed(result: Any, circuits: Any) -> Any:
    result.results[-1].header["name"] = result.results[0].header["name"]
    return result


WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "failed": (marked(success=False), "it is marked as failed"),
    "a status of failure": (marked(status="PARTIAL COMPLETED"), "status 'PARTIAL COMPLETED'"),
    "a circuit failed": (item_marked(success=False, status="ERROR: lost"), r"circuit \d of \d.*failed .'ERROR: lost'"),
    "a circuit's status": (item_marked(status="cancelled"), "status 'cancelled'"),
    "fewer circuits": (lambda result, circuits: (result.results.pop(), result)[1], r"results of \d circuits, and \d were run"),
    "one circuit twice": (renamed, "of other circuits than were run"),
    "fewer shots": (each(lambda item: moved(item, -1)), f"{SHOTS - 1} shots, and {SHOTS} were asked for"),
    "more shots": (each(lambda item: moved(item, 1)), f"{SHOTS + 1} shots"),
    "short memory": (each(lambda item: item.data.memory.pop()), f"{SHOTS - 1} shots"),
    "no data": (each(data), "neither counts nor memory"),
    "empty data": (each(lambda item: data(item, counts={}, memory=[])), "0 shots"),
    "probabilities": (each(lambda item: data(item, probabilities={"0": 1.0})), "neither counts nor memory"),
    "quasi-probabilities": (each(lambda item: data(item, counts={"0x0": 1.1, "0x1": -0.1})), "the count '1.1'"),
    "negative counts": (each(lambda item: data(item, counts={"0x0": SHOTS + 1, "0x1": -1})), "the count '-1'"),
    "wider numbers": (each(lambda item: data(item, counts={1 << 9: SHOTS})), "the outcome '512'"),
    "wider bits": (each(lambda item: data(item, counts={"0" * 9: SHOTS})), "the outcome '000000000'"),
    "narrow bits": (each(lambda item: data(item, memory=["", *["0"] * (SHOTS - 1)])), "the outcome"),
    "a register more": (
        rewritten(lambda value, width: f"0 {value:0{width}b}"),
        "the outcome",
    ),
    "a register more, as the header says": (
        each(lambda item: item.header.update(creg_sizes=[["c", 2], ["d", 1]])),
        r"registers of \[2, 1\] bits",
    ),
    "more bits, as the header says": (each(lambda item: item.header.update(memory_slots=7)), "7 classical bits"),
    "words": (each(lambda item: data(item, counts={"zero": SHOTS})), "the outcome 'zero'"),
    "analog": (each(lambda item: data(item, memory=[[[0.1, 0.2]]] * SHOTS)), "a memory that is not bits"),
    "level 1": (item_marked(meas_level=1), "measured at level 1"),
    "a list of counts": (each(lambda item: data(item, counts=[SHOTS])), "counts of the type list"),
    "a contradiction": (
        each(lambda item: data(item, counts={"0x0": SHOTS}, memory=["0x1"] * SHOTS)),
        "contradict each other",
    ),
    "counts without a result": (lambda result, circuits: Done({"00": SHOTS}), "dict without a list of results"),
    "nothing": (lambda result, circuits: None, "gave a NoneType, which is neither a job nor a result"),
}


def candidate() -> Candidate:
    """<Z0> = cos x, <Z1> = cos w."""
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(2, name="c")
    circuit.rx(x, 0)
    circuit.rx(w, 1)
    return SearchSpace.from_circuits([circuit], inputs=[x]).candidates()[0]


X, W = np.array([2.0, 0.4, -1.2]), 2.5


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., np.ndarray]:
    """Expectation values on a device, (3 inputs, 2 outputs)."""
    monkeypatch.setenv("QLSTM_STATE", str(tmp_path / "state"))

    def values(device: BackendV2, record: Path | None = None, **options: Any) -> np.ndarray:
        monkeypatch.setattr("qlstm_qiskit.hardware.device.named.load_provider", lambda path: device)
        spec = BackendSpec.model_validate({"name": "mine", "kind": "provider", "provider": "a:b", "shots": SHOTS} | options)
        backend = load_backend(spec, record=record, run="work")
        try:
            bound = backend.bank([candidate()]).bind(torch.tensor([[W]], dtype=torch.float64))
            return bound(torch.tensor(X[:, None])).detach().numpy()[:, 0]
        finally:
            backend.close()

    return values


EXACT = np.stack([np.cos(X), np.full(3, np.cos(W))], axis=1)


def assert_right(values: np.ndarray, shots: int = SHOTS) -> None:
    assert np.all(np.abs(values - EXACT) < 5 * np.sqrt((1 - EXACT**2) / shots))


@pytest.mark.parametrize("primitive", ["sampler", "estimator"])
@pytest.mark.parametrize("name", RIGHT)
def test_every_way_to_write_a_measurement_gives_its_values(lab, name: str, primitive: str) -> None:
    if primitive == "estimator" and "memory" in name and "counts" not in name:
        values = lab(Device(RIGHT["as Aer"]), primitive=primitive)  # its results are asked for without memory
    else:
        change = RIGHT[name]
        values = lab(Device(lambda result, circuits: change(_with_memory(result), circuits)), primitive=primitive)
    assert_right(values)


def _with_memory(result: Any) -> Any:
    """Results of an estimator come without memory; the habits above take one away."""
    for item in result.results:
        if not hasattr(item.data, "memory"):
            item.data.memory = [word for word, number in item.data.counts.items() for _ in range(number)]
    return result


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_certainly_the_measurement_is_refused(lab, name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(JobError, match=message) as caught:
        lab(Device(change))
    assert "on lab" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_refused_result_is_tried_again_on_purpose_only(lab, tmp_path: Path) -> None:
    broken = Device(WRONG["fewer shots"][0])
    for _ in range(2):
        with pytest.raises(JobError, match="--retry"):
            lab(broken, record=tmp_path)
    assert len(broken.calls) == 1
    with Ledger(tmp_path / "jobs.sqlite") as ledger:
        assert ledger.entry(1).status == "failed"
        retry_ended(ledger)
    whole = Device()
    assert_right(lab(whole, record=tmp_path))
    np.testing.assert_array_equal(lab(whole, record=tmp_path), lab(whole, record=tmp_path))
    assert len(whole.calls) == 1


class WithoutMemory(Device):
    """Knows shots alone."""

    def run(self, run_input: Any, shots: int = 1024) -> Any:
        return super().run(run_input, shots=shots)


class AtOnce(Device):
    """Gives a result and no job."""

    def run(self, run_input: Any, **options: Any) -> Any:
        return super().run(run_input, **options).result()


class OneByOne(Device):
    """Takes one circuit in a job."""

    @property
    def max_circuits(self) -> int:
        return 1


class Broken(Device):
    """Its maker has made a mistake."""

    def run(self, run_input: Any, **options: Any) -> Any:
        raise KeyError("calibration")


def test_a_device_without_an_option_for_memory(lab) -> None:
    device = WithoutMemory()
    assert_right(lab(device))
    assert [set(call) for call in device.calls] == [{"shots", "circuits"}]


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (MemoryError("Unable to allocate 16.0 GiB for an array"), 1),
        (OSError(12, "Cannot allocate memory"), 1),
        (RuntimeError("insufficient memory to support this keyword"), 1),
        (RuntimeError("GPU memory allocation failed"), 1),
        (MemoryError("no memory for option x"), 1),
        (RuntimeError("this option takes more memory than the machine has"), 1),
        (TypeError("run() got an unexpected keyword argument 'memory'"), 2),
        (RuntimeError("the option memory is not known"), 2),
        (ValueError("memory is not supported"), 2),
    ],
    ids=str,
)
def test_what_was_accepted_is_not_sent_again_for_want_of_memory(lab, error: Exception, sent: int) -> None:
    class Accepting(Device):
        def run(self, run_input: Any, **options: Any) -> Any:
            job = super().run(run_input, **options)
            if "memory" in options:
                raise error
            return job

    device = Accepting()
    if sent == 2:
        assert_right(lab(device))
    else:
        with pytest.raises(JobError, match=re.escape(str(error))):
            lab(device)
    assert len(device.calls) == sent


def test_a_result_at_once(lab) -> None:
    assert_right(lab(AtOnce()))


def test_jobs_hold_as_many_circuits_as_the_device_takes_each_with_a_seed_of_its_own(lab) -> None:
    device, again = OneByOne(), OneByOne()
    values = lab(device, seed=4)
    assert_right(values)
    assert [call["circuits"] for call in device.calls] == [1, 1, 1]
    assert len({call["seed_simulator"] for call in device.calls}) == 3
    np.testing.assert_array_equal(lab(again, seed=4), values)


def test_a_mistake_of_the_maker_is_told_in_a_line(lab) -> None:
    with pytest.raises(JobError, match=r"on lab: .*the device failed: KeyError: 'calibration'"):
        lab(Broken())


class Seedless(BackendV2):
    """Has no option for a seed."""

    def __init__(self, most: int = 4000) -> None:
        super().__init__(name="lab")
        self.inner = Device()
        self.options.set_validator("shots", (1, most))

    @property
    def target(self) -> Any:
        return self.inner.target

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024)

    def run(self, run_input: Any, **options: Any) -> Any:
        return self.inner.run(run_input, **options)


class Forgetful(Device):
    """Has the option, and ignores it."""

    def run(self, run_input: Any, **options: Any) -> Any:
        options.pop("seed_simulator", None)
        return super().run(run_input, **options)


def test_a_seed_that_would_be_ignored_is_refused(lab) -> None:
    device = Seedless()
    with pytest.raises(OptionError, match="lab would ignore seed"):
        lab(device, seed=5)
    assert device.inner.calls == []
    assert_right(lab(device))
    with pytest.raises(JobError, match="the device has ignored seed"):
        lab(Forgetful(), seed=5)
    assert_right(lab(Forgetful()))
    np.testing.assert_array_equal(lab(Device(), seed=5), lab(Device(), seed=5))


@pytest.mark.parametrize("by", ["validator", "attribute"])
def test_more_shots_than_a_device_takes_are_refused_before_anything_is_submitted(lab, by: str) -> None:
    device = Seedless(SHOTS - 1 if by == "validator" else 9999)
    if by == "attribute":
        device.max_shots = SHOTS - 1
    with pytest.raises(OptionError, match=f"shots is {SHOTS}; lab takes at most {SHOTS - 1}"):
        lab(device)
    assert device.inner.calls == []


def test_registers_are_read_with_and_without_spaces() -> None:
    circuit = QuantumCircuit(3, name="two")
    circuit.add_register(ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))

    def read(key: object) -> dict[int, int]:
        return counts_of({"results": [{"success": True, "data": {"counts": {key: 5}}}]}, [circuit], 5)[0]

    assert read("01 1") == read("011") == read("0x3") == read(3) == {3: 5}
    for key in ("0 11", "0 1 1", "1", "0011", "0x8", 8, -1, "0b11", "1_1", True, None, 1.0, b"011"):
        with pytest.raises(ResultError, match="the outcome"):
            read(key)


def test_the_same_bits_as_by_qiskits_own_reading() -> None:
    """Results that Qiskit reads rightly give the same numbers from the same seed."""
    device = Device()
    theta = Parameter("theta")
    circuit = QuantumCircuit(2)
    circuit.ry(theta, 0)
    circuit.cx(0, 1)
    isa = transpile(circuit, device)
    measured = isa.copy()
    measured.measure_all()
    sets = np.linspace(0, 3, 4)[:, None]
    options = {"seed_simulator": 7}
    bits_of = [
        BackendSamplerV2(backend=own, options=options).run([(measured, sets)], shots=200).result()[0].data.meas
        for own in (device, ReadDevice(device))
    ]
    assert bits_of[0].get_counts() == bits_of[1].get_counts()
    observable = SparsePauliOp(["ZZI", "IXI"])
    values = [
        BackendEstimatorV2(backend=own, options=options).run([(isa, observable, sets)], precision=0.1).result()[0].data.evs
        for own in (device, ReadDevice(device))
    ]
    np.testing.assert_array_equal(*values)
