"""The recurrent layers of a trace, one track for each layer and direction, and the parts of their steps.

In come the trace's states and its recorded graph, out go tracks that can say what a given step consists of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnngraph.graph.cells import FUSED, INPUT, OPERATIONS, PREVIOUS, STEPS, Part, Parts, custom_step
from rnngraph.graph.recorded import LEAVES, Recorded
from rnngraph.trace.model import REVERSE, StateTrace, Trace


@dataclass(frozen=True, slots=True)
class Track:
    """One layer in one direction: its states by kind (`h`, `c`) and the scope of its nodes, "" where unknown."""

    name: str
    layer: int
    direction: str
    cell: str
    scope: str
    states: dict[str, StateTrace]

    @property
    def main(self) -> str:
        """The kind of the state that the layer gives to the next one."""
        return "h" if "h" in self.states else next(iter(self.states))

    @property
    def reverse(self) -> bool:
        """Whether the recurrence runs from the last step to the first."""
        return self.direction == REVERSE

    def owns(self, scope: str) -> bool:
        """Whether nodes of this scope belong to the track."""
        return bool(self.scope) and (scope == self.scope or scope.startswith(self.scope + "/"))


def find_tracks(trace: Trace, recorded: Recorded) -> tuple[Track, ...]:
    """Group the states by layer and direction, in the order in which they were computed."""
    groups: dict[tuple[str, int, str], dict[str, StateTrace]] = {}
    deep = any(state.layer > 0 for state in trace.states)
    for state in trace.states:
        stem = state.name.rpartition(".")[0] or state.name
        stem = f"{stem}.{state.layer}" if deep else stem
        groups.setdefault((stem, state.layer, state.direction), {})[state.kind] = state
    tracks = [_track(name, layer, direction, states, recorded) for (name, layer, direction), states in groups.items()]
    return tuple(sorted(tracks, key=lambda track: (_order(track), track.layer, track.reverse)))


def step_parts(track: Track, timestep: int, detail: str, recorded: Recorded) -> Parts:
    """Return the parts of one step of a track at `detail` ("layer", "step" or "op").

    Node ids are filled in where the trace has them.
    """
    nodes = [node for node in recorded.by_step.get(timestep, ()) if track.owns(recorded.scope(node))]
    if detail == "layer":
        return (Part(track.main, track.cell, "layer", (INPUT, PREVIOUS + track.main)),)
    if detail == "op" and any(recorded.op(node) not in FUSED for node in nodes):
        return _recorded_parts(track, timestep, nodes, recorded)
    table = OPERATIONS if detail == "op" else STEPS
    parts = table.get(track.cell) or custom_step(track.cell, tuple(track.states))
    return _with_nodes(parts, track, timestep, nodes, recorded)


def _track(name: str, layer: int, direction: str, states: dict[str, StateTrace], recorded: Recorded) -> Track:
    first = next(iter(states.values()))
    node = next((int(node) for step in recorded.by_step if (node := first.nodes[step]) >= 0), -1)
    return Track(name, layer, direction, first.cell, recorded.scope(node) if node >= 0 else "", states)


def _order(track: Track) -> int:
    return max((int(state.nodes.max(initial=-1)) for state in track.states.values()), default=-1)


def _with_nodes(parts: Parts, track: Track, timestep: int, nodes: list[int], recorded: Recorded) -> Parts:
    own = {int(state.nodes[timestep]): kind for kind, state in track.states.items()}
    keys = {part.key for part in parts}
    found: dict[str, list[int]] = {}
    for node in nodes or [node for node in own if node >= 0]:
        key = own.get(node) or FUSED.get(recorded.op(node), "")
        if key not in keys:
            key = "gates" if "gates" in keys else "h"
        found.setdefault(key, []).append(node)
    return tuple(replace(part, nodes=tuple(found.get(part.key, ()))) for part in parts)


def _recorded_parts(track: Track, timestep: int, nodes: list[int], recorded: Recorded) -> Parts:
    """Lay the primitives of one step out by their depth, in the order of the tape."""
    own = {int(state.nodes[timestep]): kind for kind, state in track.states.items()}
    outer = _Outside(track, timestep, recorded)
    depth: dict[int, int] = {}
    inputs: dict[int, tuple[str, ...]] = {}
    for node in nodes:
        if recorded.op(node) in LEAVES:
            continue
        sources = recorded.inputs(node).tolist()
        local = [source for source in sources if source in depth]
        depth[node] = 1 + max((depth[source] for source in local), default=-1)
        named = [own.get(source, str(source)) if source in depth else outer.name(source) for source in sources]
        inputs[node] = tuple(dict.fromkeys(name for name in named if name))
    levels: dict[int, list[int]] = {}
    for node, level in depth.items():
        levels.setdefault(level, []).append(node)
    for together in levels.values():  # what takes the step before comes first, what the step after takes comes last
        together.sort(key=lambda node: (node in own, not any(name.startswith(PREVIOUS) for name in inputs[node])))
    return tuple(
        Part(
            own.get(node, str(node)),
            recorded.label(node) + (f"  {own[node]}" if node in own else ""),
            "state" if node in own else "part",
            inputs[node],
            (depth[node], levels[depth[node]].index(node), len(levels[depth[node]])),
            (node,),
        )
        for node in depth
    )


class _Outside:
    """Tells what a step takes from elsewhere: a state of the step before, or what the row below gives."""

    def __init__(self, track: Track, timestep: int, recorded: Recorded) -> None:
        self.recorded = recorded
        before = timestep + 1 if track.reverse else timestep - 1
        inside = 0 <= before < len(next(iter(track.states.values())).nodes)
        self.states = {int(state.nodes[before]): kind for kind, state in track.states.items()} if inside else {}
        # Before the first step the states are unnamed; h is used first in every known cell.
        self.unnamed = [] if inside else sorted(track.states, key=lambda kind: kind != "h")

    def name(self, source: int) -> str:
        """Return the key of an input as `Part.inputs` has it, "" for a weight."""
        if source in self.states:
            return PREVIOUS + self.states[source]
        if self.recorded.op(source) == "parameter":
            return ""
        flat = self.recorded.graph.timestep[source] == -1 and len(self.recorded.shape(source)) == 2
        if flat and self.unnamed:
            self.states[source] = self.unnamed.pop(0)
            return PREVIOUS + self.states[source]
        return "" if self.recorded.op(source) in LEAVES else INPUT
