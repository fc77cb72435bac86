"""A fit draws from generators of its own: the numbers that a seeded torch gives, whatever else draws at the same time."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
from joblib import parallel_config
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from qlstm_qiskit import QLSTM, QLSTMRegressor, SearchSpace
from qlstm_qiskit.nn import CircuitBank, Forecaster
from qlstm_qiskit.nn.noise import drawing_from, seeded
from qlstm_qiskit.search import make_strategy
from qlstm_qiskit.training import SPSA
from qlstm_qiskit.training.fitting import Seeds
from tests.speed import slow_but

X = np.random.default_rng(5).normal(size=(24, 3, 1))
Y = np.sin(X.sum(1))
SPACE = SearchSpace.product(["RY", "RX"], ["linear-RY", "linear-RX"])

#: What differs from one fit to the next: everything that draws.
KINDS = {
    "start": {},
    "shuffled": {"shuffle": True},
    "hybrid": {"n_qubits": 2},
    "dropout": {"num_layers": 2, "dropout": 0.4},
    "single": {"num_layers": 2, "dropout": 0.4, "dtype": "float32"},
    "gumbel": {"model": "diffqas", "space": SPACE, "mixing": "gumbel-softmax"},
    "straight-through": {"model": "diffqas", "space": SPACE, "mixing": "gumbel-straight-through", "shuffle": True},
    "control": {"model": "lstm", "depth": None},
    "deep control": {"model": "lstm", "depth": None, "hidden_size": 5, "num_layers": 3, "dropout": 0.4, "shuffle": True},
    "single control": {"model": "lstm", "depth": None, "num_layers": 2, "dropout": 0.4, "dtype": "float32"},
    "spsa": {"optimizer": "spsa", "num_layers": 2, "dropout": 0.4},
}
#: Further ones, which no short loop writes out.
MORE = {
    "validated": {"valid_fraction": 0.25, "patience": 1, "shuffle": True},
    "random": {"model": "diffqas", "space": SPACE, "search": "random"},
    "sampled": {"model": "diffqas", "space": SPACE, "search": "gumbel-softmax"},
    "shrinking": {"model": "diffqas", "space": SPACE, "search": "shrinking"},
    "bilevel": {"model": "diffqas", "space": SPACE, "search": "bilevel", "valid_fraction": 0.25},
    "trials": {
        "model": "diffqas",
        "space": SPACE,
        "search": make_strategy("best-of-random", {"k": 2}),
        "valid_fraction": 0.25,
    },
    "shots": {"backend": "aer-shots", "max_epochs": 1},
}


def model(kind: str, **more) -> QLSTMRegressor:
    small = {"model": "config1", "hidden_size": 2, "depth": 1, "max_epochs": 2, "batch_size": 7, "seed": 3}
    return QLSTMRegressor(**(small | (KINDS | MORE)[kind] | more))


def bits(fitted: QLSTMRegressor) -> bytes:
    return b"".join(value.numpy().tobytes() for value in fitted.module_.state_dict().values())


def plain_start(kind: str) -> Forecaster:
    """The model from torch's default generator; the control and the read-out as torch itself builds them."""
    options = model(kind).get_params()
    names = ("num_layers", "dropout")
    dtype, shared = getattr(torch, options["dtype"]), {name: options[name] for name in names} | {"batch_first": True}
    if options["model"] == "lstm":
        recurrent = nn.LSTM(1, options["hidden_size"], dtype=dtype, **shared)
    else:
        space = options["space"] or SearchSpace.handcrafted(1)
        own = {name: options[name] for name in ("depth", "n_qubits", "mixing")}
        recurrent = QLSTM(1, options["hidden_size"], space=space, dtype=dtype, **own, **shared)
    return Forecaster(recurrent, nn.Linear(options["hidden_size"], 1, dtype=dtype))


def plain_training(kind: str, epochs: int) -> tuple[Forecaster, torch.Tensor]:
    """A training in plain torch, all of it from the default generator; and that generator's state in the end."""
    options = model(kind).get_params()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Seeds.of(options["seed"]).model)
        module = plain_start(kind)
        dtype = next(module.parameters()).dtype
        windows, targets = (torch.as_tensor(part, dtype=dtype) for part in (X, Y))
        loader = DataLoader(TensorDataset(windows, targets), batch_size=7, shuffle=options["shuffle"])
        if options["optimizer"] == "spsa":
            groups = [{"params": module.recurrent.parameters()}, {"params": module.head.parameters(), "perturbed": False}]
            optimizer: torch.optim.Optimizer = SPSA(groups)
        else:
            optimizer = torch.optim.RMSprop(module.parameters(), lr=0.01, alpha=0.99, eps=1e-8)
        for _ in range(epochs):
            for x, y in loader:

                def closure(x=x, y=y, optimizer=optimizer, module=module):
                    optimizer.zero_grad()
                    loss = nn.functional.mse_loss(module(x), y)
                    loss.backward()
                    return loss

                optimizer.step(closure)
        return module, torch.get_rng_state()


@pytest.mark.parametrize("kind", slow_but(("shuffled", "dropout", "straight-through", "spsa", "single control"), KINDS))
def test_the_numbers_are_those_of_a_seeded_torch(kind: str, tmp_path: Path) -> None:
    """To the bit, and so is the state of the generator, which checkpoints hold."""

    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs) -> None:
            if len(net.history) == 2:
                raise KeyboardInterrupt

    expected, _ = plain_training(kind, 2)
    fitted = model(kind).fit(X, Y)
    for name, value in expected.state_dict().items():
        assert torch.equal(fitted.module_.state_dict()[name], value), name
    model(kind, checkpoint=tmp_path / "file", callbacks=[Stop()]).fit(X, Y)
    assert torch.equal(load_file(tmp_path / "file")["rng"], plain_training(kind, 1)[1])
    assert bits(model(kind, checkpoint=tmp_path / "file").fit(X, Y)) == bits(fitted)


@pytest.mark.parametrize("kind", KINDS | MORE)
def test_torchs_and_numpys_generators_are_neither_read_nor_moved(kind: str) -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        fitted = model(kind).fit(X, Y)
        fitted.predict(X)
        found.append(bits(fitted))
        assert torch.equal(before[0], torch.get_rng_state())
        np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert found[0] == found[1]


@pytest.mark.slow
def test_fits_in_threads_are_those_that_run_alone() -> None:
    """While another thread seeds and draws from the default generator all the time."""
    kinds = [*KINDS, *MORE]
    alone = {kind: bits(model(kind).fit(X, Y)) for kind in kinds}
    over = Event()

    def disturb() -> None:
        while not over.is_set():
            torch.manual_seed(0)
            torch.rand(7)
            np.random.seed(0)  # noqa: NPY002
            over.wait(0.001)

    thread = Thread(target=disturb)
    with torch.random.fork_rng(devices=[]), ThreadPoolExecutor(4) as pool:
        thread.start()
        try:
            together = list(pool.map(lambda kind: bits(model(kind).fit(X, Y)), kinds))
        finally:
            over.set()
            thread.join()
    assert [kind for kind, found in zip(kinds, together, strict=True) if found != alone[kind]] == []


@pytest.mark.slow
def test_a_grid_in_threads_finds_what_it_finds_alone() -> None:
    def scores() -> np.ndarray:
        grid = {"dropout": [0.0, 0.3], "seed": [1, 2], "shuffle": [True]}
        return GridSearchCV(model("dropout"), grid, cv=2, n_jobs=3).fit(X, Y[:, 0]).cv_results_["mean_test_score"]

    with parallel_config("sequential"):
        alone = scores()
    with parallel_config("threading"):
        np.testing.assert_array_equal(scores(), alone)


@pytest.mark.parametrize("kind", ["deep control", "straight-through", "spsa"])
def test_fitted_models_are_copied_and_pickled(kind: str) -> None:
    """Also in the middle of a fit, where the copy leaves the generator to the original."""
    copies: list[nn.Module] = []

    class Copy(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs) -> None:
            if training and not copies:
                copies.extend([copy.deepcopy(net.module_), pickle.loads(pickle.dumps(net.module_))])
                for other in copies:
                    with torch.random.fork_rng(devices=[]):
                        other(torch.as_tensor(X))

    fitted = model(kind, callbacks=[Copy()]).fit(X, Y)
    assert len(copies) == 2
    plain = model(kind).fit(X, Y)
    assert bits(fitted) == bits(plain)
    for other in (copy.deepcopy(plain), pickle.loads(pickle.dumps(plain)), clone(plain).fit(X, Y)):
        np.testing.assert_array_equal(other.predict(X), plain.predict(X))


def test_noise_outside_a_fit_comes_from_torchs_default_generator() -> None:
    """Dropout of a fitted model that is left on, as for Monte Carlo dropout."""
    for kind in ("deep control", "dropout", "gumbel"):
        module, windows = model(kind).fit(X, Y).module_.train(), torch.as_tensor(X)
        with torch.random.fork_rng(devices=[]):
            drawn = [module(windows) for _ in range(2) if torch.manual_seed(0)] + [module(windows)]
        assert torch.equal(drawn[0], drawn[1])
        assert not torch.equal(drawn[0], drawn[2])
        with drawing_from(seeded(0), module):
            assert torch.equal(module(windows), drawn[0])
        assert type(module.recurrent) in (nn.LSTM, QLSTM)
        assert not any(hasattr(part, "noise_source") and part.noise_source for part in module.modules())
        assert not any("forward" in vars(part) for part in module.modules())


def test_a_stack_with_states_of_its_own_is_the_same_layer_by_layer() -> None:
    for batch_first in (False, True):
        stack = nn.LSTM(2, 3, 2, batch_first=batch_first, dropout=0.5, dtype=torch.float64)
        x, hx = torch.randn(4, 4, 2, dtype=torch.float64), tuple(torch.randn(2, 4, 3, dtype=torch.float64) for _ in range(2))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(9)
            expected, (h, c) = stack(x, hx)
        with drawing_from(seeded(9), stack):
            found = stack(x, hx)
        assert all(map(torch.equal, (found[0], *found[1]), (expected, h, c)))


def test_banks_with_a_generator_draw_their_start_from_it() -> None:
    generator = torch.Generator().manual_seed(1)
    before = torch.get_rng_state()
    first = CircuitBank(SPACE.candidates(2, 1), generator=generator).angles
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first, CircuitBank(SPACE.candidates(2, 1), generator=generator).angles)
