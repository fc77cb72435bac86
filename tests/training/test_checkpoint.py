"""A checkpoint that was damaged is gone on from to the same bits, or refused in one line; never anything else."""

import copy
import json
import math
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from skorch.callbacks import Callback

from qlstm_qiskit import QLSTMRegressor, SearchSpace
from qlstm_qiskit.errors import RunError
from qlstm_qiskit.search import make_strategy
from qlstm_qiskit.training import fitting
from qlstm_qiskit.training.tensors import read_weights, write_tensors
from tests.speed import slow_but

X = np.random.default_rng(1).normal(size=(20, 3))
Y = np.sin(X.sum(1))
SPACE = SearchSpace.product(["RY", "RX"], ["linear-RY", "linear-RX"])

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "patient": {
        "model": "lstm",
        "depth": None,
        "valid_fraction": 0.3,
        "patience": 3,
        "optimizer": "adam",
        "schedule": "cosine",
    },
    "lbfgs": {"optimizer": "lbfgs", "batch_size": 0},
    "spsa": {"optimizer": "spsa"},
    "shrinking": {"model": "diffqas", "space": SPACE, "search": make_strategy("shrinking", {"begin": 0.2, "end": 0.8})},
    "bilevel": {"model": "diffqas", "space": SPACE, "search": "bilevel", "valid_fraction": 0.3},
    "tried": {
        "model": "diffqas",
        "space": SPACE,
        "search": make_strategy("best-of-random", {"k": 2}),
        "valid_fraction": 0.3,
    },
    "fresh": {"seed": None},
}


class Stop(Callback):
    """Ctrl-C at the beginning of the fourth epoch."""

    def on_epoch_begin(self, net, **kwargs) -> None:
        if len(net.history) == 4:
            raise KeyboardInterrupt


class File(NamedTuple):
    header: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def write(self, path: Path) -> None:
        path.write_bytes(save(self.tensors, metadata={"qlstm_qiskit": json.dumps(self.header)}))


class Case(NamedTuple):
    raw: bytes
    file: File
    whole: bytes  # parameters of the training that was not interrupted


def model(kind: str, **more) -> QLSTMRegressor:
    small = {"model": "config1", "hidden_size": 1, "depth": 1, "max_epochs": 5, "batch_size": 8}
    return QLSTMRegressor(**(small | KINDS[kind] | more))


def bits(fitted: QLSTMRegressor) -> bytes:
    return b"".join(value.numpy().tobytes() for value in fitted.module_.state_dict().values())


def read(path: Path) -> File:
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["qlstm_qiskit"])
        return File(header, {name: file.get_tensor(name).clone() for name in file.keys()})  # noqa: SIM118


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    folder, found = tmp_path_factory.mktemp("cut"), {}
    for kind in KINDS:
        path = folder / kind
        assert model(kind, checkpoint=path, callbacks=[Stop()]).fit(X, Y).interrupted_
        raw, file = path.read_bytes(), read(path)
        assert file.header["epoch"] == 3
        found[kind] = Case(raw, file, bits(model(kind, checkpoint=path).fit(X, Y)))
        if kind != "fresh":
            assert found[kind].whole == bits(model(kind).fit(X, Y))
    return found


def outcome(kind: str, path: Path) -> bytes | str:
    """The parameters that a training comes to from a file, or the one line that refuses it."""
    try:
        fitted = model(kind, checkpoint=path).fit(X, Y)
    except RunError as error:
        return str(error)
    assert [row["epoch"] for row in fitted.history_] == list(range(1, len(fitted.history_) + 1))
    return bits(fitted)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values in plain JSON data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: Any, rng: random.Random) -> Any:
    """Something else in the place of a value."""
    others: list[Any] = [None, -1, 0, 1, 1.5, "", "x", [], {}, True, 10**30, 10**400, math.nan, math.inf, [value], {"a": value}]
    if isinstance(value, int | float) and not isinstance(value, bool):
        others += [value + 1, value - 1, value * 2, -value, float(value), str(value), math.nextafter(value, math.inf)]
    if isinstance(value, list) and value:
        others += [value[1:], value[:-1], value + value[-1:], value[::-1], rng.sample(value, len(value))]
    if isinstance(value, dict) and value:
        others += [{key: item for key, item in value.items() if key != dropped} for dropped in rng.sample(sorted(value), 1)]
    if isinstance(value, str):
        others += [value + "0", value[:-1], value.upper()]
    return rng.choice(others)


def in_header(file: File, rng: random.Random) -> None:
    path = rng.choice(places(file.header)[1:])
    at = file.header
    for key in path[:-1]:
        at = at[key]
    if rng.random() < 0.2:
        del at[path[-1]]
    else:
        at[path[-1]] = changed(at[path[-1]], rng)


def in_tensors(file: File, rng: random.Random) -> None:
    name = rng.choice(sorted(file.tensors))
    value = file.tensors[name]
    flat = value.flatten().clone()
    changes: list[Callable[[], torch.Tensor | None]] = [
        lambda: None,
        value[None].clone,
        lambda: torch.cat([flat, flat]),
        flat[:-1].clone,
        lambda: torch.zeros_like(value),
        lambda: value.to(torch.float32) if value.dtype == torch.float64 else value.to(torch.float64),
        lambda: value.to(torch.bfloat16),
        lambda: value.to(torch.float64).to(torch.float8_e4m3fn),
        lambda: value.to(torch.int64),
        value.bool,
        lambda: torch.full_like(value, math.nan) if value.is_floating_point() else torch.full_like(value, 255),
        lambda: (value.double() * 2 + 1).to(value.dtype),
    ]
    new = rng.choice(changes)()
    if rng.random() < 0.2:
        file.tensors[name + rng.choice(["x", "/0", "/number", "/empty", "/a/b", "/99999999999999999999"])] = value.clone()
    if new is None:
        del file.tensors[name]
    else:
        file.tensors[name] = new


def in_bytes(raw: bytes, rng: random.Random) -> bytes:
    size, place = struct.unpack("<Q", raw[:8])[0], rng.randrange(len(raw))
    return rng.choice(
        [
            raw[:place],
            raw[:place] + bytes([raw[place] ^ (1 << rng.randrange(8))]) + raw[place + 1 :],
            raw[:place] + rng.randbytes(8) + raw[place + 8 :],
            struct.pack("<Q", rng.choice([0, 2, size - 1, size + 1, 2**63])) + raw[8:],
            raw + b"\0",
            raw[:8] + b" " * size + raw[8 + size :],
            raw[:8] + b"{}".ljust(size) + raw[8 + size :],
            rng.randbytes(place),
        ]
    )


@pytest.mark.parametrize("kind", slow_but(("plain",), KINDS))
def test_what_was_damaged_goes_on_to_the_same_bits_or_is_refused(kind: str, cases: dict[str, Case], tmp_path: Path) -> None:
    rng, path, refused = random.Random(f"damage {kind}"), tmp_path / "file", 0
    for number in range(90):
        file = copy.deepcopy(cases[kind].file)
        if number % 3 == 2:
            path.write_bytes(in_bytes(cases[kind].raw, rng))
        else:
            (in_header if number % 3 else in_tensors)(file, rng)
            file.write(path)
        before = path.read_bytes()
        found = outcome(kind, path)
        if isinstance(found, str):
            assert "\n" not in found
            refused += 1
            assert path.read_bytes() == before, "a refusal changes nothing"
        else:
            assert found == cases[kind].whole
    assert refused > 65


@pytest.mark.parametrize("kind", slow_but(("plain",), KINDS))
def test_files_without_a_checksum_are_read_and_damaged_ones_end_in_one_line(
    kind: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    """As earlier versions have written them: no sum tells that a value is another one, but nothing else may fail."""
    path, rng = tmp_path / "file", random.Random(f"no sum {kind}")
    old = copy.deepcopy(cases[kind].file)
    del old.header["sha256"]
    old.write(path)
    assert outcome(kind, path) == cases[kind].whole
    for number in range(40):
        file = copy.deepcopy(old)
        (in_header if number % 2 else in_tensors)(file, rng)
        file.write(path)
        found = outcome(kind, path)
        assert isinstance(found, bytes) or "\n" not in found


def drop_row(file: File) -> None:
    del file.header["history"][0]


def repeat_row(file: File) -> None:
    file.header["history"].append(file.header["history"][-1])


def swap_rows(file: File) -> None:
    file.header["history"].reverse()


def count_on(file: File) -> None:
    file.header["epoch"] += 1


def lose_a_loss(file: File) -> None:
    del file.header["history"][1]["train_loss"]


def other_rate(file: File) -> None:
    file.header["groups"][0]["lr"] *= 2


def other_constant(file: File) -> None:
    for name in ("alpha", "betas", "max_iter"):
        if name in file.header["groups"][0]:
            file.header["groups"][0][name] = 0.5


def one_group_more(file: File) -> None:
    file.header["groups"].append(file.header["groups"][0])


def other_parameters(file: File) -> None:
    file.header["groups"][0]["params"].append(9)


def other_root(file: File) -> None:
    file.header["root"] += 1


def other_seed(file: File) -> None:
    file.header["seed"] += 1


def no_seed(file: File) -> None:
    file.header["seed"] = None


def some_moves(file: File) -> None:
    file.header["moves"] += 1


def other_trials(file: File) -> None:
    file.header["trials"]["5"] = 0.1


def not_a_number(file: File) -> None:
    file.tensors["model/head.bias"][0] = math.nan


def other_dtype(file: File) -> None:
    file.tensors["model/head.bias"] = file.tensors["model/head.bias"].float()


def other_shape(file: File) -> None:
    file.tensors["model/head.weight"] = file.tensors["model/head.weight"].flatten()


def no_parameter(file: File) -> None:
    del file.tensors["model/head.bias"]


def one_parameter_more(file: File) -> None:
    file.tensors["model/extra"] = torch.zeros(1)


def short_generator(file: File) -> None:
    file.tensors["rng"] = file.tensors["rng"][:-1].clone()


def no_generator(file: File) -> None:
    del file.tensors["rng"]


def generator_elsewhere(file: File) -> None:
    file.tensors["rng/0"] = file.tensors.pop("rng")


def no_state(file: File) -> None:
    for name in [name for name in file.tensors if name.startswith("optimizer/")]:
        del file.tensors[name]


def other_state(file: File) -> None:
    name = next(name for name, value in file.tensors.items() if name.startswith("optimizer/") and value.dim())
    file.tensors[name] = torch.cat([file.tensors[name]] * 2)


def unknown_state(file: File) -> None:
    file.tensors["optimizer/0/velocity"] = torch.zeros(1)


def too_many_steps(file: File) -> None:
    for name, value in file.tensors.items():
        if name.startswith("optimizer/") and name.endswith(("/step", "/n_iter/number")):
            value += 1000


EVERYWHERE = (
    drop_row, repeat_row, swap_rows, count_on, lose_a_loss, other_constant, one_group_more, other_parameters, other_seed,
    no_seed, some_moves, other_trials, not_a_number, other_dtype, other_shape, no_parameter, one_parameter_more,
    short_generator, no_generator, generator_elsewhere, no_state, other_state, unknown_state,
)  # fmt: skip
ONLY_SOME = {
    other_rate: ("plain", "bilevel", "lbfgs", "spsa", "shrinking", "tried"),  # elsewhere a schedule sets it
    other_root: ("plain", "patient", "lbfgs", "spsa", "shrinking", "bilevel", "tried", "fresh"),
    too_many_steps: ("plain", "patient", "spsa", "shrinking", "bilevel"),
}


@pytest.mark.parametrize(
    "kind", slow_but(("plain", "lbfgs"), ["plain", "patient", "lbfgs", "spsa", "shrinking", "bilevel", "tried"])
)
def test_contradictions_are_seen_without_a_checksum(kind: str, cases: dict[str, Case], tmp_path: Path) -> None:
    for damage in (*EVERYWHERE, *(damage for damage, kinds in ONLY_SOME.items() if kind in kinds)):
        file = copy.deepcopy(cases[kind].file)
        del file.header["sha256"]
        damage(file)
        file.write(tmp_path / "file")
        found = outcome(kind, tmp_path / "file")
        assert isinstance(found, str), f"{damage.__name__} is gone on from"
        assert str(tmp_path / "file") in found


@pytest.mark.parametrize("kind", KINDS)
def test_equal_numbers_of_another_type_stay_those_of_the_optimiser(kind: str, cases: dict[str, Case], tmp_path: Path) -> None:
    file = copy.deepcopy(cases[kind].file)
    del file.header["sha256"]
    for group in file.header["groups"]:
        group.update({name: float(value) for name, value in group.items() if type(value) is int})
    file.write(tmp_path / "file")
    assert outcome(kind, tmp_path / "file") == cases[kind].whole


def test_a_checkpoint_of_before_an_option_has_its_default(cases: dict[str, Case], tmp_path: Path) -> None:
    """Options are added: a file that says nothing of one was made without it."""
    file = copy.deepcopy(cases["plain"].file)
    del file.header["sha256"], file.header["options"]["mixing"]
    path = tmp_path / "before"
    file.write(path)
    assert outcome("plain", path) == cases["plain"].whole
    file.write(path)
    with pytest.raises(RunError, match="another training: mixing is 'linear' there and 'softmax' here"):
        model("plain", mixing="softmax", checkpoint=path).fit(X, Y)


def test_the_best_epoch_belongs_to_the_options(cases: dict[str, Case], tmp_path: Path) -> None:
    for kind, name in (("patient", "best/head.bias"), ("bilevel", "weights_optimizer/0/step")):
        for change in ("lost", "added"):
            file = copy.deepcopy(cases[kind if change == "lost" else "plain"].file)
            del file.header["sha256"]
            if change == "lost":
                prefix = name.split("/", maxsplit=1)[0] + "/"
                file = File(file.header, {key: value for key, value in file.tensors.items() if not key.startswith(prefix)})
            else:
                file.tensors[name] = torch.zeros(1)
            file.write(tmp_path / "file")
            found = outcome(kind if change == "lost" else "plain", tmp_path / "file")
            assert isinstance(found, str)
            assert "where it should hold" in found


def test_trials_that_are_not_those_of_the_seed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the training that counts: a file that holds the losses of trials and nothing else."""
    path, tried = tmp_path / "file", []
    plain = fitting.Fit._try

    def once(self, seed: int, name: str):
        if tried:
            raise KeyboardInterrupt
        tried.append(seed)
        return plain(self, seed, name)

    with monkeypatch.context() as patch:
        patch.setattr(fitting.Fit, "_try", once)
        with pytest.raises(KeyboardInterrupt):
            model("tried", checkpoint=path).fit(X, Y)
    file = read(path)
    assert (file.header["epoch"], len(file.header["trials"]), len(file.tensors)) == (0, 1, 0)
    whole = bits(model("tried").fit(X, Y))
    changes: list[dict[str, Any]] = [{}, {"trials": {"5": 0.1}}, {"trials": {str(tried[0]): math.nan}}, {"seed": tried[0]}]
    changes += [{"epoch": 1}, {"history": [{"epoch": 1}]}, {"groups": [{}]}, {"root": 1}, {"moves": 1}]
    for change in changes:
        other = copy.deepcopy(file)
        del other.header["sha256"]
        other.header.update(change)
        other.write(path)
        found = outcome("tried", path)
        assert (isinstance(found, str) and "is damaged" in found) if change else found == whole, change


def test_weights_that_are_not_finite_are_refused_when_read(tmp_path: Path) -> None:
    for value in (math.nan, math.inf, -math.inf):
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            write_tensors(tmp_path / "file", {"a": torch.ones(2), "b": torch.tensor([1.0, value], dtype=dtype)}, {})
            with pytest.raises(RunError, match="b has values that are not finite"):
                read_weights(tmp_path / "file")
    write_tensors(tmp_path / "file", {"a": torch.ones(2), "n": torch.tensor(3)}, {"x": 1})
    assert read_weights(tmp_path / "file")[0] == {"x": 1}


def test_rates_that_a_callback_sets_are_gone_on_with(tmp_path: Path) -> None:
    class Falling(Callback):
        def on_epoch_begin(self, net, **kwargs) -> None:
            for group in net.optimizer_.param_groups:
                group["lr"] *= 0.5

    whole = model("plain", callbacks=[Falling()]).fit(X, Y)
    model("plain", checkpoint=tmp_path / "file", callbacks=[Stop(), Falling()]).fit(X, Y)
    assert bits(model("plain", checkpoint=tmp_path / "file", callbacks=[Falling()]).fit(X, Y)) == bits(whole)
