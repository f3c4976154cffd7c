"""Tables of gradient norms for a terminal, as wide as its page and no wider.

In come a trace, its rows and a page; out come rich tables. Columns that a narrow page has no room for are
left out, the least telling first, and the table's caption names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from rnngraph.render.terminal_cells import Scale, bar, magnitude_text, number_text, percent_text, printable
from rnngraph.render.terminal_columns import (
    Column,
    carried_cells,
    magnitude_cells,
    margin,
    number_cells,
    with_initial,
)
from rnngraph.render.terminal_rows import Pick, Row, pick_magnitude
from rnngraph.trace.model import StateTrace, Trace, parameter_of

BAR_LEAST, BAR_MOST = 9, 40
GAP = 2
LEFT_OUT_FIRST = ("‖dWh‖", "sat.", "immediate", "carried", "gain")


@dataclass(frozen=True, slots=True)
class Page:
    """What a table is laid out for: the width in cells, and whether only ASCII can be shown."""

    width: int
    ascii_only: bool = False


def state_table(trace: Trace, state: StateTrace, *, rows: Sequence[Row], scale: Scale, page: Page) -> Table:
    """Lay out all that is known of one state: its gradient with a bar, its parts, its gain, and `‖dWh‖`."""
    rows = with_initial(state, trace.timesteps, rows)
    grads = [state.initial if row.pick is Pick.INITIAL else pick_magnitude(state.grad, row) for row in rows]
    columns = [
        *margin(trace, rows, initial=f"{state.kind}0"),
        Column(f"‖∂L/∂{state.kind}‖", [magnitude_text(grad, scale) for grad in grads]),
        Column("immediate", magnitude_cells(state.immediate, rows)),
        Column("carried", carried_cells(state, rows)),
        Column("gain", number_cells(state.gain, rows, number_text)),
        Column("sat.", number_cells(state.saturated, rows, percent_text)),
    ]
    weight = parameter_of(trace, state, "Wh") if state.kind == "h" else None
    if weight is not None:
        columns.append(Column("‖dWh‖", magnitude_cells(weight.steps, rows)))
    columns = [column for column in columns if column.heading not in LEFT_OUT_FIRST or column.tells]
    least = max(BAR_LEAST, len(scale.text))
    columns, dropped = _fit(columns, page.width - least - GAP)
    room = page.width - sum(column.width + GAP for column in columns)
    width = max(least, min(BAR_MOST, room))
    bars = Column(scale.text, [bar(grad, scale, width=width, ascii_only=page.ascii_only) for grad in grads], left=True)
    columns.insert(3, bars)
    table = _table(columns, rows, trace, page)
    table.title = Text(f"{printable(state.name)}   {state.cell}, layer {state.layer}, {state.direction}", style="bold")
    if dropped:
        table.caption = _plain(f"A wider terminal also shows {', '.join(dropped)}.", page)
    return table


def comparison_tables(
    trace: Trace, states: Sequence[StateTrace], *, rows: Sequence[Row], scale: Scale, page: Page
) -> Iterator[Table]:
    """Put the gradients of several states side by side, in as many tables as the page's width asks for."""
    left = margin(trace, rows)
    waiting = [Column(printable(state.name), magnitude_cells(state.grad, rows, scale)) for state in states]
    while waiting:
        columns = [*left, waiting.pop(0)]
        while waiting and _width([*columns, waiting[0]]) <= page.width:
            columns.append(waiting.pop(0))
        table = _table(columns, rows, trace, page)
        table.title = Text("norm of the loss's gradient, by state", style="bold")
        yield table


def _table(columns: Sequence[Column], rows: Sequence[Row], trace: Trace, page: Page) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),  # the box adds one cell between columns
        title_justify="left",
        caption_justify="left",
    )
    for column in columns:
        table.add_column(
            Text(_plain(column.heading, page)),
            justify="left" if column.left else "right",
            width=column.width,
            no_wrap=True,
            overflow="ellipsis",
        )
    padded = ~np.asarray(trace.valid.any(axis=0))
    for index, row in enumerate(rows):
        dim = row.folded or (row.pick is Pick.ONLY and bool(padded[row.first]))
        table.add_row(*(column.cells[index] for column in columns), style="dim" if dim else "")
    return table


def _fit(columns: Sequence[Column], width: int) -> tuple[list[Column], list[str]]:
    kept, dropped = list(columns), []
    for heading in LEFT_OUT_FIRST:
        if _width(kept) <= width:
            break
        if any(column.heading == heading for column in kept):
            kept = [column for column in kept if column.heading != heading]
            dropped.append(heading)
    return kept, dropped


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _plain(text: str, page: Page) -> str:
    """Spell a heading in ASCII where the page has nothing else."""
    return text.replace("‖", "|").replace("∂", "d") if page.ascii_only else text
