"""Devices by name: the fake backends of qiskit-ibm-runtime, and any `BackendV2` by its import path."""

from __future__ import annotations

import inspect
import warnings
from functools import cache
from typing import Any

from qiskit.providers import BackendV2

from qlstm_qiskit.errors import OptionError, unknown_option
from qlstm_qiskit.hardware.config.code import attribute, imported
from qlstm_qiskit.hardware.config.secrets import NAME_ADVICE, is_secret, scrub
from qlstm_qiskit.hardware.config.spec import BackendSpec


@cache
def find_device(name: str) -> BackendV2:
    """Return the fake backend of that name; the same object for every name of it.

    Args:
        name: Such as "fez", "fake_fez", "FakeFez" or "FakeManilaV2".

    Raises:
        OptionError: There is none; the message names the closest one.
    """
    if is_secret(name):
        raise OptionError(f"the name of the device cannot be used: {NAME_ADVICE}")
    classes = _fake_classes()
    key = _key(name)
    if key not in classes:
        raise unknown_option("fake device", name if key == "" else key, classes)
    return _instance(key)


def device_names() -> list[str]:
    """Names of all fake devices, sorted."""
    return sorted(_fake_classes())


def load_provider(path: str) -> BackendV2:
    """Import a device.

    Args:
        path: "module:name" of a `BackendV2`, or of a class or function that returns one when called without arguments.

    Raises:
        OptionError: It cannot be imported, fails when called, or is not a `BackendV2`.
    """
    if is_secret(path):
        raise OptionError(f"the path of the provider cannot be used: {NAME_ADVICE}")
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise OptionError(f"provider is {path!r}; it must be an import path 'module:name', such as 'my_lab.devices:backend'.")
    found = attribute(imported("provider", module_name, path), name, module_name)
    if not isinstance(found, BackendV2) and callable(found):
        try:
            found = found()
        except Exception as error:  # noqa: BLE001
            raise OptionError(f"provider {path!r} failed when called without arguments: {_reason(error)}") from None
    if not isinstance(found, BackendV2):
        raise OptionError(
            f"provider {path!r} gives a {type(found).__name__}; it must be a qiskit BackendV2, or a class or function "
            f"without arguments that returns one."
        )
    return found


def device_named_in(spec: BackendSpec) -> BackendV2:
    """The device that an entry names: that whose noise it simulates, its provider, or its fake device.

    Raises:
        OptionError: As of `find_device` and `load_provider`; or noise is asked for of a device that states none.
    """
    source = spec if spec.noise is None else spec.noise
    try:
        device = find_device(source.device or "") if source.provider is None else load_provider(source.provider)
    except OptionError as error:
        raise OptionError(f"backend {spec.name}: {error}") from None
    if spec.noise is not None and not states_noise(device):
        raise OptionError(
            f"backend {spec.name}: {spec.noise_of} states neither errors nor durations of its gates, so that there is no noise "
            "to simulate; leave noise out, or take another device."
        )
    return device


def states_noise(device: BackendV2) -> bool:
    """Whether the target of a device gives errors or durations of gates."""
    target = device.target
    gates = (own for name in target.operation_names for own in (target[name] or {}).values())
    return any(own is not None and (own.error or own.duration) for own in gates)


@cache
def _instance(key: str) -> BackendV2:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that its errors are not typical: a snapshot never is
        return _fake_classes()[key]()


@cache
def _fake_classes() -> dict[str, Any]:
    import qiskit_ibm_runtime.fake_provider as provider

    kinds = [found for found in vars(provider).values() if inspect.isclass(found) and issubclass(found, BackendV2)]
    return {_key(name): kind for kind in kinds if (name := getattr(kind, "backend_name", ""))}


def _key(name: str) -> str:
    return name.lower().replace("-", "_").removeprefix("fake").strip("_").removesuffix("v2").removesuffix("backend")


def _reason(error: Exception) -> str:
    """What a provider says, which may repeat its key; its exception is not chained for the same reason."""
    return scrub(f"{type(error).__name__}: {error}")
