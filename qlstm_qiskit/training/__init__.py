"""Training: the models by name, the scikit-learn estimators, and weights on disk."""

import lazy_loader

# `__init__.pyi` lists the public names, which are imported on first use: the command line reads its options from this
# package and must not load torch and Qiskit for that.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
