"""What is shown step by step and what is folded: around the loss, the place of death and the first step.

In: the positions that must be seen, in the order of their weight, and the room. Out: ranges of positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rnngraph.graph.one_loss.view import Mark, SeenRow, Segment
from rnngraph.graph.sizes import NARROW, WIDE, Sizes, is_wide, sizes_of
from rnngraph.graph.steps import gaps


@dataclass(frozen=True, slots=True)
class Room:
    """How much fits beside each other: pixels, and columns in full."""

    width: float
    columns: int
    sizes: Sizes
    breaks: tuple[int, ...]  # where segments begin
    total: int  # positions

    def folds(self, shown: set[int]) -> list[tuple[int, int]]:
        """List what lies between the columns."""
        return folds_between(shown, self.breaks, self.total)

    def fits(self, shown: set[int], pitch: float) -> bool:
        """Whether columns of a width, and the folds between them, fit."""
        return len(shown) * pitch + len(self.folds(shown)) * self.sizes.fold <= self.width

    def holds(self, shown: set[int]) -> bool:
        """Whether columns fit in full, or where they are more than that as narrow as may be."""
        return self.fits(shown, self.sizes.pitch if len(shown) <= self.columns else self.sizes.least)


def room_of(width: int, rows: Sequence[SeenRow], segments: Sequence[Segment]) -> Room:
    """Give the room that a picture has for its columns."""
    sizes = sizes_of(width)
    columns = sizes.columns if is_wide(width) else max(3, sizes.columns * width // NARROW)
    if width > WIDE:
        columns = sizes.columns * width // WIDE
    breaks = tuple(segment.start for segment in segments)
    return Room(width - sizes.first - right_margin(width, rows), columns, sizes, breaks, segments[-1].stop)


def right_margin(width: int, rows: Sequence[SeenRow]) -> float:
    """Give the room that is left free on the right: also for the initial states of a reverse direction."""
    reverse = any(row.way == "right" and not math.isnan(row.initial) for row in rows)
    return sizes_of(width).margin + (44 if is_wide(width) and reverse else 0)


def folds_between(shown: set[int], breaks: Iterable[int], total: int) -> list[tuple[int, int]]:
    """Return the runs of positions that are left out; none goes over a break, where another segment begins."""
    found: list[tuple[int, int]] = []
    for start, stop in pairwise(sorted({*breaks, 0, total})):
        inside = [(place, place + 1) for place in sorted(shown) if start <= place < stop]
        found += gaps(inside, stop, start=start)
    return found


def choose_steps(
    position: int, rows: Sequence[SeenRow], marks: Sequence[Mark], segments: Sequence[Segment], room: Room
) -> set[int]:
    """Choose the positions that are shown: the loss, the last at 1 % and the next, the first, and then all that fit.

    Of several deaths the outermost two are unfolded; the others show their mark inside a fold.
    """
    total, shown = room.total, {position}
    borders = {place for one in segments[1:] for place in (one.start - 1, one.start)}
    inner = [{math.floor(edge)} if way == "right" else {math.ceil(edge)} for way, edge in _outermost(marks)]
    both = [{math.floor(edge), math.ceil(edge)} for _, edge in _outermost(marks)]
    ends = {0 if row.way == "left" else row.segment.stop - 1 for row in rows if row.reached.any()}
    for wanted in (borders, set().union(*inner), set().union(*both), ends):
        more = shown | {place for place in wanted if 0 <= place < total}
        if room.fits(more, room.sizes.least):
            shown = more
    if total <= room.columns and room.holds(set(range(total))):
        return set(range(total))
    for place in _nearest(position, rows, total):
        if place in shown:
            continue
        more = shown | {place}
        # A step that would be folded alone is shown.
        alone = {start for start, stop in room.folds(more) if stop - start == 1}
        if len(more) > room.columns or not room.holds(more | alone):
            break
        shown = more
    for most in (1, 2, 3):  # a fold that hides so little hides more than it saves
        for start, stop in room.folds(shown):
            more = shown | set(range(start, stop))
            if stop - start <= most and room.fits(more, room.sizes.close):
                shown = more
    return shown


def _outermost(marks: Sequence[Mark]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for mark in marks:
        edges = [edge for _, edge in mark.edges]
        found += [(mark.way, edge) for edge in sorted({min(edges), max(edges)})]
    return found


def _nearest(position: int, rows: Sequence[SeenRow], total: int) -> Iterable[int]:
    """Go from the loss to where its gradient goes, to both sides where it goes both ways."""
    ways = {row.way for row in rows if row.reached.any()}
    for away in range(1, total):
        for way, place in (("left", position - away), ("right", position + away)):
            if way in ways and 0 <= place < total:
                yield place
    for away in range(1, total):
        for place in (position - away, position + away):
            if 0 <= place < total:
                yield place
