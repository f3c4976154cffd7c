"""How much of the past a network uses: for a terminal, as a JSON document, and as a picture with a bar a length.

In: a `ContextTrace`. Out: text, where every number stands beside its bar, or a sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.text import Text

from rnngraph.diagnosis.sentences import part_text
from rnngraph.graph.layout.metrics import fit
from rnngraph.graph.paper import SMALL, Paper
from rnngraph.graph.sheet import Shape, Sheet, rectangle, rule, words
from rnngraph.render.report.text import Parts, laid_out, number_text, printable
from rnngraph.render.strict import json_line, picked
from rnngraph.trace.used_past import ContextTrace

SCHEMA = 1
_BAR, _BESIDE = 40, 38  # characters: of the longest bar, and of what else is in its line


@laid_out
def context_report(width: int, trace: ContextTrace) -> Parts:
    """Write what `rnngraph context` prints, bars no wider than what a line of 80 characters has left for them."""
    room = max(min(_BAR, width - _BESIDE), 0)
    largest = max(float(trace.excess.max()), 0.0)
    lines = [repr(trace), "", f"{'kept':>6}  {'loss':>9}  {'worse by':>9}", ""]
    for lag, kept, excess in zip(trace.lags.tolist(), trace.kept.tolist(), trace.excess.tolist(), strict=True):
        size = round(room * excess / largest) if largest > 0 and excess > 0 else 0
        used = "  in use" if lag == trace.in_use else ""
        lines.append(f"{lag:>6}  {number_text(kept):>9}  {number_text(excess):>9}  {'█' * size}{used}".rstrip())
    lines += [
        "",
        f"{printable(trace.model)}, {trace.timesteps} steps. kept: steps before the step of the loss.",
        f"In use: the least from which on the loss is worse by at most {part_text(trace.tolerance)} of the most.",
        "It is said of a trained network: one that has learned nothing uses nothing.",
    ]
    yield Text("\n".join(lines))


def context_json(trace: ContextTrace) -> str:
    """Write the curve as one line of JSON."""
    names = ("model", "timesteps", "in_use", "tolerance", "lags", "kept", "full", "excess", "counts")
    return json_line({"schema": SCHEMA, **picked(trace, *names)})


_HEIGHT = 220.0


def context_sheet(trace: ContextTrace, *, width: int = 900, theme: str = "auto") -> Sheet:
    """Draw the excess of the loss over the steps that are kept; the steps of the axis are doublings.

    Raises:
        InputError: an option that is not one of its choices.
    """
    paper, title, small = Paper(width, theme), repr(trace), f"{trace.model}, {trace.timesteps} steps"
    paper.head(title, "", small)
    paper.y += 14
    room = paper.inner
    paper.heading("above", "loss above that with all of the past", paper.margin, paper.y + 6, room)
    top, floor = paper.y + 34, paper.y + 34 + _HEIGHT
    paper.shapes += _bars(trace, paper.margin, room / len(trace.lags), top, floor)
    paper.curves.append(rule("axis", [(paper.margin, floor), (paper.width - paper.margin, floor)], "rule"))
    paper.shapes.append(
        words("axist", "legend", "steps of the past that are kept", paper.width / 2, floor + 46, SMALL, ink="muted")
    )
    paper.y = floor + 58
    return paper.finish(title, small)


def _bars(trace: ContextTrace, left: float, pitch: float, top: float, floor: float) -> Iterator[Shape]:
    """Draw a bar a length; the one that is in use in ink, the others grey, as all that is no share of one loss."""
    largest = max(float(trace.excess.max()), 0.0) or 1.0
    for place, (lag, excess) in enumerate(zip(trace.lags.tolist(), trace.excess.tolist(), strict=True)):
        x, used = left + place * pitch, lag == trace.in_use
        tall = max(excess / largest, 0.0) * (floor - top - 16)
        hint = f"{lag} steps kept: worse by {excess:.3g}"
        yield rectangle(f"b{place}", "bar", x + 2, floor - max(tall, 1), max(pitch - 4, 1), max(tall, 1),
                        fill="ink" if used else "amount", hint=hint)  # fmt: skip
        if pitch >= 24:
            text = fit(re.sub(r"e([-+])0", r"e\1", f"{excess:.2g}"), pitch, SMALL)
            yield words(f"n{place}", "number", text, x + pitch / 2, floor - tall - 9, SMALL, ink="muted")
        if pitch >= 24 or place % 2 == 0 or used:
            yield words(f"x{place}", "legend", str(lag), x + pitch / 2, floor + 12, SMALL, bold=used,
                        ink="ink" if used else "muted")  # fmt: skip
        if used:
            yield words("used", "mark", "in use", x + pitch / 2, floor + 28, SMALL, bold=True)
