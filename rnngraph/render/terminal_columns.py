"""The columns of a table of timesteps: which cells a row has.

In come a trace and its rows, out come headings with rich texts. How wide a column is, and whether there is room
for it, is the table's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from rnngraph.render.terminal_cells import Scale, magnitude_text, printable
from rnngraph.render.terminal_rows import Pick, Row, pick_magnitude, pick_number
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status
from rnngraph.trace.model import FORWARD, StateTrace, Trace

LABEL_LIMIT = 14


@dataclass(frozen=True, slots=True)
class Column:
    """A heading with its cells, one a row."""

    heading: str
    cells: Sequence[Text]
    left: bool = False

    @property
    def width(self) -> int:
        """The cells that its widest entry takes."""
        return max(cell.cell_len for cell in (Text(self.heading), *self.cells))

    @property
    def tells(self) -> bool:
        """Whether anything in it was observed."""
        return any(cell.plain not in ("", "-") for cell in self.cells)


def with_initial(state: StateTrace, timesteps: int, rows: Sequence[Row]) -> list[Row]:
    """Put the initial state where the walk ends: first, or last for the reverse direction."""
    initial = Row(-1, 0, Pick.INITIAL)
    if state.initial.status == Status.UNOBSERVED:
        return list(rows)
    if state.direction == FORWARD:
        return [initial, *rows] if rows[0].first == 0 else list(rows)
    return [*rows, initial] if rows[-1].stop == timesteps else list(rows)


def margin(trace: Trace, rows: Sequence[Row], *, initial: str = "") -> list[Column]:
    """Make the two columns that name a row: the timestep and its label."""
    steps, labels = [], []
    for row in rows:
        if row.pick is Pick.INITIAL:
            steps.append(Text(initial))
            labels.append(Text("initial"))
        elif row.folded:
            extreme = "max" if row.pick is Pick.LARGEST else "min"
            steps.append(Text("..."))
            labels.append(Text(f"{extreme} of {row.stop - row.first}"))
        else:
            label = Text(printable(trace.labels[row.first] or ""))
            label.truncate(LABEL_LIMIT, overflow="ellipsis")
            steps.append(Text(str(row.first)))
            labels.append(label)
    return [Column("t", steps), Column("", labels, left=True)]


def magnitude_cells(magnitudes: Magnitudes, rows: Sequence[Row], scale: Scale | None = None) -> list[Text]:
    """Write a magnitude a row, coloured by `scale` where there is one."""
    return [
        Text() if row.pick is Pick.INITIAL else magnitude_text(pick_magnitude(magnitudes, row), scale) for row in rows
    ]


def number_cells(numbers: Floats, rows: Sequence[Row], write: Callable[[float], str]) -> list[Text]:
    """Write a number a row."""
    return [Text() if row.pick is Pick.INITIAL else Text(write(pick_number(numbers, row))) for row in rows]


def carried_cells(state: StateTrace, rows: Sequence[Row]) -> list[Text]:
    """Write the carried parts, with `cut` where the recurrence to the step processed next was cut."""
    cells = magnitude_cells(state.carried, rows)
    for index, row in enumerate(rows):
        following = row.first + 1 if state.direction == FORWARD else row.first - 1
        if row.pick is not Pick.ONLY:
            continue
        if not 0 <= following < len(state.cut):
            cells[index].style = "dim"  # nothing can be carried into the step that was processed last
        elif state.cut[following]:
            cells[index] = Text("cut", style="bold magenta")
    return cells
