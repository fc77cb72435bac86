"""Why trainings that differ in their seeds alone cannot run side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from qlstm_qiskit.hardware.interpreter.sampled import NoisyBackend, SampledBackend
from qlstm_qiskit.hardware.interpreter.statevector import StatevectorBackend
from qlstm_qiskit.nn import Recurrent
from qlstm_qiskit.nn.classical import ClassicalBank
from qlstm_qiskit.nn.mixing import MIXINGS
from qlstm_qiskit.nn.replica_layers import gains
from qlstm_qiskit.nn.replicas import is_worth_it
from qlstm_qiskit.search import WeightedSum
from qlstm_qiskit.training.callbacks import reason_of_callbacks
from qlstm_qiskit.training.fitting import Fit

#: Optimisers that treat each number by itself, so that those of replicas may lie in one tensor; and those that look at all
#: numbers of a model, of which each replica keeps its own.
ELEMENTWISE, WHOLE = ("rmsprop", "adam"), ("lbfgs",)


def reason_apart(fit: Fit) -> str | None:
    """Why replicas of a fit are trained one after another, in words; None if they can be trained side by side."""
    options, strategy = fit.options, fit.options.strategy
    if reason := reason_of_callbacks(options.callbacks):
        return reason
    reasons = {
        f"the optimizer {options.optimizer} has steps of its own": options.optimizer not in (*ELEMENTWISE, *WHOLE),
        f"the search strategy {strategy.name} has steps of its own": options.search is not None and strategy != WeightedSum(),
        f"device={options.device!r} has no multilinear form": torch.device(options.device).type != "cpu",
    }
    for reason, holds in reasons.items():
        if holds:
            return reason
    own = options.backend if isinstance(options.backend, SampledBackend) else None
    if own is not None:
        return f"backend {own.name} is one object, which counts the shots of all trainings; give its name"
    return _reason_of_model(fit)


def _reason_of_model(fit: Fit) -> str | None:
    model = fit.build(torch.Generator())
    if isinstance(model.recurrent, nn.LSTM | nn.GRU):
        return None if gains(model.recurrent, fit.batch_size) else "layers of torch of this size take no less time side by side"
    assert model.stack is not None, "a layer is one of this package or of torch"
    return _reason_of_cells(fit, model.stack)


def _reason_of_cells(fit: Fit, layer: Recurrent[Any]) -> str | None:
    options = fit.options
    for cell in layer.layers():
        if not cell.reads_h:
            return "a fast weight programmer evaluates the circuits of all steps at once"
        if isinstance(cell.bank, ClassicalBank):
            continue
        backend = cell.bank.backend
        if not isinstance(backend, StatevectorBackend | NoisyBackend | SampledBackend):
            return f"backend {backend.name} runs circuits, and only the exact interpreter has replicas"
        if options.optimizer in WHOLE and (isinstance(backend, SampledBackend) or MIXINGS[cell.bank.mixing].sampled):
            return f"{options.optimizer} evaluates some replicas without the others, and noise is drawn for all at once"
        if not is_worth_it(cell.bank, samples=fit.batch_size * options.repeats, calls=fit.train[0].shape[1]):
            return "not all of its circuits have a multilinear form that is worth it"
    return None
