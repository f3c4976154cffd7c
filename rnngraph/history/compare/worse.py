"""Whether B is worse than A: the reach is shorter, less is left at the horizon, or an error is found that A has not.

In: a comparison. Out: a sentence for everything that is worse. What is more than all counts as all: a gradient that
explodes no longer has not become worse; one that explodes now is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rnngraph.diagnosis.finding import ERROR
from rnngraph.diagnosis.sentences import percent
from rnngraph.errors import InputError
from rnngraph.history.compare.contrast import Comparison, Curves

TOLERANCE = 0.1  # decades: a fifth less


def worse(comparison: Comparison, *, tolerance: float = TOLERANCE) -> tuple[str, ...]:
    """Say what of B is worse than A by more than so many decades, at every place on which a verdict rests.

    Raises:
        InputError: the tolerance is no number of at least 0, or A has no credit that could have become less.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise InputError(f"the tolerance is {tolerance!r}; it is a number of decades, and at least 0.")
    counting = [one for one in comparison.curves if one.a.counts or one.b.counts]
    known = [one for one in counting if not math.isnan(one.a.gain(_lag(one)))]
    if not known:
        raise InputError(
            "of A no credit could be measured, so that nothing of B can be worse; compare with another run."
        )
    return (*(said for one in known for said in _worse(one, tolerance)), *_errors(comparison))


def _errors(comparison: Comparison) -> Iterator[str]:
    """Give what is wrong in B alone, but for what its curves show already, where the tolerance holds."""
    here, there = ({one.rule: one.text for one in side.diagnosis.findings if one.severity == ERROR}
                   for side in (comparison.a, comparison.b))  # fmt: skip
    yield from (text for rule, text in there.items() if rule not in here and rule not in ("vanishing", "saturated"))


def _lag(one: Curves) -> int:
    """Give the common horizon; A's own where B has none."""
    return one.horizon or one.a.horizon


def _worse(one: Curves, tolerance: float) -> Iterator[str]:
    lag = _lag(one)
    before, after = (
        min(side.gain(lag), 0.0) if not math.isnan(side.gain(lag)) else math.nan for side in (one.a, one.b)
    )
    if math.isnan(after):
        yield f"{one.name}: at lag {lag} {percent(before)} was left in A, and of B nothing could be measured."
        return
    far, near = one.reaches
    if far and near is not None and (near == 0 or math.log10(far / near) > tolerance):
        yield f"{one.name}: the reach fell from lag {far} to lag {near}."
    if before - after > tolerance:
        yield f"{one.name}: at lag {lag} {percent(after)} is left, and {percent(before)} was."
