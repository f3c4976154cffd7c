"""The options of a trace, checked before the run that is to be traced.

In: keyword arguments for `Watch.trace`. Out: nothing, or one sentence that says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from rnngraph.checks import is_whole, whole_number
from rnngraph.errors import InputError

RECORD = ("lags", "spectrum", "source")
TRACE = ("layer", "call", "labels", "tolerance", *RECORD)


def is_number(value: object) -> TypeGuard[float]:
    """Tell a real number, Python's or NumPy's, from anything else; True and False are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def check_record(options: Mapping[str, Any]) -> None:
    """Check the options that go on to `rnngraph.record`.

    Raises:
        InputError: one that does not exist, or of another kind.
    """
    from rnngraph.trace.lag_options import LagOptions

    for name in options:
        if name not in RECORD:
            raise InputError(f"a trace has no option {name!r}; it takes {', '.join(TRACE)}.")
    lags = options.get("lags", True)
    if not isinstance(lags, bool | LagOptions):
        raise InputError(f"lags is {lags!r}; pass True, or rnngraph.LagOptions(losses=..., samples=...).")
    whole_number(options.get("spectrum", 0), "spectrum", least=0)


def check_trace(options: Mapping[str, Any], layers: Sequence[str]) -> None:
    """Check what is to be given to `Watch.trace` on a model with the recurrent `layers`.

    Raises:
        InputError: an option that does not exist, of another kind, or a layer that is not watched.
    """
    check_record({name: value for name, value in options.items() if name not in TRACE or name in RECORD})
    layer, call, tolerance = (options.get(name) for name in ("layer", "call", "tolerance"))
    if layer is not None and layer not in layers:
        raise InputError(f"no watched layer is called {layer!r}; there is {', '.join(layers)}.")
    if call is not None and not is_whole(call):
        raise InputError(f"call is {call!r}; pass a whole number.")
    if tolerance is not None and not (is_number(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance is {tolerance!r}; pass a number of at least 0.")
    labels = options.get("labels", ())
    if isinstance(labels, str) or not hasattr(labels, "__iter__"):
        raise InputError(f"labels is {labels!r}; pass a list with a text for each timestep.")
