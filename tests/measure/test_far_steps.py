"""Numbers of a loss by the steps at which they enter, at every limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rnngraph.sources.far_steps import made_of_far_steps


def entering(**at: float) -> Any:
    """Give (20, 1) norms, 0 but at some steps."""
    found = np.zeros((20, 1))
    for t, one in at.items():
        found[int(t[1:])] = one
    return found


EVERY = np.ones((20, 1))
FAR, NEAR = entering(t0=1.0, t19=1.0), entering(t3=1.0, t4=1.0)


@pytest.mark.parametrize(("number", "entered", "far"), [
    (entering(t0=1.0, t19=0.051), EVERY, True),  # a twentieth of the most counts
    (entering(t0=1.0, t19=0.049), EVERY, False),
    (FAR, entering(t0=1.0, t1=1.0, t19=0.051), True),
    (entering(t0=1.0, t2=1.0), entering(t0=1.0, t2=1.0, t19=0.049), True),
    (entering(t0=1.0, t2=1.0), entering(t0=1.0, t2=1.0, t19=0.051), False),
    (entering(t0=1.0, t9=1.0), EVERY, False),  # 9 of 19 steps are less than half
    (entering(t0=1.0, t10=1.0), EVERY, True),
    (entering(t0=1.0, t1=1.0), entering(t0=1.0, t1=1.0), False),  # neighbours are not far
    (entering(t7=1.0), EVERY, False),
])  # fmt: skip
def test_one_number(number: Any, entered: Any, far: bool) -> None:
    assert made_of_far_steps([(number, entered)]) is far


def test_most_of_the_numbers_decide_and_what_enters_nowhere_says_nothing() -> None:
    def said(*numbers: Any) -> bool:
        return made_of_far_steps((one, EVERY) for one in numbers)

    nothing = entering()
    assert not said()
    assert not said(nothing)
    assert said(nothing, nothing, FAR)
    assert said(NEAR, FAR)
    assert not said(NEAR, nothing, FAR, NEAR)


def test_no_more_are_asked_than_decide() -> None:
    def numbers() -> Iterator[Any]:
        yield from [(FAR, EVERY)] * 3
        raise AssertionError

    assert made_of_far_steps(numbers())


def test_what_a_batch_reaches_alike_does_not_count() -> None:
    # Of two other samples with a each the root mean square is a: a step counts above 3 a, or half of the most.
    def far(there: float, others: float) -> bool:
        number = np.zeros((20, 3))
        number[0, 0], number[19] = 1.0, [there, others, others]
        return made_of_far_steps([(number, np.ones((20, 3)))])

    assert [far(0.31, 0.1), far(0.29, 0.1), far(0.51, 0.9), far(0.49, 0.9)] == [True, False, True, False]
