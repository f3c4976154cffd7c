"""Where a recurrence is cut, and where a detach beside it cuts nothing."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import StateTrace

STEPS, AT = 6, 3


def cell(detach: str) -> StateTrace:
    """Trace a tanh cell written by hand that calls `detach` in some place."""
    rng, tape = np.random.default_rng(3), rg.Tape()
    weight, x = tape.input(rng.normal(size=(3, 3)), "W"), tape.input(rng.normal(size=(2, STEPS, 3)))
    h, states = tape.input(np.zeros((2, 3)), "h0"), []
    for t in range(STEPS):
        if t == AT and detach == "at the end of the step before":
            with tape.scope(t=t - 1):
                h = h.detach()
        if t == AT and detach == "between the steps":
            h = h.detach()
        with tape.scope(t=t):
            before = h.detach() if t == AT and detach == "within the step" else h
            shown = h.detach() if detach == "for a side input" else 0.0
            h = (before @ weight + x[:, t] + shown).tanh()
        states.append(h)
        if detach == "to look at it":
            h.detach()
    tape.state("cell.h", states)
    return rg.record((rg.stack(states) ** 2).sum()).states[0]


@pytest.mark.parametrize("where", ["at the end of the step before", "between the steps", "within the step"])
def test_a_cut_is_found_wherever_it_is_written(where: str) -> None:
    state = cell(where)
    assert np.flatnonzero(state.cut).tolist() == [AT]
    assert state.carried.status[AT - 1] == Status.ZERO


@pytest.mark.parametrize("where", ["nowhere", "for a side input", "to look at it"])
def test_a_detach_beside_the_recurrence_is_no_cut(where: str) -> None:
    state = cell(where)
    assert not state.cut.any()
    assert (state.carried.status[:-1] == Status.OK).all()
