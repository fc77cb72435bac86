"""The estimator of classes: scikit-learn's contract, probabilities, losses by their definition, reproducibility, errors."""

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback

from qlstm_qiskit import QLSTMClassifier, QLSTMRegressor, SearchSpace
from qlstm_qiskit.errors import DataError, OptionError, RunError, TrainingError
from qlstm_qiskit.search import derive, make_strategy
from qlstm_qiskit.training import MODELS
from qlstm_qiskit.training.task import CLASSIFICATION

RNG = np.random.default_rng(0)
NAMES = np.array(["falls", "flat", "rises"])
Y = NAMES[np.arange(30) % 3]
X = (np.linspace(-1, 1, 4) * (np.arange(30) % 3 - 1)[:, None] + 0.1 * RNG.normal(size=(30, 4)))[:, :, None]
TWO = np.where(np.arange(30) % 3 == 0, "down", "up")
SPACE = SearchSpace.product(["RY"], ["linear-RY", "linear-RX"])


def tiny(**options: Any) -> QLSTMClassifier:
    return QLSTMClassifier(**({"model": "config1", "hidden_size": 2, "depth": 1, "max_epochs": 2, "seed": 0} | options))


def same(one: QLSTMClassifier, other: QLSTMClassifier) -> bool:
    states = one.module_.state_dict(), other.module_.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@parametrize_with_checks([QLSTMClassifier("lstm", 2, max_epochs=2)])
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([QLSTMClassifier("config1", 2, 1, max_epochs=1)])
def test_scikit_learn_contract_with_circuits(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("model", [model for model in MODELS if model != "derived"])
def test_every_model_fits_and_predicts(model: str) -> None:
    fitted = tiny(model=model, depth=None).fit(X, Y)
    assert fitted.predict_proba(X).shape == (30, 3)
    assert [row["epoch"] for row in fitted.history_] == [1, 2]
    assert set(fitted.predict(X)) <= set(NAMES)
    assert not fitted.interrupted_


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "bidirectional": True},
        {"num_layers": 2, "dropout": 0.1, "n_qubits": 2},
        {"optimizer": "lbfgs", "batch_size": 0},
        {"optimizer": "spsa"},
        {"optimizer": "adam", "schedule": "cosine", "shuffle": True, "dtype": "float32"},
        {"backend": "exact-shots"},
        *({"model": "diffqas", "space": SPACE, "search": name} for name in ("gumbel-softmax", "shrinking", "entropy")),
        {"model": "diffqas", "space": SPACE, "search": "bilevel", "valid_fraction": 0.2},
        {
            "model": "diffqas",
            "space": SPACE,
            "search": make_strategy("best-of-random", {"k": 2}),
            "valid_fraction": 0.2,
        },
    ],
    ids=("gru", "layers", "lbfgs", "spsa", "adam", "shots", "gumbel-softmax", "shrinking", "entropy", "bilevel", "trials"),
)
def test_options_are_those_of_the_regressor_and_a_seed_gives_its_bits(options: dict[str, Any]) -> None:
    assert QLSTMClassifier().get_params() == QLSTMRegressor().get_params()
    first, again, other = (tiny(**options | {"seed": seed}).fit(X, Y) for seed in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)
    np.testing.assert_allclose(first.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


class TestLoss:
    @pytest.mark.parametrize("labels", [Y, TWO], ids=["three", "two"])
    def test_an_epoch_of_one_step_has_the_log_loss_of_the_start(self, labels: np.ndarray) -> None:
        model = tiny(model="lstm", depth=None, max_epochs=1, batch_size=0).fit(X, labels)
        start = {name: value.clone() for name, value in model.build_module(1, len(model.classes_)).state_dict().items()}
        begun = tiny(model="lstm", depth=None, max_epochs=1, batch_size=0, lr=1e-300, start=start).fit(X, labels)
        expected = log_loss(labels, begun.predict_proba(X), labels=begun.classes_)
        assert begun.history_[0]["train_loss"] == pytest.approx(expected, rel=1e-12)

    def test_its_gradient_is_the_closed_form(self) -> None:
        """Of softmax and cross entropy: probabilities less what is true, per window."""
        scores = torch.tensor(RNG.normal(size=(6, 3)), requires_grad=True)
        truth = np.eye(3)[[0, 1, 2, 2, 1, 1]]
        CLASSIFICATION.criterion()(scores, torch.as_tensor(truth)).backward()
        probabilities = np.exp(scores.detach().numpy())
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(scores.grad.numpy(), (probabilities - truth) / 6, atol=1e-15)

    @pytest.mark.parametrize("labels", [Y, TWO], ids=["three", "two"])
    def test_its_gradient_by_all_parameters_is_that_of_differences(self, labels: np.ndarray) -> None:
        """A step of RMSprop hides the size of a gradient, so the whole model is differentiated here."""
        module = tiny().fit(X, labels).module_
        classes, places = np.unique(labels, return_inverse=True)
        truth = CLASSIFICATION.targets(np.eye(len(classes))[places], np.float64)

        def loss() -> torch.Tensor:
            return CLASSIFICATION.criterion()(module(torch.as_tensor(X)), torch.as_tensor(truth))

        module.zero_grad()
        loss().backward()
        for parameter in module.parameters():
            flat = parameter.data.view(-1)
            for place in range(min(len(flat), 3)):
                with torch.no_grad():
                    value = float(flat[place])
                    flat[place] = value + 1e-6
                    above = float(loss())
                    flat[place] = value - 1e-6
                    below = float(loss())
                    flat[place] = value
                assert parameter.grad.view(-1)[place].item() == pytest.approx((above - below) / 2e-6, abs=1e-8)

    def test_scores_far_apart_lose_no_digits(self) -> None:
        """Where a probability is smaller than the least float, its logarithm is not."""
        scores, truth = np.array([[0.0, 2000.0]]), np.array([[1.0, 0.0]])
        assert CLASSIFICATION.error(scores, truth) == 2000.0


def test_a_search_is_derived_by_its_own_loss() -> None:
    """The score of a circuit is what its gate's sum loses in log loss without it; what is left goes on as a classifier."""
    found = tiny(model="diffqas", space=SPACE, max_epochs=4, lr=0.05).fit(X, Y)
    truth = torch.as_tensor(CLASSIFICATION.targets(Y[:, None] == NAMES, np.float64))
    genotype, state = derive(found.module_, torch.as_tensor(X), truth, loss=found.task.criterion(), top_k=2, refit=False)
    (layer,) = genotype.layers
    base = log_loss(Y, found.predict_proba(X))
    (bank,) = (cell.bank for cell in found.module_.circuits.layers())
    before = bank.structural_weights.detach().clone()
    places = {candidate.name: place for place, candidate in enumerate(bank.candidates)}
    for number, gate in enumerate(layer.values()):
        for circuit in gate:
            with torch.no_grad():
                bank.structural_weights[number, places[circuit.candidate]] = 0
            assert circuit.score == pytest.approx(log_loss(Y, found.predict_proba(X)) - base, abs=1e-5)
            with torch.no_grad():
                bank.structural_weights.copy_(before)
    derived = tiny(model="derived", space=genotype.spaces(), start=state, max_epochs=1, lr=1e-300).fit(X, Y)
    np.testing.assert_allclose(derived.predict_proba(X), found.predict_proba(X), atol=1e-4)


class TestProbabilities:
    @pytest.mark.parametrize("labels", [Y, TWO], ids=["three", "two"])
    def test_they_are_those_of_aer(self, labels: np.ndarray) -> None:
        """Aer's density matrix evaluates the trained circuits."""
        exact = tiny(model="diffqas", space=SPACE, max_epochs=3).fit(X, labels)
        aer = tiny(model="diffqas", space=SPACE, max_epochs=1, lr=1e-300, backend="aer-exact", start=exact.module_.state_dict())
        aer.fit(X[:3], np.unique(labels)[[0, 1, -1]])
        np.testing.assert_allclose(aer.predict_proba(X[:8]), exact.predict_proba(X[:8]), rtol=0, atol=1e-9)
        np.testing.assert_allclose(aer.decision_function(X[:8]), exact.decision_function(X[:8]), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("labels", [Y, TWO], ids=["three", "two"])
    def test_they_the_scores_and_the_class_agree(self, labels: np.ndarray) -> None:
        fitted = tiny(max_epochs=4, lr=0.1).fit(X, labels)
        probabilities, scores = fitted.predict_proba(X), fitted.decision_function(X)
        outputs = fitted.module_(torch.as_tensor(X)).detach().numpy()
        expected = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-12)
        np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[expected.argmax(axis=1)])
        assert fitted.score(X, labels) == accuracy_score(labels, fitted.predict(X))
        if len(fitted.classes_) == 2:
            np.testing.assert_allclose(scores, np.log(expected[:, 1] / expected[:, 0]), atol=1e-12)
        else:
            np.testing.assert_allclose(scores, outputs, rtol=1e-12)

    def test_training_learns(self) -> None:
        fitted = tiny(max_epochs=15, lr=0.05).fit(X, Y)
        assert fitted.score(X, Y) > 0.9
        assert fitted.history_[-1]["train_loss"] < 0.5 * np.log(3)

    def test_their_type_is_that_of_the_training(self) -> None:
        fitted = tiny(dtype="float32").fit(X, Y)
        assert fitted.predict_proba(X).dtype == fitted.decision_function(X).dtype == np.float32


@pytest.mark.parametrize(
    "labels",
    [
        Y.tolist(),
        Y.astype(object),
        np.arange(30) % 3 - 7,
        (np.arange(30) % 3).astype(float),
        np.arange(30) % 3 == 1,
        pd.Series(Y, index=range(100, 130)),
        pd.Series(Y, dtype="category"),
        pd.Series(Y, dtype="string"),
        np.array(["1", "inf", "nan"])[np.arange(30) % 3],
    ],
    ids=["list", "objects", "negative", "floats", "truths", "series", "category", "string", "words"],
)
def test_labels_of_any_kind_come_back(labels: Any) -> None:
    plain = np.asarray(labels)
    fitted = tiny(max_epochs=1).fit(X, labels, validation_data=(X[:4], labels[:4]))
    assert fitted.classes_.tolist() == sorted(set(plain.tolist()))
    assert type(fitted.predict(X).tolist()[0]) is type(plain.tolist()[0])
    assert set(fitted.predict(X).tolist()) <= set(plain.tolist())


def test_clone_pipeline_grid_search_and_pickle() -> None:
    assert is_classifier(tiny())
    assert clone(tiny(num_layers=2)).get_params()["num_layers"] == 2
    pipeline = make_pipeline(StandardScaler(), tiny())
    assert pipeline.fit(X[:, :, 0], Y).predict_proba(X[:, :, 0]).shape == (30, 3)
    grids = [{"model": ["config1"], "depth": [1]}, {"model": ["lstm"], "depth": [None]}]
    search = GridSearchCV(tiny(max_epochs=1), grids, cv=2, scoring="neg_log_loss", error_score="raise").fit(X, Y)
    assert np.isfinite(search.best_score_)
    assert search.predict_proba(X).shape == (30, 3)
    assert cross_val_predict(tiny(max_epochs=1), X, Y, cv=2, method="predict_proba").shape == (30, 3)
    fitted = pickle.loads(pickle.dumps(tiny().fit(X, Y)))
    np.testing.assert_array_equal(fitted.predict_proba(X), tiny().fit(X, Y).predict_proba(X))


class TestValidation:
    def test_the_last_windows_validate_whatever_the_number_of_classes(self) -> None:
        held_out = tiny(valid_fraction=0.2, max_epochs=6, patience=2, lr=0.1).fit(X, Y)
        given = tiny(max_epochs=6, patience=2, lr=0.1).fit(X[:24], Y[:24], validation_data=(X[24:], Y[24:]))
        assert same(held_out, given)
        losses = [row["valid_loss"] for row in held_out.history_]
        assert losses == [row["valid_loss"] for row in given.history_]
        assert min(losses) == losses[-1] == pytest.approx(log_loss(Y[24:], given.predict_proba(X[24:])), rel=1e-12)

    def test_it_may_lack_classes(self) -> None:
        fitted = tiny().fit(X, Y, validation_data=(X[:1], Y[:1]))
        assert fitted.predict_proba(X).shape == (30, 3)

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            (X, "validation_data is a ndarray; give a pair: windows like X, and their y"),
            ((X[:3], Y[:2]), r"values of the shape \(2,"),
            ((X[:2], [["rises"], ["falls"]]), r"the classes of validation_data have the shape \(2, 1\); expected one for each"),
            (
                (X[:2], ["rises", "ris"]),
                "validation_data has classes that y has not, 'ris'; those of y are 'falls'",
            ),
            ((X[:2], [1, 2]), "validation_data has classes that y has not, 1, 2; those"),
            ((X[:2], ["rises", None]), "there is no value in row 1 of the classes of validation_data"),
            ((X[:2] * np.nan, Y[:2]), "the windows of validation_data contains NaN"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, given: Any, says: str) -> None:
        with pytest.raises(DataError, match=says):
            tiny().fit(X, Y, validation_data=given)

    def test_a_class_that_would_not_train_is_refused(self) -> None:
        order = np.argsort(Y, kind="stable")
        with pytest.raises(DataError, match="of the classes 'rises' all windows are among the last ones, which validate"):
            tiny(valid_fraction=0.4).fit(X[order], Y[order])


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.full(30, "flat"), "y holds one class, 'flat'; give windows of two"),
        (np.linspace(0, 1, 30), "y holds no classes, such as text or whole numbers: Unknown label type: continuous"),
        (["a", *Y[1:].tolist()[:-1], None], "there is no value in row 29 of y"),
        (np.where(np.arange(30) == 3, np.nan, 1.0), "there is no value in row 3 of y"),
        (np.where(np.arange(30) == 3, np.inf, 1.0), "y contains infinity, first in row 3"),
        (pd.Series(["a", pd.NA] * 15, dtype="string"), "there is no value in row 1 of y"),
        (np.array(["a", 1] * 15, dtype=object), "y holds no classes"),
        (np.array([label.encode() for label in Y]), "y holds no classes.* bytes"),
    ],
    ids=["one", "numbers", "none", "nan", "infinity", "NA", "mixed", "bytes"],
)
def test_what_is_no_classes_is_refused(labels: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        tiny().fit(X, labels)


@pytest.mark.parametrize("options", [{"lr": 1e300}, {"callbacks": "interrupt"}], ids=["diverged", "interrupted"])
def test_a_fit_that_fails_leaves_the_model_before_it(options: dict[str, Any]) -> None:
    fitted = tiny().fit(X, TWO)
    probabilities, classes = fitted.predict_proba(X), fitted.predict(X)
    fitted.set_params(**({"callbacks": [InterruptIn(1)]} if "callbacks" in options else options))
    with pytest.raises((TrainingError, KeyboardInterrupt)):
        fitted.fit(X[:, :3], Y)
    np.testing.assert_array_equal(fitted.predict(X), classes)
    np.testing.assert_array_equal(fitted.predict_proba(X), probabilities)


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="patience=2 needs a validation part"):
        tiny(patience=2).fit(X, Y)


class InterruptIn(Callback):
    """Ctrl-C in the second batch of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch_end(self, net, batch=None, training=None, **kwargs) -> None:
        if training and len(net.history) == self.epoch and len(net.history[-1]["batches"]) == 2:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("backend", ["statevector", "exact-shots"])
def test_a_checkpoint_is_gone_on_from_to_the_same_bits(backend: str, tmp_path: Path) -> None:
    file = tmp_path / "training.safetensors"
    options = {"max_epochs": 4, "backend": backend, "shuffle": True, "checkpoint": file}
    stopped = tiny(callbacks=[InterruptIn(3)], **options).fit(X, Y)
    assert stopped.interrupted_
    assert len(stopped.history_) == 2
    resumed = tiny(**options).fit(X, Y)
    assert same(resumed, tiny(**options | {"checkpoint": None}).fit(X, Y))


def test_a_checkpoint_of_the_other_task_is_refused(tmp_path: Path) -> None:
    """The arrays are the same: memberships as numbers."""
    for place, (first, second) in enumerate([(QLSTMClassifier, QLSTMRegressor), (QLSTMRegressor, QLSTMClassifier)]):
        options = {**tiny().get_params(), "checkpoint": tmp_path / f"{place}.safetensors"}
        numbers = (Y[:, None] == NAMES).astype(float)
        first(**options).fit(X, numbers if first is QLSTMRegressor else Y)
        with pytest.raises(RunError, match="another training: task is '[a-z]*' there and '[a-z]*' here"):
            second(**options).fit(X, numbers if second is QLSTMRegressor else Y)
