"""The decay report as a picture: a row a layer on one logarithmic axis, the published start behind it.

In: a `DecayReport`. Out: an SVG document, an HTML page around it, or a PNG that Graphviz draws of the same shapes.
"""

from __future__ import annotations

from collections.abc import Iterator

from rnngraph.errors import InputError
from rnngraph.graph.style.palette import FAINT, INK, LINE, ORANGE, RED
from rnngraph.render.report.chart.document import chart_document, known_format
from rnngraph.render.report.chart.shapes import Box, Chart, Label, Line, Shape
from rnngraph.render.report.decay.credit_lines import summary_of
from rnngraph.render.report.decay.curve import CURVE_WIDTH, curve_shapes
from rnngraph.render.report.decay.histogram import Axis, axis_of, counts, decade_text, steps_text
from rnngraph.render.report.decay.live import halving, reach
from rnngraph.trace.decay import DecayReport, Five, LayerDecay

BARS, BAND, BATCH = "#2a788e", "#e5e7eb", "#d97706"
_LEFT, _PLOT, _ROW, _TOP, _BINS = 250, 420, 46, 92, 84
_NUMBERS, _WRONG, _LONGEST_NAME = 190, 150, 34


def decay_picture(report: DecayReport, format: str) -> bytes:  # noqa: A002 - the option's name
    """Draw the report as `svg`, `png` or `html`.

    Raises:
        InputError: another format, or no layer to draw.
        MissingToolError: a PNG needs Graphviz and there is none.
    """
    known_format(format)
    if not report.layers:
        raise InputError(f"{report.source} has no layer that was read, so there is nothing to draw.")
    return chart_document(format, chart(report))


def chart(report: DecayReport) -> Chart:
    """Lay the report out."""
    axis = axis_of(report)
    live = any(layer.live is not None for layer in report.layers)
    width = _LEFT + _PLOT + _NUMBERS + _WRONG + (CURVE_WIDTH if live else 0) + 20
    row = _ROW * 2 if live else _ROW
    height = _TOP + row * len(report.layers) + 62
    bottom = _TOP + row * len(report.layers)
    title = f"{report.source}: half-lives at zero input"
    shapes: list[Shape] = [
        Label(20, 28, title, size=16, bold=True),
        *_key(report, live),
        *_ruler(axis, bottom),
    ]
    if live:
        shapes.append(
            Label(_LEFT + _PLOT + _NUMBERS + _WRONG + 40, _TOP - 14, "credit left, by lag", size=11, fill=FAINT)
        )
    for place, layer in enumerate(report.layers):
        shapes += _row(layer, axis, _TOP + place * row, row)
    shapes += [
        Label(_LEFT + _PLOT / 2, bottom + 34, "half-life in steps, ln 2 / rate", anchor="middle", fill=FAINT),
        Label(20, bottom + 52, "At zero input: what was set, not what a trained model remembers.", size=11, fill=FAINT),
    ]
    return Chart(title, width, height, tuple(shapes))


def _key(report: DecayReport, live: bool) -> Iterator[Shape]:
    x, y = 20.0, 52
    published = any(layer.published for layer in report.layers)
    for wanted, fill, text in (
        (True, BARS, "decays of the layer"),
        (published, BAND, "published start, 10 to 90 %"),
        (live, BATCH, "on the batch, 10 to 90 %"),
    ):
        if wanted:
            yield Box(x, y - 10, 12, 12, fill)
            yield Label(x + 18, y, text, size=11, fill=FAINT)
            x += 40 + 6.2 * len(text)


def _ruler(axis: Axis, bottom: float) -> Iterator[Shape]:
    for decade in range(axis.low, axis.high + 1):
        x = _LEFT + axis.share(10.0**decade) * _PLOT
        yield Line(((x, _TOP - 8), (x, bottom)), stroke=LINE, width=1.0 if decade == 0 else 0.4)
        for y in (_TOP - 14, bottom + 16):
            yield Label(x, y, decade_text(decade), size=11, anchor="middle", fill=FAINT)


def _row(layer: LayerDecay, axis: Axis, top: float, height: float) -> Iterator[Shape]:
    name = layer.shown_name
    shown = name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME + 1 :]}"
    base = top + _ROW - 10
    yield Label(20, top + 18, shown, bold=True)
    yield Label(20, top + 34, f"{layer.family}, {layer.n} decays", size=11, fill=FAINT)
    if layer.published is not None:
        low, high = axis.share(layer.published[0][1]), axis.share(layer.published[1][3])
        said = f"published start: {steps_text(layer.published[0][1])} to {steps_text(layer.published[1][3])} steps"
        yield Box(_LEFT + low * _PLOT, top + 4, max((high - low) * _PLOT, 2), base - top - 4, BAND, said)
    yield from _bars(layer, axis, top, base)
    yield Line(((_LEFT, base), (_LEFT + _PLOT, base)), stroke=LINE, width=0.6)
    x = _LEFT + _PLOT + 16
    shortest, _, middle, _, longest = (steps_text(value) for value in layer.quantiles)
    yield Label(x, top + 18, f"{shortest} · {middle} · {longest}")
    yield Label(x, top + 34, "shortest · median · longest", size=10, fill=FAINT)
    yield from _wrong(layer, x + _NUMBERS - 16, top)
    if layer.live is not None:
        yield from _live(layer, axis, top, height)


def _bars(layer: LayerDecay, axis: Axis, top: float, base: float) -> Iterator[Shape]:
    found = counts(layer.half_lives, axis, _BINS)
    most, wide = max(int(found.max()), 1), _PLOT / _BINS
    for place in found.nonzero()[0].tolist():
        tall = max(int(found[place]) / most * (base - top - 8), 1.5)
        low, high = (10 ** (axis.low + (place + end) / _BINS * (axis.high - axis.low)) for end in (0, 1))
        said = f"{int(found[place])} decays about {steps_text(low)} to {steps_text(high)} steps"
        yield Box(_LEFT + place * wide, base - tall, wide - 0.6, tall, BARS, said)


def _wrong(layer: LayerDecay, x: float, top: float) -> Iterator[Shape]:
    for place, finding in enumerate(layer.findings):
        colour = RED if finding.severity == "error" else ORANGE
        yield Label(
            x + 80 * (place % 2), top + 18 + 14 * (place // 2), finding.rule.replace("_", " "), size=11, fill=colour,
            bold=True,
        )  # fmt: skip
    if not layer.judged and not layer.findings:
        yield Label(x, top + 18, "not judged", size=11, fill=FAINT)


def _live(layer: LayerDecay, axis: Axis, top: float, height: float) -> Iterator[Shape]:
    """Draw what the batch did under the bars, and the credit's lag curve at the right."""
    assert layer.live is not None
    y = top + _ROW + 6
    if layer.live.quantiles is not None:
        yield from _span(layer.live.quantiles, axis, y)
    credit = summary_of(layer)
    yield Label(_LEFT + _PLOT + 16, y + 4, f"credit halves in {halving(credit)} steps,", size=11, fill=INK)
    yield Label(_LEFT + _PLOT + 16, y + 18, f"reaches lag {reach(credit)}", size=11, fill=INK)
    if credit is not None and credit.curve.longest:
        yield from curve_shapes(credit.curve, _LEFT + _PLOT + _NUMBERS + _WRONG, top + 8, height - 30)


def _span(quantiles: Five, axis: Axis, y: float) -> Iterator[Shape]:
    low, middle, high = (_LEFT + axis.share(value) * _PLOT for value in quantiles[1:4])
    said = " · ".join(steps_text(value) for value in quantiles[1:4])
    yield Box(low, y - 2, max(high - low, 2), 5, BATCH, f"on the batch: {said} steps")
    yield Box(middle - 2, y - 5, 4, 11, INK)
    if high < _LEFT + 0.7 * _PLOT:
        yield Label(high + 10, y + 4, said, size=10, fill=FAINT)
    else:
        yield Label(_LEFT + _PLOT, y + 18, said, size=10, anchor="end", fill=FAINT)
