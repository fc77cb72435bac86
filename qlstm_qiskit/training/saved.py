"""A fitted estimator as a file: its options, its circuits and its parameters. Nothing is pickled, and reading runs no code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError
from sklearn.utils.validation import check_is_fitted

from qlstm_qiskit import __version__
from qlstm_qiskit.errors import CircuitError, OptionError, QLSTMError, RunError
from qlstm_qiskit.hardware import Backend, BackendSpec
from qlstm_qiskit.nn import EVALUATION_BATCH, Forecaster
from qlstm_qiskit.search import AnyStrategy, make_strategy
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.stored import StoredSpace, fixed_space, restore, store
from qlstm_qiskit.storage import make_folders
from qlstm_qiskit.training.ensembles import FITTED, SavedEnsemble, take_members
from qlstm_qiskit.training.models import model_space
from qlstm_qiskit.training.options import OPTIONS
from qlstm_qiskit.training.searching import SearchNet
from qlstm_qiskit.training.tensors import read_weights, write_tensors

#: `training.estimator.Estimator`, which has this file's functions as its methods.
Estimator = Any

FILE = "estimator.safetensors"

#: Options of one fit, which a file does not have.
_OF_ONE_FIT = ("start", "checkpoint", "callbacks", "verbose")
#: Options with a place of their own in a file.
_APART = ("space", "search", "backend")
_CIRCUITS, _MODEL = "circuits", "model."


class SavedEstimator(BaseModel):
    """All that a file has beside tensors.

    Attributes:
        format, version: Format version of the file, and version of the package that wrote it.
        estimator: Name of the class.
        options: Those that are numbers, names and switches.
        search: Strategy, if there was one.
        backend: Name or entry; None for an object.
        spaces: What the circuits are in own spaces, one per cell or one for all; empty where there are none.
        window: Shape of a window as it was given to `fit`.
        sizes: Features, and outputs.
        n_features_in, feature_names_in: As scikit-learn has them.
        fitted: What the class keeps beside the model.
        gates: For each layer and gate the candidates that are left.
        history, interrupted: As in the estimator.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str = __version__
    estimator: str
    options: dict[str, bool | int | float | str | None]
    search: AnyStrategy | None = None
    backend: str | BackendSpec | None
    spaces: tuple[StoredSpace, ...] = ()
    window: tuple[PositiveInt, ...]
    sizes: tuple[PositiveInt, PositiveInt]
    n_features_in: int
    feature_names_in: tuple[str, ...] | None = None
    fitted: dict[str, Any]
    gates: tuple[tuple[tuple[str, ...], ...], ...] | None = None
    history: list[dict[str, Any]]
    interrupted: bool


def save_estimator(estimator: Estimator, folder: Path | str) -> None:
    """Write a fitted estimator into a folder, replacing the one that is there; see `Estimator.save`."""
    check_is_fitted(estimator, FITTED, all_or_any=any)
    members = getattr(estimator, "estimators_", None)
    if members is None:
        saved, tensors = _contents(estimator)
        header = saved.model_dump(mode="json")
    else:
        parts = [_contents(member) for member in members]
        tensors = {f"{place}.{name}": value for place, (_, own) in enumerate(parts) for name, value in own.items()}
        each = [own.model_dump(mode="json") for own, _ in parts]
        header = SavedEnsemble(
            estimator=type(estimator).__name__, fitted=estimator._kept(), seed=estimator.seed, ensemble=each
        ).model_dump(mode="json")
    make_folders(Path(folder))
    write_tensors(Path(folder) / FILE, tensors, header)


def _contents(estimator: Estimator) -> tuple[SavedEstimator, dict[str, torch.Tensor]]:
    """What a file has of an estimator of one model."""
    module: Forecaster = estimator.module_
    spaces, depth = _own_spaces(estimator, module)
    circuits, roles = store(spaces) if spaces else (b"", ())
    options = {name: _plain(name, getattr(estimator, name)) for name in OPTIONS if name not in (*_OF_ONE_FIT, *_APART)}
    if options["bank"] == OPTIONS["bank"].default:
        del options["bank"]  # as files before it
    options.pop("replicas")  # it is one model
    names = getattr(estimator, "feature_names_in_", None)
    layers, search, backend = module.circuits, estimator.search, estimator.backend
    saved = SavedEstimator(
        estimator=type(estimator).__name__,
        options=options | {"depth": depth} | ({"entangler": None} if roles else {}),
        search=make_strategy(search) if isinstance(search, str) else search,
        backend=backend if isinstance(backend, str | BackendSpec) else None,
        spaces=roles,
        window=estimator._window_shape,
        sizes=(estimator._window_shape[1] if len(estimator._window_shape) > 1 else 1, module.head.out_features),
        n_features_in=estimator.n_features_in_,
        feature_names_in=None if names is None else tuple(map(str, names)),
        fitted=estimator._kept(),
        gates=None if layers is None else layers.gates,
        history=estimator.history_,
        interrupted=estimator.interrupted_,
    )
    tensors = {_MODEL + name: value for name, value in module.state_dict().items()}
    if circuits:
        tensors[_CIRCUITS] = torch.frombuffer(bytearray(circuits), dtype=torch.uint8)
    return saved, tensors


def load_estimator(kind: type[Estimator], folder: Path | str, backend: Backend | BackendSpec | str | None) -> Estimator:
    """Read what `save_estimator` has written; see `Estimator.load`."""
    path = Path(folder) / FILE
    if not path.parent.is_dir():
        raise RunError(f"there is no folder {folder}; give one that `save` has written.")
    if not path.exists():
        raise RunError(f"there is no {FILE} in {folder}; give a folder that `save` has written, or read a run by load_run.")
    content, tensors = read_weights(path)
    if not isinstance(content, dict) or "ensemble" not in content:
        return _read(kind, path, content, tensors, backend)
    try:
        ensemble = SavedEnsemble.model_validate(content)
    except ValidationError as error:
        raise RunError(f"{path} is damaged, or of another version: {error.errors()[0]['msg']}.") from None
    parts = [
        {name.partition(".")[2]: value for name, value in tensors.items() if name.partition(".")[0] == str(place)}
        for place in range(len(ensemble.ensemble))
    ]
    members = [_read(kind, path, own, part, backend) for own, part in zip(ensemble.ensemble, parts, strict=True)]
    made = kind().set_params(**members[0].get_params(deep=False) | {"replicas": len(members), "seed": ensemble.seed})
    take_members(made, members)
    try:
        made._take(ensemble.fitted)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    return made


def _read(
    kind: type[Estimator],
    path: Path,
    content: Any,
    tensors: dict[str, torch.Tensor],
    backend: Backend | BackendSpec | str | None,
) -> Estimator:
    """An estimator of one model from what a file has of it."""
    try:
        saved = SavedEstimator.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunError(f"{path} is damaged, or of another version: {place}: {first['msg']}.") from None
    if saved.estimator != kind.__name__:
        raise RunError(f"{path} holds a {saved.estimator}; read it by {saved.estimator}.load.")
    chosen = saved.backend if backend is None else backend
    if chosen is None:
        raise OptionError(f"the estimator of {path} had an object as its backend; give one: load(folder, backend=...).")
    if backend is None and isinstance(chosen, BackendSpec) and chosen.code is not None:
        raise RunError(
            f"{path} names the provider {chosen.code!r}, whose code would be run; give a backend: load(folder, backend=...)."
        )
    spaces: Sequence[SearchSpace] = ()
    try:
        if saved.spaces:
            spaces = restore(tensors.pop(_CIRCUITS).numpy().tobytes(), saved.spaces)
        made = kind().set_params(
            **saved.options,
            search=saved.search,
            backend=chosen,
            space=None if not spaces else spaces[0] if len(spaces) == 1 else list(spaces),
        )
        _fill(made, saved, {name.removeprefix(_MODEL): value for name, value in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, CircuitError) as error:
        raise RunError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    except QLSTMError as error:
        raise type(error)(f"{path}: {error}") from None
    return made


def _fill(estimator: Estimator, saved: SavedEstimator, parameters: dict[str, torch.Tensor]) -> None:
    """Give an estimator the attributes that `fit` would have given it."""
    module = estimator.build_module(*saved.sizes, generator=torch.Generator(device=estimator.device))
    if saved.gates is not None and module.circuits is not None and module.circuits.gates != saved.gates:
        module.circuits.keep(saved.gates)
    module.load_state_dict(parameters)
    module.eval()
    net = SearchNet(
        module,
        criterion=estimator.task.criterion,
        iterator_valid__batch_size=EVALUATION_BATCH,
        train_split=None,
        callbacks__print_log=None,
        predict_nonlinearity=None,
        device=estimator.device,
        verbose=0,
    )
    net.initialize()
    estimator._net, estimator.module_ = net, net.module_
    estimator.history_, estimator.interrupted_ = saved.history, saved.interrupted
    estimator.n_features_in_ = saved.n_features_in
    if saved.feature_names_in is not None:
        estimator.feature_names_in_ = np.array(saved.feature_names_in, dtype=object)
    estimator._window_shape = saved.window
    estimator._take(saved.fitted)


def _own_spaces(estimator: Estimator, module: Forecaster) -> tuple[list[SearchSpace], int | None]:
    """The circuits of an estimator's own space, for all cells where they have the same; and its depth without them."""
    space = estimator.space
    if space is None and estimator.entangler is not None:  # what a name stands for may depend on a device's calibration
        space = model_space(estimator.model, estimator.entangler)
    if space is None or module.stack is None:
        return [], estimator.depth
    cells = list(module.stack.layers())
    given = [space] * len(cells) if isinstance(space, SearchSpace) else list(space)
    sizes = [estimator.n_qubits or cell.input_size + cell.hidden_size for cell in cells]
    own = [fixed_space(space, size, estimator.depth) for space, size in zip(given, sizes, strict=True)]
    depth = estimator.depth if all(space.fixed for space in given) else None
    return own[:1] if all(space is own[0] for space in own) else own, depth


def _plain(name: str, value: Any) -> bool | int | float | str | None:
    """An option as JSON has it."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, torch.dtype):
        value = str(value).removeprefix("torch.")
    if isinstance(value, torch.device):
        value = str(value)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise OptionError(f"{name} is a {type(value).__name__}, which a file cannot hold; give a name or a number.")
    return value


def labels_as_plain(labels: NDArray[Any]) -> dict[str, Any]:
    """Labels of classes as plain JSON values.

    Raises:
        OptionError: They are neither text nor numbers nor truth values.
    """
    values = labels.tolist()
    if not all(isinstance(value, bool | int | float | str) for value in values):
        raise OptionError(f"classes are {type(values[0]).__name__}s, which a file cannot hold; give text or numbers.")
    return {"values": values, "dtype": labels.dtype.str}


def labels_of_plain(content: dict[str, Any]) -> NDArray[Any]:
    """What `labels_as_plain` was given."""
    kind = np.dtype(content["dtype"])
    if kind.kind not in "biufUO":
        raise ValueError(f"classes of kind {kind}")
    return np.array(content["values"], dtype=kind)
