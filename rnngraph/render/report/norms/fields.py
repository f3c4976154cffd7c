"""The fields of a table of timesteps: what stands under each heading.

In come a trace and its entries, out come headings with rich texts. How wide a field is, and whether there is room
for it, is the table's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from rnngraph.graph.style.palette import Scale
from rnngraph.render.report.norms.entries import Entry, Pick, pick_magnitude, pick_number
from rnngraph.render.report.text import magnitude_text, printable
from rnngraph.trace.magnitudes import Floats, Magnitudes, Status
from rnngraph.trace.model import FORWARD, StateTrace, Trace

LABEL_LIMIT = 14


@dataclass(frozen=True, slots=True)
class Field:
    """A heading with what stands under it, a text an entry."""

    heading: str
    texts: Sequence[Text]
    left: bool = False

    @property
    def width(self) -> int:
        """The characters that its widest text takes."""
        return max(text.cell_len for text in (Text(self.heading), *self.texts))

    @property
    def tells(self) -> bool:
        """Whether anything in it was observed."""
        return any(text.plain not in ("", "-") for text in self.texts)


def with_initial(state: StateTrace, timesteps: int, entries: Sequence[Entry]) -> list[Entry]:
    """Put the initial state where the walk ends: first, or last for the reverse direction."""
    initial = Entry(-1, 0, Pick.INITIAL)
    if state.initial.status == Status.UNOBSERVED:
        return list(entries)
    if state.direction == FORWARD:
        return [initial, *entries] if entries[0].first == 0 else list(entries)
    return [*entries, initial] if entries[-1].stop == timesteps else list(entries)


def names_of(trace: Trace, entries: Sequence[Entry], *, initial: str = "") -> list[Field]:
    """Make the two fields that name an entry: the timestep and its label."""
    steps, labels = [], []
    for entry in entries:
        if entry.pick is Pick.INITIAL:
            steps.append(Text(initial))
            labels.append(Text("initial"))
        elif entry.folded:
            extreme = "max" if entry.pick is Pick.LARGEST else "min"
            steps.append(Text("..."))
            labels.append(Text(f"{extreme} of {entry.stop - entry.first}"))
        else:
            label = Text(printable(trace.labels[entry.first] or ""))
            label.truncate(LABEL_LIMIT, overflow="ellipsis")
            steps.append(Text(str(entry.first)))
            labels.append(label)
    return [Field("t", steps), Field("", labels, left=True)]


def magnitude_texts(magnitudes: Magnitudes, entries: Sequence[Entry], scale: Scale | None = None) -> list[Text]:
    """Write a magnitude an entry, coloured by `scale` where there is one."""
    return [
        Text() if entry.pick is Pick.INITIAL else magnitude_text(pick_magnitude(magnitudes, entry), scale)
        for entry in entries
    ]


def number_texts(numbers: Floats, entries: Sequence[Entry], write: Callable[[float], str]) -> list[Text]:
    """Write a number an entry."""
    return [Text() if entry.pick is Pick.INITIAL else Text(write(pick_number(numbers, entry))) for entry in entries]


def carried_texts(state: StateTrace, timesteps: int, entries: Sequence[Entry]) -> list[Text]:
    """Write the carried parts, with `cut` where the recurrence to the step processed next was cut."""
    texts = magnitude_texts(state.carried, entries)
    for index, entry in enumerate(entries):
        following = entry.first + 1 if state.direction == FORWARD else entry.first - 1
        if entry.pick is not Pick.ONLY:
            continue
        if not 0 <= following < timesteps:
            texts[index].style = "dim"  # nothing can be carried into the step that was processed last
        elif state.cut[following]:
            texts[index] = Text("cut", style="bold magenta")
    return texts
