"""An order of plane rotations in which what meets in a few rotations comes together."""

from __future__ import annotations

import numpy as np

from qlstm_qiskit.exact.window import _WINDOW, near_order
from qlstm_qiskit.nn import CircuitBank
from qlstm_qiskit.space import SearchSpace


def test_coefficients_keep_their_bits_and_sets_are_small() -> None:
    form = CircuitBank(SearchSpace.paper().candidates(4, 3))._bank.forms[0]  # type: ignore[attr-defined]
    rotation, first, second = form._steps[:3]
    angles = np.random.default_rng(0).normal(size=rotation.max() + 1)
    reordered = 0
    for low, high in form._sections[:, :2]:
        order = near_order(*(own[low:high] for own in form._steps[:3]))
        assert sorted(order) == list(range(high - low))
        reordered += int((np.diff(order) < 0).sum())
        found = []
        for places in (low + np.arange(high - low), low + order):
            values = np.random.default_rng(1).normal(size=2**10)
            for e in places:
                a, b, c, s = first[e], second[e], np.cos(angles[rotation[e]]), np.sin(angles[rotation[e]])
                values[a], values[b] = c * values[a] + s * values[b], c * values[b] - s * values[a]
            found.append(values)
        np.testing.assert_array_equal(*found)
        window = np.cumsum(np.diff(rotation[low:high], prepend=rotation[low : low + 1]) != 0)[order] // _WINDOW
        assert (np.diff(window) >= 0).all()
    assert reordered > 20


def test_without_steps_there_is_no_order() -> None:
    none = np.zeros(0, dtype=np.int32)
    assert not len(near_order(none, none, none))
