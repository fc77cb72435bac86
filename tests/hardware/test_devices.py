import sys
import types
from typing import Any

import pytest
from qiskit.providers import BackendV2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_ibm_runtime.fake_provider import FakeProviderForBackendV2

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware.config.spec import BackendSpec
from qlstm_qiskit.hardware.device.named import device_names, find_device, load_provider
from qlstm_qiskit.hardware.jobs import runtime
from qlstm_qiskit.hardware.loading import device_of


@pytest.mark.parametrize("name", ["manila", "fake_manila", "FakeManilaV2", "fakemanila", "Fake-Manila"])
def test_every_way_to_write_a_name_gives_the_same_object(name: str) -> None:
    assert find_device(name) is find_device("manila")
    assert find_device(name).num_qubits == 5


@pytest.mark.parametrize(("name", "qubits"), [("fez", 156), ("torino", 133), ("nighthawk", 120), ("fractional", 5)])
@pytest.mark.filterwarnings("ignore:Properties of fake_nighthawk")
def test_devices_have_their_qubits(name: str, qubits: int) -> None:
    assert find_device(name).num_qubits == qubits
    assert isinstance(find_device(name), BackendV2)


@pytest.mark.filterwarnings("ignore:Properties of fake_nighthawk")
def test_every_fake_backend_of_the_provider_is_found() -> None:
    names = {backend.name for backend in FakeProviderForBackendV2().backends()}
    assert {f"fake_{name}" for name in device_names()} == names


@pytest.mark.parametrize("name", ["fex", "fake_fex", "FakeFex"])
def test_an_unknown_name_is_answered_with_the_closest(name: str) -> None:
    with pytest.raises(OptionError, match="unknown fake device 'fex'. Did you mean 'fez'"):
        find_device(name)


def test_no_name_is_unknown_too() -> None:
    with pytest.raises(OptionError, match="unknown fake device ''"):
        find_device("")


@pytest.mark.parametrize(
    ("entry", "device"),
    [
        ({"kind": "fake", "device": "manila"}, "fake_manila"),
        ({"kind": "aer", "noise": {"device": "fez"}}, "fake_fez"),
        ({"kind": "ibm", "channel": "local", "device": "torino"}, "fake_torino"),
    ],
)
def test_the_device_of_a_backend(entry: dict[str, Any], device: str) -> None:
    assert device_of(BackendSpec(name="mine", **entry)).name == device


def test_the_device_of_ibm_is_that_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(spec: BackendSpec, n_qubits: int) -> types.SimpleNamespace:
        asked.append((spec.name, n_qubits))
        return types.SimpleNamespace(device=find_device("fez"))

    monkeypatch.setattr(runtime, "connect", connect)
    assert device_of(BackendSpec(name="mine", kind="ibm"), 6) is find_device("fez")
    assert asked == [("mine", 6)]


@pytest.mark.parametrize("entry", [{"kind": "statevector"}, {"kind": "aer", "shots": 10}])
def test_simulators_without_noise_have_no_device(entry: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="backend 'mine' has no device; choose one that has"):
        device_of(BackendSpec(name="mine", **entry))


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("lab_of_a_user")
    monkeypatch.setitem(sys.modules, "lab_of_a_user", module)
    return module


def test_providers_are_an_instance_a_class_or_a_function(lab: types.ModuleType) -> None:
    device = GenericBackendV2(3, seed=1)
    lab.instance, lab.function, lab.kind = device, lambda: device, type("Two", (GenericBackendV2,), {"__init__": _two})
    assert load_provider("lab_of_a_user:instance") is device
    assert load_provider("lab_of_a_user:function") is device
    assert load_provider("lab_of_a_user:kind").num_qubits == 2
    assert device_of(BackendSpec(name="mine", kind="provider", provider="lab_of_a_user:instance")) is device


def _two(self: GenericBackendV2) -> None:
    GenericBackendV2.__init__(self, 2, seed=1)


def _fails() -> None:
    raise ConnectionError("no cable")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("lab_of_a_user", "must be an import path 'module:name'"),
        (":device", "must be an import path 'module:name'"),
        ("no_such_lab:device", "cannot import 'no_such_lab': ModuleNotFoundError"),
        ("lab_of_a_user:devise", "unknown name in lab_of_a_user 'devise'. Did you mean 'device'"),
        ("lab_of_a_user:number", "gives a int; it must be a qiskit BackendV2"),
        ("lab_of_a_user:nothing", "gives a NoneType"),
        ("lab_of_a_user:fails", "failed when called without arguments: ConnectionError: no cable"),
    ],
)
def test_a_provider_that_is_none_says_why(lab: types.ModuleType, path: str, message: str) -> None:
    lab.device, lab.number, lab.nothing, lab.fails = GenericBackendV2(2, seed=1), 3, lambda: None, _fails
    with pytest.raises(OptionError, match=message):
        load_provider(path)
