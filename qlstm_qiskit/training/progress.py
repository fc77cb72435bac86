"""Progress of a training, as recorded in its checkpoint."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt

#: For each layer and gate, the names of candidates.
Gates = tuple[tuple[tuple[str, ...], ...], ...]


class Progress(BaseModel):
    """The progress of a training: the header of a checkpoint, whose tensors hold the rest of the state.

    Attributes:
        format: Format version of the file.
        options, data: Options of the training and digest of its data; see `Checkpoint`.
        root: Root of all seeds.
        trials: Validation loss of each finished trial, by its seed; None if it diverged.
        seed: Seed of the training that counts, once it has begun.
        epoch: Number of its finished epochs; `history` has a row for each.
        gates: The candidates that are left, if some were dropped.
        moves: Number of steps of the structural weights' own optimiser.
        draws: Number of random draws of shots.
        together: Whether it runs side by side with others, or by itself in the same way; files of others do not say so.
        sha256: Checksum of everything else, see `checksum`; None in files of earlier versions.
        groups, weights_groups: Options per parameter group, of the optimiser and of the structural weights' own optimiser.
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
    together: bool = False
    sha256: str | None = None
