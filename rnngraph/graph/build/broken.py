"""Where NaN or infinity first comes up, forward and backward. In: a trace. Out: timesteps, and the words for them."""

from __future__ import annotations

from collections.abc import Iterable

from rnngraph.trace.model import Trace


def broken_steps(trace: Trace) -> dict[str, set[int]]:
    """Give the timesteps by the name of the recurrence that took them: the one whose state was computed nearest."""
    found: dict[str, set[int]] = {}
    for node in trace.graph.first_nonfinite().values():
        t = int(trace.graph.timestep[node])
        near = [
            (abs(int(state.nodes[t]) - node), state.recurrence)
            for state in trace.states
            if t >= 0 and state.nodes[t] >= 0
        ]
        if near:
            found.setdefault(min(near)[1], set()).add(t)
    return found


def broken_text(steps: Iterable[int]) -> str:
    """Say what of it a fold hides; "" where nothing."""
    places = " and ".join(f"t={t}" for t in sorted(steps))
    return f"NaN or infinity first at {places}" if places else ""
