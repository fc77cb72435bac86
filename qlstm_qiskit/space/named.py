"""Search spaces in the user's own code: FILE.py:NAME, or module:name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qlstm_qiskit.errors import OptionError, QLSTMError, require_at_least
from qlstm_qiskit.hardware.config.code import Named, arguments_of
from qlstm_qiskit.space.pool import DEFAULT_DEPTH, SearchSpace
from qlstm_qiskit.space.stored import fixed_space


@dataclass(frozen=True, eq=False)
class OwnCode:
    """What the user's code has under a name: a space, or a function that makes one.

    Attributes:
        named: Where it is from; None for an object.
        found: The space or the function.
    """

    named: Named | None
    found: Any

    @classmethod
    def load(cls, named: Named) -> OwnCode:
        """Run the user's code.

        Raises:
            OptionError: It cannot be run, or has no such name, or there is something else under it.
        """
        own = cls(named, named.load())
        if not isinstance(own.found, SearchSpace) and (
            not callable(own.found) or arguments_of(own.found, {"n_qubits": 0, "depth": 0}) is None
        ):
            raise own._wrong(own.found)
        return own

    def spaces(self, sizes: Sequence[int], depth: int | None) -> tuple[tuple[SearchSpace, ...], int | None]:
        """Its circuits.

        Args:
            sizes: The numbers of qubits that are wanted; given circuits have their own.
            depth: Variational layers; 2 where None.

        Returns:
            For each size a space of given circuits, and the depth that they were built with; None where it had no part.

        Raises:
            OptionError: The user's function fails, or gives something else; or `depth` is given for circuits that fix it.
            CircuitError, CapacityError: Circuits that cannot be built.
        """
        made, fixed = [], True
        for size in sizes:
            space = self.space(size, depth)
            fixed = fixed and bool(space.fixed)
            try:
                given = (None, None if self.takes_depth else depth) if space.fixed else (size, depth)
                made.append(fixed_space(space, *given))
            except QLSTMError as error:
                raise type(error)(f"{self._said()}{error}") from None
        return tuple(made), None if fixed and not self.takes_depth else DEFAULT_DEPTH if depth is None else depth

    def space(self, n_qubits: int, depth: int | None) -> SearchSpace:
        """The space as the user's code has it, with sizes for a function that takes them; errors as of `spaces`."""
        if isinstance(self.found, SearchSpace):
            return self.found
        assert self.named is not None
        space = self.named.call(self.found, **self._arguments(n_qubits, depth))
        if not isinstance(space, SearchSpace):
            raise self._wrong(space)
        return space

    @property
    def takes_depth(self) -> bool:
        """Whether it is a function that is told the number of layers."""
        return not isinstance(self.found, SearchSpace) and "depth" in self._arguments(1, None)

    def _arguments(self, n_qubits: int, depth: int | None) -> dict[str, int]:
        layers = DEFAULT_DEPTH if depth is None else require_at_least("depth", depth, 1)
        return arguments_of(self.found, {"n_qubits": n_qubits, "depth": layers}) or {}

    def _wrong(self, found: Any) -> OptionError:
        what = "a function of other arguments" if callable(found) else f"of the type {type(found).__name__}"
        return OptionError(
            f"{self._said()}it is {what}; give a SearchSpace, such as SearchSpace.from_circuits([...]), or a function of "
            "nothing, or of n_qubits and depth, that returns one."
        )

    def _said(self) -> str:
        return "" if self.named is None else f"{self.named.what} {str(self.named)!r}: "
