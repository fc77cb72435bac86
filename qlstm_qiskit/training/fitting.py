"""A fit: trial trainings, the training that counts, and the resumption of interrupted ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback
from skorch.helper import predefined_split

from qlstm_qiskit.data import split_validation
from qlstm_qiskit.errors import TrainingError
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.hardware.contract.executor import Draws
from qlstm_qiskit.nn import EVALUATION_BATCH, Forecaster
from qlstm_qiskit.nn.checks import require_parameters
from qlstm_qiskit.nn.noise import drawing_from, seeded
from qlstm_qiskit.training.bar import ProgressBar
from qlstm_qiskit.training.batches import Windows, as_it_is, as_tensor
from qlstm_qiskit.training.callbacks import BestEpoch, LastEpoch
from qlstm_qiskit.training.checkpoint import Checkpoint, digest, plain_row
from qlstm_qiskit.training.inputs import describe, load_start
from qlstm_qiskit.training.models import build_module
from qlstm_qiskit.training.optimizers import Schedule, optimizer_options
from qlstm_qiskit.training.outlook import Advice
from qlstm_qiskit.training.plain import CheckedOptions
from qlstm_qiskit.training.searching import SearchLoop, SearchNet, Shuffled
from qlstm_qiskit.training.verify import Expected

Arrays = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Seeds:
    """The seeds of a fit, all derived from one number.

    Attributes:
        root: The number from which they are derived.
    """

    root: int

    @classmethod
    def of(cls, seed: int | None) -> Seeds:
        """The seeds derived from `seed`; fresh ones where None."""
        return cls(int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed)

    @property
    def model(self) -> int:
        """Seed of a training's generator: initial parameters, dropout, shuffling."""
        return int(np.random.SeedSequence(self.root).generate_state(2)[0])

    @property
    def backend(self) -> int:
        """Seed of simulated shots."""
        return int(np.random.SeedSequence(self.root).generate_state(2)[1])

    def trials(self, count: int) -> list[int]:
        """Seeds of the generators of `count` trials; none if there is only one training."""
        return [] if count == 1 else np.random.SeedSequence(self.root).generate_state(2 + count)[2:].tolist()


@dataclass
class Fitted:
    """The result of a training; see the attributes of the estimators."""

    net: SearchNet
    module: Forecaster
    history: list[dict[str, Any]]
    interrupted: bool


@dataclass
class Training:
    """A model and what trains it.

    Attributes:
        net: skorch's network, which has the model.
        generator: Source of dropout and the like.
        keeper, best: Its callbacks that keep the last epoch, and the best one where there is patience.
        bars: Its progress bars.
    """

    net: SearchNet
    generator: torch.Generator
    keeper: LastEpoch
    best: BestEpoch | None
    bars: list[ProgressBar]

    def end(self) -> None:
        """Let go of the generator and the bars, however the training has ended."""
        self.net.stream = None
        for bar in self.bars:
            bar.on_train_end(self.net)


class Fit:
    """Trains a model according to its options on the first windows, and validates it on the last.

    Args:
        options: Options of model and training.
        windows, targets: (n, window, features) and (n, outputs).
        held_out: Windows and targets to validate on, in place of the last of the others.

    Raises:
        DataError: Too few windows for a validation part.
        RunError: There is a checkpoint, and the training cannot resume from it.
    """

    def __init__(
        self, options: CheckedOptions, windows: NDArray[Any], targets: NDArray[Any], held_out: Arrays | None = None
    ) -> None:
        self.options = options
        horizon = targets.shape[1] if options.task.ahead else 1
        n_train, n_valid = split_validation(len(windows), horizon, options.valid_fraction)
        self.train: Arrays = (windows[:n_train], targets[:n_train])
        self.valid: Arrays | None = (windows[-n_valid:], targets[-n_valid:]) if n_valid else held_out
        self.seeds, self.checkpoint = Seeds.of(options.seed), None
        if options.checkpoint is not None:
            data = digest(*self.train, *(self.valid or (None, None)))
            self.checkpoint = Checkpoint(Path(options.checkpoint), describe(options), data, self.seeds.root)
            self.seeds = Seeds(self.checkpoint.progress.root)
            self.checkpoint.verify(self._expected())

    def _expected(self) -> Expected:
        """The properties that a checkpoint of this fit has."""
        options, tried = self.options, self.seeds.trials(self.options.strategy.trials)
        return Expected(
            seed=options.seed,
            starts=tried or [self.seeds.model],
            tries=bool(tried),
            epochs=options.max_epochs,
            steps=-(-len(self.train[0]) // self.batch_size),
            validated=self.valid is not None,
            patient=bool(options.patience),
            alternates=options.strategy.alternates,
        )

    def run(self) -> Fitted:
        """Run the trials, if any, then the training that counts, from the best seed.

        Raises:
            TrainingError: It diverged, or all trials did.
            KeyboardInterrupt: Ctrl-C before its first epoch was finished.
        """
        checkpoint = self.checkpoint
        if checkpoint is not None and checkpoint.progress.seed is not None:
            return self._train(checkpoint.progress.seed)
        seed = self.seeds.model
        losses: dict[int, float | None] = {} if checkpoint is None else dict(checkpoint.progress.trials)
        tried, backend = self.seeds.trials(self.options.strategy.trials), self.options.backend
        draws = Draws() if isinstance(backend, str | BackendSpec) else backend.draws  # trials share a backend object
        if losses and checkpoint is not None:
            draws.count = checkpoint.progress.draws
        for number, other in enumerate(tried, 1):
            if other not in losses:
                losses[other] = self._try(other, f"trial {number} of {len(tried)}")
                if checkpoint is not None:
                    checkpoint.finish_trial(other, losses[other], draws.count)
        if tried:
            known = {other: loss for other, loss in losses.items() if loss is not None}
            if not known:
                rate = self.options.learning_rate
                raise TrainingError(f"all {len(tried)} trials diverged; lower the learning rate (lr={rate}).")
            seed = min(known, key=lambda other: known[other])
        return self._train(seed)

    def _try(self, seed: int, name: str) -> float | None:
        """The validation loss of a training from this seed; None if it diverges."""
        try:
            fitted = self._train(seed, name)
        except TrainingError:
            return None
        if fitted.interrupted:
            raise KeyboardInterrupt
        return float(fitted.history[-1]["valid_loss"])

    def _train(self, seed: int, trial: str | None = None) -> Fitted:
        """Build a model from this seed and train it; the user's callbacks and the checkpoint do not see trials."""
        training = self.prepare(seed, trial)
        try:
            with drawing_from(training.generator, training.net.module_):
                training.net.partial_fit(*self.train, epochs=self.options.max_epochs - len(training.net.history))
        finally:
            training.end()
        return self.outcome(training)

    def prepare(self, seed: int, trial: str | None = None) -> Training:
        """Build a model from this seed and all that trains it, at the epoch that its checkpoint has, if any."""
        options, checkpoint = self.options, None if trial else self.checkpoint
        stream, device = seeded(seed), torch.device(options.device)
        own = stream if device.type == "cpu" else seeded(seed, device)
        module = self.build(own)
        count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
        require_parameters(2 * count, "gradients and the optimiser's state", options.device)
        if options.start is not None:
            load_start(module, options.start)
        tensors = None if self.valid is None else (as_tensor(self.valid[0]), as_tensor(self.valid[1]))
        loop, keeper = SearchLoop(options.strategy, module, tensors, self.batch_size, stream), LastEpoch()
        best = BestEpoch(options.patience) if options.patience else None
        if checkpoint is not None:
            checkpoint.attach(loop, module, seed, best, stream)
        advice = Advice(options, *self.train)
        bar = [ProgressBar(trial or options.model, options.task.title, advice)] if options.verbose else []
        callbacks = [("search", loop), keeper, *([best] if best else []), *bar]
        if options.schedule != "constant":
            callbacks.append(Schedule(options.schedule, -(-len(self.train[0]) // self.batch_size)))
        if trial is None:
            callbacks += [*(options.callbacks or []), *([checkpoint] if checkpoint else [])]
        net = self._net(module, loop, callbacks, stream)
        net.initialize()
        if checkpoint is not None:
            checkpoint.restore(net)
            keeper.note(net)
        return Training(net, own, keeper, best, bar)

    def build(self, generator: torch.Generator) -> Forecaster:
        """The model at its random start."""
        sizes = self.train[0].shape[2], self.train[1].shape[1]
        return build_module(self.options, *sizes, backend_seed=self.seeds.backend, generator=generator)

    def _net(
        self,
        module: Forecaster,
        loop: SearchLoop,
        callbacks: list[Callback | tuple[str, Callback]],
        stream: torch.Generator,
    ) -> SearchNet:
        options = self.options
        net = SearchNet(
            module,
            criterion=options.task.criterion,
            **optimizer_options(options, module, stream),
            lr=options.learning_rate,
            max_epochs=options.max_epochs,
            batch_size=self.batch_size,
            dataset=Windows,
            iterator_train__collate_fn=as_it_is,
            iterator_valid__collate_fn=as_it_is,
            iterator_train__sampler=Shuffled(len(self.train[0]), stream) if options.shuffle else None,
            iterator_valid__batch_size=EVALUATION_BATCH,
            train_split=None if self.valid is None else predefined_split(Windows(*self.valid)),
            callbacks=callbacks,
            callbacks__print_log=None,
            predict_nonlinearity=None,  # skorch would apply one that it derives from the criterion
            device=options.device,
            verbose=0,
        )
        net.loop, net.stream, net.repeats = loop, stream, options.repeats
        return net

    @property
    def batch_size(self) -> int:
        """Windows of a step."""
        return self.options.batch_size or len(self.train[0])

    def outcome(self, training: Training) -> Fitted:
        """What has become of a training, interrupted or not.

        Raises:
            KeyboardInterrupt: No epoch was finished.
        """
        net, keeper, best = training.net, training.keeper, training.best
        module, history = net.module_, [plain_row(row) for row in net.history[: keeper.epochs_]]
        interrupted = len(history) < self.options.max_epochs and not (best is not None and best.is_over(history))
        if interrupted:
            if not keeper.epochs_:
                raise KeyboardInterrupt
            if len(net.history) > keeper.epochs_:
                module = net.module_ = self._restored(module, keeper)
        elif best is not None:
            module.load_state_dict(best.state_)
            history = history[: best.best(history)]
        return Fitted(net, module, history, interrupted)

    def _restored(self, module: Forecaster, keeper: LastEpoch) -> Forecaster:
        """The model of the last finished epoch; a new one if it has dropped candidates since."""
        layer = module.circuits
        if layer is not None and keeper.gates_ is not None and layer.gates != keeper.gates_:
            sizes = layer.input_size, module.head.out_features
            drawn = torch.Generator(device=self.options.device)
            module = build_module(self.options, *sizes, backend_seed=self.seeds.backend, generator=drawn)
            assert module.circuits is not None
            if any(weights.dim() == 1 for name, weights in keeper.state_.items() if name.endswith("structural_weights")):
                module.circuits.keep(keeper.gates_)
        module.load_state_dict(keeper.state_)
        return module
