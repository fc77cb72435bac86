"""The estimator: scikit-learn's contract, reproducibility, errors."""

import math
import os
import signal
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback, EarlyStopping

from qlstm_qiskit import QLSTMRegressor, SearchSpace, load_backend, load_dataset
from qlstm_qiskit.data import split_validation
from qlstm_qiskit.errors import CapacityError, DataError, OptionError, TrainingError
from qlstm_qiskit.nn import QLSTM
from qlstm_qiskit.training import MODELS
from qlstm_qiskit.training.fitting import Seeds
from qlstm_qiskit.training.models import build_forecaster
from tests.speed import slow_but

DATA = load_dataset("damped_shm")
X, Y = DATA.x_train[:30], DATA.y_train[:30]


def tiny(**options) -> QLSTMRegressor:
    return QLSTMRegressor(**({"model": "config1", "hidden_size": 2, "depth": 1, "max_epochs": 2} | options))


@parametrize_with_checks([QLSTMRegressor("lstm", 2, max_epochs=2)])
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([QLSTMRegressor("config1", 2, 1, max_epochs=1)])
def test_scikit_learn_contract_with_circuits(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "derived"])
def test_every_model_fits_and_predicts(model: str) -> None:
    fitted = tiny(model=model, depth=None).fit(X, Y)
    assert fitted.predict(X).shape == (30, 1)
    assert [row["epoch"] for row in fitted.history_] == [1, 2]
    assert not fitted.interrupted_
    assert np.isfinite(fitted.score(X, Y))


PAPER_SPACE = SearchSpace.paper().names


@pytest.mark.parametrize(
    ("model", "names", "angles", "frozen"),
    [
        ("diffqas", PAPER_SPACE, (4, 36 * 6), False),
        ("diffqas-shared", PAPER_SPACE, (4, 6), False),
        ("reservoir", PAPER_SPACE, (4, 36 * 6), True),
        ("reservoir-shared", PAPER_SPACE, (4, 6), True),
        *((f"config{n}", SearchSpace.handcrafted(n).names, (4, 6), False) for n in range(1, 7)),
    ],
)
def test_names_stand_for_the_papers_models(model: str, names: tuple[str, ...], angles: tuple, frozen: bool) -> None:
    fitted = tiny(model=model, depth=2, max_epochs=1).fit(X, Y)
    (cell,) = fitted.module_.recurrent.layers()
    assert tuple(candidate.name for candidate in cell.bank.candidates) == names
    assert tuple(cell.bank.angles.shape) == angles
    assert cell.bank.angles.requires_grad != frozen
    assert len(list(cell.arch_parameters())) == (1 if len(names) > 1 else 0)
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.SeedSequence(0).generate_state(1)[0]))
        start = tiny(model=model, depth=2).build_module(1, 1)
    before = dict(start.named_parameters())
    moved = {name for name, value in fitted.module_.named_parameters() if (value - before[name]).abs().max() > 1e-6}
    expected = set(before)
    if frozen or model in ("config3", "config4", "config5"):  # R_Z before measuring Z: every angle is inert
        expected.remove("recurrent.cells.0.bank.angles")
    if model in ("config3", "config5"):  # identically zero, and so is the hidden state
        expected.remove("head.weight")
    assert moved == expected


def test_the_training_is_the_adopted_one() -> None:
    """RMSprop(lr 0.01, alpha 0.99, eps 1e-8), batch 10, no shuffling, mean squared error, 100 epochs."""
    fitted = tiny(max_epochs=1).fit(X, Y)
    (group,) = fitted._net.optimizer_.param_groups
    assert (group["lr"], group["alpha"], group["eps"], group["momentum"], group["weight_decay"]) == (0.01, 0.99, 1e-8, 0, 0)
    assert isinstance(fitted._net.optimizer_, torch.optim.RMSprop)
    assert isinstance(fitted._net.criterion_, torch.nn.MSELoss)
    assert QLSTMRegressor().max_epochs == 100
    seen: list[np.ndarray] = []

    class Spy(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs) -> None:
            seen.append(batch[0].numpy())

    tiny(max_epochs=1, callbacks=[Spy()]).fit(X, Y)
    assert [len(batch) for batch in seen] == [10, 10, 10]
    np.testing.assert_array_equal(np.concatenate(seen), X)


def test_early_stopping_keeps_what_it_chose() -> None:
    stopper = EarlyStopping(monitor="train_loss", patience=1, threshold=0.9, load_best=True)
    fitted = tiny(max_epochs=20, callbacks=[stopper]).fit(X, Y)
    assert len(fitted.history_) < 20
    best = min(range(len(fitted.history_)), key=lambda i: fitted.history_[i]["train_loss"] if i == 0 else 9)
    assert best == 0
    np.testing.assert_array_equal(fitted.predict(X), tiny(max_epochs=1).fit(X, Y).predict(X))


class TestValidationData:
    def test_it_validates_as_the_same_windows_held_out_do(self) -> None:
        options = {"seed": 0, "max_epochs": 6, "patience": 2, "lr": 0.1}
        held_out = tiny(valid_fraction=0.25, **options).fit(X, Y)
        n_train, n_valid = split_validation(len(X), 1, 0.25)
        given = tiny(**options).fit(X[:n_train], Y[:n_train], validation_data=(X[-n_valid:], Y[-n_valid:]))
        np.testing.assert_array_equal(given.predict(X), held_out.predict(X))
        assert [row["valid_loss"] for row in given.history_] == [row["valid_loss"] for row in held_out.history_]

    def test_a_search_can_learn_from_it(self) -> None:
        fitted = tiny(model="diffqas", search="bilevel", seed=0).fit(X, Y, validation_data=(X[:5], Y[:5]))
        assert "valid_loss" in fitted.history_[-1]

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (X, "validation_data is a ndarray; give a pair"),
            ((X[:3, :2], Y[:3]), "validation_data has windows of the shape .* expected as many windows"),
            ((X[:3], Y[:2]), r"values of the shape \(2,"),
            ((X[:0], Y[:0]), "expected as many"),
            ((X[:3] * np.nan, Y[:3]), "the windows of validation_data"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, given: Any, says: str) -> None:
        with pytest.raises(DataError, match=says):
            tiny().fit(X, Y, validation_data=given)

    def test_there_is_one_validation_part(self) -> None:
        with pytest.raises(OptionError, match="validation_data and valid_fraction=0.2 are two validation parts"):
            tiny(valid_fraction=0.2).fit(X, Y, validation_data=(X, Y))


@pytest.mark.parametrize("horizon", [1, 3])
def test_values_that_are_validated_do_not_train(horizon: int) -> None:
    series = np.sin(np.arange(40.0))
    validated = 4 + 37 - horizon - int(0.25 * (37 - horizon))  # the first value that the first such window predicts
    states = []
    for changed in (series, np.where(np.arange(40) < validated, series, 0.5)):
        windows = np.lib.stride_tricks.sliding_window_view(changed, 4 + horizon)
        fitted = tiny(valid_fraction=0.25, seed=0).fit(windows[:, :4], windows[:, 4:])
        states.append(fitted.module_.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("lr", "patience", "over"),
    slow_but([(0.01, 3, True), (0.001, 1, False)], [(0.3, 3, True), (0.01, 3, True), (0.01, 9, False), (0.001, 1, False)]),
)
def test_patience_keeps_the_best_epoch(lr: float, patience: int, over: bool) -> None:
    """The model is the one that training for so many epochs alone comes to; no epoch is begun after patience has run out."""
    options = {"model": "config1", "hidden_size": 2, "depth": 1, "valid_fraction": 0.2, "lr": lr, "seed": 1}
    whole = QLSTMRegressor(max_epochs=12, **options).fit(X, Y)
    losses = [row["valid_loss"] for row in whole.history_]
    begun: list[int] = []

    class Counted(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs) -> None:
            begun.append(len(net.history))

    found = QLSTMRegressor(max_epochs=12, patience=patience, callbacks=[Counted()], **options).fit(X, Y)
    first = next((n for n in range(1, 13) if n - (int(np.argmin(losses[:n])) + 1) >= patience), 12)
    assert (first < 12) == over, "the case is the one that it is meant to be"
    assert max(begun) == first
    kept = int(np.argmin(losses[:first])) + 1
    assert [row["valid_loss"] for row in found.history_] == losses[:kept]
    assert not found.interrupted_
    alone = QLSTMRegressor(max_epochs=kept, **options).fit(X, Y)
    for name, value in alone.module_.state_dict().items():
        torch.testing.assert_close(found.module_.state_dict()[name], value, rtol=0, atol=0)
    np.testing.assert_array_equal(found.predict(X), alone.predict(X))


def test_a_backend_object_and_a_changed_dtype() -> None:
    fitted = tiny(backend=load_backend()).fit(X, Y)
    expected = fitted.predict(X)
    fitted.set_params(dtype="float32")
    np.testing.assert_array_equal(fitted.predict(X), expected)


def test_shape_of_predictions_follows_y() -> None:
    assert tiny().fit(X, Y[:, 0]).predict(X).shape == (30,)
    assert tiny().fit(X, np.hstack([Y, Y])).predict(X).shape == (30, 2)
    assert tiny().fit(X[:, :, 0], Y).predict(X[:, :, 0]).shape == (30, 1)


def test_two_axes_are_one_feature() -> None:
    np.testing.assert_array_equal(tiny().fit(X[:, :, 0], Y).predict(X[:, :, 0]), tiny().fit(X, Y).predict(X))


def test_training_learns() -> None:
    fitted = QLSTMRegressor("diffqas", 2, 1, max_epochs=8).fit(DATA.x_train, DATA.y_train)
    losses = [row["train_loss"] for row in fitted.history_]
    assert losses[-1] < losses[0] / 5
    assert np.mean((fitted.predict(DATA.x_test) - DATA.y_test) ** 2) < np.var(DATA.y_test) / 3


def test_same_seed_same_bits_and_no_global_state_is_touched() -> None:
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (tiny(seed=seed, shuffle=True).fit(X, Y) for seed in (3, 3, 4))
    states = [fitted.module_.state_dict() for fitted in (first, again, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
    assert torch.equal(torch_state, torch.random.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


def test_clone_pipeline_and_grid_search() -> None:
    space = SearchSpace.product(["RY"], ["linear-RY", "linear-RX"])
    model = tiny(model="diffqas", space=space, dropout=0.1, num_layers=2)
    assert clone(model).get_params()["num_layers"] == 2
    pipeline = make_pipeline(MinMaxScaler((-1, 1)), tiny())
    assert pipeline.fit(X[:, :, 0], Y[:, 0]).predict(X[:, :, 0]).shape == (30,)
    search = GridSearchCV(
        tiny(), {"hidden_size": [1, 2], "lr": [0.01]}, cv=TimeSeriesSplit(2), scoring="neg_mean_squared_error"
    )
    search.fit(X, Y)
    assert search.best_params_["hidden_size"] in (1, 2)
    assert np.isfinite(search.best_score_)


def test_own_space_replaces_the_models() -> None:
    fitted = tiny(model="diffqas", space=SearchSpace.product(["RY"], ["linear-RY", "linear-RX"])).fit(X, Y)
    assert isinstance(fitted.module_.recurrent, QLSTM)
    assert fitted.module_.recurrent.n_circuits == 8


def test_dtype() -> None:
    assert tiny().fit(X, Y).predict(X).dtype == np.float64
    assert tiny(dtype="float32").fit(X, Y).predict(X).dtype == np.float32


class InterruptIn(Callback):
    """Ctrl-C in the second batch of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch_end(self, net, batch=None, training=None, **kwargs) -> None:
        if training and len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_leaves_the_last_finished_epoch() -> None:
    stopped = tiny(max_epochs=5, callbacks=[InterruptIn(3)]).fit(X, Y)
    assert stopped.interrupted_
    assert len(stopped.history_) == 2
    np.testing.assert_array_equal(stopped.predict(X), tiny(max_epochs=2).fit(X, Y).predict(X))


def test_ctrl_c_in_the_first_epoch_is_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        tiny(callbacks=[InterruptIn(1)]).fit(X, Y)


def replaced(row: int, value: float) -> np.ndarray:
    changed = X.copy()
    changed[row, 1] = value
    return changed


@pytest.mark.parametrize(
    ("options", "x", "y", "error", "message"),
    [
        ({"model": "difqas"}, X, Y, OptionError, "Did you mean 'diffqas'"),
        ({"backend": "statevectors"}, X, Y, OptionError, "Did you mean 'statevector'"),
        ({"dtype": "float16"}, X, Y, OptionError, "unknown dtype"),
        ({"max_epochs": 0}, X, Y, OptionError, "max_epochs is 0"),
        ({"batch_size": -1}, X, Y, OptionError, "batch_size is -1"),
        ({"lr": 0.0}, X, Y, OptionError, "lr is 0.0"),
        ({"seed": -1}, X, Y, OptionError, "seed is -1"),
        ({"seed": 1.5}, X, Y, OptionError, "seed is 1.5"),
        ({"angle_std": -1.0}, X, Y, OptionError, "angle_std is -1.0"),
        ({"mixing": "softmax"}, X, Y, OptionError, "single candidate"),
        ({"model": "lstm", "depth": None, "input_map": "arctan"}, X, Y, OptionError, "leave out input_map=arctan"),
        ({"model": "lstm", "depth": None, "dropout": 0.5}, X, Y, OptionError, "between layers"),
        ({"hidden_size": 0}, X, Y, OptionError, "hidden_size is 0"),
        ({"model": "lstm"}, X, Y, OptionError, "no circuits; leave out depth=1"),
        ({"model": "diffqas", "hidden_size": 40, "depth": 2}, X, Y, CapacityError, "Use less depth"),
        ({"lr": 1e300}, X, Y, TrainingError, "lower the learning rate"),
        ({}, replaced(7, np.nan), Y, DataError, "X contains NaN, first in row 7"),
        ({}, replaced(8, np.inf), Y, DataError, "X contains infinity, first in row 8"),
        ({}, X, np.where(np.arange(30)[:, None] == 3, np.nan, Y), DataError, "y contains NaN, first in row 3"),
        ({}, X[..., None], Y, DataError, r"expected \(n, window, features\)"),
    ],
)
def test_errors(options: dict, x, y, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        tiny(**options).fit(x, y)


def test_prediction_refuses_other_windows() -> None:
    fitted = tiny().fit(X, Y)
    for other in (X[:, :3], X.repeat(2, axis=2)):
        with pytest.raises(DataError, match=r"fit was given \(4, 1\)"):
            fitted.predict(other)


def test_unknown_model_by_hand() -> None:
    with pytest.raises(OptionError, match="Did you mean 'config1'"):
        build_forecaster("confg1", 1, 1, hidden_size=2)


@pytest.mark.parametrize("optimizer", ["rmsprop", "spsa"])
def test_shots_train_and_the_same_seed_gives_the_same_bits(optimizer: str) -> None:
    first, second, other = (
        tiny(backend="aer-shots", optimizer=optimizer, max_epochs=1, seed=seed).fit(X[:10], Y[:10]) for seed in (1, 1, 2)
    )
    start = tiny(max_epochs=1, seed=1, lr=1e-12).fit(X[:10], Y[:10])
    parameters = [[p.detach() for p in model.module_.parameters()] for model in (first, second, other, start)]
    assert all(map(torch.equal, parameters[0], parameters[1]))
    assert not any(map(torch.equal, parameters[0], parameters[2]))
    assert not any(map(torch.equal, parameters[0], parameters[3])), "every parameter moved"


def test_spsa_on_the_exact_interpreter_learns() -> None:
    model = tiny(optimizer="spsa", max_epochs=15).fit(DATA.x_train, DATA.y_train)
    assert np.mean((model.predict(DATA.x_test) - DATA.y_test) ** 2) < np.mean(DATA.y_test**2) / 3


def test_spsa_perturbs_structural_weights_less() -> None:
    model = tiny(model="diffqas", optimizer="spsa", max_epochs=1).fit(X[:10], Y[:10])
    groups = {len(group["params"]): group for group in model._net.optimizer_.param_groups}
    sizes = [(group["perturbed"], group["perturbation"]) for group in model._net.optimizer_.param_groups]
    assert sorted(sizes) == [(False, 0.15), (True, pytest.approx(0.15 / 6)), (True, 0.15)]
    assert len(groups[2]["params"]) == 2, "weight and bias of the read-out"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "spas"}, "Did you mean 'spsa'"),
        ({"spsa_eps": 0.3}, "no meaning for rmsprop"),
        ({"optimizer": "spsa", "spsa_eps": 0.0}, "spsa_eps is 0.0"),
        ({"optimizer": "spsa", "spsa_resamplings": 0}, "spsa_resamplings is 0"),
    ],
)
def test_options_of_the_optimiser_are_checked(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        tiny(**options).fit(X, Y)


def test_each_optimiser_is_torchs_own() -> None:
    """The trainings by adam with a falling rate and by L-BFGS are loops in plain torch, to the bit."""
    windows, targets = torch.as_tensor(X), torch.as_tensor(Y)
    for name, options in (("adam", {"schedule": "cosine", "batch_size": 10}), ("lbfgs", {"batch_size": 0})):
        model = tiny(optimizer=name, max_epochs=3, **options).fit(X, Y)
        with torch.random.fork_rng():
            torch.manual_seed(Seeds.of(0).model)
            module = tiny().build_module(1, 1)
        if name == "adam":
            optimizer, size = torch.optim.Adam(module.parameters(), lr=0.01), 10
        else:
            limits = {"max_iter": 20, "history_size": 20, "tolerance_grad": 1e-14, "tolerance_change": 1e-16}
            optimizer, size = torch.optim.LBFGS(module.parameters(), lr=1.0, line_search_fn="strong_wolfe", **limits), 30
        for step in range(3 * (30 // size)):
            part = slice(step * size % 30, step * size % 30 + size)
            if name == "adam":
                optimizer.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / 9))

            def closure(part: slice = part, optimizer: torch.optim.Optimizer = optimizer, module: torch.nn.Module = module):
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(module(windows[part]), targets[part])
                loss.backward()
                return loss

            optimizer.step(closure)
        for key, value in module.state_dict().items():
            assert torch.equal(model.module_.state_dict()[key], value), (name, key)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs"}, "batch_size=10 changes them; give 0"),
        ({"optimizer": "lbfgs", "batch_size": 0, "schedule": "cosine"}, "has no meaning for it"),
        ({"optimizer": "lbfgs", "batch_size": 0, "num_layers": 2, "dropout": 0.1}, "dropout=0.1 changes"),
        ({"optimizer": "lbfgs", "batch_size": 0, "model": "diffqas", "search": "shrinking"}, "'shrinking' changes"),
        ({"optimizer": "lbfgs", "batch_size": 0, "model": "diffqas", "search": "gumbel-softmax"}, "changes; use adam"),
        ({"optimizer": "lbfgs", "batch_size": 0, "model": "diffqas", "search": "entropy"}, "'entropy' changes"),
        ({"optimizer": "lbfgs", "batch_size": 0, "model": "diffqas", "search": "bilevel", "valid_fraction": 0.2}, "'bilevel'"),
        ({"schedule": "cosinus"}, "Did you mean .cosine."),
        ({"optimizer": "adams"}, "Did you mean .adam."),
        ({"patience": 2}, "patience=2 needs a validation part; give valid_fraction"),
        ({"patience": -1}, "patience is -1"),
        ({"patience": 2, "valid_fraction": 0.2, "model": "diffqas", "search": "shrinking"}, "'shrinking' drops candidates"),
    ],
)
def test_options_of_the_training_are_checked(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        tiny(**options).fit(X, Y)
