"""Devices that take more than a class without arguments, for `provider:` in a backends.yaml."""

from __future__ import annotations

from qiskit.providers import BackendV2


def aqt_ideal() -> BackendV2:
    """AQT's simulator of 20 ions, without noise."""
    from qiskit_aqt_provider import AQTProvider

    return AQTProvider().offline.ideal()


def aqt_noisy() -> BackendV2:
    """The same with noise."""
    from qiskit_aqt_provider import AQTProvider

    return AQTProvider().offline.noisy()


def braket() -> BackendV2:
    """Amazon Braket's state vector simulator on this machine."""
    from qiskit_braket_provider import BraketLocalBackend

    return BraketLocalBackend()


def braket_density() -> BackendV2:
    """Amazon Braket's density matrix simulator on this machine."""
    from qiskit_braket_provider import BraketLocalBackend

    return BraketLocalBackend(name="braket_dm")


def alice_bob(name: str) -> BackendV2:
    """One of Alice & Bob's emulators on this machine."""
    from qiskit_alice_bob_provider import AliceBobLocalProvider

    return AliceBobLocalProvider().get_backend(name)


def physical_cats() -> BackendV2:
    """Six cat qubits, whose gates keep their bias of noise: no R_Y, no H."""
    return alice_bob("EMU:6Q:PHYSICAL_CATS")


def logical_qubits() -> BackendV2:
    """Forty logical qubits of cats, without noise."""
    return alice_bob("EMU:40Q:LOGICAL_NOISELESS")


def ddsim() -> BackendV2:
    """MQT's simulator by decision diagrams."""
    from mqt.ddsim import DDSIMProvider

    return DDSIMProvider().get_backend("qasm_simulator")


def generic() -> BackendV2:
    """Qiskit's device of any size, with noise made up from a seed."""
    from qiskit.providers.fake_provider import GenericBackendV2

    return GenericBackendV2(5, seed=1)
