"""Whether the step of a scan is a chunk of steps: a scan from the same state, whose steps are the times.

In: a `Form` and the place of a state among what is carried. Out: yes or no.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import Literal

from rnngraph.sources.jax.finding.form import CASTS, Form, Line
from rnngraph.sources.jax.walk import counts


def in_chunks(form: Form, place: int) -> bool:
    """Whether a step takes its state through a scan: of what the step reads, or of nothing, as a loop of loops."""
    before, after = (_before(form, one) for one in form.ends(place))
    line = form.maker.get(after)
    for scan, given, made in () if line is None else _scans(line):
        first, count = counts(scan)
        if after not in made[:count] or _before(form, given[first + made.index(after)]) != before:
            continue
        read = frozenset[int]().union(*(form.reads.get(one, frozenset()) for one in given[first + count :]))
        nothing = len(form.arguments) == form.first + form.count  # and it does nothing else
        every = all(one in made or one == begin for begin, one in map(form.ends, range(form.count)))
        return max(read, default=-1) >= form.first + form.count or (nothing and every)
    return False


def _before(form: Form, value: int) -> int:
    """Give a value before it is cast, or cut from its gradient."""
    line = form.maker.get(value)
    moved = line is not None and line.name in (*CASTS, "stop_gradient")
    return _before(form, line.given[0]) if line is not None and moved else value


def _scans(line: Line) -> Iterator[tuple[Any, Sequence[int], Sequence[int]]]:
    """Yield the scan that a line is, or those in its branches, with the values that it is given and makes; else -1."""
    if line.name == "scan":
        yield line.equation, line.given, line.made
    for branch in line.equation.params.get("branches", ()):
        given = dict(zip(branch.jaxpr.invars, line.given[1:], strict=True))
        ends = zip(branch.jaxpr.outvars, line.made, strict=True)
        made = {one: k for one, k in ends if not isinstance(one, Literal)}
        for one in branch.jaxpr.eqns:
            if one.primitive.name == "scan":
                operands = (-1 if isinstance(k, Literal) else given.get(k, -1) for k in one.invars)
                yield one, [*operands], [made.get(k, -1) for k in one.outvars]
