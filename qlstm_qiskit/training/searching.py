"""The training loop of a search: skorch's loop extended by the steps of a strategy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from torch import Tensor, nn
from torch.utils.data import Sampler

from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.nn import CircuitBank, Forecaster
from qlstm_qiskit.search.carry import carry
from qlstm_qiskit.search.strategies import WeightedSum
from qlstm_qiskit.search.strategy import Strategy, distribution, importance

Part = tuple[Tensor, Tensor]


class SearchLoop(Callback):
    """Applies a strategy to a model during training.

    Args:
        strategy: The strategy.
        module: The model; the strategy freezes and restricts it at the start.
        validation: Windows and targets of the validation part, for strategies that learn from it.
        batch_size: Batch size for the validation part.
        generator: Source of the strategy's random choices; torch's default generator where None.

    Raises:
        OptionError: The model has no structural weights that could be searched.
    """

    def __init__(
        self,
        strategy: Strategy,
        module: Forecaster,
        validation: Part | None,
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> None:
        self.strategy, self.banks = strategy, searched_banks(strategy, module)
        for bank in self.banks:
            gates = strategy.choose(bank, generator)
            if gates is not None:
                bank.restrict(gates)
                bank.restart_weights()
        self.costs = [self._costs(bank) for bank in self.banks]
        self.progress = 0.0
        self.importance: dict[CircuitBank, Tensor] = {}
        self.n_batches = 0
        self.batches: list[tuple[Tensor, ...]] = []
        if strategy.alternates and validation is not None:
            self.batches = list(zip(*(torch.split(part, batch_size) for part in validation), strict=True))
        self.moves = 0
        self.optimizer: torch.optim.Optimizer | None = None

    def go_on(self, moves: int) -> None:
        """Resume after `moves` steps of the structural weights' own, with a model that may have dropped candidates."""
        self.moves, self.costs = moves, [self._costs(bank) for bank in self.banks]

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch = len(net.history)  # skorch has opened a row for this epoch
        self.progress = (epoch - 1) / max(net.max_epochs - 1, 1)
        temperature = self.strategy.temperature(self.progress)
        if temperature is not None:
            for bank in self.banks:
                assert bank.temperature is not None
                bank.temperature.fill_(temperature)

    def note_importance(self) -> None:
        """Record the importance of candidates in this batch, before penalties add to the gradients."""
        if not self.strategy.drops:
            return
        self.n_batches += 1
        for bank in self.banks:
            weights = bank.structural_weights
            if weights is not None and weights.grad is not None:
                self.importance[bank] = self.importance.get(bank, 0.0) + importance(bank)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Drop the strategy's candidates before other callbacks see the epoch's model."""
        for position, bank in enumerate(self.banks):
            if bank not in self.importance:
                continue
            progress = 1.0 if len(net.history) == net.max_epochs else self.progress
            gates = self.strategy.survivors(bank, progress, self.importance.pop(bank) / self.n_batches)
            if gates is not None:
                carry(net.optimizer_, bank.restrict(gates))
                self.costs[position] = self._costs(bank)
        self.n_batches = 0

    def penalty(self) -> Tensor | float:
        """The strategy's addition to the loss of a batch."""
        total: Tensor | float = 0.0
        for bank, costs in zip(self.banks, self.costs, strict=True):
            own = self.strategy.penalty(bank, self.progress)
            total = total if own is None else total + own
            if costs is not None and self.strategy.device is not None:
                total = total + self.strategy.device.strength * (distribution(bank) @ costs).mean()
        return total

    def move_weights(self, net: NeuralNet) -> None:
        """A step of the structural weights alone, on the next batch of the validation part."""
        weights, optimizer = self._weights(), self.own_optimizer(net.lr)
        windows, targets = self.batches[self.moves % len(self.batches)]
        self.moves += 1
        _require_grad(weights, True)
        net.module_.train()
        loss = net.get_loss(net.infer(windows), targets, training=True) + self.penalty()
        for parameter, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            parameter.grad = gradient
        optimizer.step()
        optimizer.zero_grad()
        _require_grad(weights, False)  # the next step must not change them

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        if self.batches:
            _require_grad(self._weights(), True)

    def own_optimizer(self, lr: float) -> torch.optim.Optimizer:
        """The structural weights' own optimiser; `lr` is the learning rate of the other parameters."""
        if self.optimizer is None:
            rate = lr if self.strategy.weights_lr is None else self.strategy.weights_lr
            self.optimizer = torch.optim.RMSprop(self._weights(), lr=rate, alpha=0.99, eps=1e-8)
        return self.optimizer

    def _weights(self) -> list[nn.Parameter]:
        return [parameter for bank in self.banks for parameter in bank.arch_parameters()]

    def _costs(self, bank: CircuitBank) -> Tensor | None:
        if self.strategy.device is None:
            return None
        values = self.strategy.device.costs(bank.candidates, bank.n_outputs)
        return torch.tensor(values, dtype=bank.angles.dtype, device=bank.angles.device)


class Shuffled(Sampler[int]):
    """Indices in a new order on each pass, the same as torch's `RandomSampler` with a seed from its default generator.

    Args:
        count: Number of indices.
        generator: Source of that seed, which is drawn on each pass.
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def __iter__(self) -> Iterator[int]:
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=self.generator))
        yield from torch.randperm(self.count, generator=torch.Generator().manual_seed(seed)).tolist()

    def __len__(self) -> int:
        return self.count


class SearchNet(NeuralNet):
    """skorch's network with the steps of a strategy; its attributes are set before `fit`.

    The recorded losses do not include penalties.

    Attributes:
        loop: The loop that applies the strategy.
        stream: Source of the seeds that torch's loaders draw on each pass; None once training is over.
        repeats: Number of times that a step evaluates each window.
        together: Number of nets that take their steps side by side, and share the time; 0 for a training by itself.
    """

    loop: SearchLoop | None = None
    stream: torch.Generator | None = None
    repeats: int = 1
    together: int = 0

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        loader = super().get_iterator(dataset, training=training)
        loader.generator = torch.Generator() if self.stream is None else self.stream
        return loader

    def train_step(self, batch: Any, **fit_params: Any) -> Any:
        if self.loop is not None and self.loop.batches:
            self.loop.move_weights(self)
        return super().train_step(batch, **fit_params)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        self._set_training(True)
        windows, targets = unpack_data(batch)
        if self.repeats > 1:
            windows, targets = windows.repeat(self.repeats, 1, 1), targets.repeat(self.repeats, 1)
        with torch.set_grad_enabled(True):
            prediction = self.infer(windows, **fit_params)
            loss = self.get_loss(prediction, targets, X=windows, training=True)
            loss.backward()
            if self.loop is not None:
                self.loop.note_importance()
                penalty = self.loop.penalty()
                if isinstance(penalty, Tensor) and penalty.requires_grad:  # bilevel adds it in the weights' own step
                    penalty.backward()  # type: ignore[no-untyped-call]
        return {"loss": loss, "y_pred": prediction}


def searched_banks(strategy: Strategy, module: Forecaster) -> list[CircuitBank]:
    """The banks of a model that a strategy searches, after it has frozen its part of them.

    Raises:
        OptionError: There are none, and the strategy needs some.
    """
    layers = list(module.circuits.layers()) if module.circuits is not None else []
    banks = [cell.bank for cell in layers if cell.bank.structural_weights is not None]
    if not banks and strategy != WeightedSum():
        raise OptionError(
            f"the strategy {strategy.name!r} chooses among candidates, and this model has one circuit per gate or none."
        )
    for bank in banks:
        strategy.freeze(bank)
    return banks


def _require_grad(parameters: list[nn.Parameter], wanted: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(wanted)
