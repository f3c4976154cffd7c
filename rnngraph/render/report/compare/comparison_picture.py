"""A comparison as a picture: the lag curves of A and B over each other, and the norms on the way back.

In: a `Comparison`. Out: a sheet.
"""

from __future__ import annotations

from typing import Any

from rnngraph.graph.charts.frame import Paper
from rnngraph.graph.charts.overlay import Curve, Panel, credit_panel, draw_panels
from rnngraph.graph.key import Swatch
from rnngraph.graph.sheet import Sheet
from rnngraph.history.compare.contrast import Comparison, Curves, comparison_sentences
from rnngraph.history.compare.norms_apart import NormsApart
from rnngraph.trace.magnitudes import Floats

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
