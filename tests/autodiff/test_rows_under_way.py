"""Rows under way are one run: what lies between two runs that are joined holds nothing."""

from __future__ import annotations

import numpy as np

from rnngraph.autodiff.block.carry import Carry


def test_a_gap_between_two_runs_is_empty() -> None:
    for first, then in ((0, 5), (5, 0)):
        carry = Carry([np.full((7, 2, 3), np.nan)])
        carry.enter(first, np.ones((1, 2, 3)))
        carry.enter(then, np.ones((1, 2, 3)))
        assert (carry.low, carry.high) == (0, 6)
        np.testing.assert_array_equal(carry.states[0][:6, 0, 0], [1, 0, 0, 0, 0, 1])
