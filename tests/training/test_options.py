"""Options of the estimator: numbers of numpy work as plain ones do, and what is of another kind is refused in words."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from skorch.callbacks import Callback

from qlstm_qiskit import QLSTMRegressor, SearchSpace
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.training.plain import CheckedOptions

X = np.random.default_rng(0).normal(size=(20, 3))
Y = np.sin(X.sum(1))

#: For each option a value that is not the default, and what goes with it.
VALUES = {
    "hidden_size": (2, {}),
    "depth": (2, {}),
    "n_qubits": (2, {}),
    "num_layers": (2, {}),
    "max_epochs": (3, {}),
    "batch_size": (7, {}),
    "patience": (1, {"valid_fraction": 0.25}),
    "seed": (4, {}),
    "spsa_resamplings": (2, {"optimizer": "spsa"}),
    "dropout": (0.25, {"num_layers": 2}),
    "valid_fraction": (0.25, {}),
    "lr": (0.125, {}),
    "spsa_eps": (0.25, {"optimizer": "spsa"}),
    "angle_std": (0.5, {}),
    "shuffle": (True, {}),
    "verbose": (1, {}),
    "model": ("config2", {}),
    "input_map": ("arctan", {}),
    "mixing": ("softmax", {"model": "diffqas", "space": SearchSpace.product(["RY"], ["linear-RY", "linear-RX"])}),
    "optimizer": ("adam", {}),
    "schedule": ("cosine", {}),
    "dtype": ("float32", {}),
    "device": ("cpu", {}),
    "search": ("softmax", {"model": "diffqas", "space": SearchSpace.product(["RY"], ["linear-RY", "linear-RX"])}),
    "backend": ("statevector", {}),
}
KINDS = {int: (np.int8, np.int64, np.uint16), float: (np.float16, np.float32, np.float64), bool: (np.bool_,), str: (np.str_,)}
CASES = [(name, kind) for name, (value, _) in VALUES.items() for kind in KINDS[type(value)]]


def tiny(**options) -> QLSTMRegressor:
    return QLSTMRegressor(**({"model": "config1", "hidden_size": 1, "depth": 1, "max_epochs": 2} | options))


class Stop(Callback):
    def on_epoch_begin(self, net, **kwargs) -> None:
        if len(net.history) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_values_of_numpy_are_what_they_stand_for(name: str, kind: type, tmp_path: Path) -> None:
    value, more = VALUES[name]
    given = tiny(**(more | {name: kind(value)}))
    expected = tiny(**(more | {name: value})).fit(X, Y)
    file = tmp_path / "fit.safetensors"
    given.set_params(checkpoint=file, callbacks=[Stop()]).fit(X, Y)
    with safe_open(file, framework="pt") as content:
        options = json.loads(content.metadata()["qlstm_qiskit"])["options"]
    if name == "search":
        assert options["search"]["name"] == value
    elif name != "verbose":  # which does not decide what comes out
        assert (type(options[name]), options[name]) == (type(value), value)
    plain = getattr(CheckedOptions.of(given), name)
    assert type(plain) is (bool if name == "verbose" else type(value))
    assert type(given.get_params()[name]) is kind, "what was given stays as it is"
    resumed = given.set_params(callbacks=None).fit(X, Y)
    for key, weights in expected.module_.state_dict().items():
        assert torch.equal(resumed.module_.state_dict()[key], weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({name: value}, f"{name} is .*; it must be an integer of at least")
            for name in ("hidden_size", "depth", "n_qubits", "num_layers", "max_epochs", "batch_size", "patience", "seed")
            for value in (-1, 2.0, np.float64(2), "2", True, np.True_, np.array([2]), float("nan"), [1])
        ),
        *(({name: None}, f"{name} is None") for name in ("hidden_size", "num_layers", "max_epochs", "batch_size")),
        *(
            ({name: 10**11}, f"{name} is 100000000000; it must be an integer of at most 2,147,483,647")
            for name in ("hidden_size", "n_qubits", "max_epochs", "batch_size")
        ),
        ({"seed": 2**128}, f"seed is {2**128}; it must be an integer of at most"),
        *(
            ({name: value}, f"{name} is .*; it must be a")
            for name in ("lr", "spsa_eps", "angle_std", "dropout", "valid_fraction")
            for value in (-0.1, float("nan"), np.float32("inf"), 10**400, "0.1", True, np.array([0.1]), 1j, [0.1])
        ),
        ({"lr": 0}, "lr is 0; it must be a finite number above 0"),
        ({"dropout": 1.0, "num_layers": 2}, "dropout is 1.0; it must be at least 0 and below 1"),
        ({"dropout": None}, "dropout is None"),
        *(
            ({name: value}, f"{name} is .*; it must be a string")
            for name in ("model", "input_map", "mixing", "optimizer", "schedule", "dtype")
            for value in (None, 3, ["adam"])
        ),
        ({"shuffle": "no"}, "shuffle is 'no'; it must be True or False"),
        ({"verbose": None}, "verbose is None"),
        ({"device": "gpu"}, "device is 'gpu', which this installation of torch cannot use"),
        ({"device": "meta"}, "device is 'meta', which this installation of torch cannot use"),
        ({"device": 1.5}, "device is 1.5, which this installation of torch cannot use"),
        ({"space": "paper"}, "space is 'paper'; it must be a SearchSpace"),
        ({"space": 3}, "space is 3; it must be a SearchSpace"),
        ({"search": 3}, "search is 3; it must be a Strategy"),
        ({"backend": 3}, "backend is 3; it must be a backend"),
        ({"start": [1]}, "start must be a dictionary of tensors"),
        ({"start": {"head.bias": 1.0}}, "start must be a dictionary of tensors"),
    ],
)
def test_what_is_not_of_its_kind_is_refused(options: dict, message: str) -> None:
    model = tiny(**options)
    for call in (lambda: model.fit(X, Y), model.check_options, lambda: model.build_module(1, 1)):
        with pytest.raises(OptionError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_device_that_is_not_there_is_refused() -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(
        OptionError, match=rf"device is '{device}', which this installation of torch cannot use \(.+\); use 'cpu'"
    ):
        tiny(device=device).fit(X, Y)


def test_grids_of_numpy_are_searched() -> None:
    grid = {"batch_size": np.arange(4, 9, 4), "hidden_size": np.array([1, 2]), "lr": np.logspace(-3, -2, 2), "max_epochs": [1]}
    search = GridSearchCV(tiny(), grid, cv=2, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    draws = {"dropout": np.linspace(0, 0.5, 3), "seed": np.arange(3), "model": np.array(["config1", "lstm"]), "depth": [None]}
    drawn = RandomizedSearchCV(tiny(num_layers=2, max_epochs=1), draws, n_iter=3, cv=2, random_state=0, error_score="raise")
    assert np.isfinite(drawn.fit(X, Y).cv_results_["mean_test_score"]).all()
