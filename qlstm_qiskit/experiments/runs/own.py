"""A user's own circuits in a run: taken from a file or an object once, then kept beside the config and read from there."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from qlstm_qiskit.errors import CircuitError, OptionError, RunError, require_at_least
from qlstm_qiskit.hardware.config.code import Named
from qlstm_qiskit.nn.checks import MOST_LAYERS
from qlstm_qiskit.space import SearchSpace
from qlstm_qiskit.space.named import OwnCode
from qlstm_qiskit.space.stored import StoredSpace, digest, restore, store

#: The file with the circuits.
SPACE = "space.qpy"


class NamedSpace(BaseModel):
    """Circuits that are not taken yet.

    Attributes:
        source: FILE.py:NAME or module:name, whose code is run when they are.
        given: The space itself, in place of a source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    source: str | None = None
    given: SearchSpace | None = Field(default=None, exclude=True, repr=False)


class OwnSpace(BaseModel):
    """Circuits that a run keeps.

    Attributes:
        source: Where they were taken from; None for an object.
        depth: Variational layers that they were built with; None where they have their own.
        digest: Of what they are and do.
        sha256: Of the file with the circuits.
        spaces: What they are in each space; cells of different sizes may have different ones.
        cells: For each cell of the model the place of its space.
        qpy: The content of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = None
    depth: int | None = None
    digest: str
    sha256: str = ""
    spaces: tuple[StoredSpace, ...] = ()
    cells: tuple[int, ...] = ()
    qpy: bytes = Field(default=b"", exclude=True, repr=False)

    def per_cell(self) -> tuple[SearchSpace, ...]:
        """For each cell its space, as `QLSTM(space=...)` takes them.

        Raises:
            CircuitError: The circuits are damaged, or not those of the digest.
        """
        made = _restored(self.qpy, self.model_dump_json(include={"spaces", "digest"}))
        return tuple(made[place] for place in self.cells)

    @property
    def n_candidates(self) -> int:
        """Circuits of the first cell."""
        return len(self.spaces[self.cells[0]].circuits)


@lru_cache(maxsize=8)
def _restored(qpy: bytes, content: str) -> tuple[SearchSpace, ...]:
    own = OwnSpace.model_validate_json(content)
    made = restore(qpy, own.spaces)
    if digest(made) != own.digest:
        raise CircuitError("the stored circuits are not those that the run was made with.")
    return made


def own_space(given: object) -> object:
    """What a run's spec is given as its space, as a model of what is to be taken; for pydantic."""
    if isinstance(given, str):
        return NamedSpace(source=given)
    return NamedSpace(given=given) if isinstance(given, SearchSpace) else given


def taken(named: NamedSpace, *, input_size: int, options: Any, what: str = "space", folder: Path | None = None) -> OwnSpace:
    """Take circuits for a model: the user's code is run here, and nowhere else.

    Args:
        named: Which ones.
        input_size: Features of the series.
        options: A `RunSpec`, of which the sizes of the model are read.
        what: What messages call it.
        folder: What a file's path is relative to; the working folder where None.

    Raises:
        OptionError: The user's code cannot be run, or gives no space.
        CircuitError: Circuits that cannot be kept.
    """
    hidden = require_at_least("hidden_size", options.hidden_size, 1)
    n_layers, n_directions = require_at_least("num_layers", options.num_layers, 1, MOST_LAYERS), 1 + options.bidirectional
    above = hidden * n_directions + hidden
    wanted = [
        options.n_qubits or size for size in (input_size + hidden, *[above] * (n_layers - 1)) for _ in range(n_directions)
    ]
    sizes = list(dict.fromkeys(wanted))
    source = None if named.source is None else Named.of(what, named.source, folder)
    code = OwnCode(None, named.given) if source is None else OwnCode.load(source)
    made, depth = code.spaces(sizes, options.depth)
    different = {id(space): space for space in made}
    places = {key: place for place, key in enumerate(different)}
    qpy, roles = store(list(different.values()))
    return OwnSpace(
        source=None if source is None else source.lasting,
        depth=depth,
        digest=digest(restore(qpy, roles)),
        sha256=hashlib.sha256(qpy).hexdigest(),
        spaces=roles,
        cells=tuple(places[id(made[sizes.index(size)])] for size in wanted),
        qpy=qpy,
    )


def require_own_circuits(spec: Any) -> None:
    """Refuse a `RunSpec` whose model has no circuits to replace, or has theirs by its name; or own ones beside an entangler."""
    if spec.entangler is not None:
        if isinstance(spec.space, NamedSpace) or spec.genotype is not None:
            raise OptionError(
                f"entangler={spec.entangler!r} has no meaning for {'given' if spec.genotype is None else 'derived'} circuits; "
                "leave it out."
            )
        return
    if spec.genotype is not None or not spec.model.startswith(("diffqas", "reservoir")):
        raise OptionError(
            f"the model {spec.model!r} has no circuits that own ones could replace; give space with diffqas, diffqas-shared, "
            "reservoir or reservoir-shared."
        )


def read_back(path: Path, config: str, space: NamedSpace | OwnSpace) -> OwnSpace:
    """The circuits of a run folder; no code is run.

    Args:
        path: The folder.
        config: The name of the file that says what they are.
        space: What it says.

    Raises:
        RunError: They are missing or damaged, or the config names code in place of them.
    """
    file = path / SPACE
    if isinstance(space, NamedSpace):
        raise RunError(
            f"{path / config} names {space.source!r}, whose code would be run, in place of circuits in {file}; "
            "it is damaged, or not a run's."
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RunError(f"{file} cannot be read ({error.strerror or error}); it holds the circuits of this run.") from None
    if hashlib.sha256(content).hexdigest() != space.sha256:
        raise RunError(f"{file} is damaged, or not the file that was written with {path / config}; restore it.")
    if not space.cells or not all(0 <= place < len(space.spaces) for place in space.cells):
        raise RunError(
            f"{path / config} is damaged: space.cells is {list(space.cells)}, and there are {len(space.spaces)} spaces."
        )
    whole = space.model_copy(update={"qpy": content})
    try:
        whole.per_cell()
    except CircuitError as error:
        raise RunError(f"{file} and {path / config} do not fit together: {error}") from None
    return whole
