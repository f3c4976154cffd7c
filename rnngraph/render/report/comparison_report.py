"""A comparison as a report: sentences and a table for a rich console, strict JSON, and a picture.

In: a `Comparison`, and what of it is worse where that was asked. The table is plain text cells, which the page shows,
too; the JSON has null where there is no number, and gains in decades; the picture is a sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text

from rnngraph.diagnosis.sentences import percent
from rnngraph.graph.charts.overlay import Curve, Panel, credit_panel, draw_panels
from rnngraph.graph.paper import Paper, Swatch
from rnngraph.graph.sheet import Sheet
from rnngraph.history.compare.contrast import (
    NOT_IN_COMMON,
    Comparison,
    Curves,
    Gates,
    beside,
    comparison_sentences,
    parting_sentence,
    reach_sentence,
    spread_sentence,
)
from rnngraph.history.compare.norms_apart import NormsApart
from rnngraph.history.compare.side import Side
from rnngraph.render.report.history_report import (
    flags_cell,
    measurement_document,
    reach_cell,
    reading_document,
    trend_document,
)
from rnngraph.render.report.text import number_text, percent_text, plain_table, printable, steps_text
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.magnitudes import Floats


def comparison_report(comparison: Comparison, worse: tuple[str, ...] | None = None) -> Group:
    """Write what `rnngraph compare` prints; `worse` is None where that was not asked."""
    first, *others = comparison_sentences(comparison)
    headings, *rows = comparison_table(comparison)
    table = plain_table(*headings, min_width=8)
    for row in rows:
        cells = [printable(cell) for cell in row]
        table.add_row(*cells, style="" if cells[1] == cells[2] else "bold")
    return Group(
        Text(printable(first), style="bold"),
        *(Text(printable(one), style="yellow" if one.startswith(NOT_IN_COMMON) else "") for one in others),
        Text(),
        table,
        *(Text(f"Worse: {printable(said)}", style="bold red") for said in worse or ()),
        *([Text("Not worse.", style="bold green")] if worse == () else []),
    )


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
        yield f"{gate.name}: mean, saturated", _gate(gate, 0), _gate(gate, 1)


def _place(one: Curves) -> Iterator[tuple[str, str, str]]:
    a, b = ("-" if reach is None else f"{reach}{'+' * (0 < reach == one.longest)}" for reach in one.reaches)
    yield f"{one.name}: reach", a, b
    if one.horizon:
        yield f"{one.name}: left at lag {one.horizon}", _left(one.gains[0]), _left(one.gains[1])
    yield f"{one.name}: half-life", steps_text(one.a.half_life), steps_text(one.b.half_life)
    if one.parts is not None:
        apart = [_left(side.gain(one.parts)) for side in (one.a, one.b)]
        yield f"{one.name}: a factor of 3 apart from lag {one.parts} on", apart[0], apart[1]


def _norms(norms: NormsApart) -> Iterator[tuple[str, str, str]]:
    if math.isnan(norms.start):
        yield f"{norms.state}: norms", "-", "not comparable"
        return
    if norms.parts is None:
        yield f"{norms.state}: norms part at", "nowhere", "nowhere"
        return
    a, b = norms.timesteps
    yield f"{norms.state}: norms part at", f"t = {a}", f"t = {b}: {beside(norms.by, 'A')}"


def _left(decades: float) -> str:
    return "-" if math.isnan(decades) else percent(decades)


def _gate(gate: Gates, place: int) -> str:
    mean = "-" if math.isnan(gate.mean[place]) else f"{gate.mean[place]:z.2f}"
    return f"{mean}, {percent_text(gate.saturated[place])}"


def _words(a: object, b: object) -> tuple[str, str]:
    one, two = ("-" if value is None else str(value).replace("_", " ") for value in (a, b))
    return one, two


SCHEMA = 1


def comparison_json(comparison: Comparison, *, worse: tuple[str, ...] | None = None) -> str:
    """Write the report of `rnngraph compare --json`: one line of JSON; `worse` is null where nobody asked."""
    parting, deciding = comparison.parting, comparison.deciding
    return json_line({
        "schema": SCHEMA,
        "text": [reach_sentence(comparison), parting_sentence(comparison), *spread_sentence(comparison)],
        "a": _side_document(comparison.a),
        "b": _side_document(comparison.b),
        "deciding": None if deciding is None else deciding.name,
        "curves": [_curves_document(one) for one in comparison.curves],
        "verdicts": [{"name": name, "a": one, "b": two} for name, one, two in comparison.verdicts],
        "parting": None if parting is None else _norms_document(parting),
        "norms": [_norms_document(one) for one in comparison.norms],
        "gates": [_gate_document(one) for one in comparison.gates],
        "left_out": comparison.left_out,
        "worse": worse,
    })  # fmt: skip


def _side_document(side: Side) -> dict[str, Any]:
    return {
        **picked(side.measurement, "label", "said"),
        **measurement_document(side.measurement),
        "model": side.trace.model,
        "trend": None if side.history is None else trend_document(side.history),
    }


def _curves_document(one: Curves) -> dict[str, Any]:
    both = (("a", one.a, one.gains[0], one.reaches[0]), ("b", one.b, one.gains[1], one.reaches[1]))
    return {
        **picked(one, "name", "horizon", "longest"),
        "at_input": one.a.at_input,
        "counts": one.a.counts or one.b.counts,
        "parts_at_lag": one.parts,
        **{key: reading_document(side, gain) | {"reach_in_common": reach} for key, side, gain, reach in both},
        "left": {key: np.round(side.left, 6) for key, side, _, _ in both},
    }


def _norms_document(one: NormsApart) -> dict[str, Any]:
    parts = one.parts is not None
    return {
        **picked(one, "recurrence", "state", "start"),
        "parts_after": one.parts,
        "timestep": {"a": one.timesteps[0], "b": one.timesteps[1]} if parts else None,
        "by": one.by if parts else None,
    }


def _gate_document(one: Gates) -> dict[str, Any]:
    return {
        "name": one.name,
        "mean": {"a": one.mean[0], "b": one.mean[1]},
        "saturated": {"a": one.saturated[0], "b": one.saturated[1]},
    }


_LEAST = -12.0  # decades of norms that are shown
# Told from each other without their colours, too.
_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "A": ("g0", {"thickness": 2.2, "line": "dashed", "hint": "A"}),
    "B": ("k12", {"thickness": 2.2, "hint": "B"}),
}


def comparison_sheet(comparison: Comparison, *, width: int = 900, theme: str = "auto") -> Sheet:
    """Draw a comparison.

    Raises:
        InputError: an option that is not one of its choices.
    """
    paper = Paper(width, theme)
    title, *lines = comparison_sentences(comparison)
    paper.head(title, "", *lines)
    # Of the norms only those that part first: the table has the others, and a stack of LSTMs has many.
    walked = comparison.parting or next(iter(comparison.norms[-1:]), None)
    draw_panels(paper, [*map(_credit, comparison.curves), *([] if walked is None else [_walk(walked)])])
    names = {"A": comparison.a.label, "B": comparison.b.label}
    paper.y += 18
    paper.key([Swatch(letter if name == letter else f"{letter}: {name}", form="rule", stroke=stroke,
                      line=look.get("line", "solid"), thickness=look["thickness"])
               for (letter, name), (stroke, look) in zip(names.items(), _LOOKS.values(), strict=True)],
              "Credit is set against lag 1, norms against the last step.")  # fmt: skip
    return paper.finish(title, " ".join(lines))


def _credit(one: Curves) -> Panel:
    return credit_panel(one.name, _two(one.a.left, one.b.left), at_input=one.a.at_input, horizon=one.horizon)


def _walk(one: NormsApart) -> Panel:
    a, b = one.timesteps
    at = f"t = {a}" if a == b else f"t = {a} of A, {b} of B"
    flag = None if one.parts is None else (one.parts, f"they part at {at}")
    heading = f"norms of {one.state}, all losses"
    return Panel(heading, _two(one.a, one.b), "steps before the last", first=0, flag=flag, lowest=_LEAST)


def _two(a: Floats, b: Floats) -> tuple[Curve, Curve]:
    # The dashed one lies above: where both are the same, both are seen.
    return Curve(b, *_LOOKS["B"], name="B"), Curve(a, *_LOOKS["A"], name="A")
