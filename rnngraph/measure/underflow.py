"""Follow an underflow: what lies before a gradient that rounding made zero is not truly zero either.

In: the states as they were measured one by one, and the parameters and inputs of the same walk. Their statuses are
corrected in place, from `ZERO` to `UNDERFLOW`, where the only reason for the zero is such a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnngraph.autodiff.node import Recurrence
from rnngraph.autodiff.tape import Tape
from rnngraph.trace.magnitudes import Booleans, Magnitudes, Status
from rnngraph.trace.model import InputTrace, ParameterTrace, StateTrace


def follow_underflow(
    tape: Tape,
    states: Sequence[StateTrace],
    *,
    parameters: Mapping[int, ParameterTrace],
    inputs: Mapping[int, InputTrace],
) -> None:
    """Mark what an underflowed state gradient would have reached, and nothing else; keys are node ids."""
    if not any(
        (one.grad.status == Status.UNDERFLOW).any()
        or (one.carried.status == Status.UNDERFLOW).any()
        or one.initial.status == Status.UNDERFLOW
        for one in states
    ):
        return
    longest = len(states[0].nodes)
    silent = {name: steps for one in tape.recurrences for name, steps in _silent_steps(tape, one, longest)}
    # The state that is nearest to the loss comes first: what it passes on may underflow in the one below.
    for state in sorted(states, key=lambda one: -int(one.nodes.max())):
        starts = _starts(tape, state)
        if state.initial.status == Status.UNDERFLOW:
            _before_the_start(states, _leading_to(tape, max(starts), set()))
        lost = _lost_steps(state) & (state.nodes >= 0)
        if not lost.any():
            continue
        below = _leading_to(tape, int(state.nodes[int(np.flatnonzero(lost)[0])]), starts)
        for other in states:
            if other is not state:
                _pass_on(state, other, below)
        for node_id, parameter in parameters.items():
            if node_id in below:
                _mark(parameter.steps, lost & ~silent.get(parameter.name, np.zeros_like(lost)))
                _mark(parameter.grad, (parameter.steps.status == Status.UNDERFLOW).any())
        for node_id, entry in inputs.items():
            if node_id in below:
                _mark(entry.steps, lost)


def _lost_steps(state: StateTrace) -> Booleans:
    """Find the timesteps at which the gradient was rounded to zero, in the state or on its way through the step."""
    lost = np.asarray(state.grad.status == Status.UNDERFLOW)
    carried = state.carried.status == Status.UNDERFLOW
    if state.direction == "forward":
        lost[1:] |= carried[:-1]
    else:
        lost[:-1] |= carried[1:]
    return lost


def _silent_steps(tape: Tape, recurrence: Recurrence, longest: int) -> list[tuple[str, Booleans]]:
    """Find the step to which a recurrent weight adds nothing whatever the gradient is: the state before it is zero."""
    start = recurrence.initial.get("h", -1)
    time = len(recurrence.states.get("h", ()))
    if not recurrence.weight or start < 0 or not time or np.any(tape.nodes[start].value):
        return []
    steps = np.zeros(longest, dtype=bool)
    steps[0 if recurrence.direction == "forward" else time - 1] = True
    return [(recurrence.weight, steps)]


def _pass_on(state: StateTrace, other: StateTrace, below: set[int]) -> None:
    # Whether `other` feeds `state` within a timestep is the same at all of them: a lower layer, or c below h.
    lost = state.grad.status == Status.UNDERFLOW
    if not lost.any() or int(other.nodes[int(np.flatnonzero(lost)[0])]) not in below:
        return
    _mark(other.immediate, lost)
    _mark(other.grad, lost)


def _mark(magnitudes: Magnitudes, where: Booleans | np.bool_) -> None:
    status = magnitudes.status
    status[...] = np.where((status == Status.ZERO) & where, Status.UNDERFLOW, status)


def _starts(tape: Tape, state: StateTrace) -> set[int]:
    """Find the initial states of the recurrence; what lies before them has other timesteps than the state has."""
    owner = next(one for one in tape.recurrences if int(state.nodes[0]) in one.states.get(state.kind, ()))
    return set(owner.initial.values())


def _before_the_start(states: Sequence[StateTrace], below: set[int]) -> None:
    """Mark an encoder whose decoder's initial state already got nothing but underflow."""
    for other in states:
        here = other.nodes >= 0
        if below.isdisjoint(other.nodes[here].tolist()):
            continue
        ahead = here & ~other.cut
        _mark(other.grad, here)
        _mark(other.immediate, _fed(other, below))
        carried = np.append(ahead[1:], False) if other.direction == "forward" else np.append(False, ahead[:-1])
        _mark(other.carried, carried)
        _mark(other.initial, np.bool_(True))


def _fed(other: StateTrace, below: set[int]) -> Booleans:
    """Tell the last step that leads there: only it hands its state on directly."""
    last = max((node for node in other.nodes.tolist() if node in below), default=-1)
    return np.asarray((other.nodes == last) & (other.nodes >= 0))


def _leading_to(tape: Tape, last: int, stop: set[int]) -> set[int]:
    needed = {last}
    for node in reversed(tape.nodes[: last + 1]):
        if node.id in needed and node.id not in stop:
            needed.update(node.inputs)
    return needed - stop
