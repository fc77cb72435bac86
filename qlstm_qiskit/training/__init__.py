"""Training: the models by name, the scikit-learn estimator, and weights on disk."""

import lazy_loader

# `__init__.pyi` names what is public. It is imported on first use: the options of the command line are declared in this room,
# and must not load torch and Qiskit.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
