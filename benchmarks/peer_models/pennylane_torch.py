"""PennyLane default.qubit with torch: backpropagation, parameter broadcast over candidates, gates and samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.peer_models.common import GATES, Problem, run
from benchmarks.peer_models.pennylane_circuit import circuits
from benchmarks.peer_models.torch_lstm import training_step


def build(problem: Problem) -> Callable[[], Sequence[Tensor]]:
    """Two executions a time step, one for each entangler."""
    groups = list(circuits(problem, "torch", torch.tensor))
    order = torch.tensor(problem.order())

    def bank(inputs: Tensor, angles: Tensor) -> Tensor:
        outputs = []
        for members, circuit in groups:
            shape = (len(members), len(GATES), problem.batch)
            rows = inputs.T[:, None, None].expand(-1, *shape).flatten(1)
            weights = angles[:, members].permute(2, 1, 0)[..., None].expand(-1, *shape).flatten(1)
            outputs.append(torch.stack(circuit(rows, weights), dim=-1).unflatten(0, shape))
        return torch.cat(outputs)[order].transpose(0, 1)

    return training_step(problem, bank)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run("pennylane-torch", build, ("pennylane", "torch", "numpy"))
