"""The recurrences of a trace as the picture follows them along time: one track for each layer and direction.

In come the trace's recurrences, its states and its recorded graph, out go tracks.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnngraph.graph.build.recorded import Recorded
from rnngraph.graph.model import Column
from rnngraph.trace.cell import CellTrace
from rnngraph.trace.magnitudes import Status
from rnngraph.trace.model import REVERSE, RecurrenceTrace, StateTrace, Trace


@dataclass(frozen=True, slots=True)
class Track:
    """One recurrence with its cell, its states by kind (`h`, `c`), and the scope of its nodes, "" where unknown."""

    name: str
    recurrence: RecurrenceTrace
    cell: CellTrace
    states: dict[str, StateTrace]
    scope: str

    @property
    def main(self) -> str:
        """The kind of the state that the layer gives to the next one."""
        return next((kind for kind in self.cell.kinds if kind in self.states), next(iter(self.states)))

    @property
    def reverse(self) -> bool:
        """Whether the recurrence runs from the last step to the first."""
        return self.recurrence.direction == REVERSE

    @property
    def timesteps(self) -> int:
        """The number of its own timesteps."""
        return self.recurrence.timesteps

    def owns(self, scope: str) -> bool:
        """Whether nodes of this scope belong to the track."""
        return bool(self.scope) and (scope == self.scope or scope.startswith(self.scope + "/"))

    def within(self, column: Column) -> Column:
        """Keep the timesteps of a column that the recurrence has."""
        return column.within(0, self.timesteps)

    def starts_in(self, column: Column, *, first: bool) -> bool:
        """Whether the initial states stand in a column: at the side, or behind the end of a shorter recurrence."""
        if column.kind == "initial":
            return first != self.reverse
        return self.reverse and column.kind != "loop" and bool(column.within(self.timesteps, self.timesteps + 1).ranges)


def find_tracks(trace: Trace, recorded: Recorded) -> tuple[Track, ...]:
    """Give the recurrences that have states, in the order in which they were computed."""
    found = []
    for recurrence in trace.recurrences:
        states = {state.kind: state for state in trace.states_of(recurrence)}
        if states:
            found.append(_track(trace, recurrence, states, recorded))
    return tuple(sorted(found, key=lambda track: (_order(track), track.recurrence.layer, track.reverse)))


def walked(track: Track, column: Column) -> Column:
    """Leave out the step with which the recurrence ends: nothing is carried into it, which says nothing of a loop."""
    end = 0 if track.reverse else track.timesteps - 1
    own = track.within(column)
    kept = own.within(1, track.timesteps) if track.reverse else own.within(0, end)
    return kept if kept.ranges else own


def is_observed(state: StateTrace) -> bool:
    """Whether anything is known of a state's initial gradient."""
    return bool(state.initial.status != Status.UNOBSERVED)


def _track(trace: Trace, recurrence: RecurrenceTrace, states: dict[str, StateTrace], recorded: Recorded) -> Track:
    first = next(iter(states.values()))
    name = first.name.rpartition(".")[0] or first.name
    if any(one.layer > 0 for one in trace.recurrences):
        name = f"{name}.{recurrence.layer}"
    node = next((int(node) for step in recorded.by_step if (node := first.nodes[step]) >= 0), -1)
    return Track(name, recurrence, trace.cell_of(recurrence), states, recorded.scope(node) if node >= 0 else "")


def _order(track: Track) -> int:
    return max((int(state.nodes.max(initial=-1)) for state in track.states.values()), default=-1)
