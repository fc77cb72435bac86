"""Preparation of a run: defaults resolved, data loaded, and its model checked, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from qlstm_qiskit.data import Dataset
from qlstm_qiskit.errors import DataError, OptionError, RunError
from qlstm_qiskit.experiments.runs.load import load_spec
from qlstm_qiskit.experiments.runs.own import NamedSpace, OwnSpace, require_own_circuits, taken
from qlstm_qiskit.experiments.runs.spec import LATER, RunSpec
from qlstm_qiskit.hardware import EXACT
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.nn.noise import drawing_from
from qlstm_qiskit.training.estimator import Estimator
from qlstm_qiskit.training.models import model_space


def settle(spec: RunSpec) -> tuple[RunSpec, Dataset, Forecaster]:
    """The spec with all defaults and files resolved, as in config.json, its data, and the untrained model.

    The model is on the exact interpreter if circuits leave this machine.
    """
    spec = spec.on(spec.backend_options or spec.backend)
    dataset, options = spec.data.load(), spec.backend_options
    spec = with_own_circuits(spec, len(dataset.features))
    assert options is not None
    if spec.optimizer == "lbfgs" and not options.exact:
        raise OptionError(f"lbfgs compares losses exactly, and backend {options.name} has noise; use rmsprop, adam or spsa.")
    estimator = spec.on(EXACT).estimator() if options.leaves else spec.estimator()
    depth, module = _rehearse(estimator, dataset)
    if isinstance(spec.space, OwnSpace):
        depth = spec.space.depth
    found = {"data": spec.data.pinned(dataset), "depth": depth, "lr": estimator.learning_rate}
    return spec.model_copy(update=found), dataset, module


def with_own_circuits(spec: RunSpec, input_size: int, folder: Path | None = None) -> RunSpec:
    """A spec whose own circuits, or its entangler's, are taken (`own.taken`); the same where it has none, or has them."""
    space = spec.space
    if space is None and spec.entangler is None:
        return spec
    require_own_circuits(spec)
    if space is None:
        found = model_space(spec.model, spec.entangler)
        if found is None:  # a model without circuits, which refuses options of them
            return spec
        space = NamedSpace(given=found)
    if isinstance(space, NamedSpace):
        own = taken(space, input_size=input_size, options=spec, folder=folder)
        return spec.model_copy(update={"space": own})
    if not space.qpy:
        raise RunError("this run's own circuits are in its folder; read it with load_spec.")
    return spec


def require_same(out: Path | str, spec: RunSpec) -> None:
    """Check that a run folder holds exactly this run.

    Args:
        out: The folder.
        spec: The run.

    Raises:
        RunError: They differ; the message says where.
    """
    require_same_settled(out, spec, settle(spec)[0])


def require_same_settled(out: Path | str, spec: RunSpec, settled: RunSpec) -> None:
    """`require_same` where what `settle` makes of the run is known."""
    there, here = (
        one.model_dump(mode="json")
        | {"space": one.space.digest if isinstance(one.space, OwnSpace) else None}
        | {name: getattr(one, name) for name in LATER}
        for one in (load_spec(out), settled)
    )
    if spec.data.reading is None and "reading" not in there["data"]:
        here["data"].pop("reading", None)  # of a version that recorded nothing of it
    other = [name for name in there if there[name] != here[name]]
    if other:
        said = ", ".join(f"{name} ({_short(there[name])} there, {_short(here[name])} here)" for name in other)
        raise RunError(f"{out} holds another run: it differs in {said}. Give the same options, or another folder.")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _rehearse(estimator: Estimator, dataset: Dataset) -> tuple[int | None, Forecaster]:
    """Run one batch forward, so that a model that does not fit is refused before a folder is created.

    Returns:
        The circuits' depth, and the untrained model.
    """
    estimator.check_options()
    estimator.set_params(device="cpu")  # where the data is
    generator = torch.Generator()
    module = estimator.build_module(len(dataset.features), dataset.n_outputs, generator=generator)
    _require_squares(dataset, next(module.parameters()).dtype)
    with drawing_from(generator, module):
        module(torch.as_tensor(dataset.x_train[: estimator.batch_size or None], dtype=next(module.parameters()).dtype))
    return module.stack.depth if module.stack is not None else None, module


def _require_squares(dataset: Dataset, dtype: torch.dtype) -> None:
    """Refuse scaled values whose squares overflow in this dtype, before training rather than in the test error."""
    largest = max(float(np.abs(part).max()) for part in (dataset.x_train, dataset.x_test))
    if largest > torch.finfo(dtype).max ** 0.5:
        raise DataError(
            f"{dataset.name} has values {largest:.3g} times as far from the middle of the training range as its ends, "
            f"which {str(dtype).removeprefix('torch.')} cannot square; correct them, or train with float64."
        )
