"""Estimators of several replicas: the mean of models that are fitted one by one, and their spread."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from qlstm_qiskit import QLSTMClassifier, QLSTMRegressor
from qlstm_qiskit.errors import OptionError, RunError, TrainingError
from qlstm_qiskit.training.ensembles import SavedEnsemble
from qlstm_qiskit.training.tensors import read_weights, write_tensors

SMALL = {"model": "config1", "hidden_size": 2, "depth": 1, "max_epochs": 3, "seed": 7}
X = np.random.default_rng(0).uniform(-1, 1, (30, 3, 1))
Y = np.sin(X.sum(axis=(1, 2)))
LABELS = np.where(Y > 0, "up", "down")


def alone(kind=QLSTMRegressor, y=Y, **more):
    return [kind(**SMALL | {"seed": seed} | more).fit(X, y) for seed in (7, 8, 9)]


@pytest.fixture(scope="module")
def fitted() -> QLSTMRegressor:
    return QLSTMRegressor(**SMALL, replicas=3).fit(X, Y)


def test_it_predicts_the_mean_of_models_that_are_fitted_one_by_one(fitted: QLSTMRegressor) -> None:
    each = np.array([model.predict(X) for model in alone()])
    mean, spread = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(spread, each.std(axis=0), rtol=0, atol=1e-9)
    assert mean.shape == spread.shape == Y.shape
    assert spread.min() > 1e-6
    np.testing.assert_array_equal(fitted.predict(X), mean)
    assert [member.seed for member in fitted.estimators_] == [7, 8, 9]
    assert not hasattr(fitted, "module_")


def test_the_members_are_as_without_the_others_where_they_cannot_be_side_by_side() -> None:
    options = {"optimizer": "spsa"}
    fitted = QLSTMRegressor(**SMALL | options, replicas=3).fit(X, Y)
    each = np.array([model.predict(X) for model in alone(**options)])
    np.testing.assert_array_equal(fitted.predict(X), each.mean(axis=0))


def test_several_outputs() -> None:
    both = np.column_stack([Y, -Y])
    mean, spread = QLSTMRegressor(**SMALL, replicas=2).fit(X, both).predict(X, return_std=True)
    assert mean.shape == spread.shape == (30, 2)


def test_probabilities_are_the_mean_of_the_members() -> None:
    fitted = QLSTMClassifier(**SMALL, replicas=3).fit(X, LABELS)
    each = np.array([model.predict_proba(X) for model in alone(QLSTMClassifier, LABELS)])
    np.testing.assert_allclose(fitted.predict_proba(X), each.mean(axis=0), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[each.mean(axis=0).argmax(axis=1)])
    assert list(fitted.classes_) == ["down", "up"]


def test_scikit_learn_takes_it_as_any_other(fitted: QLSTMRegressor) -> None:
    made = clone(fitted)
    assert made.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        made.predict(X)
    scores = cross_val_score(made, X, Y, cv=3)
    assert len(scores) == 3
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


def test_one_model_has_no_spread() -> None:
    with pytest.raises(OptionError, match="this estimator has one; fit it with replicas=4"):
        QLSTMRegressor(**SMALL).fit(X, Y).predict(X, return_std=True)
    with pytest.raises(NotFittedError):
        QLSTMRegressor(**SMALL).predict(X, return_std=True)


def test_a_new_fit_leaves_nothing_of_the_one_before(fitted: QLSTMRegressor) -> None:
    model = clone(fitted).fit(X, Y).set_params(replicas=1).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), alone()[0].predict(X))
    assert not hasattr(model, "estimators_")
    model.set_params(replicas=3).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), fitted.predict(X))
    assert not hasattr(model, "module_")


def test_intervals_are_of_the_mean(fitted: QLSTMRegressor) -> None:
    model = clone(fitted).fit(X[:15], Y[:15]).calibrate(X[15:], Y[15:])
    np.testing.assert_array_equal(model.calibration_scores_[:, 0], np.abs(model.predict(X[15:]) - Y[15:]))
    low, high = model.predict_interval(X, 0.8)
    np.testing.assert_allclose((low + high) / 2, model.predict(X))


@pytest.mark.parametrize(("kind", "y"), [(QLSTMRegressor, Y), (QLSTMClassifier, LABELS)])
def test_a_file_holds_all_of_them(kind, y, tmp_path: Path) -> None:
    fitted = kind(**SMALL, replicas=3).fit(X, y)
    fitted.save(tmp_path)
    read = kind.load(tmp_path)
    assert read.get_params() == fitted.get_params()
    np.testing.assert_array_equal(read.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(read.estimators_[2].predict(X), fitted.estimators_[2].predict(X))
    kind(**SMALL).fit(X, y).save(tmp_path)  # in its place
    assert kind.load(tmp_path).replicas == 1


def test_a_damaged_file_is_refused(fitted: QLSTMRegressor, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    file = tmp_path / "estimator.safetensors"
    header, tensors = read_weights(file)
    SavedEnsemble.model_validate(header)
    write_tensors(file, {name: value for name, value in tensors.items() if not name.startswith("2.")}, header)
    with pytest.raises(RunError, match="is damaged"):
        QLSTMRegressor.load(tmp_path)
    write_tensors(file, tensors, header | {"ensemble": header["ensemble"][:1]})
    with pytest.raises(RunError, match="is damaged"):
        QLSTMRegressor.load(tmp_path)


def test_checkpoints_are_of_the_members(tmp_path: Path) -> None:
    made = QLSTMRegressor(**SMALL, replicas=2, checkpoint=tmp_path / "kept")
    made.fit(X, Y)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept-0", "kept-1"]
    (tmp_path / "kept-1").unlink()  # one goes on from its end, the other begins anew
    np.testing.assert_array_equal(clone(made).fit(X, Y).predict(X), made.predict(X))


def test_a_member_that_diverges_ends_the_fit(fitted: QLSTMRegressor) -> None:
    model = clone(fitted).fit(X, Y)
    with pytest.raises(TrainingError, match=r"3 of 3 trainings ended early \(seed 7, 8, 9\)"):
        model.set_params(lr=1e300).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), fitted.predict(X))


def test_one_start_of_all_is_refused(fitted: QLSTMRegressor) -> None:
    start = fitted.estimators_[0].module_.state_dict()
    with pytest.raises(OptionError, match="replicas=3 differ in their random start, and start has one for all"):
        clone(fitted).set_params(start=start).fit(X, Y)


def test_the_forecaster_of_sktime_takes_it() -> None:
    sktime = pytest.importorskip("qlstm_qiskit.training.sktime")
    series = np.sin(np.arange(30) / 3)
    found = []
    for regressor in (QLSTMRegressor(**SMALL, replicas=2), *(QLSTMRegressor(**SMALL | {"seed": seed}) for seed in (7, 8))):
        found.append(sktime.QLSTMForecaster(regressor, window_length=3).fit(series, fh=[1]).predict())
    np.testing.assert_allclose(found[0], (found[1] + found[2]) / 2, atol=1e-9)
