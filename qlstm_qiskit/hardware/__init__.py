"""Backends, and the primitive interpreter behind `EstimatorQNN`."""

import lazy_loader

# `__init__.pyi` names what is public. It is imported on first use: reading backends.yaml must not load torch and Qiskit.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
