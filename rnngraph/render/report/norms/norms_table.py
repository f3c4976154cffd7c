"""Tables of gradient norms for a terminal, as wide as its page and no wider.

In come a trace, its entries and a page; out come rich tables. Fields that a narrow page has no room for are
left out, the least telling first, and the table's caption names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from rnngraph.graph.build.fold import valid_samples
from rnngraph.graph.style.palette import Scale
from rnngraph.render.report.norms.entries import Entry, Pick, pick_magnitude
from rnngraph.render.report.norms.fields import (
    Field,
    carried_texts,
    magnitude_texts,
    names_of,
    number_texts,
    with_initial,
)
from rnngraph.render.report.text import bar, ends, magnitude_text, number_text, percent_text, printable, spelled
from rnngraph.trace.magnitudes import Integers
from rnngraph.trace.model import StateTrace, Trace, parameter_of

BAR_LEAST, BAR_MOST = 9, 40
GAP = 2
LEFT_OUT_FIRST = ("‖dWh‖", "sat.", "immediate", "carried", "gain")


@dataclass(frozen=True, slots=True)
class Page:
    """What a table is laid out for: the width in characters, and whether only ASCII can be shown."""

    width: int
    ascii_only: bool = False


def state_table(trace: Trace, state: StateTrace, *, entries: Sequence[Entry], scale: Scale, page: Page) -> Table:
    """Lay out all that is known of one state: its gradient with a bar, its parts, its gain, and `‖dWh‖`."""
    recurrence = trace.recurrence_of(state)
    own = [entry for entry in entries if entry.first < recurrence.timesteps]
    entries = with_initial(state, recurrence.timesteps, own) if own else []
    grads = [state.initial if entry.pick is Pick.INITIAL else pick_magnitude(state.grad, entry) for entry in entries]
    fields = [
        *names_of(trace, entries, initial=f"{state.kind}0"),
        Field(f"‖∂L/∂{state.kind}‖", [magnitude_text(grad, scale) for grad in grads]),
        Field("immediate", magnitude_texts(state.immediate, entries)),
        Field("carried", carried_texts(state, recurrence.timesteps, entries)),
        Field("gain", number_texts(state.gain, entries, number_text)),
        Field("sat.", number_texts(state.saturated, entries, percent_text)),
    ]
    weight = parameter_of(trace, state, "Wh") if state.kind == trace.cell_of(state).kinds[0] else None
    if weight is not None:
        fields.append(Field("‖dWh‖", magnitude_texts(weight.steps, entries)))
    fields = [field for field in fields if field.heading not in LEFT_OUT_FIRST or field.tells]
    least = max(BAR_LEAST, len(ends(scale)))
    fields, dropped = _fit(fields, page.width - least - GAP)
    room = page.width - sum(field.width + GAP for field in fields)
    width = max(least, min(BAR_MOST, room))
    bars = [bar(grad, scale, width=width, ascii_only=page.ascii_only) for grad in grads]
    fields.insert(3, Field(ends(scale), bars, left=True))
    table = _table(fields, entries, recurrence.valid.sum(axis=0), page)
    table.title = Text(f"{printable(state.name)}   {state.cell}, layer {state.layer}, {state.direction}", style="bold")
    if dropped:
        table.caption = _plain(f"A wider terminal also shows {', '.join(dropped)}.", page)
    return table


def comparison_tables(
    trace: Trace, states: Sequence[StateTrace], *, entries: Sequence[Entry], scale: Scale, page: Page
) -> Iterator[Table]:
    """Put the gradients of several states side by side, in as many tables as the page's width asks for."""
    names = names_of(trace, entries)
    waiting = [Field(printable(state.name), magnitude_texts(state.grad, entries, scale)) for state in states]
    while waiting:
        fields = [*names, waiting.pop(0)]
        while waiting and _width([*fields, waiting[0]]) <= page.width:
            fields.append(waiting.pop(0))
        table = _table(fields, entries, valid_samples(trace, 0, trace.timesteps), page)
        table.title = Text("norm of the loss's gradient, by state", style="bold")
        yield table


def _table(fields: Sequence[Field], entries: Sequence[Entry], valid: Integers, page: Page) -> Table:
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
            Text(_plain(field.heading, page)),
            justify="left" if field.left else "right",
            width=field.width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for index, entry in enumerate(entries):
        dim = entry.folded or (entry.pick is Pick.ONLY and not valid[entry.first])
        table.add_row(*(field.texts[index] for field in fields), style="dim" if dim else "")
    return table


def _fit(fields: Sequence[Field], width: int) -> tuple[list[Field], list[str]]:
    kept, dropped = list(fields), []
    for heading in LEFT_OUT_FIRST:
        if _width(kept) <= width:
            break
        if any(field.heading == heading for field in kept):
            kept = [field for field in kept if field.heading != heading]
            dropped.append(heading)
    return kept, dropped


def _width(fields: Sequence[Field]) -> int:
    return sum(field.width for field in fields) + GAP * (len(fields) - 1)


def _plain(text: str, page: Page) -> str:
    return spelled(text, ascii_only=page.ascii_only)
