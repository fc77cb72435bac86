"""Quantum LSTMs that design their own circuits (DiffQAS-QLSTM, arXiv 2508.14955), from a laptop to a QPU."""

import lazy_loader

__version__ = "0.1.0"

# `__init__.pyi` names what is public. It is imported on first use: `import qlstm_qiskit`, and with it `qlstm --help`, must not
# load torch and Qiskit.
__getattr__, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __dir__() -> list[str]:
    return [*_names(), "__version__"]
