"""The flags of a picture: where the credit of one loss ends, passes ×100, or that it does neither.

In: rows. Out: at most one `Mark` a direction, with the edge of every row at which its line stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rnngraph.diagnosis.sentences import percent, share_text
from rnngraph.graph.one_loss.view import Mark, SeenRow, Way
from rnngraph.graph.style.left import What, end_of


@dataclass(frozen=True, slots=True)
class _End:
    """How the credit of one lane ends: in which row, at which edge of the axis, after which lag."""

    what: What
    row: int
    edge: float
    lag: int
    decades: float  # what is left there
    beyond: float  # and a step further


def find_marks(rows: Sequence[SeenRow], lanes: Sequence[Sequence[int]]) -> tuple[Mark, ...]:
    """Find the flag of each direction.

    Args:
        rows: of the picture.
        lanes: rows in the order in which a gradient goes through them, such as a decoder's and then its encoder's.
    """
    found: dict[Way, list[_End]] = {}
    for lane in lanes:
        end = _end(rows, lane)
        if end is not None:
            found.setdefault(rows[lane[-1]].way, []).append(end)
    both = len(found) > 1
    return tuple(_mark(rows, ends, way, both=both) for way, ends in found.items())


def _end(rows: Sequence[SeenRow], lane: Sequence[int]) -> _End | None:
    """Walk along a lane to the mark, which stands behind a step, on the side to which the gradient goes."""
    walks = {row: walk for row in lane if (walk := rows[row].walk) is not None}
    chain = [(row, place) for row, walk in walks.items() for place in range(len(walk.steps))]
    left = np.concatenate([np.empty(0), *(walk.decades for walk in walks.values())])
    what, at = end_of(left, cut=bool(chain) and walks[chain[-1][0]].cut)
    if what == "nothing" or (what == "explodes" and at == 0):
        return None
    grown = what == "explodes"
    row, place = chain[at - grown]
    edge = rows[row].segment.start + int(walks[row].steps[place]) + (0.5 if rows[row].way == "right" else -0.5)
    beyond = float(left[at + 1]) if at + 1 < len(chain) else rows[row].initial
    return _End(what, row, edge, int(walks[row].lags[place]) + grown, float(left[at - grown]), beyond)


def _mark(rows: Sequence[SeenRow], ends: list[_End], way: Way, *, both: bool) -> Mark:
    whats = {end.what for end in ends}
    if "explodes" in whats:  # the row that passes it first is the one to look at
        ends = sorted((end for end in ends if end.what == "explodes"), key=lambda end: end.row)
    text, short = _texts(rows, ends)
    if both:
        name = "reverse" if way == "right" else "forward"
        text = f"{name}: {text.removesuffix(': under 1 % beyond')}"
        last = max(end.lag for end in ends)
        short = f"{name} to lag {last}" if whats == {"dies"} else f"{name}: {short.removeprefix('this loss: ')}"
    ends = sorted(ends, key=lambda end: end.row)
    pointing = not whats <= {"reaches"}
    texts = [(f"{one} ▸" if way == "right" else f"◂ {one}") if pointing else one for one in (text, short)]
    return Mark(texts[0], texts[1], way, tuple((end.row, end.edge) for end in ends))


def _texts(rows: Sequence[SeenRow], ends: list[_End]) -> tuple[str, str]:
    """Say how the lanes of one direction end, at length and in short."""
    whats, lags = {end.what for end in ends}, [end.lag for end in ends]
    left, far = share_text(max(end.decades for end in ends)), _far(rows[ends[0].row])
    alike = {
        "explodes": (f"'s gradient passes ×100 at lag {min(lags)}", f": ×100 from lag {min(lags)} on"),
        "reaches": (f"'s credit reaches the {far}: {left} left", f" reaches the {far}: {left} left"),
        "cut": (f"'s credit is cut after lag {max(lags)}, where {left} is left", f": cut after lag {max(lags)}"),
        "unknown": (
            f" was followed to lag {max(lags)} only, where {percent(ends[0].decades)} is left",
            f": followed to lag {max(lags)}",
        ),
    }
    if len(whats) == 1 and ends[0].what in alike:
        text, short = alike[ends[0].what]
        return f"this loss{text}", f"this loss{short}"
    if whats == {"dies"} and len(set(lags)) == 1:
        beyond = "nothing" if all(end.beyond == -math.inf for end in ends) else "under 1 %"
        return f"this loss's credit ends at lag {lags[0]}: {beyond} beyond", f"this loss: {beyond} beyond lag {lags[0]}"
    if whats == {"dies"} and len({rows[end.row].kind for end in ends}) == 1:
        where = "later below" if lags[-1] > lags[0] else "earlier below"
        text = f"ends at lag {lags[0]} on top, {where}"
        return f"this loss's credit {text}", f"this loss {text}"
    by_kind = _by_kind(rows, ends)
    names = [rows[end.row].kind if by_kind else rows[end.row].name for end in ends]
    parts = [f"{_part(rows, end)} in {name}" for end, name in zip(ends, names, strict=True)]
    if len(parts) > 2:
        order = sorted(range(len(ends)), key=lambda at: (ends[at].what != "dies", ends[at].lag))
        parts = [parts[order[0]], parts[order[-1]]]
    longest = max(range(len(ends)), key=lambda at: (ends[at].what == "reaches", ends[at].lag))
    return f"this loss's credit {', '.join(parts)}", f"this loss {_part(rows, ends[longest])} in {names[longest]}"


def _by_kind(rows: Sequence[SeenRow], ends: list[_End]) -> bool:
    """Whether the kinds of their states tell the rows from each other."""
    kinds = [rows[end.row].kind for end in ends]
    return all(kinds) and len(set(kinds)) == len(kinds)


def _part(rows: Sequence[SeenRow], end: _End) -> str:
    return {
        "dies": f"ends at lag {end.lag}",
        "cut": f"is cut after lag {end.lag}",
        "unknown": f"is followed to lag {end.lag}",
        "reaches": f"reaches the {_far(rows[end.row])} ({share_text(end.decades)})",
    }[end.what]


def _far(row: SeenRow) -> str:
    return "end" if row.way == "right" else "start"
