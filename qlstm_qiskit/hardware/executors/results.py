"""The one reader of primitives' results, for every executor; `counts` reads those of devices.

Anything that is not certainly the measurement that was asked for is refused.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from qiskit.primitives import BitArray

from qlstm_qiskit.errors import JobError
from qlstm_qiskit.hardware.config.secrets import scrub
from qlstm_qiskit.hardware.contract.measurement import Basis, MeasuredTerm, means_of_bits

Values = NDArray[np.float64]

#: The only classical register of the circuits that samplers are sent.
REGISTER = "c"
#: Bits that are unpacked at a time.
_BLOCK = 1 << 24
#: How far beyond the exact bounds a mitigated value may lie: extrapolation overshoots, but not without end.
MITIGATED = 10.0
#: Standard errors by which an estimator that adds Gaussian noise may leave the bounds.
_ERRORS = 8.0


class ResultError(JobError):
    """What came back is not the measurement that was asked for."""


@dataclass(frozen=True)
class Readout:
    """What to make of a job's result; plain data, so that a process without the circuits can fetch it.

    Attributes:
        positions: For each PUB of a sampler, the bits whose signs multiply to each term; None for an estimator.
        sets: Parameter sets of each PUB; None in records of older versions, which are read without this check.
        shots: Of each circuit, one for each PUB where they differ; 0 where exact, or not recorded.
        bounds: For each PUB of an estimator, the largest size that each observable's value may have.
    """

    positions: tuple[tuple[tuple[int, ...], ...], ...] | None = None
    sets: tuple[int, ...] | None = None
    shots: int | tuple[int, ...] = 0
    bounds: tuple[tuple[float, ...], ...] | None = None

    def values(self, result: Any) -> list[Values]:
        """From a primitive's result: means of terms (sets, terms), or expectation values (sets, observables), of each PUB.

        Raises:
            ResultError: It holds something else than was asked for.
        """
        try:
            pubs = list(result)
        except TypeError:
            refuse(f"it is a {type(result).__name__} and no result of a primitive")
        if self.positions is not None:
            self._require_pubs(len(pubs))
            values = [self._means(pub, index) for index, pub in enumerate(pubs)]
        else:
            values = [_estimates(pub, index) for index, pub in enumerate(pubs)]
        self.require(values)
        return values

    def require(self, values: Sequence[Values]) -> None:
        """Refuse arrays that cannot be an answer to what was asked.

        Raises:
            ResultError: There are more or fewer arrays than PUBs, or one has another shape, or values out of range.
        """
        self._require_pubs(len(values))
        for index, array in enumerate(values):
            shape = (self._rows(index, array), self._columns(index, array))
            if array.dtype != np.float64 or array.shape != shape:
                refuse(
                    f"PUB {index} has values of shape {array.shape}, type {array.dtype}, and {shape}, float64, was asked for"
                )
            limit = np.array(1.0 if self.bounds is None else self.bounds[index])
            if self.positions is not None or self.bounds is not None:
                wrong = ~(np.abs(array) <= limit * (1 + 1e-9) + 1e-9)
            else:
                wrong = ~np.isfinite(array)
            if wrong.any():
                refuse(f"PUB {index} has the value {array[wrong][0]:g}, which no measurement gives")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Readout:
        """Read what `to_json` wrote, here or in an older version.

        Raises:
            ValueError: It is something else.
        """
        found = _READOUT.validate_json(text, strict=True)
        if '"positions"' not in text:
            raise ValueError("it does not say what was measured")
        return found

    def _require_pubs(self, found: int) -> None:
        asked = next((len(item) for item in (self.positions, self.sets, self.bounds) if item is not None), found)
        if found != asked:
            refuse(f"it has {found} PUBs, and {asked} were asked for")

    def _rows(self, index: int, array: Values) -> int:
        return self.sets[index] if self.sets is not None else len(array) if array.ndim else 0

    def _columns(self, index: int, array: Values) -> int:
        asked = self.positions or self.bounds
        return len(asked[index]) if asked is not None else array.shape[-1] if array.ndim else 0

    def _means(self, pub: Any, index: int) -> Values:
        assert self.positions is not None
        terms = self.positions[index]
        bits = _register(pub, index)
        width = 1 + max((position for term in terms for position in term), default=-1)
        if bits.num_bits != width:
            refuse(f"PUB {index} has {bits.num_bits} bits, and {width} were measured")
        shots = self.shots if isinstance(self.shots, int) else self.shots[index]
        if shots and bits.num_shots != shots:
            refuse(f"PUB {index} has {bits.num_shots} shots, and {shots} were asked for")
        if len(bits.shape) != 1 or (self.sets is not None and bits.shape != (self.sets[index],)):
            asked = "one row" if self.sets is None else f"({self.sets[index]},)"
            refuse(f"PUB {index} has parameter sets of shape {bits.shape}, and {asked} was asked for")
        return _means(bits, terms)


_READOUT = TypeAdapter(Readout)


def bounds_of(observables: Sequence[Any], shots: int | None, mitigated: bool = False) -> tuple[float, ...]:
    """The largest size that an estimate of each observable (a `SparsePauliOp`) may have."""
    slack = MITIGATED if mitigated else 1 + (_ERRORS / np.sqrt(shots) if shots else 0.0)
    return tuple(float(np.abs(observable.coeffs).sum() * slack) for observable in observables)


def _register(pub: Any, index: int) -> BitArray:
    data = field_of(pub, "data")
    names = [str(name) for name in data] if hasattr(data, "keys") else []
    if names != [REGISTER]:
        refuse(f"PUB {index} has the classical registers {shown(', '.join(names) or 'none')}, and {REGISTER!r} was measured")
    bits = data[REGISTER]
    if not isinstance(bits, BitArray):
        refuse(f"PUB {index} has a {type(bits).__name__} in place of bits")
    return bits


def _estimates(pub: Any, index: int) -> Values:
    found = field_of(field_of(pub, "data"), "evs")
    if found is None:
        refuse(f"PUB {index} has no expectation values (evs)")
    array = np.asarray(found)
    if array.dtype.kind not in "fiu":
        refuse(f"PUB {index} has expectation values of the type {array.dtype}")
    return np.asarray(array, dtype=np.float64).T


def _means(bits: BitArray, positions: Sequence[tuple[int, ...]]) -> Values:
    """Means of the terms, (sets, terms), a block of sets at a time: bits take 8 times their packed size."""
    basis = Basis((), (), tuple(MeasuredTerm(0, 1.0, tuple(term)) for term in positions))
    (n_sets,) = bits.shape
    block = max(1, _BLOCK // max(1, bits.num_shots * bits.num_bits))
    parts = [
        means_of_bits(basis, bits[start : start + block].to_bool_array(order="little")) for start in range(0, n_sets, block)
    ]
    return np.concatenate(parts)


def field_of(item: Any, name: str) -> Any:
    """A field of an object or a mapping; None where there is none."""
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def shown(text: str) -> str:
    """Somebody else's words for a message: short, in one line, without secrets."""
    return reprlib.repr(scrub(" ".join(text.split())))


def refuse(what: str) -> NoReturn:
    """Raise the error for a result that cannot be used, given what is wrong with it."""
    raise ResultError(what)
