"""How much of the past a network uses: as text for a terminal, and as a JSON document.

In: a `ContextTrace`. Out: text. Every number stands beside its bar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions
from rich.text import Text

from rnngraph.diagnosis.sentences import part_text
from rnngraph.render.report.text import number_text, printable
from rnngraph.render.strict import json_line
from rnngraph.trace.used_past import ContextTrace

SCHEMA = 1
_BAR, _BESIDE = 40, 38  # characters: of the longest bar, and of what else is in its line


def context_sentence(trace: ContextTrace) -> str:
    """Say in one sentence how much of the past is used."""
    longest = int(trace.lags[-1])
    if trace.in_use is None:
        return f"The network uses all of its past: {longest} steps of it are still worse than all."
    if trace.in_use == 0:
        return "The network uses none of its past: the step itself alone does as well."
    steps = "the step before it" if trace.in_use == 1 else f"the last {trace.in_use} steps before it"
    return f"The network uses {steps}: more of the past does not help."


@dataclass(frozen=True, slots=True)
class ContextReport:
    """What `rnngraph context` prints; give it to a rich console."""

    trace: ContextTrace

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Lay the report out for the width and the characters of a console."""
        yield Text(context_text(self.trace, ascii_only=options.ascii_only, width=options.max_width))


def context_text(trace: ContextTrace, *, ascii_only: bool = False, width: int = 80) -> str:
    """Write the curve as lines of 80 characters at most, bars no wider than what a line has left for them."""
    mark, room = "#" if ascii_only else "█", max(min(_BAR, width - _BESIDE), 0)
    largest = max(float(trace.excess.max()), 0.0)
    lines = [context_sentence(trace), "", f"{'kept':>6}  {'loss':>9}  {'worse by':>9}", ""]
    for lag, kept, excess in zip(trace.lags.tolist(), trace.kept.tolist(), trace.excess.tolist(), strict=True):
        size = round(room * excess / largest) if largest > 0 and excess > 0 else 0
        used = "  in use" if lag == trace.in_use else ""
        lines.append(f"{lag:>6}  {number_text(kept):>9}  {number_text(excess):>9}  {mark * size}{used}".rstrip())
    lines += [
        "",
        f"{printable(trace.model)}, {trace.timesteps} steps. kept: steps before the step of the loss.",
        f"In use: the least from which on the loss is worse by at most {part_text(trace.tolerance)} of the most.",
        "It is said of a trained network: one that has learned nothing uses nothing.",
    ]
    return "\n".join(lines)


def context_json(trace: ContextTrace) -> str:
    """Write the curve as one line of JSON."""
    return json_line({
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
    })  # fmt: skip
