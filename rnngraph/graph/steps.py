"""Which timesteps are drawn: the text of `--steps`, or the default fold, becomes a list of ranges."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import SupportsIndex

import numpy as np

from rnngraph.errors import InputError

UNFOLDED = 12  # sequences up to this length are drawn whole
KEPT = 5  # steps kept at either end of a longer one

Ranges = tuple[tuple[int, int], ...]
Steps = str | int | slice | Iterable[int] | None


def parse_steps(steps: Steps, timesteps: int) -> Ranges:
    """Return the half-open, sorted, disjoint ranges of timesteps to draw.

    `steps` is `None` (the default fold), `"all"`, text such as `"10:20"`, `"0:3,97:100"` or `"7"` (half-open, as
    Python slices; `":5"` and `"90:"` are open-ended), a number, a slice, or an iterable of numbers.

    Raises:
        InputError: the text is not of this form, or a step lies outside the trace.
    """
    if steps is None:
        return default_steps(timesteps)
    if isinstance(steps, str):
        if steps.strip().lower() == "all":
            return ((0, timesteps),)
        return _merge([_range(part, steps, timesteps) for part in steps.split(",")])
    if isinstance(steps, slice):
        steps = range(*steps.indices(timesteps))
    try:
        numbers = [operator.index(step) for step in ((steps,) if isinstance(steps, SupportsIndex) else steps)]
    except TypeError:
        raise InputError(f"steps {steps!r} are no whole numbers; give timesteps, such as '0:10', or 'all'.") from None
    if not numbers:
        raise InputError("steps is empty; give at least one timestep, such as '0:10', or 'all'.")
    numbers = [_from_end(step, timesteps) for step in numbers]
    return _merge([_checked(step, step + 1, str(step), timesteps) for step in numbers])


def default_steps(timesteps: int) -> Ranges:
    """Keep all of a short sequence, and the first and last steps of a long one."""
    if timesteps <= UNFOLDED:
        return ((0, timesteps),)
    return ((0, KEPT), (timesteps - KEPT, timesteps))


def gaps(ranges: Iterable[tuple[int, int]], stop: int, *, start: int = 0) -> Ranges:
    """Return what `ranges`, which ascend, leave out between two ends."""
    edges = [start, *(edge for pair in ranges for edge in pair), stop]
    return tuple((first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if first < last)


def _range(part: str, text: str, timesteps: int) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(?:(-?\d{1,18})|(-?\d{1,18})?\s*:\s*(-?\d{1,18})?)\s*", part)
    if match is None:
        raise InputError(f"steps {text!r} is not a range of timesteps; write '10:20', '0:3,97:100', '7' or 'all'.")
    single, start, stop = match.groups()
    if single is not None:
        first = _from_end(int(single), timesteps)
        return _checked(first, first + 1, part.strip(), timesteps)
    first = _from_end(int(start), timesteps) if start else 0
    last = _from_end(int(stop), timesteps) if stop else timesteps
    return _checked(first, last, part.strip(), timesteps)


def evenly(count: int, most: int) -> list[int]:
    """Choose at most so many of the places, evenly spaced, the first and the last among them."""
    return [int(place) for place in np.linspace(0, count - 1, min(count, most)).round()]


def spans_of(count: int, room: int) -> list[tuple[int, int]]:
    """Divide steps among places such as characters of a line, as half-open ranges: one each where there is room."""
    edges = np.linspace(0, count, min(count, max(room, 1)) + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def _from_end(step: int, timesteps: int) -> int:
    return step + timesteps if step < 0 else step


def _checked(start: int, stop: int, text: str, timesteps: int) -> tuple[int, int]:
    if start < 0 or stop > timesteps or start >= timesteps:
        raise InputError(
            f"steps {text!r} reach outside the trace, which has {timesteps} timesteps: 0 to {timesteps - 1}."
        )
    if start >= stop:
        raise InputError(f"steps {text!r} are empty; the second number must be larger than the first.")
    return start, stop


def _merge(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(merged)
