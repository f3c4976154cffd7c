"""Small drawings that hold every kind of column, and every two neighbours, that a long picture consists of.

In comes a trace with its groups of alike timesteps, out go sheets of a few columns. The page repeats their columns
in any number, so that it needs neither a layout of its own nor the positions of a thousand steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rnngraph.graph.build.fold import initial_sides, loop_columns, with_initial
from rnngraph.graph.build.graph import build_columns
from rnngraph.graph.compose import compose
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.sheet import Sheet
from rnngraph.render.page.alike_steps import Groups
from rnngraph.trace.model import Trace

WIDTH = 112.0  # of a step; there is room for the mark of any step


@dataclass(frozen=True, slots=True)
class Prototype:
    """A graph, its sheet, and the name of the kind of each of its columns.

    Kinds are "L" and "R" (initial states on either side), "F" (a fold), "O" (a loop) and the number of a group.
    """

    graph: Graph
    sheet: Sheet
    kinds: tuple[str, ...]


def rolled(trace: Trace, detail: str) -> list[Prototype]:
    """Draw the one loop."""
    left, right = initial_sides(trace, rolled=True)
    columns = loop_columns(trace, ((0, trace.timesteps),))
    return [_draw(trace, detail, columns, ("L",) * left + ("O",) + ("R",) * right)]


def unrolled(trace: Trace, detail: str, groups: Groups) -> list[Prototype]:
    """Draw every group of steps beside a fold, and beside every group that is ever its neighbour."""
    fold = Column("fold", ((0, trace.timesteps),))
    neighbours = np.unique(np.stack([groups.of[:-1], groups.of[1:]]), axis=1, return_index=True)[1]
    # Every step but the first is the second of two, and every one but the last the first: each stands beside a fold.
    columns = [_step(trace, 0)]
    for step in neighbours:
        columns += [fold, _step(trace, int(step)), _step(trace, int(step) + 1)]
    columns += [fold, _step(trace, trace.timesteps - 1)]
    steps = [_step(trace, int(step)) for step in groups.first]  # without which a fold would be less tall
    pictures = with_initial(trace, columns), with_initial(trace, [fold, *steps, fold])
    return [_draw(trace, detail, found, tuple(_kinds(found, groups))) for found in pictures]


def _kinds(columns: tuple[Column, ...], groups: Groups) -> Iterator[str]:
    for number, column in enumerate(columns):
        if column.kind == "initial":
            yield "R" if number else "L"
        else:
            yield "F" if column.kind == "fold" else str(groups.of[column.first])


def _step(trace: Trace, step: int) -> Column:
    return Column("step", ((step, step + 1),), trace.labels[step], trace.batch)


def _draw(trace: Trace, detail: str, columns: tuple[Column, ...], kinds: tuple[str, ...]) -> Prototype:
    # The page itself draws what differs from step to step: cuts, marks of saturation, the first non-finite node.
    plain = replace(
        trace,
        states=tuple(replace(state, cut=np.zeros_like(state.cut)) for state in trace.states),
        graph=replace(trace.graph, first_nonfinite_forward=-1, first_nonfinite_backward=-1),
    )
    typical = min((one.timesteps for one in trace.recurrences), default=trace.timesteps) // 2
    graph = build_columns(plain, columns, detail=detail, typical=typical)
    return Prototype(graph, compose(graph, least=WIDTH), kinds)
