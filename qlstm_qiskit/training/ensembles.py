"""Estimators of several replicas: their members, what these have in common, and the file of all of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from qlstm_qiskit import __version__
from qlstm_qiskit.errors import OptionError
from qlstm_qiskit.hardware import BackendSpec
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.training.inputs import describe
from qlstm_qiskit.training.plain import CheckedOptions

#: `training.estimator.Estimator`, which has this file's functions in its methods.
Estimator = Any

#: What a fitted estimator has one of: a model, or members.
FITTED = ("module_", "estimators_")

#: Of a fitted model; those of an ensemble are its members'.
_OF_A_MODEL = ("_net", "module_", "history_", "calibration_scores_")


class SavedEnsemble(BaseModel):
    """The header of a file with several replicas.

    Attributes:
        format, version: Format version of the file, and version of the package that wrote it.
        estimator: Name of the class.
        fitted: What the class keeps beside the models.
        seed: Of the first member.
        ensemble: For each member what the file of an estimator has, beside tensors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    version: str = __version__
    estimator: str
    fitted: dict[str, Any]
    seed: int | None
    ensemble: list[dict[str, Any]] = Field(min_length=2)


def members_of(estimator: Estimator, replicas: int) -> list[Estimator]:
    """Estimators of one model each, which differ in their seeds, and in their checkpoints where there are any.

    Args:
        estimator: With the options of all.
        replicas: How many.

    Raises:
        OptionError: They would all start from the same parameters.
    """
    options = estimator.get_params(deep=False)
    if options["start"] is not None:
        raise OptionError(f"replicas={replicas} differ in their random start, and start has one for all; leave one out.")
    seed, kept = options["seed"], options["checkpoint"]
    made = []
    for place in range(replicas):
        own = {"replicas": 1, "seed": None if seed is None else seed + place, "callbacks": copy.deepcopy(options["callbacks"])}
        own |= {} if kept is None else {"checkpoint": Path(kept).with_name(f"{Path(kept).name}-{place}")}
        made.append(type(estimator)(**(options | own)))
    return made


def take_members(estimator: Estimator, members: list[Estimator]) -> None:
    """Give an estimator its fitted members, and what they have in common: shapes, names and classes.

    Args:
        estimator: Of several replicas.
        members: As `members_of` gave them, fitted.
    """
    options, own = estimator.get_params(deep=False), estimator.__dict__
    for name in _OF_A_MODEL:
        own.pop(name, None)
    own.update({name: value for name, value in vars(members[0]).items() if name not in (*options, *_OF_A_MODEL)})
    estimator.estimators_ = members
    estimator.interrupted_ = any(member.interrupted_ for member in members)


def spread_of(values: NDArray[Any]) -> NDArray[Any]:
    """The standard deviation over members, as numpy has it (ddof=0).

    Args:
        values: (members, ...).
    """
    return np.asarray(np.std(values, axis=0))


def require_several(estimator: Estimator) -> list[Estimator]:
    """The members of a fitted estimator.

    Args:
        estimator: That was fitted.

    Raises:
        OptionError: It has one model alone, and no spread.
    """
    members: list[Estimator] = getattr(estimator, "estimators_", [])
    if not members:
        raise OptionError("return_std needs several models, and this estimator has one; fit it with replicas=4, for example.")
    return members


def require_replicas(estimators: Sequence[Estimator]) -> None:
    """Refuse estimators that differ in more than what a fit has of its own, or that are not each by itself.

    Args:
        estimators: Which are to be trained side by side.

    Raises:
        OptionError: There is none, they differ in other options, one or its checkpoint is there twice, or one has several
            models.
    """
    if not estimators:
        raise OptionError("there is no estimator to train; give one for each seed.")
    own = ("seed", "checkpoint", "callbacks", "verbose")
    kept = [Path(estimator.checkpoint).resolve() for estimator in estimators if estimator.checkpoint is not None]
    for what, given in (("an estimator", list(map(id, estimators))), ("a checkpoint", kept)):
        if len(set(given)) < len(given):
            raise OptionError(f"{what} is given twice; each training needs its own.")
    several = next((estimator.replicas for estimator in estimators if estimator.replicas != 1), None)
    if several is not None:
        raise OptionError(f"replicas={several}: each training is of one model; leave it out, and give one estimator per seed.")
    if len({type(estimator) for estimator in estimators}) > 1:
        raise OptionError("these estimators are of different classes; give ones of one class.")
    first, *others = [describe(CheckedOptions.of(estimator)) | _objects(estimator) for estimator in estimators]
    for other in others:
        differing = [name for name in dict.fromkeys([*first, *other]) if name != "seed" and first.get(name) != other.get(name)]
        if differing:
            raise OptionError(
                f"these estimators differ in {', '.join(differing)}; give ones that differ in {', '.join(own)} alone."
            )


def _objects(estimator: Estimator) -> dict[str, Any]:
    """Options that are objects, which `describe` knows by their names alone: those of replicas are the same ones."""
    backend, space = estimator.backend, estimator.space
    known = isinstance(backend, str | BackendSpec)
    spaces = [space] if space is None or isinstance(space, SearchSpace) else list(space)
    return {"backend": backend if known else id(backend), "space": list(map(id, spaces))}
