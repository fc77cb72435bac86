"""The makers: packages with their versions, and the devices of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Offered:
    """A device of a maker.

    Attributes:
        name: Of the entry in backends.yaml.
        provider: Its import path, as in the entry; of a fake device, its name.
        shown: As the page names it.
    """

    name: str
    provider: str
    shown: str

    def entry(self, shots: int) -> dict[str, Any]:
        """Of backends.yaml."""
        if ":" in self.provider:
            limits = {"max_circuits": 5000}
            return {"kind": "provider", "provider": self.provider, "shots": shots, "guard": limits}
        return {"kind": "fake", "device": self.provider, "shots": shots}


@dataclass(frozen=True)
class Maker:
    """A maker's package.

    Attributes:
        name: Of the record and of the environment.
        package: That is tested, as pip names it.
        version: Of it.
        devices: That it has without an account.
        extras: Of the package.
    """

    name: str
    package: str
    version: str
    devices: tuple[Offered, ...]
    extras: str = ""

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.package}{self.extras}=={self.version}"


_DEVICES = "benchmarks.providers.devices"

MAKERS = (
    Maker(
        "iqm",
        "iqm-client",
        "36.0.0",
        (
            Offered("adonis", "iqm.qiskit_iqm:IQMFakeAdonis", "IQM Adonis, 5 qubits in a star"),
            Offered("apollo", "iqm.qiskit_iqm:IQMFakeApollo", "IQM Apollo, 20 qubits in a lattice"),
            Offered("deneb", "iqm.qiskit_iqm:IQMFakeDeneb", "IQM Deneb, 6 qubits round a resonator"),
        ),
        extras="[qiskit]",
    ),
    Maker(
        "aqt",
        "qiskit-aqt-provider",
        "2.0.1",
        (
            Offered("aqt-ideal", f"{_DEVICES}:aqt_ideal", "AQT offline, ideal, 20 ions"),
            Offered("aqt-noisy", f"{_DEVICES}:aqt_noisy", "AQT offline, noisy, 20 ions"),
        ),
    ),
    Maker(
        "braket",
        "qiskit-braket-provider",
        "0.27.1",
        (
            Offered("braket", f"{_DEVICES}:braket", "Braket local, state vector"),
            Offered("braket-dm", f"{_DEVICES}:braket_density", "Braket local, density matrix"),
        ),
    ),
    Maker(
        "alice-bob",
        "qiskit-alice-bob-provider",
        "3.0.0",
        (
            Offered("cats", f"{_DEVICES}:physical_cats", "Alice & Bob EMU:6Q:PHYSICAL_CATS"),
            Offered("logical", f"{_DEVICES}:logical_qubits", "Alice & Bob EMU:40Q:LOGICAL_NOISELESS"),
        ),
    ),
    Maker("ddsim", "mqt.ddsim", "2.7.0", (Offered("ddsim", f"{_DEVICES}:ddsim", "MQT DDSIM, qasm_simulator"),)),
    Maker(
        "qiskit",
        "qiskit",
        "2.6.2",
        (
            Offered("generic", f"{_DEVICES}:generic", "GenericBackendV2, 5 qubits"),
            Offered("basic", "qiskit.providers.basic_provider:BasicSimulator", "BasicSimulator"),
        ),
    ),
    Maker("aer", "qiskit-aer", "0.18.2", (Offered("aer", "qiskit_aer:AerSimulator", "AerSimulator"),)),
    Maker(
        "ibm",
        "qiskit-ibm-runtime",
        "0.51.0",
        (
            Offered("manila", "qiskit_ibm_runtime.fake_provider:FakeManilaV2", "FakeManilaV2, 5 qubits in a line"),
            Offered("fez", "fez", "FakeFez, 156 qubits, as kind `fake`: its own `run` takes minutes"),
        ),
    ),
)
