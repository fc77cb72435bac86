"""How far a training has come, as its checkpoint says it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt

#: For each layer and gate the names of candidates.
Gates = tuple[tuple[tuple[str, ...], ...], ...]


class Progress(BaseModel):
    """How far a training has come: the header of a checkpoint, whose tensors are the rest of its state.

    Attributes:
        format: Of the file.
        options, data: What is trained on what; see `Checkpoint`.
        root: Of all seeds.
        trials: Of trainings from different seeds that are over, the seed and the validation loss; None where it diverged.
        seed: Of the training that counts, once it has begun.
        epoch: Its finished epochs; `history` has a row for each.
        gates: The candidates that are left, where some were dropped.
        moves: Steps of the structural weights' own.
        draws: Random draws of shots.
        sha256: Of all the rest, see `checksum`; None in files of earlier versions.
        groups, weights_groups: Options of the optimiser, and of the structural weights' own, for each group of parameters.
    """

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    options: dict[str, Any]
    data: str
    root: NonNegativeInt
    trials: dict[int, float | None] = {}
    seed: int | None = None
    epoch: NonNegativeInt = 0
    history: list[dict[str, Any]] = []
    gates: Gates | None = None
    moves: NonNegativeInt = 0
    draws: NonNegativeInt = 0
    groups: list[dict[str, Any]] = []
    weights_groups: list[dict[str, Any]] | None = None
    sha256: str | None = None
