"""A scikit-learn estimator round the models; the training loop is skorch's."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.callbacks import Callback
from torch import Tensor

from qlstm_qiskit.errors import DataError, OptionError
from qlstm_qiskit.hardware import Backend, BackendSpec, load_backend
from qlstm_qiskit.nn import Forecaster
from qlstm_qiskit.search import Strategy, WeightedSum, make_strategy
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training.fitting import Fit, Seeds
from qlstm_qiskit.training.inputs import as_windows, require_finite
from qlstm_qiskit.training.models import build_forecaster
from qlstm_qiskit.training.optimizers import OPTIMIZERS, check_optimizer
from qlstm_qiskit.training.options import DTYPES, plain_options
from qlstm_qiskit.training.searching import searched_banks

_NUMPY_DTYPES = {"float64": np.float64, "float32": np.float32}


class QLSTMRegressor(RegressorMixin, BaseEstimator):
    """Forecast the next values of a window with a quantum LSTM, or with the classical control.

    The training is that of the paper's author where the paper is silent: RMSprop (alpha 0.99, eps 1e-8), mean squared error on
    the last step's output, windows in time order. The same seed gives the same bits on one machine.

    Args:
        model: "diffqas", "diffqas-shared", "reservoir", "reservoir-shared", "config1" to "config6", "derived" (with the
            `space` of a `Genotype`), or "lstm".
        hidden_size: Features of the hidden state; input features + hidden_size is the number of qubits.
        depth: Variational layers of each circuit; 2 by default.
        space: Candidates to use in place of the model's own; a sequence has one space for each layer.
        search: How weights over candidates are trained: a `Strategy` or its name; the paper's weighted sum where None.
        valid_fraction: Last part of the windows that does not train: its loss is recorded, and strategies may learn from it.
            Nor do windows before it train whose targets lie in it, one fewer than a target has values.
        patience: End the training when so many epochs have not lowered the validation loss, and keep the epoch that had the
            lowest, also where all epochs were trained; 0 trains them all and keeps the last.
        start: Parameters to start from in place of random ones, as in the `state_dict` of `module_`.
        n_qubits, input_map, mixing, num_layers, dropout, backend, angle_std: As in `QLSTM`.
        max_epochs, batch_size, shuffle: Of the training; batch_size 0 takes all windows at once.
        optimizer: "rmsprop", "adam", "lbfgs" or "spsa". L-BFGS needs all windows at once and an exact backend; an epoch of it
            has 20 iterations, and the loss in the history is that before them. SPSA needs no gradients of circuits, see `SPSA`;
            its losses in the history are those of perturbed parameters.
        lr: Learning rate; by default 0.01 for "rmsprop" and "adam", 1 for "lbfgs" and 0.03 for "spsa".
        schedule: "constant", or "cosine": the learning rate falls to 0 along half a wave, a little at each step.
        spsa_eps, spsa_resamplings: `eps` and `resamplings` of `SPSA`; structural weights of C candidates move by eps / sqrt(C).
        seed: Of the initial parameters, dropout, shuffling, SPSA and simulated shots; None for a fresh one at each fit. A
            backend given as an object has a seed of its own. A fit neither reads nor moves the generators that torch and numpy
            share, so that fits in threads are those that run alone; callbacks that draw bring a generator of their own.
        dtype: "float64" or "float32".
        device: A torch device.
        checkpoint: A file that all of a training's state is written to after each epoch. Where it is there, `fit` goes on from
            it, to the same bits as without the interruption; delete it to train anew. Not so for shots of a backend given as an
            object without a seed, and for callbacks with a state of their own, such as EarlyStopping, which begin anew.
        callbacks: Further skorch callbacks.
        verbose: 1 shows a progress bar on a terminal.

    Attributes:
        module_: The fitted `Forecaster`.
        history_: One dictionary for each finished epoch, with `patience` until the one that is kept: epoch, train_loss,
            valid_loss (with a validation part), dur (seconds), ...
        interrupted_: Whether training ended before `max_epochs` by Ctrl-C or by a callback such as skorch's EarlyStopping.
            An epoch that was not finished leaves no trace.
        n_features_in_: Size of the second axis of X, the window, as scikit-learn counts it.
    """

    def __init__(
        self,
        model: str = "diffqas",
        hidden_size: int = 5,
        depth: int | None = None,
        *,
        space: SearchSpace | Sequence[SearchSpace] | None = None,
        search: Strategy | str | None = None,
        n_qubits: int | None = None,
        input_map: str = "identity",
        mixing: str = "linear",
        num_layers: int = 1,
        dropout: float = 0.0,
        max_epochs: int = 100,
        batch_size: int = 10,
        optimizer: str = "rmsprop",
        lr: float | None = None,
        schedule: str = "constant",
        spsa_eps: float = 0.15,
        spsa_resamplings: int = 1,
        shuffle: bool = False,
        valid_fraction: float = 0.0,
        patience: int = 0,
        start: Mapping[str, Tensor] | None = None,
        backend: Backend | BackendSpec | str = "statevector",
        angle_std: float = 0.01,
        seed: int | None = 0,
        dtype: str = "float64",
        device: str = "cpu",
        checkpoint: Path | str | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.hidden_size = hidden_size
        self.depth = depth
        self.space = space
        self.search = search
        self.n_qubits = n_qubits
        self.input_map = input_map
        self.mixing = mixing
        self.num_layers = num_layers
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.spsa_eps = spsa_eps
        self.spsa_resamplings = spsa_resamplings
        self.shuffle = shuffle
        self.valid_fraction = valid_fraction
        self.patience = patience
        self.start = start
        self.backend = backend
        self.angle_std = angle_std
        self.seed = seed
        self.dtype = dtype
        self.device = device
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> QLSTMRegressor:
        """Train from scratch, or from the checkpoint where there is one.

        Args:
            X: Windows, (n, window, features); or (n, window) of a single feature.
            y: The values that follow, (n,) or (n, outputs).

        Raises:
            DataError: A value is missing or infinite, or the shapes do not fit.
            OptionError: An option is not allowed.
            CapacityError: The circuits do not fit in memory.
            TrainingError: The loss is no longer finite.
            RunError: The checkpoint is damaged, or belongs to another training.
            KeyboardInterrupt: Ctrl-C before the first epoch was finished.
        """
        self.check_options()
        checked, y_checked = self._check_fit(X, y)
        windows = as_windows(checked)
        targets = y_checked.reshape(len(y_checked), -1)
        fitted = Fit(self._plain(), windows, targets).run()
        self._net, self.module_, self.history_, self.interrupted_ = (
            fitted.net,
            fitted.module,
            fitted.history,
            fitted.interrupted,
        )
        self._window_shape, self._y_is_flat = checked.shape[1:], y_checked.ndim == 1
        return self

    def check_options(self) -> None:
        """Check the options: each by itself, and those of the training together; the rest is checked as the model is built.

        Numbers, names and switches may be those of numpy; a fit and its checkpoint have them as plain values.

        Raises:
            OptionError: An option is of another kind, out of its range, unknown, or does not go with another one.
        """
        plain = self._plain()
        if plain.patience and not plain.valid_fraction:
            raise OptionError(f"patience={plain.patience} needs a validation part; give valid_fraction, such as 0.2.")
        plain._check_search()
        check_optimizer(plain)

    def _plain(self) -> QLSTMRegressor:
        """The same estimator with plain values."""
        plain = copy.copy(self)
        for name, value in plain_options(self).items():
            setattr(plain, name, value)
        return plain

    def _check_search(self) -> None:
        strategy = self.strategy
        if strategy.needs_validation and not self.valid_fraction:
            raise OptionError(
                f"the strategy {strategy.name!r} learns from a validation part; give valid_fraction, such as 0.2."
            )
        if strategy.drops and self.patience:
            raise OptionError(
                f"the strategy {strategy.name!r} drops candidates on its way to the last epoch; leave out patience."
            )
        if self.search is not None and self.mixing != "linear":
            raise OptionError(
                f"mixing={self.mixing!r} beside the search strategy {strategy.name!r}, which has its own; leave it out."
            )

    @property
    def strategy(self) -> Strategy:
        """`search` as an object."""
        if self.search is None:
            return WeightedSum()
        return make_strategy(self.search) if isinstance(self.search, str) else self.search

    @property
    def learning_rate(self) -> float:
        """`lr`, or the optimiser's default."""
        return OPTIMIZERS[self.optimizer] if self.lr is None else self.lr

    def build_module(
        self,
        input_size: int,
        n_outputs: int,
        *,
        backend_seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Forecaster:
        """Build an untrained model as `fit` trains it.

        Args:
            input_size: Features of a window.
            n_outputs: Values to predict.
            backend_seed: Of simulated shots; from `seed` where None.
            generator: Source of the initial parameters, on `device`; torch's default generator where None.

        Raises:
            OptionError: An option of the model is not allowed.
            CapacityError: The circuits do not fit in memory.
        """
        options = self._plain()
        backend = options.backend
        if isinstance(backend, str | BackendSpec):
            backend = load_backend(backend, seed=Seeds.of(options.seed).backend if backend_seed is None else backend_seed)
        module = build_forecaster(
            options.model,
            input_size,
            n_outputs,
            hidden_size=options.hidden_size,
            depth=options.depth,
            space=options.space,
            n_qubits=options.n_qubits,
            input_map=options.input_map,
            mixing=options.mixing if options.search is None else options.strategy.mixing,
            num_layers=options.num_layers,
            dropout=options.dropout,
            backend=backend,
            angle_std=options.angle_std,
            generator=generator,
            device=options.device,
            dtype=DTYPES[options.dtype],
        )
        searched_banks(options.strategy, module)
        return module

    def predict(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Predict the values that follow windows of the shape that was fitted: (n,) or (n, outputs), as y was.

        Raises:
            DataError: A value is missing or infinite, or the shape does not fit.
        """
        check_is_fitted(self, "module_")
        require_finite("X", X)
        shape = np.asarray(X).shape
        if len(shape) > 2 and shape[1:] != self._window_shape:  # scikit-learn's check would call a window's length "features"
            raise DataError(f"X has the shape {shape}; fit was given {self._window_shape} after n.")
        dtype = torch.empty(0, dtype=next(self.module_.parameters()).dtype).numpy().dtype
        checked = validate_data(self, X, reset=False, allow_nd=True, dtype=dtype)
        prediction = self._net.predict(as_windows(checked))
        return prediction[:, 0] if self._y_is_flat else prediction

    def _check_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """X and y as finite numbers of the model's dtype, or an error that says what is wrong."""
        require_finite("X", X)
        require_finite("y", y)
        dtype = _NUMPY_DTYPES[self.dtype]
        checked, targets = validate_data(self, X, y, allow_nd=True, multi_output=True, y_numeric=True, dtype=dtype)
        return checked, targets.astype(dtype)

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.multi_output = True
        tags.regressor_tags.poor_score = True  # a few epochs on shuffled columns, as the generic checks try, forecast nothing
        return tags
