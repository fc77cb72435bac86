"""Our side: the problem file with our loss and gradients, and the timing of ours and of torch.nn.LSTM."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peer_models.common import GATES
from qlstm_qiskit import QLSTM, SearchSpace
from qlstm_qiskit.nn import CircuitBank

#: (hidden size, depth) of the two sizes of work.
SIZES = {"S": (3, 1), "L": (5, 5)}

_TIME_STEPS = 4

#: Candidates for peers that time single circuits; in the paper's 6 x 6 grid this is the diagonal: every encoding and block.
_UNIT_CANDIDATES = range(0, 36, 7)


class Forecaster(nn.Module):
    """A recurrent layer and a linear read-out of the last time step."""

    def __init__(self, layer: nn.Module, hidden: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(hidden, 1, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


def random_model(size: str, generator: torch.Generator) -> Forecaster:
    """Our model with angles from N(0, 1) and structural weights from N(0, 1) / 6, so that no symmetry hides a mistake."""
    hidden, depth = SIZES[size]
    layer = QLSTM(1, hidden, depth=depth, batch_first=True)
    model = Forecaster(layer, hidden)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        for parameter in layer.arch_parameters():
            parameter /= 6
    return model


def data(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inputs (batch, time, 1) and targets (batch, 1)."""
    x = torch.randn(batch, _TIME_STEPS, 1, generator=generator, dtype=torch.float64)
    return x, torch.randn(batch, 1, generator=generator, dtype=torch.float64)


def loss_and_gradients(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """One training step without an optimiser: the loss, then the gradients in the order of `model.parameters()`."""
    loss = nn.functional.mse_loss(model(x), y)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


def write_problem(path: Path, size: str, batch: int, seed: int = 0) -> None:
    """Write data, parameters and our answers for the peers; see `common.Problem`."""
    generator = torch.Generator().manual_seed(seed)
    model, (x, y) = random_model(size, generator), data(batch, generator)
    hidden, depth = SIZES[size]
    names = SearchSpace.paper().names
    loss, *gradients = loss_and_gradients(model, x, y)
    by_name = dict(zip((name for name, _ in model.named_parameters()), gradients, strict=True))
    bank = "layer.cells.0.bank"
    stored = {"expected_loss": loss, "x": x, "y": y}
    for name, own in {
        "angles": f"{bank}.angles",
        "structural": f"{bank}.structural_weights",
        "head_weight": "head.weight",
        "head_bias": "head.bias",
    }.items():
        shape = (len(GATES), len(names), -1) if name == "angles" else model.get_parameter(own).shape
        stored[name] = model.get_parameter(own).detach().reshape(shape)
        stored[f"expected_{name}"] = by_name[own].reshape(shape)
    stored |= unit_answers(stored["angles"], hidden, depth, batch, generator)
    arrays = {name: value.numpy() for name, value in stored.items()}
    np.savez(path, hidden=hidden, depth=depth, names=np.array(names), **arrays)


def unit_answers(angles: Tensor, hidden: int, depth: int, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Values and vector-Jacobian products of single candidates of the first gate.

    Returns:
        unit_candidates (units,), unit_inputs (batch, qubits), unit_cotangent (batch, hidden), unit_values (units, batch,
        hidden), unit_input_gradients (units, batch, qubits), unit_angle_gradients (units, weights).
    """
    candidates = SearchSpace.paper().candidates(hidden + 1, depth)
    inputs = torch.randn(batch, hidden + 1, generator=generator, dtype=torch.float64).requires_grad_()
    cotangent = torch.randn(batch, hidden, generator=generator, dtype=torch.float64)
    values, by_input, by_angle = [], [], []
    for index in _UNIT_CANDIDATES:
        bank = CircuitBank([candidates[index]], 1, hidden)
        with torch.no_grad():
            bank.angles.copy_(angles[:1, index])
        outputs = bank(inputs)[:, 0]
        gradients = torch.autograd.grad(outputs, (inputs, bank.angles), cotangent, allow_unused=True)
        values.append(outputs.detach())
        by_input.append(torch.zeros_like(inputs) if gradients[0] is None else gradients[0])
        by_angle.append(torch.zeros_like(bank.angles[0]) if gradients[1] is None else gradients[1][0])
    return {
        "unit_candidates": torch.tensor(list(_UNIT_CANDIDATES)),
        "unit_inputs": inputs.detach(),
        "unit_cotangent": cotangent,
        "unit_values": torch.stack(values),
        "unit_input_gradients": torch.stack(by_input),
        "unit_angle_gradients": torch.stack(by_angle).detach(),
    }


def time_own(size: str, batch: int, repeat: int) -> dict[str, object]:
    """Medians of our training step and of torch.nn.LSTM's, taken in turn in this process, in milliseconds."""
    generator = torch.Generator().manual_seed(1)
    x, y = data(batch, generator)
    hidden, _ = SIZES[size]
    start = time.perf_counter()
    ours = random_model(size, generator)
    loss_and_gradients(ours, x, y)
    warmup = time.perf_counter() - start
    lstm = Forecaster(nn.LSTM(1, hidden, batch_first=True, dtype=torch.float64), hidden)
    steps: dict[str, Callable[[], object]] = {
        "ours_ms": lambda: loss_and_gradients(ours, x, y),
        "lstm_ms": lambda: loss_and_gradients(lstm, x, y),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeat):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - begin))
    packages = ("qlstm-qiskit", "torch", "numpy")
    return {name: statistics.median(values) for name, values in times.items()} | {
        "warmup_s": warmup,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": {package: version(package) for package in packages},
    }
