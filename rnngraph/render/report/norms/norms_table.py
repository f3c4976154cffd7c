"""Tables of gradient norms for a terminal, as wide as its page and no wider: a line a column of the picture.

In come a trace, one of its states and columns; out comes a rich table. A fold has two lines, its largest and its
smallest numbers. Fields that a narrow page has no room for are left out, the least telling first, and the table's
caption names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from rnngraph.graph.model import Column
from rnngraph.graph.style.palette import Scale
from rnngraph.graph.summary import Summary, summarise
from rnngraph.render.report.text import bar, ends, magnitude_text, number_text, percent_text, printable
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status
from rnngraph.trace.model import FORWARD, StateTrace, Trace

BAR_LEAST, BAR_MOST = 9, 40
GAP = 2
LABEL_LIMIT = 14
LEFT_OUT_FIRST = ("‖dWh‖", "sat.", "immediate", "carried", "gain")


@dataclass(frozen=True, slots=True)
class Field:
    """A heading with what stands under it, a text a column of the picture."""

    heading: str
    texts: Sequence[Text]
    left: bool = False

    @property
    def width(self) -> int:
        """The characters that its widest line takes."""
        return max(cell_len(line) for text in (self.heading, *map(str, self.texts)) for line in text.split("\n"))

    @property
    def tells(self) -> bool:
        """Whether anything in it was observed."""
        return any(text.plain.strip("-\n") for text in self.texts)


def state_table(trace: Trace, state: StateTrace, *, columns: Sequence[Column], scale: Scale, width: int) -> Table:
    """Lay out all that is known of one state: its gradient with a bar, its parts, its gain, and `‖dWh‖`."""
    recurrence = trace.recurrence_of(state)
    columns = _own(state, columns, recurrence.timesteps)
    grads = [_found(state, column) for column in columns]
    fields = [
        *_names(trace, state, columns),
        Field(f"‖∂L/∂{state.kind}‖", [_both(grad, magnitude_text) for grad in grads]),
        Field("immediate", _magnitudes(state.immediate, columns)),
        Field("carried", _carried(state, recurrence.timesteps, columns)),
        Field("gain", _numbers(state.gain, columns, number_text)),
        Field("sat.", _numbers(state.saturated, columns, percent_text)),
    ]
    weight = trace.recurrent_weight(state) if state.kind == trace.cell_of(recurrence).kinds[0] else None
    if weight is not None:
        fields.append(Field("‖dWh‖", _magnitudes(weight.steps, columns)))
    fields = [field for field in fields if field.heading not in LEFT_OUT_FIRST or field.tells]
    least = max(BAR_LEAST, len(ends(scale)))
    fields, dropped = _fit(fields, width - least - GAP)
    room = max(least, min(BAR_MOST, width - sum(field.width + GAP for field in fields)))
    draw = partial(bar, scale=scale, width=room)
    fields.insert(3, Field(ends(scale), [_both(grad, draw) for grad in grads], left=True))
    faint = [column.kind == "fold" or (column.kind == "step" and not recurrence.valid[:, column.first].any())
             for column in columns]  # fmt: skip
    table = _table(fields, faint)
    table.title = Text(f"{printable(state.name)}   {state.cell}, layer {state.layer}, {state.direction}", style="bold")
    if dropped:
        table.caption = f"A wider terminal also shows {', '.join(dropped)}."
    return table


def _own(state: StateTrace, columns: Sequence[Column], timesteps: int) -> list[Column]:
    """Keep the columns in which the recurrence has steps, and put the initial state where the walk ends."""
    own = [part for column in columns if (part := column.within(0, timesteps)).ranges]
    if state.initial.status == Status.UNOBSERVED or not own:
        return own
    initial = [Column("initial", ())]
    return initial + own if state.direction == FORWARD else own + initial


def _found(state: StateTrace, column: Column) -> Summary:
    return summarise(state.initial) if column.kind == "initial" else summarise(state.grad, column.index)


def _both(found: Summary, write: Callable[[Status, float], Text]) -> Text:
    """Write the one number that there is; of a fold the largest, and the smallest below it."""
    largest = write(found.status, found.high)
    return largest if sum(found.counts) == 1 else Text("\n").join([largest, write(found.lowest, found.low)])


def _names(trace: Trace, state: StateTrace, columns: Sequence[Column]) -> list[Field]:
    """Make the two fields that name a line: the timestep and its label."""
    steps, labels = [], []
    for column in columns:
        step, label = str(column.first), Text(printable(column.label or ""))
        label.truncate(LABEL_LIMIT, overflow="ellipsis")
        if column.kind == "initial":
            step, label = f"{state.kind}0", Text("initial")
        elif column.kind == "fold":
            step, label = "...\n...", Text(f"max of {column.count}\nmin of {column.count}")
        steps.append(Text(step))
        labels.append(label)
    return [Field("t", steps), Field("", labels, left=True)]


def _magnitudes(magnitudes: Magnitudes, columns: Sequence[Column]) -> list[Text]:
    return [
        Text() if column.kind == "initial" else _both(summarise(magnitudes, column.index), magnitude_text)
        for column in columns
    ]


def _numbers(numbers: Floats, columns: Sequence[Column], write: Callable[[float], str]) -> list[Text]:
    texts = []
    for column in columns:
        part = numbers[column.index]
        found = (np.fmax.reduce(part), np.fmin.reduce(part)) if column.kind == "fold" else part
        texts.append(Text("\n".join(write(float(one)) for one in found)))
    return texts


def _carried(state: StateTrace, timesteps: int, columns: Sequence[Column]) -> list[Text]:
    """Write the carried parts, with `cut` where the recurrence to the step processed next was cut."""
    texts = _magnitudes(state.carried, columns)
    for number, column in enumerate(columns):
        following = column.first + 1 if state.direction == FORWARD else column.first - 1
        if column.kind != "step":
            continue
        if not 0 <= following < timesteps:
            texts[number].style = "dim"  # nothing can be carried into the step that was processed last
        elif state.cut[following]:
            texts[number] = Text("cut", style="bold magenta")
    return texts


def _table(fields: Sequence[Field], faint: Sequence[bool]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),  # the box adds one character between fields
        title_justify="left",
        caption_justify="left",
    )
    for field in fields:
        table.add_column(
            Text(field.heading),
            justify="left" if field.left else "right",
            width=field.width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for number, dim in enumerate(faint):
        table.add_row(*(field.texts[number] for field in fields), style="dim" if dim else "")
    return table


def _fit(fields: Sequence[Field], width: int) -> tuple[list[Field], list[str]]:
    kept, dropped = list(fields), []
    for heading in LEFT_OUT_FIRST:
        if sum(field.width for field in kept) + GAP * (len(kept) - 1) <= width:
            break
        if any(field.heading == heading for field in kept):
            kept = [field for field in kept if field.heading != heading]
            dropped.append(heading)
    return kept, dropped
