"""The lag report as a picture: every state's curve and matrix, as SVG or as an HTML page around it.

In comes a trace with lags, out comes text. The matrix is one small bitmap inside the SVG, one pixel an entry, so
that a matrix of hundreds of steps stays a small file.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from rnngraph.diagnosis.curve import LN10, taken
from rnngraph.errors import InputError
from rnngraph.graph.layout.geometry import one_line
from rnngraph.graph.style.palette import FAINT, GREY, INK, LINE, PAPER, Scale, decades
from rnngraph.render.report.lags.bitmap import matrix_png
from rnngraph.render.report.lags.states import StateLags, sentence, state_lags
from rnngraph.trace.model import Trace

FORMATS = {".svg": "svg", ".html": "html"}
_WIDTH, _PANEL, _LEFT, _TOP, _HEIGHT = 1000, 400, 60, 70, 240


def lags_picture(trace: Trace, format: str, *, states: Sequence[str] | None = None) -> str:  # noqa: A002
    """Draw the lag report, `format` being `svg` or `html`.

    Raises:
        InputError: the trace holds no lags, no state of that name, or an unknown format.
    """
    if format not in FORMATS.values():
        raise InputError(f"format {format!r} is unknown here; use one of {', '.join(FORMATS.values())}.")
    found = state_lags(trace, states=states)
    drawing = _svg(trace, found)
    if format == "svg":
        return drawing
    title = _escaped(f"{trace.model}: lags")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>body{{margin:1rem;background:{PAPER}}}svg{{max-width:100%;height:auto}}</style></head>"
        f"<body>{drawing}</body></html>\n"
    )


def _svg(trace: Trace, found: Sequence[StateLags]) -> str:
    height = 60 + len(found) * (_TOP + _HEIGHT + 50)
    head = f"{trace.model} · {trace.timesteps} timesteps · {trace.dtype} · {taken(found[0].lags)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{INK}" role="img">',
        f"<title>{_escaped(head)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="{PAPER}"/>',
        _text(20, 30, head, size=16, weight="bold"),
    ]
    for number, one in enumerate(found):
        top = 60 + number * (_TOP + _HEIGHT + 50)
        direction = f"{one.state.cell}, layer {one.state.layer}, {one.state.direction}"
        parts.append(_text(20, top + 16, f"{one.state.name} · {direction}", size=14, weight="bold"))
        parts.append(_text(20, top + 36, sentence(one), fill=FAINT))
        if one.curve.pairs.any():
            parts += _curve(one, top + _TOP)
        if len(one.lags.losses):
            parts += _matrix(one, top + _TOP)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curve(one: StateLags, top: float) -> list[str]:
    curve, longest = one.curve, one.curve.longest
    values = [part[:longest] / LN10 for part in (curve.low, curve.median, curve.high)]
    known = np.concatenate([part[np.isfinite(part)] for part in values] + [np.zeros(1)])
    scale = decades(float(known.min()), float(known.max()))

    def x(lag: float) -> float:
        return _LEFT + (lag - 1) / max(longest - 1, 1) * _PANEL

    def y(value: float) -> float:
        return top + (1 - scale.share(value)) * _HEIGHT

    parts = [_frame(_LEFT, top, "lag (steps back)", "decades of gain")]
    for level in _ticks(scale.low, scale.high):
        parts.append(f'<path d="M{_LEFT} {y(level):.1f}h{_PANEL}" stroke="{LINE}" stroke-width="0.5"/>')
        parts.append(_text(_LEFT - 6, y(level) + 4, f"{level:g}", anchor="end"))
    for lag in sorted({1, (longest + 1) // 2, longest}):
        parts.append(_text(x(lag), top + _HEIGHT + 16, str(lag), anchor="middle"))
    lags = np.flatnonzero(np.isfinite(values[0]) & np.isfinite(values[2])).tolist()
    if lags:
        points = [(x(lag + 1), y(values[2][lag])) for lag in lags] + [
            (x(lag + 1), y(values[0][lag])) for lag in lags[::-1]
        ]
        parts.append(f'<polygon points="{_points(points)}" fill="{GREY}" fill-opacity="0.35"/>')
    middle = np.flatnonzero(np.isfinite(values[1])).tolist()
    if middle:
        points = [(x(lag + 1), y(values[1][lag])) for lag in middle]
        parts.append(f'<polyline points="{_points(points)}" fill="none" stroke="{INK}" stroke-width="2"/>')
    for lag in np.flatnonzero(values[1] == -np.inf).tolist():
        parts.append(f'<circle cx="{x(lag + 1):.1f}" cy="{top + _HEIGHT:.1f}" r="2" fill="#0645ad"/>')
    return parts


def _matrix(one: StateLags, top: float) -> list[str]:
    left = _LEFT + _PANEL + 80
    known = one.matrix[np.isfinite(one.matrix)]
    scale = decades(float(known.min()), float(known.max())) if known.size else Scale(-1.0, 0.0)
    image = base64.b64encode(matrix_png(one.matrix, one.lags.losses, scale, most=_HEIGHT)).decode()
    last = one.matrix.shape[1] - 2
    parts = [
        _frame(left, top, "timestep of the state (left edge: initial state)", "timestep of the loss"),
        f'<image x="{left}" y="{top}" width="{_PANEL}" height="{_HEIGHT}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{image}"/>',
        _text(left, top + _HEIGHT + 16, "-1"),
        _text(left + _PANEL, top + _HEIGHT + 16, str(last), anchor="end"),
        _text(left - 6, top + 12, str(int(one.lags.losses[-1])), anchor="end"),
        _text(left - 6, top + _HEIGHT, str(int(one.lags.losses[0])), anchor="end"),
    ]
    width = 120 / 12
    for number in range(12):
        value = scale.low + (scale.high - scale.low) * number / 11
        parts.append(
            f'<rect x="{left + _PANEL - 210 + number * width:.1f}" y="{top - 20}" width="{width + 0.5:.1f}" '
            f'height="10" fill="{scale.colour(value)}"/>'
        )
    parts.append(_text(left + _PANEL - 216, top - 11, f"1e{scale.low:g}", anchor="end"))
    parts.append(_text(left + _PANEL - 84, top - 11, f"1e{scale.high:g}; blue: exactly 0"))
    return parts


def _frame(left: float, top: float, below: str, beside: str) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{_PANEL}" height="{_HEIGHT}" fill="none" stroke="{LINE}"/>'
        + _text(left + _PANEL / 2, top + _HEIGHT + 32, below, anchor="middle", fill=FAINT)
        + f'<text transform="translate({left - 42} {top + _HEIGHT / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="{FAINT}">{_escaped(beside)}</text>'
    )


def _ticks(low: float, high: float) -> list[float]:
    step = max(1, math.ceil((high - low) / 8))
    return [float(level) for level in range(math.ceil(low), math.floor(high) + 1) if level % step == 0]


def _escaped(text: str) -> str:
    """Write a text as XML can hold it."""
    return escape(one_line(text))


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)


def _text(
    x: float, y: float, text: str, *, size: int = 12, weight: str = "normal", anchor: str = "start", fill: str = INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{fill}">{_escaped(text)}</text>'
    )
