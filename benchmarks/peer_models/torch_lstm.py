"""A training step in torch around any function that evaluates the candidates; for peers that have a torch interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.peer_models.common import Problem

#: Inputs (batch, qubits) and angles (4, candidates, weights) -> outputs (4, candidates, batch, hidden).
Bank = Callable[[Tensor, Tensor], Tensor]


def training_step(problem: Problem, bank: Bank) -> Callable[[], Sequence[Tensor]]:
    """A function that returns the loss and the gradients of all parameters, in the order of `common.RESULTS`."""
    parameters = [torch.tensor(array, requires_grad=True) for array in problem.parameters().values()]
    angles, structural, head_weight, head_bias = parameters
    x, y = torch.tensor(problem["x"]), torch.tensor(problem["y"])

    def step() -> Sequence[Tensor]:
        h = c = x.new_zeros(problem.batch, problem.hidden)
        for values in x.unbind(1):
            outputs = bank(torch.cat((values, h), dim=1), angles)
            i, f, g, o = torch.einsum("gc,gcbk->gbk", structural, outputs)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        loss = torch.nn.functional.mse_loss(torch.nn.functional.linear(h, head_weight, head_bias), y)
        return loss.detach(), *torch.autograd.grad(loss, parameters)

    return step
