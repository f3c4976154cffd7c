"""What is shown step by step and what is folded: around the loss, the place of death and the first step.

In: the positions that must be seen, in the order of their weight, and the room. Out: ranges of positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rnngraph.graph.one_loss.view import Mark, SeenRow, Segment
from rnngraph.graph.sizes import NARROW, WIDE, is_wide, sizes_of

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Room:
    """How much fits beside each other, in pixels."""

    width: float
    pitch: float  # of a column
    close: float  # to which it may shrink for a fold's sake
    least: float  # and to have room at all
    fold: float  # the least width of a fold
    columns: int  # at most so many in full

    def holds(self, shown: set[int], breaks: Iterable[int], total: int) -> bool:
        """Whether these columns and the folds between them fit."""
        folds = len(gaps(shown, breaks, total))
        pitch = self.pitch if len(shown) <= self.columns else self.least
        return len(shown) * pitch + folds * self.fold <= self.width and (len(shown) <= self.columns or folds == 0)

    def closes(self, shown: set[int], breaks: Iterable[int], total: int) -> bool:
        """Whether they fit when they stand close."""
        return len(shown) * self.close + len(gaps(shown, breaks, total)) * self.fold <= self.width

    def squeezes(self, shown: set[int], breaks: Iterable[int], total: int) -> bool:
        """Whether they fit when all are narrow."""
        return len(shown) * self.least + len(gaps(shown, breaks, total)) * self.fold <= self.width


def room_of(width: int, rows: Sequence[SeenRow]) -> Room:
    """Give the room that a picture has for its columns."""
    sizes = sizes_of(width)
    columns = sizes.columns if is_wide(width) else max(3, sizes.columns * width // NARROW)
    if width > WIDE:
        columns = sizes.columns * width // WIDE
    return Room(width - sizes.first - right_margin(width, rows), sizes.pitch, sizes.close, sizes.least, sizes.fold,
                int(columns))  # fmt: skip


def right_margin(width: int, rows: Sequence[SeenRow]) -> float:
    """Give the room that is left free on the right: also for the initial states of a reverse direction."""
    reverse = any(row.way == "right" and not math.isnan(row.initial) for row in rows)
    return sizes_of(width).margin + (44 if is_wide(width) and reverse else 0)


def gaps(shown: set[int], breaks: Iterable[int], total: int) -> list[tuple[int, int]]:
    """Return the runs of positions that are left out; none goes over a break, where another segment begins."""
    edges = sorted({*breaks, 0, total})
    found: list[tuple[int, int]] = []
    for start, stop in pairwise(edges):
        at = start
        for place in (*sorted(one for one in shown if start <= one < stop), stop):
            if place > at:
                found.append((at, place))
            at = place + 1
    return found


def choose_steps(
    position: int, rows: Sequence[SeenRow], marks: Sequence[Mark], segments: Sequence[Segment], room: Room
) -> set[int]:
    """Choose the positions that are shown: the loss, the last at 1 % and the next, the first, and then all that fit.

    Of several deaths the outermost two are unfolded; the others show their mark inside a fold.
    """
    total = segments[-1].stop
    breaks = [segment.start for segment in segments]
    shown = {position}
    borders = {place for one in segments[1:] for place in (one.start - 1, one.start)}
    inner = [{math.floor(edge)} if way == "right" else {math.ceil(edge)} for way, edge in _outermost(marks)]
    both = [{math.floor(edge), math.ceil(edge)} for _, edge in _outermost(marks)]
    ends = {0 if row.way == "left" else row.segment.stop - 1 for row in rows if row.reached.any()}
    for wanted in (borders, set().union(*inner), set().union(*both), ends):
        more = shown | {place for place in wanted if 0 <= place < total}
        if room.squeezes(more, breaks, total):
            shown = more
    if total <= room.columns and room.holds(set(range(total)), breaks, total):
        return set(range(total))
    for place in _nearest(position, rows, total):
        if place in shown:
            continue
        more = shown | {place}
        if len(more) > room.columns or not room.holds(_without_single_gaps(more, breaks, total), breaks, total):
            break
        shown = more
    for most in (1, 2, 3):  # a fold that hides so little hides more than it saves
        for start, stop in gaps(shown, breaks, total):
            more = shown | set(range(start, stop))
            if stop - start <= most and room.closes(more, breaks, total):
                shown = more
    return shown


def _without_single_gaps(shown: set[int], breaks: Iterable[int], total: int) -> set[int]:
    """Show a step that would be folded alone."""
    return shown | {start for start, stop in gaps(shown, breaks, total) if stop - start == 1}


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
