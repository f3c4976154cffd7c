"""The table of a history as plain text cells: one row a measurement. The terminal and the page show the same."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.diagnosis.sentences import share_text
from rnngraph.history.course import History
from rnngraph.history.measurement import Measurement
from rnngraph.render.report.text import number_text


def history_table(history: History) -> Iterator[tuple[str, ...]]:
    """Name the columns, and write a row a measurement; a gain is that at the horizon."""
    at = f"gain at lag {history.horizon}" if history.horizon else "gain"
    yield "step", "loss", "reach", at, "half-life", "flags"
    for one, gain in zip(history.measurements, history.gains, strict=True):
        left = "-" if math.isnan(gain) else share_text(gain)
        yield str(one.step), number_text(one.loss), reach_cell(one), left, life_cell(one.half_life), flags_cell(one)


def reach_cell(one: Measurement) -> str:
    """Write a reach; a plus says that it is as far as was measured."""
    return "-" if one.reach is None else f"{one.reach}{'+' if one.whole else ''}"


def life_cell(half_life: float | None) -> str:
    """Write a half-life; a dash where the gradient does not shrink."""
    return "-" if half_life is None else f"{half_life:.3g}"


def flags_cell(one: Measurement) -> str:
    """Write the flags, the verdict first."""
    return ", ".join(flag.replace("_", " ") for flag in one.flags)
