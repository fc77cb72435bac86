"""Numbers of products of features: a digit to the base 3 for each data angle, 0 for 1, 1 for cos u, 2 for sin u.

In arrays of 64-bit integers where they fit; beyond, the same arrays hold Python's integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Digits that a 64-bit integer holds.
_WORD_DIGITS = 39

Array = NDArray[Any]


def first_codes(size: int, n_angles: int) -> Array:
    """Codes of the product 1, to be added to by `digit_codes`; (size,)."""
    return np.zeros(size, dtype=np.int64 if n_angles <= _WORD_DIGITS else object)


def digit_codes(digits: Array, angle: int, codes: Array) -> Array:
    """What digits of one data angle add to `codes`."""
    added: Array = digits.astype(codes.dtype) * 3**angle
    return added


def parts_of(codes: Array, width: int, n_parts: int) -> NDArray[np.int32]:
    """Codes cut into parts of `width` digits, (parts, codes)."""
    shifts = np.array([3 ** (width * part) for part in range(n_parts)], dtype=codes.dtype)
    parts: NDArray[np.int32] = (codes // shifts[:, None] % 3**width).astype(np.int32)
    return parts


def digits_of(parts: Array, width: int, n_angles: int) -> NDArray[np.int64]:
    """The digits of codes that were cut into parts, (codes, angles)."""
    digits = parts.astype(np.int64)[:, :, None] // 3 ** np.arange(width) % 3
    return np.concatenate(list(digits), axis=1)[:, :n_angles]


def factors_of(parts: Array, width: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The factors of each product that are not 1: where those of each start, and places in the tables of all parts, flat."""
    # A product on a light cone has few: what it costs does not grow with the register.
    product, part = np.nonzero(parts.T)
    pointer = np.concatenate([[0], np.cumsum(np.bincount(product, minlength=parts.shape[1]))]).astype(np.int64)
    return pointer, (part * 3**width + parts[part, product]).astype(np.int32)


def distinct(codes: Sequence[Array]) -> Array:
    """All codes that occur, and that of the product 1, which comes first; sorted."""
    return np.unique(np.concatenate([np.zeros(1, dtype=codes[0].dtype if codes else np.int64), *codes]))
