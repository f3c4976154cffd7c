"""A comparison for a rich console: what differs in sentences, and every number beside its counterpart.

In: a `Comparison`, and what of it is worse where that was asked. Out: something that a rich console prints. The table
is plain text cells, which the page shows, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from rnngraph.diagnosis.sentences import percent, times
from rnngraph.history.compare.contrast import NOT_IN_COMMON, Comparison, Curves, Gates, comparison_sentences
from rnngraph.history.compare.norms_apart import NormsApart
from rnngraph.render.report.history.history_terminal import flags_cell, life_cell, reach_cell
from rnngraph.render.report.text import number_text, percent_text, printable


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What `rnngraph compare` prints; give it to a rich console."""

    comparison: Comparison
    worse: tuple[str, ...] | None = None  # None where that was not asked

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the report out for the width of a console."""
        first, *others = comparison_sentences(self.comparison)
        yield Text(printable(first), style="bold")
        yield from (Text(printable(one), style="yellow" if one.startswith(NOT_IN_COMMON) else "") for one in others)
        yield Text()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        headings, *rows = comparison_table(self.comparison)
        for heading in headings:
            table.add_column(heading, overflow="fold", min_width=8)
        for row in rows:
            cells = [printable(cell) for cell in row]
            table.add_row(*cells, style="" if cells[1] == cells[2] else "bold")
        yield table
        for said in self.worse or ():
            yield Text(f"Worse: {printable(said)}", style="bold red")
        if self.worse == ():
            yield Text("Not worse.", style="bold green")


def comparison_table(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """Name the columns, and write the rows: of the networks, of every place, of the norms, of saturation and gates."""
    yield "", "A", "B"
    a, b = comparison.a.measurement, comparison.b.measurement
    yield "network", a.label, b.label
    if a.step is not None or b.step is not None:
        yield "training step", *_words(a.step, b.step)
    yield "loss", number_text(a.loss), number_text(b.loss)
    yield "verdict", flags_cell(a), flags_cell(b)
    yield "reach", reach_cell(a), reach_cell(b)
    if len(comparison.verdicts) > 1:
        yield from ((f"{name}: verdict", *_words(one, two)) for name, one, two in comparison.verdicts)
    for one in comparison.curves:
        yield from _place(one)
    for norms in comparison.norms:
        yield from _norms(norms)
    for one in comparison.curves:
        if not math.isnan(one.a.saturated) or not math.isnan(one.b.saturated):
            yield f"{one.name}: saturated units", percent_text(one.a.saturated), percent_text(one.b.saturated)
    for gate in comparison.gates:
        a_gate, b_gate = (_gate(gate, place) for place in (0, 1))
        yield f"{gate.name}: mean, saturated", a_gate, b_gate


def _place(one: Curves) -> Iterator[tuple[str, str, str]]:
    far, near = one.reaches
    yield f"{one.name}: reach", *_words(far, near)
    if one.horizon:
        a, b = one.gains
        yield f"{one.name}: left at lag {one.horizon}", _left(a), _left(b)
    yield f"{one.name}: half-life", life_cell(one.a.half_life), life_cell(one.b.half_life)
    if one.parts is not None:
        a, b = one.a.gain(one.parts), one.b.gain(one.parts)
        yield f"{one.name}: a factor of 3 apart from lag {one.parts} on", _left(a), _left(b)


def _norms(norms: NormsApart) -> Iterator[tuple[str, str, str]]:
    if math.isnan(norms.start):
        yield f"{norms.state}: norms", "-", "not comparable"
        return
    if norms.parts is None:
        yield f"{norms.state}: norms part at", "nowhere", "nowhere"
        return
    a, b = norms.timesteps
    yield f"{norms.state}: norms part at", f"t = {a}", f"t = {b}, {times(norms.by)} of A's"


def _left(decades: float) -> str:
    return "-" if math.isnan(decades) else percent(decades)


def _gate(gate: Gates, place: int) -> str:
    mean = "-" if math.isnan(gate.mean[place]) else f"{gate.mean[place]:.2f}"
    return f"{mean}, {percent_text(gate.saturated[place])}"


def _words(a: object, b: object) -> tuple[str, str]:
    one, two = ("-" if value is None else str(value).replace("_", " ") for value in (a, b))
    return one, two
