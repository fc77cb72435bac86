"""Regressions on windows, by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import PolynomialFeatures

from qlstm_qiskit.errors import TrainingError

Floats = NDArray[np.float64]

#: Windows (n, window, features) and targets (n, horizon).
Part = tuple[Floats, Floats]

#: Predictions (n, horizon) of windows.
Predict = Callable[[Floats], Floats]

#: Penalties that ridge regressions choose from, by leave-one-out on the training windows.
_ALPHAS = np.logspace(-10, 2, 25)

#: Iterations of L-BFGS in an epoch, as torch has them by default.
_ITERATIONS = 20


def flat(windows: Floats) -> Floats:
    """All values of each window: (n, window * features) from (n, window, features)."""
    return windows.reshape(len(windows), -1)


def fit_ridge(train: Part, reads: Callable[[Floats], Floats]) -> tuple[Predict, int]:
    """A ridge regression: its predictions, and its number of parameters.

    Args:
        train: What it is fitted to.
        reads: What it reads of windows, (n, inputs).
    """
    read, horizon = reads(train[0]), train[1].shape[1]
    model = RidgeCV(alphas=_ALPHAS).fit(read, train[1])

    def predict(windows: Floats) -> Floats:
        return np.asarray(model.predict(reads(windows))).reshape(len(windows), horizon)

    return predict, (read.shape[1] + 1) * horizon


def _read_products(products: PolynomialFeatures, windows: Floats) -> Floats:
    return np.asarray(products.transform(flat(windows)))


def fit_products(train: Part, valid: Part, most: int) -> tuple[Predict, int]:
    """A ridge regression on products of values, of the degree with the lowest validation error; returns as `fit_ridge`.

    Args:
        train, valid: What it is fitted to, and what chooses the degree.
        most: The highest degree.
    """
    found = []
    for degree in range(1, most + 1):
        products = PolynomialFeatures(degree, include_bias=False).fit(flat(train[0]))
        predict, count = fit_ridge(train, partial(_read_products, products))
        found.append((float(np.mean((predict(valid[0]) - valid[1]) ** 2)), predict, count))
    _, predict, count = min(found, key=lambda one: one[0])
    return predict, count


def fit_perceptron(train: Part, valid: Part, *, units: int, epochs: int, patience: int, seed: int) -> tuple[Predict, int]:
    """A multilayer perceptron of one hidden layer of tanh, by L-BFGS without a penalty; returns as `fit_ridge`.

    An epoch is 20 iterations. The epoch with the lowest validation error is kept, and the training ends once so many have not
    lowered it: what the recurrent models have with `optimizer: lbfgs` and `patience`.

    Args:
        train, valid: What it is fitted to, and what chooses the epoch.
        units: Of the hidden layer.
        epochs, patience: At most, and how many are waited for.
        seed: Of the weights at the start.

    Raises:
        TrainingError: Its predictions are no numbers from the first epoch on.
    """
    horizon, best, kept, since = train[1].shape[1], np.inf, None, 0
    model = MLPRegressor(
        hidden_layer_sizes=(units,),
        activation="tanh",
        solver="lbfgs",
        alpha=0,
        tol=0,
        max_iter=_ITERATIONS,
        warm_start=True,
        random_state=seed,
    )
    targets = train[1][:, 0] if horizon == 1 else train[1]
    for _ in range(epochs):
        with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is to stop after so many iterations
            model.fit(flat(train[0]), targets)
            error = float(np.mean((model.predict(flat(valid[0])).reshape(-1, horizon) - valid[1]) ** 2))
        if error < best:
            best, kept, since = error, deepcopy(model), 0
        else:
            since += 1
        if since == patience:
            break
    if kept is None:
        raise TrainingError("the perceptron diverged; give it fewer units.")

    def predict(windows: Floats) -> Floats:
        return np.asarray(kept.predict(flat(windows))).reshape(len(windows), horizon)

    return predict, sum(one.size for one in (*kept.coefs_, *kept.intercepts_))
