"""What is left at every lag, and what a step back keeps: a few lags in a table, as many as there is room for.

In: what is seen from a loss. Out: rich texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from rnngraph.diagnosis.one_loss import OneLoss, Walk
from rnngraph.diagnosis.sentences import factor_text, share_text
from rnngraph.graph.style.left import end_of
from rnngraph.render.report.seen.chart import named
from rnngraph.render.report.seen.sparklines import style
from rnngraph.render.report.text import printable

_COLUMN = 7
_MOST_ROWS = 6
_MOST_COLUMNS = 24
_FURTHER = 2  # columns beyond the mark, at least


def lag_lines(width: int, seen: OneLoss) -> Iterator[Text]:
    """Write a line a row of the network, at most six."""
    walks = [walk for walk in seen.downwards if len(walk.steps) > 1]
    if not walks or len(walks) > _MOST_ROWS:
        return
    heads = ["left"] if len(walks) == 1 else [printable(walk.name) for walk in walks]
    room = min(max(map(len, ("left", "kept", *heads))), max(width // 4, 5))
    lags = chosen_lags(walks, min((width - room - 1) // _COLUMN, _MOST_COLUMNS))
    yield Text()
    lines = [_line("lag", room, [str(lag) for lag in lags], ["dim"] * len(lags))]
    for head, walk in zip(heads, walks, strict=True):
        places = [_place(walk, lag) for lag in lags]
        texts = ["" if place is None else share_text(float(walk.decades[place])) for place in places]
        styles = ["" if place is None else style(float(walk.decades[place])) for place in places]
        lines.append(_line(head, room, texts, styles))
    if len(walks) == 1:
        kept = [_kept(walks[0], lag) if lag - 1 in lags else "" for lag in lags]
        if len([text for text in kept if text]) > 1:
            lines.append(_line("kept", room, kept, [""] * len(lags)))
    for line in lines:
        line.no_wrap = True
        line.rstrip()
        yield line


def chosen_lags(walks: Sequence[Walk], columns: int) -> list[int]:
    """Choose lags: every one up to just beyond the mark of all rows, then ever longer ones, and the last."""
    lags = sorted({int(lag) for walk in walks for lag in walk.lags})
    if len(lags) <= columns:
        return lags
    near = max(_marked(walk) for walk in walks) + 2
    # Where the mark is far, the steps grow from the first on.
    near = min(near, columns - _FURTHER) if columns >= near / 2 + _FURTHER else 1
    further = np.geomspace(1, len(lags) - near, columns - near + 1)[1:].round().astype(int)
    return [*lags[:near], *(lags[near - 1 + place] for place in np.unique(further))]


def _marked(walk: Walk) -> int:
    """Give the lag at which a row explodes, or has 1 % left; 0 where there is none."""
    what, place = end_of(walk.decades, cut=walk.cut)
    return 0 if what == "nothing" else int(walk.lags[place])


def _kept(walk: Walk, lag: int) -> str:
    """Write what the step to a lag keeps."""
    place = _place(walk, lag)
    factor = walk.factor(place - 1) if place else math.nan
    return "" if math.isnan(factor) else factor_text(factor)


def _place(walk: Walk, lag: int) -> int | None:
    place = lag - int(walk.lags[0])
    return place if 0 <= place < len(walk.lags) else None


def _line(head: str, room: int, cells: list[str], styles: list[str]) -> Text:
    name = Text(named(head, room))
    for text, how in zip(cells, styles, strict=True):
        name.append(" " * max(_COLUMN - cell_len(text), 1)).append(text, style=how)
    return name
