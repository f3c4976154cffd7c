"""The table under the columns: every state's gradient and every weight's contribution, column by column.

A weight is one line here instead of a vertex that every step points to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rnngraph.graph.measure import Measure, measure
from rnngraph.graph.model import Band, Column
from rnngraph.trace.magnitudes import Magnitudes, Status
from rnngraph.trace.model import REVERSE, ParameterTrace, StateTrace


def gradient_bands(states: Sequence[StateTrace], columns: Sequence[Column]) -> tuple[Band, ...]:
    """Return a line a state: the norm of its gradient at every column."""
    return tuple(
        Band(state.name, "gradient", f"‖∂L/∂{state.kind}‖", None, column_measures(state.grad, columns))
        for state in states
    )


def weight_bands(parameters: Sequence[ParameterTrace], columns: Sequence[Column]) -> tuple[Band, ...]:
    """Return a line a parameter: the norm of every column's part of its gradient, and of the sum."""
    return tuple(
        Band(
            parameter.name,
            "weight",
            "×".join(str(size) for size in parameter.shape),
            measure(parameter.grad),
            column_measures(parameter.steps, columns),
        )
        for parameter in parameters
    )


def column_measures(magnitudes: Magnitudes, columns: Sequence[Column]) -> tuple[Measure | None, ...]:
    """Summarise one magnitude a timestep into one measure a column; None where a column has no timestep."""
    return tuple(column_measure(magnitudes, column) for column in columns)


def column_measure(magnitudes: Magnitudes, column: Column) -> Measure | None:
    """Summarise the timesteps that one column stands for."""
    if not column.ranges:
        return None
    return measure(magnitudes, column_index(column))


def walked(state: StateTrace, column: Column) -> Column:
    """Leave out the step with which the recurrence ends: nothing is carried into it, which says nothing of a loop."""
    end = 0 if state.direction == REVERSE else len(state.carried.value) - 1
    ranges = tuple(
        (start + (start == end), stop - (stop - 1 == end))
        for start, stop in column.ranges
        if (start, stop) != (end, end + 1)
    )
    return replace(column, ranges=ranges or column.ranges)


def column_index(column: Column) -> slice | np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return an index that selects a column's timesteps from an array `(T, ...)`."""
    if len(column.ranges) == 1:
        return slice(*column.ranges[0])
    return np.concatenate([np.arange(start, stop) for start, stop in column.ranges])


def overall(magnitudes: Sequence[Magnitudes]) -> Measure:
    """Summarise all of several magnitudes: the range of a colour scale."""
    if not magnitudes:
        return measure(Magnitudes.unobserved((1,)))
    value = np.concatenate([np.atleast_1d(one.value) for one in magnitudes])
    status = np.concatenate([np.atleast_1d(one.status) for one in magnitudes])
    return measure(Magnitudes(value, status))


def is_observed(magnitudes: Magnitudes) -> bool:
    """Whether anything at all is known."""
    return bool((magnitudes.status != Status.UNOBSERVED).any())
