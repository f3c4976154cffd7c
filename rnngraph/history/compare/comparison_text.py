"""What a comparison says, in sentences. Parts of them are those of the diagnosis."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.diagnosis.sentences import counted, percent, times
from rnngraph.history.compare.contrast import Contrast, Curves
from rnngraph.history.compare.norms_apart import APART, NormsApart
from rnngraph.history.history_text import trend_sentence

NOT_IN_COMMON = "Not in common"


def comparison_sentences(comparison: Contrast) -> Iterator[str]:
    """Say who reaches further, where they part, what is so of each, and what was left out."""
    yield reach_sentence(comparison)
    yield parting_sentence(comparison)
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        yield f"{letter}: {side.measurement.said}"
        if side.history is not None:
            yield f"{letter}, the training: {trend_sentence(side.history)}"
    yield from (f"{NOT_IN_COMMON}: {one}." for one in comparison.left_out)


def reach_sentence(comparison: Contrast) -> str:
    """Say which of the two reaches further, and what is left of each."""
    one = comparison.deciding
    if one is None:
        return "No credit of both could be measured, so nothing is said of how far they reach."
    (far, near), (a, b) = one.reaches, one.gains
    left = f"{_left(a)} is left at lag {one.horizon} in A, and {_left(b)} in B"
    if far is None or near is None or far == near:
        alike = f"A and B reach equally far, {_lag(one, far)}" if far is not None else "A and B"
        return f"{alike}: {left}."
    first, last = (("B", near), ("A", far)) if near > far else (("A", far), ("B", near))
    return f"{first[0]} reaches further: {_lag(one, first[1])}, where {last[0]} reaches lag {last[1]}; {left}."


def parting_sentence(comparison: Contrast) -> str:
    """Say in which layer and at which step the norms part."""
    parting = comparison.parting
    if not comparison.norms:
        return "They have no state in common whose norms could be set against each other."
    if parting is None:
        return f"Their norms stay together: within {times(APART)} of each other on the whole way back."
    return (
        f"On the way back their norms part first in {parting.recurrence}, in {parting.state}, {_where(parting)}: "
        f"from there on B has {times(parting.by)} of what A has."
    )


def _where(parting: NormsApart) -> str:
    a, b = parting.timesteps
    at = f"at t = {a}" if a == b else f"at t = {a} of A and {b} of B"
    return f"{at}, {counted(parting.parts or 0, 'step')} before the last"


def _left(decades: float) -> str:
    return "what is not known" if math.isnan(decades) else percent(decades)


def _lag(one: Curves, reach: int) -> str:
    return f"lag {reach}{' at least' if reach and reach == one.longest else ''}"
