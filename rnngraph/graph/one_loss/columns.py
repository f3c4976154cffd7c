"""How wide every column is: steps alike but for their words, folds as the root of their steps.

In: a graph that is seen from one loss. Out: a `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.layout.grid import Span
from rnngraph.graph.layout.metrics import fit, width_of
from rnngraph.graph.model import Column, Graph
from rnngraph.graph.one_loss.fold import right_margin
from rnngraph.graph.one_loss.layout import RANGE, SMALLEST, Layout
from rnngraph.graph.sizes import is_wide, sizes_of

WIDEST = 150.0  # of a column that has room
_WORD = 1.5  # columns in which a word has no more room


def lay_out(graph: Graph) -> Layout:
    """Place the columns of a graph."""
    seen = graph.seen
    assert seen is not None
    sizes, wide = sizes_of(seen.width), is_wide(seen.width)
    margin = right_margin(seen.width, seen.rows)
    steps = [column for column in graph.columns if column.kind == "step"]
    folds = [column for column in graph.columns if column.kind == "fold"]
    room = seen.width - sizes.first - margin
    if seen.own:
        pitch = max(sizes.pitch, min(WIDEST, (room - 60 * len(folds)) / max(len(steps), 1)))
        room = max(room, pitch * len(steps) + 60 * len(folds))
    elif folds:
        # A fold had better be wide enough to say its range.
        pitch = max(sizes.close, min(sizes.pitch, (room - RANGE * len(folds)) / max(len(steps), 1)))
        pitch = max(sizes.least, min(pitch, (room - sizes.fold * len(folds)) / max(len(steps), 1)))
    else:
        pitch = min(WIDEST, room / max(len(steps), 1))
    roots = sum(math.sqrt(column.count) for column in folds) or 1.0
    least = min(sizes.fold, (room - pitch * len(steps)) / max(len(folds), 1))
    left_over = room - pitch * len(steps) - least * len(folds)
    wider = _for_words(graph.columns, pitch, left_over, _WORD * sizes.pitch)
    left_over -= sum(wider.values())
    spans, x = [], sizes.first
    for number, column in enumerate(graph.columns):
        if column.kind == "initial":
            spans.append(Span(sizes.first - 46, sizes.first) if not number else Span(x, x + 44))
            continue
        own = pitch + wider.get(number, 0.0)
        size = own if column.kind == "step" else least + left_over * math.sqrt(column.count) / roots
        spans.append(Span(x, x + size))
        x += size
    width = max(float(seen.width), sizes.first + room + margin)
    return Layout(graph, seen, sizes, wide, width, tuple(spans))


def word_of(column: Column) -> str:
    """Give the word that comes in at a step, where there is one, else one letter."""
    return one_line(column.label) if column.label else "x"


def _for_words(columns: Sequence[Column], pitch: float, spare: float, most: float) -> dict[int, float]:
    """Say by how much steps are wider than others for their words' sake, those first that need the least."""
    found: dict[int, float] = {}
    needed = {number: width_of(fit(word_of(column), most, SMALLEST), SMALLEST) + 3 - pitch
              for number, column in enumerate(columns) if column.kind == "step"}  # fmt: skip
    for number, more in sorted(needed.items(), key=lambda one: one[1]):
        if 0 < more <= spare:
            found[number] = more
            spare -= more
    return found
