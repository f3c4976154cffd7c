"""Bézier chains between points: lines, rounded corners, arcs, and a chain that ends half-way.

A chain has `3k + 1` points: an end, and for every cubic piece two control points and the next end.
"""

from __future__ import annotations

from rnngraph.graph.layout.geometry import Point

ARC_DEPTH = 28.0  # how far an arrow back in time hangs below the boxes

Points = tuple[Point, ...]


def straight(start: Point, stop: Point) -> Points:
    """Return the one cubic piece that is the line from `start` to `stop`."""
    (a, b), (c, d) = start, stop
    return start, (a + (c - a) / 3, b + (d - b) / 3), (a + (c - a) * 2 / 3, b + (d - b) * 2 / 3), stop


def rounded(corners: list[Point], radius: float = 7.0) -> Points:
    """Return the chain of cubic pieces along `corners`, with the turns rounded off."""
    chain: list[Point] = [corners[0]]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        start, stop = _toward(corner, before, radius), _toward(corner, after, radius)
        chain += [*straight(chain[-1], start)[1:], corner, corner, stop]
    return (*chain, *straight(chain[-1], corners[-1])[1:])


def hanging(start: Point, stop: Point, lean: float) -> Points:
    """Return the piece that hangs between two points like a rope; `lean` is how far its knees are set in."""
    low = min(start[1], stop[1]) - ARC_DEPTH - 6
    return start, (start[0] + lean, low), (stop[0] - lean, low), stop


def middle_of(piece: Points) -> Point:
    """Return the point half-way along a cubic piece."""
    (a, b), (c, d), (e, f), (g, h) = piece
    return (a + 3 * c + 3 * e + g) / 8, (b + 3 * d + 3 * f + h) / 8


def _toward(origin: Point, goal: Point, distance: float) -> Point:
    length = abs(goal[0] - origin[0]) + abs(goal[1] - origin[1])
    share = min(0.5, distance / length) if length else 0.0
    return origin[0] + (goal[0] - origin[0]) * share, origin[1] + (goal[1] - origin[1]) * share
