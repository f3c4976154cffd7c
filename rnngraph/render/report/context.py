"""How much of the past a network uses: as text for a terminal, as a JSON document, and as a picture.

In: a `ContextTrace`. Out: text. Every number stands beside its bar.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from rnngraph.graph.style.palette import FAINT, INK, LINE, PAPER
from rnngraph.render.report.text import number_text, printable
from rnngraph.render.strict import plain
from rnngraph.trace.used_past import ContextTrace

SCHEMA = 1
_BAR = 40  # characters
_WIDTH, _HEIGHT, _LEFT, _TOP = 720, 360, 70, 96


def context_sentence(trace: ContextTrace) -> str:
    """Say in one sentence how much of the past is used."""
    longest = int(trace.lags[-1])
    if trace.in_use is None:
        return f"The network uses all of its past: {longest} steps of it are still worse than all."
    if trace.in_use == 0:
        return "The network uses none of its past: the step itself alone does as well."
    steps = "the step before it" if trace.in_use == 1 else f"the last {trace.in_use} steps before it"
    return f"The network uses {steps}: more of the past does not help."


def context_text(trace: ContextTrace, *, ascii_only: bool = False) -> str:
    """Write the curve as lines of 80 characters at most."""
    mark = "#" if ascii_only else "█"
    largest = max(float(trace.excess.max()), 0.0)
    lines = [context_sentence(trace), "", f"{'kept':>6}  {'loss':>9}  {'worse by':>9}", ""]
    for lag, kept, excess in zip(trace.lags.tolist(), trace.kept.tolist(), trace.excess.tolist(), strict=True):
        size = round(_BAR * excess / largest) if largest > 0 and excess > 0 else 0
        used = "  in use" if lag == trace.in_use else ""
        lines.append(f"{lag:>6}  {number_text(kept):>9}  {number_text(excess):>9}  {mark * size}{used}".rstrip())
    lines += [
        "",
        f"{printable(trace.model)}, {trace.timesteps} steps. kept: steps before the step of the loss.",
        f"In use: the least from which on the loss is worse by at most {trace.tolerance:.0%} of the most.",
        "It is said of a trained network: one that has learned nothing uses nothing.",
    ]
    return "\n".join(lines)


def context_json(trace: ContextTrace) -> str:
    """Write the curve as one line of JSON."""
    return json.dumps(context_document(trace), allow_nan=False)


def context_document(trace: ContextTrace) -> dict[str, Any]:
    """Lay the curve out as plain lists and numbers."""
    document = {
        "schema": SCHEMA,
        "model": trace.model,
        "timesteps": trace.timesteps,
        "in_use": trace.in_use,
        "tolerance": trace.tolerance,
        "lags": trace.lags.tolist(),
        "kept": trace.kept.tolist(),
        "full": trace.full.tolist(),
        "excess": trace.excess.tolist(),
        "counts": trace.counts.tolist(),
    }
    cleaned: dict[str, Any] = plain(document)
    return cleaned


def context_picture(trace: ContextTrace) -> str:
    """Draw the excess of the loss over the kept context as SVG; the steps of the axis are doublings."""
    count, largest = len(trace.lags), max(float(trace.excess.max()), 0.0) or 1.0
    width = (_WIDTH - _LEFT - 30) / count
    floor = _HEIGHT - 50
    title = context_sentence(trace)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="{INK}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{PAPER}"/>',
        _text(20, 30, title, size=15),
        _text(20, 52, f"{trace.model}, {trace.timesteps} steps", fill=FAINT),
        f'<path d="M{_LEFT} {floor}H{_WIDTH - 30}" stroke="{LINE}"/>',
        _text(_LEFT, _TOP - 14, "loss above that with all of the past", fill=FAINT),
        _text((_LEFT + _WIDTH - 30) / 2, _HEIGHT - 12, "steps of the past that are kept", anchor="middle", fill=FAINT),
    ]
    for place, (lag, excess) in enumerate(zip(trace.lags.tolist(), trace.excess.tolist(), strict=True)):
        x, height = _LEFT + place * width, max(excess / largest, 0.0) * (floor - _TOP - 16)
        parts.append(
            f'<rect x="{x + 4:.1f}" y="{floor - height:.1f}" width="{width - 8:.1f}" height="{height:.1f}" '
            f'fill="#2563b8"/>'
        )
        middle = x + width / 2
        parts.append(_text(middle, floor - height - 4, number_text(excess), anchor="middle", size=10))
        bold = "bold" if lag == trace.in_use else "normal"
        parts.append(_text(middle, floor + 16, str(lag), anchor="middle", weight=bold))
        if lag == trace.in_use:
            parts.append(_text(middle, floor + 30, "in use", anchor="middle", weight=bold, size=11))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(
    x: float, y: float, text: str, *, size: int = 12, anchor: str = "start", fill: str = INK, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="{fill}">{escape(text)}</text>'
    )
