"""The table under the columns: every state's gradient and every weight's contribution, column by column.

A weight is one line here instead of a vertex that every step points to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnngraph.graph.model import Band, Column
from rnngraph.graph.summary import Summary, summarise
from rnngraph.trace.magnitudes import Magnitudes
from rnngraph.trace.model import Trace


def find_bands(trace: Trace, columns: Sequence[Column]) -> Iterator[Band]:
    """Give a line a state with its gradient, then one a parameter with its parts and the norm of their sum."""
    for state in trace.states:
        own = [column.within(0, trace.recurrence_of(state).timesteps) for column in columns]
        yield Band(state.name, "gradient", f"‖∂L/∂{state.kind}‖", None, _by_column(state.grad, own))
    for parameter in trace.parameters:
        shape = "×".join(str(size) for size in parameter.shape)
        yield Band(parameter.name, "weight", shape, summarise(parameter.grad), _by_column(parameter.steps, columns))


def at_column(magnitudes: Magnitudes, column: Column) -> Summary | None:
    """Summarise the timesteps that one column stands for; None where it has none."""
    return summarise(magnitudes, column.index) if column.ranges else None


def overall(magnitudes: Sequence[Magnitudes]) -> Summary:
    """Summarise all of several magnitudes: the range of a colour scale."""
    if not magnitudes:
        return summarise(Magnitudes.unobserved((1,)))
    value = np.concatenate([np.atleast_1d(one.value) for one in magnitudes])
    status = np.concatenate([np.atleast_1d(one.status) for one in magnitudes])
    return summarise(Magnitudes(value, status))


def _by_column(magnitudes: Magnitudes, columns: Sequence[Column]) -> tuple[Summary | None, ...]:
    return tuple(at_column(magnitudes, column) for column in columns)
