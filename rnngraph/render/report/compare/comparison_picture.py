"""A comparison as a picture: the lag curves of A and B over each other, and the norms on the way back.

In: a `Contrast`. Out: bytes of an SVG document, an HTML page, or a PNG.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.history.compare.comparison_text import comparison_sentences
from rnngraph.history.compare.contrast import Contrast, Curves
from rnngraph.history.compare.norms_apart import NormsApart
from rnngraph.render.report.chart.colours import A_OF_TWO, B_OF_TWO, DARK_TWO, MUTED
from rnngraph.render.report.chart.document import NARROW, WIDE, chart_document, known_format
from rnngraph.render.report.chart.panel import Curve, Panel
from rnngraph.render.report.chart.shapes import Chart, Label, Line, Shape
from rnngraph.render.report.chart.sheet import sheet
from rnngraph.render.report.compare.comparison_table import HEADINGS, rows
from rnngraph.trace.magnitudes import Floats

_LEAST = -12  # decades of norms that are shown


def comparison_picture(comparison: Contrast, format: str) -> bytes:  # noqa: A002 - the option's name
    """Draw a comparison as `svg`, `png` or `html`.

    Raises:
        InputError: another format.
        MissingToolError: a PNG needs Graphviz and there is none.
    """
    known_format(format)
    wide, narrow = (comparison_chart(comparison, width) for width in (WIDE, NARROW))
    return chart_document(format, wide, narrow, table=(HEADINGS, *rows(comparison)))


def comparison_chart(comparison: Contrast, width: int = WIDE) -> Chart:
    """Lay a comparison out for a width in pixels."""
    title, *lines = comparison_sentences(comparison)
    # Of the norms only those that part first: the table has the others, and a stack of LSTMs has many.
    walked = comparison.parting or next(iter(comparison.norms[-1:]), None)
    panels = [*map(_credit, comparison.curves), *([] if walked is None else [_walk(walked)])]
    names = comparison.a.label, comparison.b.label

    def foot(left: float, top: float, width: float) -> tuple[list[Shape], float]:
        return list(_key(names, left, top)), 50

    return sheet(title, lines, panels, width, foot=foot, dark=DARK_TWO)


def _credit(one: Curves) -> Panel:
    where = "at the input: " if one.a.at_input else "in the states of "
    mark = (one.horizon, f"horizon: lag {one.horizon}") if one.horizon else None
    return Panel(f"{where}{one.name}", _two(one.a.left, one.b.left), "lag: steps back from the loss", mark=mark)


def _walk(one: NormsApart) -> Panel:
    a, b = one.timesteps
    at = f"t = {a}" if a == b else f"t = {a} of A, {b} of B"
    mark = None if one.parts is None else (one.parts, f"they part at {at}")
    return Panel(
        f"norms of {one.state}, all losses", _two(one.a, one.b), "steps before the last", first=0, mark=mark,
        lowest=_LEAST, percent=False,
    )  # fmt: skip


def _two(a: Floats, b: Floats) -> tuple[Curve, Curve]:
    # The dashed one lies above: where both are the same, both are seen.
    return Curve(b, B_OF_TWO, 2.2, title="B", name="B"), Curve(a, A_OF_TWO, 2.2, dashed=True, title="A", name="A")


def _key(names: tuple[str, str], left: float, top: float) -> Iterator[Shape]:
    for place, (letter, name, colour) in enumerate(zip("AB", names, (A_OF_TWO, B_OF_TWO), strict=True)):
        y = top + 10 + 18 * place
        yield Line(((left, y - 4), (left + 26, y - 4)), colour, 2.2, dashed=letter == "A")
        yield Label(left + 34, y, letter if name == letter else f"{letter}: {name}", size=11.5, fill=MUTED)
    yield Label(left, top + 46, "Credit is set against lag 1, norms against the last step.", size=11.5, fill=MUTED)
