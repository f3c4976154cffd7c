"""What one step of a recurrence consists of: the parts that its cell declares, or those that were recorded.

In come a track, a timestep and the recorded graph, out go parts, each with the ids of the nodes behind it.
"""

from __future__ import annotations

from rnngraph.graph.build.recorded import Recorded
from rnngraph.graph.build.tracks import Track
from rnngraph.trace.cell import INPUT, PREVIOUS, CellTrace, PartTrace

Parts = tuple[tuple[PartTrace, tuple[int, ...]], ...]  # each with its node ids


def step_parts(track: Track, timestep: int, detail: str, recorded: Recorded) -> Parts:
    """Return the parts of one step at `detail` ("layer", "step" or "op").

    Node ids are filled in where the trace has them.
    """
    if detail == "layer":
        return ((PartTrace(track.main, track.cell.title, "layer", (INPUT, PREVIOUS + track.main), ""), ()),)
    nodes = [node for node in recorded.by_step.get(timestep, ()) if track.owns(recorded.scope(node))]
    fused = {_op(track.cell, part) for part in track.cell.parts}
    if detail == "op" and any(recorded.op(node) not in fused for node in nodes):
        return _recorded_parts(track, timestep, nodes, recorded)
    declared = track.cell.operations if detail == "op" else track.cell.parts
    return _with_nodes(declared or _states_only(track), track, timestep, nodes, recorded)


def _op(cell: CellTrace, part: PartTrace) -> str:
    """Name the op that a fused step records for a part."""
    return f"{cell.name}.{part.key}"


def _states_only(track: Track) -> tuple[PartTrace, ...]:
    """Stack the states of a cell of which nothing else is known, the main one on top."""
    kinds = sorted(track.states, key=lambda kind: (kind == track.main, kind))
    previous = tuple(PREVIOUS + kind for kind in kinds)
    return tuple(
        PartTrace(
            kind, "step" if len(kinds) == 1 else f"step {kind}", "state",
            (kinds[level - 1], PREVIOUS + kind) if level else (INPUT, *previous), "", (level, 0, 1),
        )
        for level, kind in enumerate(kinds)
    )  # fmt: skip


def _with_nodes(
    parts: tuple[PartTrace, ...], track: Track, timestep: int, nodes: list[int], recorded: Recorded
) -> Parts:
    own = {int(state.nodes[timestep]): kind for kind, state in track.states.items()}
    keys = {_op(track.cell, part): part.key for part in parts}
    gates = [part.key for part in parts if part.role == "gate"]
    rest = gates[0] if len(gates) == 1 else track.main  # what belongs to no part of its own
    found: dict[str, list[int]] = {}
    for node in nodes or [node for node in own if node >= 0]:
        found.setdefault(own.get(node) or keys.get(recorded.op(node), rest), []).append(node)
    return tuple((part, tuple(found.get(part.key, ()))) for part in parts)


def _recorded_parts(track: Track, timestep: int, nodes: list[int], recorded: Recorded) -> Parts:
    """Lay the primitives of one step out by their depth, in the order of the tape."""
    own = {int(state.nodes[timestep]): kind for kind, state in track.states.items()}
    formulas = {part.key: part.formula for part in track.cell.parts}
    outer = _Outside(track, timestep, recorded)
    depth: dict[int, int] = {}
    inputs: dict[int, tuple[str, ...]] = {}
    for node in nodes:
        if recorded.is_given(node):
            continue
        sources = recorded.inputs(node).tolist()
        depth[node] = 1 + max((depth[source] for source in sources if source in depth), default=-1)
        named = [own.get(source, str(source)) if source in depth else outer.name(source) for source in sources]
        inputs[node] = tuple(dict.fromkeys(name for name in named if name))
    levels: dict[int, list[int]] = {}
    for node, level in depth.items():
        levels.setdefault(level, []).append(node)
    for together in levels.values():  # what takes the step before comes first, what the step after takes comes last
        together.sort(key=lambda node: (node in own, not any(name.startswith(PREVIOUS) for name in inputs[node])))

    def part(node: int) -> PartTrace:
        kind, level = own.get(node, ""), levels[depth[node]]
        return PartTrace(
            kind or str(node), recorded.label(node) + (f"  {kind}" if kind else ""), "state" if kind else "part",
            inputs[node], formulas.get(kind, ""), (depth[node], level.index(node), len(level)),
        )  # fmt: skip

    return tuple((part(node), (node,)) for node in depth)


class _Outside:
    """Tells what a step takes from elsewhere: a state of the step before, or what the row below gives."""

    def __init__(self, track: Track, timestep: int, recorded: Recorded) -> None:
        self.recorded = recorded
        before = timestep + 1 if track.reverse else timestep - 1
        inside = 0 <= before < track.timesteps
        self.states = {int(state.nodes[before]): kind for kind, state in track.states.items()} if inside else {}
        # Before the first step the states are unnamed; the main one is used first in every known cell.
        self.unnamed = [] if inside else sorted(track.states, key=lambda kind: kind != track.main)

    def name(self, source: int) -> str:
        """Return the key of an input as `PartTrace.inputs` has it, "" for a weight."""
        if source in self.states:
            return PREVIOUS + self.states[source]
        if self.recorded.role(source) == "parameter":
            return ""
        flat = self.recorded.graph.timestep[source] == -1 and len(self.recorded.shape(source)) == 2
        if flat and self.unnamed:
            self.states[source] = self.unnamed.pop(0)
            return PREVIOUS + self.states[source]
        return "" if self.recorded.is_given(source) else INPUT
